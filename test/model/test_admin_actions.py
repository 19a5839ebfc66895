# SPDX-License-Identifier: Apache-2.0
"""The operator's actions carried out, each at least once and against its schema, and the refusals that only their order brings about."""

import unittest

import client
import coverage
import test_model
import world
from harness import IMAGE, REGION

WAYS = [client.Way("operator", "POST", "form", format) for format in ("JSON", "XML")]


class Operator(test_model.Speaker):
    def does(self, name, expected=None, **params):
        """A call in both formats; `expected`: the error of each, or of the second only where it stands behind a None. Members."""
        action, seen = self.actions[f"Admin.{name}"], []
        for way, error in zip(WAYS, expected if isinstance(expected, tuple) else (expected, expected)):
            request = self.signer.bytes_of(name, action["version"], [(k, str(v)) for k, v in params.items()], way)
            [(head, body)] = self.operator.exchange([request])
            status, code, message, members = self.checker.check(action, way.format, head, body)
            coverage.note(action["key"], status, code, message)
            row = self.facts.rows[error] if error else None
            self.assertEqual((status, code), (row.status, row.code) if row else (200, None), (name, params, message))
            seen.append(members)
        return seen[0]

    def test_accounts_and_keys(self):
        account = self.does("CreateAccount", (None, "E_ADMIN_ACCOUNT_EXISTS"), Name="other")["Account"]["AccountId"]
        self.does("SetAccount", AccountId=account, StoppedMode="StopCharging", Name="another")
        self.does("ShowAccount", AccountId=account)
        self.does("CreateKey", "E_ADMIN_POLICY", AccountId=account, Policy="{")
        key = self.does("CreateKey", AccountId=account)["Key"]["AccessKeyId"]
        self.does("CreateKey", "E_ADMIN_KEY_EXISTS", AccountId=account, AccessKeyId=key, Secret="12345678")
        for name in ("DisableKey", "EnableKey"):
            self.does(name, AccessKeyId=key)
        self.does("DeleteKey", (None, "E_ADMIN_KEY_NOT_FOUND"), AccessKeyId=key)
        self.does("ListKeys", AccountId=account)

    def test_hosts(self):
        self.does("AddHost", (None, "E_ADMIN_HOST_EXISTS"), HostId="host-model", Url="sim://host-model", ZoneId=world.ZONE, Vcpus=4, MemoryGib=8)
        self.does("SetHost", HostId="host-model", Vcpus=8, State="draining")
        self.does("SetSimHost", HostId="host-model", Name="delay", Value="0")
        self.does("SetSimHost", "E_ADMIN_SETTING", HostId="host-model", Name="nonsense", Value="0")
        self.does("EvacuateHost", HostId="host-model")
        self.does("EvacuateHost", "E_NEXT_TOKEN", HostId="host-model", NextToken="nonsense")
        self.does("RemoveHost", (None, "E_ADMIN_HOST_NOT_FOUND"), HostId="host-model")

    def test_instances(self):
        instance = self.running_instance()
        self.does("LockInstance", InstanceId=instance, Reason="security")
        self.does("UnlockInstance", "E_ADMIN_LOCK_NOT_FOUND", InstanceId=instance, Reason="financial")
        self.does("UnlockInstance", (None, "E_ADMIN_LOCK_NOT_FOUND"), InstanceId=instance)
        self.does("SetDisk", DiskId=self.names["disk"], Status="Available")
        self.does("SetGuest", InstanceId=instance, Name="shutdown", Value="0.01")
        self.does("DoGuest", InstanceId=instance, What="pause")
        self.does("DoGuest", "E_ADMIN_GUEST_STATE", InstanceId=instance, What="poweroff")
        self.does("DoGuest", InstanceId=instance, What="resume")
        self.call("StopInstance", InstanceId=instance, StoppedMode="StopCharging")
        self.await_status(instance, "Stopped")
        self.does("SetGuest", "E_ADMIN_NOT_SIMULATED", InstanceId=instance, Name="shutdown", Value="0.01")  # it is on no host now

    def test_images(self):
        new = {"ImageId": "m-model", "FileFormat": "raw", "SizeGib": 20}
        self.does("ImportImage", "E_IMAGE_NAME", **new, Name="1")
        self.does("ImportImage", "E_ADMIN_IMAGE_PUBLIC", **{**new, "ImageId": IMAGE}, AccountId=self.names["account"])
        self.does("ImportImage", **new, CloudInit="false")
        self.does("RemoveImage", "E_ADMIN_IMAGE_STATE", ImageId="m-model")
        self.does("AdoptImage", ImageId="m-model")
        self.does("ImportImage", "E_ADMIN_IMAGE_EXISTS", **new)
        self.refuses("RunInstances", "ImageNotSupportCloudInit", self.facts.rows["E_IMAGE_CLOUD_INIT"].status, RegionId=REGION,
                     ImageId="m-model", InstanceType="ecs.g6.large", UserData="IyEvYmluL3NoCg==")
        self.does("RetireImage", ImageId="m-model")
        self.does("RemoveImage", (None, "E_ADMIN_IMAGE_NOT_FOUND"), ImageId="m-model")


class Clock(Operator):
    """On a clock that the operator turns."""

    options = ("--clock", "virtual")

    def fill(self):
        return {}

    def test_advance(self):
        self.does("AdvanceClock", Duration="1h")
        self.does("AdvanceClock", "E_INVALID_PARAMETER", Duration="soon")

    test_accounts_and_keys = test_hosts = test_instances = test_images = None


if __name__ == "__main__":
    unittest.main()
