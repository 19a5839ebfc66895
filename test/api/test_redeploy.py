# SPDX-License-Identifier: Apache-2.0
"""RedeployInstance, sentence by sentence of its page, over a real socket and two hosts of one zone."""

import json
import signal

from harness import REGION, EcsTest, until

STATUS_TEXT = "The current status of the resource does not support this operation."


class Page(EcsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # host-1, the larger one, takes what is new
        cls.ecs.ctl("host", "add", "rack-2", "zone=cn-hangzhou-h", "vcpus=16", "memory=64")

    def run_instance(self, **params):
        return super().run_instance(**{"ZoneId": "cn-hangzhou-h", **params})

    def shown(self, instance_id):
        return json.loads(self.ecs.ctl("instance", "show", instance_id, "--json"))

    def host_of(self, instance_id):
        return self.shown(instance_id)["HostId"]

    def used(self, host_id):
        hosts = json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]
        return next(host["UsedVcpus"] for host in hosts if host["HostId"] == host_id)

    def gone(self, *instance_ids):
        for i in instance_ids:
            self.call("DeleteInstance", InstanceId=i, Force=True, ForceStop=True)
            self.await_status(i, None)

    def test_running_goes_over_stopping_and_starting_to_running_elsewhere(self):
        i = self.running_instance()
        before, used = self.instance(i), self.used("rack-2")
        self.assertEqual(self.host_of(i), "host-1")
        self.ecs.ctl("sim", "guest", i, "shutdown=0.3")
        body = self.call("RedeployInstance", InstanceId=i)
        self.assertEqual(sorted(body), ["RequestId", "TaskId"])
        self.assertRegex(body["TaskId"], "^t-[0-9]+$")
        self.assertEqual(self.status_of(i), "Stopping")
        seen = self.await_status(i, "Running")
        self.assertEqual(seen[0], "Stopping")
        self.assertLessEqual(set(seen), {"Stopping", "Starting", "Running"})
        self.assertEqual(self.host_of(i), "rack-2")
        self.assertEqual(self.used("rack-2"), used + 2)
        after = self.instance(i)
        for same in ("VpcAttributes", "PublicIpAddress", "InstanceType", "CreationTime", "NetworkInterfaces"):
            self.assertEqual(after[same], before[same])
        job = json.loads(self.ecs.ctl("job", "show", body["TaskId"][2:], "--json"))
        self.assertEqual((job["Kind"], job["State"], job["InstanceId"]), ("redeploy", "done", i))
        self.gone(i)

    def test_stopped_goes_over_starting_to_running_elsewhere(self):
        i = self.stopped_instance()
        self.call("RedeployInstance", InstanceId=i)
        seen = self.await_status(i, "Running")
        self.assertLessEqual(set(seen), {"Starting", "Running"})
        self.assertEqual(self.host_of(i), "rack-2")
        self.call("RedeployInstance", InstanceId=i)  # and back
        self.await_status(i, "Running")
        self.assertEqual(self.host_of(i), "host-1")
        self.gone(i)

    def test_cloud_disks_stay_with_it(self):
        i = self.running_instance(DataDisk__1__Size=20, DataDisk__1__Category="cloud_efficiency")
        disks = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"]
        self.call("RedeployInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual(self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"], disks)
        self.gone(i)

    def test_without_room_elsewhere_it_restarts_where_it_is(self):
        i = self.running_instance(InstanceType="ecs.g6.8xlarge")
        at = self.host_of(i)
        used = self.used(at)
        self.call("RedeployInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual((self.host_of(i), self.shown(i)["Incarnation"]), (at, 2))
        self.assertEqual(self.used(at), used)
        self.gone(i)

    def test_force_stop_is_a_power_failure(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("RedeployInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Running")
        self.gone(i)

    def test_only_running_or_stopped(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        self.refuses("RedeployInstance", InstanceId=i, ForceStop=True, code="IncorrectInstanceStatus", status=403,
                     message=STATUS_TEXT)
        self.assertEqual(self.status_of(i), "Stopping")

    def test_nothing_else_while_it_is_redeployed(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("RedeployInstance", InstanceId=i)
        for action in ("RedeployInstance", "StopInstance", "RebootInstance", "StartInstance"):
            self.refuses(action, InstanceId=i, code="IncorrectInstanceStatus", status=403)
        self.assertEqual(self.status_of(i), "Stopping")

    def test_unknown_instance_and_that_of_another_account(self):
        text = "The InstanceId provided does not exist in our records."
        self.refuses("RedeployInstance", InstanceId="i-none", code="InvalidInstanceId.NotFound", status=404, message=text)
        i = self.running_instance()
        other = json.loads(self.ecs.ctl("account", "create", "neighbour", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", other["AccountId"], "--json"))
        reply = self.ecs.v3("RedeployInstance", {"InstanceId": i}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.assertEqual((reply.status, reply.json["Code"], reply.json["Message"]), (404, "InvalidInstanceId.NotFound", text))
        self.assertEqual(self.status_of(i), "Running")

    def test_missing_and_bad_parameters(self):
        i = self.running_instance()
        self.refuses("RedeployInstance", code="MissingParameter", status=400)
        self.refuses("RedeployInstance", InstanceId=i, ForceStop="maybe", code="InvalidParameter", status=400)
        self.assertEqual(self.status_of(i), "Running")

    def test_locks_and_disks(self):
        i = self.running_instance()
        self.ecs.ctl("instance", "lock", i, "security")
        self.refuses("RedeployInstance", InstanceId=i, code="InstanceLockedForSecurity", status=403,
                     message="The specified operation is denied as your instance is locked for security reasons.")
        self.ecs.ctl("instance", "unlock", i)
        self.ecs.ctl("instance", "lock", i, "financial")
        self.refuses("RedeployInstance", InstanceId=i, code="InstanceExpiredOrInArrears", status=403)
        self.ecs.ctl("instance", "unlock", i)
        disk = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"][0]["DiskId"]
        self.ecs.ctl("disk", "set", disk, "status=Attaching")
        self.refuses("RedeployInstance", InstanceId=i, code="DiskError", status=403, message="IncorrectDiskStatus.")
        self.assertEqual((self.status_of(i), self.host_of(i)), ("Running", "host-1"))

    def test_a_policy_decides(self):
        i = self.running_instance()
        policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs:StopInstance", "Resource": "*"}]}
        account = self.shown(i)["AccountId"]
        key = json.loads(self.ecs.ctl("key", "create", account, f"policy={json.dumps(policy)}", "--json"))
        reply = self.ecs.v3("RedeployInstance", {"InstanceId": i}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.assertEqual((reply.status, reply.code), (403, "Forbidden.RAM"))
        policy["Statement"][0].update(Action="ecs:RedeployInstance", Resource=f"acs:ecs:{REGION}:{account}:instance/{i}")
        key = json.loads(self.ecs.ctl("key", "create", account, f"policy={json.dumps(policy)}", "--json"))
        reply = self.ecs.v3("RedeployInstance", {"InstanceId": i}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.assertEqual(reply.status, 200)
        self.await_status(i, "Running")
        self.gone(i)


class Hosts(EcsTest):
    def host_of(self, instance_id):
        return json.loads(self.ecs.ctl("instance", "show", instance_id, "--json"))["HostId"]

    def test_a_silent_host_is_waited_for_over_a_kill(self):
        self.ecs.ctl("host", "add", "rack-2", "zone=cn-hangzhou-h", "vcpus=16", "memory=64")
        i = self.running_instance()
        self.ecs.ctl("sim", "host", "host-1", "down")
        self.call("RedeployInstance", InstanceId=i, ForceStop=True)
        self.ecs.restart(signal.SIGKILL)
        self.assertEqual((self.status_of(i), self.host_of(i)), ("Stopping", "host-1"))
        until(self, lambda: "does not answer" in self.ecs.ctl("job", "list", "--json"))
        self.ecs.ctl("sim", "host", "host-1", "up")
        self.await_status(i, "Running", seconds=45)
        self.assertEqual(self.host_of(i), "rack-2")
