# SPDX-License-Identifier: Apache-2.0
"""What the generator can't know: a daemon with something in it, and for each action a request that is right but for one thing.

A write's request is refused at its very end (a dry run, a quota that is full, a name that is taken, an id of nobody), so that
tens of thousands of them change nothing, and what a parameter does to it is still seen. A read's succeeds.
"""

import base64
import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from harness import IMAGE, REGION, EcsTest  # noqa: E402

ZONE = "cn-hangzhou-h"
NOBODY = "i-bp100000000000000000"  # an instance of nobody
NO_DISK = "d-bp100000000000000000"
COMMANDS = 1
DISKS = 10  # the least that quota.disks may say
SETTINGS = {"quota.commands": COMMANDS, "quota.disks": DISKS, "quota.deployment_sets": 1, "log.calls": "none"}
SCRIPT = base64.b64encode(b"echo hello").decode()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1sLJPyMT0ZFEbRtqq6kZBwoNwMXXfD0zNmvkhFXnhR a@b"


class World(EcsTest):
    """A test class whose daemon has an instance, a disk, a key pair, a command and an invocation in it."""

    options = ()
    settings = SETTINGS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.ecs.close)
        test = cls("fill")
        cls.names = test.fill()

    @classmethod
    def tearDownClass(cls):
        """The clean-up does it, also when setUpClass failed."""

    def fill(self):
        """Makes it; the ids by name."""
        running = self.running_instance()
        stopped = self.stopped_instance()
        self.call("ImportKeyPair", RegionId=REGION, KeyPairName="pair", PublicKeyBody=KEY)
        self.call("CreateDeploymentSet", RegionId=REGION, DeploymentSetName="set")
        command = self.call("CreateCommand", RegionId=REGION, Name="hello", Type="RunShellScript", CommandContent=SCRIPT)["CommandId"]
        invocation = self.call("InvokeCommand", RegionId=REGION, CommandId=command, InstanceId__1=running)["InvokeId"]
        while self.invocation_status(invocation) in ("Pending", "Running"):
            pass
        disks = [self.call("CreateDisk", RegionId=REGION, ZoneId=ZONE, Size=20)["DiskId"] for _ in range(DISKS - 2)]
        self.call("TagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=running, Tag__1__Key="k", Tag__1__Value="v")
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]
        host = json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"][0]
        job = json.loads(self.ecs.ctl("job", "list", "all=true", "--json"))["Jobs"]["Job"][0]
        return {"running": running, "stopped": stopped, "command": command, "invocation": invocation, "disk": disks[0],
                "account": account["AccountId"], "account_name": account["Name"], "host": host["HostId"], "job": str(job["JobId"])}

    def invocation_status(self, invocation):
        """As DescribeInvocations has it."""
        found = self.call("DescribeInvocations", RegionId=REGION, InvokeId=invocation)
        return found["Invocations"]["Invocation"][0]["InvocationStatus"]


@dataclasses.dataclass(frozen=True)
class Base:
    """A request and what comes of it: a code with its status, or None for success. {names} are the world's."""

    params: dict
    code: str | None = None
    status: int = 200
    # Where the request relies on DryRun: one for the cases about DryRun itself, refused without it.
    no_dry_run: "Base | None" = None


def refused(code, status, **params):
    """A Base of a write; __ stands for a dot."""
    return Base({name.replace("__", "."): value for name, value in params.items()}, code, status)


def read(**params):
    """A Base of a read."""
    return Base({name.replace("__", "."): value for name, value in params.items()})


def dry(base_params, other, code="DryRunOperation", status=400):
    """A dry run, and the request for the cases about DryRun."""
    params = {name.replace("__", "."): value for name, value in base_params.items()}
    return Base({**params, "DryRun": "true"}, code, status, other)


R = {"RegionId": REGION}
LAUNCH = {**R, "ImageId": IMAGE, "InstanceType": "ecs.g6.large"}
NO_INSTANCE = ("InvalidInstanceId.NotFound", 404)

BASES = {
    "AttachDisk": refused(*NO_INSTANCE, InstanceId=NOBODY, DiskId="{disk}"),
    "AttachKeyPair": refused("InvalidKeyPairName.NotFound", 404, **R, KeyPairName="nobody", InstanceIds='["{stopped}"]'),
    "CreateCommand": refused("CmdCount.ExceedQuota", 403, **R, Name="more", Type="RunShellScript", CommandContent=SCRIPT),
    "CreateDeploymentSet": refused("QuotaExceed.DeploymentSet", 403, **R),
    "CreateDisk": refused("QuotaExceed.PortableCloudDisk", 403, **R, ZoneId=ZONE, Size="20"),
    "CreateInstance": dry(LAUNCH, refused("InvalidImageId.NotFound", 404, **{**LAUNCH, "ImageId": "m-nobody"})),
    "CreateKeyPair": refused("KeyPair.AlreadyExist", 400, **R, KeyPairName="pair"),
    "DeleteCommand": refused("InvalidCmdId.NotFound", 404, **R, CommandId="c-nobody"),
    "DeleteDeploymentSet": refused("InvalidDeploymentSetId.NotFound", 404, **R, DeploymentSetId="ds-nobody"),
    "DeleteDisk": refused("InvalidDiskId.NotFound", 404, DiskId=NO_DISK),
    "DeleteInstance": dry({"InstanceId": "{stopped}"}, refused(*NO_INSTANCE, InstanceId=NOBODY)),
    "DeleteInstances": dry({**R, "InstanceId.1": "{stopped}"},
                           refused("InvalidInstanceIds.NotFound", 404, **R, InstanceId__1=NOBODY), "DRYRUN.SUCCESS"),
    "DeleteKeyPairs": read(**R, KeyPairNames='["nobody"]'),  # names of nobody are passed over
    "DescribeCloudAssistantStatus": read(**R),
    "DescribeCommands": read(**R),
    "DescribeDeploymentSetSupportedInstanceTypeFamily": read(**R),
    "DescribeDeploymentSets": read(**R),
    "DescribeDisks": read(**R),
    "DescribeImages": read(**R, PageSize="1"),
    "DescribeInstanceAttribute": read(InstanceId="{running}"),
    "DescribeInstanceHistoryEvents": read(**R),
    "DescribeInstanceStatus": read(**R),
    "DescribeInstanceTypeFamilies": read(**R),
    "DescribeInstanceTypes": read(InstanceTypes__1="ecs.g6.large"),
    "DescribeInstanceVncUrl": refused(*NO_INSTANCE, **R, InstanceId=NOBODY),  # so many a minute of an instance
    "DescribeInstances": read(**R),
    "DescribeInvocationResults": read(**R),
    "DescribeInvocations": read(**R),
    "DescribeKeyPairs": read(**R),
    "DescribeRegions": read(),
    "DescribeUserData": read(**R, InstanceId="{running}"),
    "DescribeZones": read(**R),
    "DetachDisk": refused(*NO_INSTANCE, InstanceId=NOBODY, DiskId="{disk}"),
    "DetachKeyPair": refused("InvalidKeyPairName.NotFound", 404, **R, KeyPairName="nobody", InstanceIds='["{stopped}"]'),
    "GetInstanceConsoleOutput": refused("InvalidParameter", 404, **R, InstanceId=NOBODY),  # so many a minute of an instance
    "GetInstanceScreenshot": refused("InvalidParameter", 404, **R, InstanceId=NOBODY),  # one a second of an instance
    "ImportKeyPair": refused("KeyPair.AlreadyExist", 400, **R, KeyPairName="pair", PublicKeyBody=KEY),
    "InvokeCommand": refused("InvalidInstance.NotFound", 404, **R, CommandId="{command}", InstanceId__1=NOBODY),
    "ListTagResources": read(**R, ResourceType="instance", ResourceId__1="{running}"),
    "Location.DescribeEndpoints": read(Id=REGION, ServiceCode="ecs"),
    "ModifyDeploymentSetAttribute": refused("InvalidDeploymentSetId.NotFound", 400, **R, DeploymentSetId="ds-nobody"),
    "ModifyDiskAttribute": refused("InvalidDiskId.NotFound", 404, DiskId=NO_DISK, DiskName="name"),
    "ModifyInstanceAttribute": refused(*NO_INSTANCE, InstanceId=NOBODY, InstanceName="name"),
    "ModifyInstanceAutoReleaseTime": refused("NoSuchResource", 404, InstanceId=NOBODY),
    "ModifyInstanceDeployment": refused("DeploymentSet.InvalidId", 400, **R, InstanceId="{stopped}", DeploymentSetId="ds-nobody"),
    "ModifyInstanceVncPasswd": refused(*NO_INSTANCE, **R, InstanceId=NOBODY, VncPassword="Abc123"),
    "RebootInstance": dry({"InstanceId": "{running}"}, refused(*NO_INSTANCE, InstanceId=NOBODY)),
    "RebootInstances": dry({**R, "InstanceId.1": "{running}"}, refused(*NO_INSTANCE, **R, InstanceId__1=NOBODY), "DRYRUN.SUCCESS"),
    "RedeployInstance": refused(*NO_INSTANCE, InstanceId=NOBODY),
    "ResizeDisk": refused("InvalidDiskId.NotFound", 404, DiskId=NO_DISK, NewSize="40"),
    "RunCommand": refused("InvalidInstance.NotFound", 404, **R, Type="RunShellScript", CommandContent="echo", InstanceId__1=NOBODY),
    "RunInstances": dry(LAUNCH, refused("InvalidImageId.NotFound", 404, **{**LAUNCH, "ImageId": "m-nobody"})),
    "StartInstance": dry({"InstanceId": "{stopped}"}, refused(*NO_INSTANCE, InstanceId=NOBODY)),
    "StartInstances": dry({**R, "InstanceId.1": "{stopped}"}, refused(*NO_INSTANCE, **R, InstanceId__1=NOBODY), "DRYRUN.SUCCESS"),
    "StopInstance": dry({"InstanceId": "{running}"}, refused(*NO_INSTANCE, InstanceId=NOBODY)),
    "StopInstances": dry({**R, "InstanceId.1": "{running}"}, refused(*NO_INSTANCE, **R, InstanceId__1=NOBODY), "DRYRUN.SUCCESS"),
    "StopInvocation": refused("InvalidInvokeId.NotFound", 404, **R, InvokeId="t-nobody"),
    "Sts.AssumeRole": refused("NoPermission", 403, RoleArn="acs:ram::1:role/nobody", RoleSessionName="session"),
    "Sts.GetCallerIdentity": read(),
    "TagResources": refused("InvalidResourceId.NotFound", 404, **R, ResourceType="instance", ResourceId__1=NOBODY, Tag__1__Key="k"),
    "UntagResources": refused("InvalidResourceId.NotFound", 404, **R, ResourceType="instance", ResourceId__1=NOBODY, TagKey__1="k"),
    "Admin.AddHost": refused("InvalidHostId.Duplicate", 409, HostId="{host}", Url="sim://x", ZoneId=ZONE, Vcpus="4", MemoryGib="8"),
    "Admin.AdoptImage": refused("InvalidImageId.NotFound", 404, ImageId="m-nobody"),
    "Admin.AdvanceClock": refused("ClockIsReal", 409, Duration="1s"),
    "Admin.CreateAccount": refused("InvalidAccountName.Duplicate", 409, Name="{account_name}"),
    "Admin.CreateKey": refused("InvalidAccountId.NotFound", 404, AccountId="1"),
    "Admin.DeleteKey": refused("InvalidAccessKeyId.NotFound", 404, AccessKeyId="nobody"),
    "Admin.DisableKey": refused("InvalidAccessKeyId.NotFound", 404, AccessKeyId="nobody"),
    "Admin.DoGuest": refused(*NO_INSTANCE, InstanceId=NOBODY, What="poweroff"),
    "Admin.EnableKey": refused("InvalidAccessKeyId.NotFound", 404, AccessKeyId="nobody"),
    "Admin.EvacuateHost": refused("InvalidHostId.NotFound", 404, HostId="nobody"),
    "Admin.ImportImage": refused("ImageInUse", 409, ImageId=IMAGE, FileFormat="raw", SizeGib="20"),
    "Admin.ListAccounts": read(),
    "Admin.ListEvents": read(Limit="3"),
    "Admin.ListHosts": read(),
    "Admin.ListImages": read(),
    "Admin.ListInstances": read(),
    "Admin.ListJobs": read(All="true"),
    "Admin.ListKeys": read(),
    "Admin.LockInstance": refused(*NO_INSTANCE, InstanceId=NOBODY),
    "Admin.RemoveHost": refused("HostInUse", 409, HostId="{host}"),
    "Admin.RemoveImage": refused("InvalidImageId.NotFound", 404, ImageId="m-nobody"),
    "Admin.RetireImage": refused("InvalidImageId.NotFound", 404, ImageId="m-nobody"),
    "Admin.SetAccount": refused("InvalidAccountId.NotFound", 404, AccountId="1"),
    "Admin.SetDisk": refused("InvalidDiskId.NotFound", 404, DiskId=NO_DISK, Status="Available"),
    "Admin.SetGuest": refused(*NO_INSTANCE, InstanceId=NOBODY, Name="boot_s", Value="1"),
    "Admin.SetHost": refused("InvalidHostId.NotFound", 404, HostId="nobody"),
    "Admin.SetSimHost": refused("InvalidHostId.NotFound", 404, HostId="nobody", Name="lost"),
    "Admin.ShowAccount": read(AccountId="{account}"),
    "Admin.ShowClock": read(),
    "Admin.ShowInstance": read(InstanceId="{running}"),
    "Admin.ShowJob": read(JobId="{job}"),
    "Admin.ShowOptions": read(),
    "Admin.ShowUsage": read(),
    "Admin.UnlockInstance": refused(*NO_INSTANCE, InstanceId=NOBODY),
}

# What an object needs besides the parameter that a case is about.
BESIDE = {
    "DataDisk.1": {"Size": "20", "Category": "cloud_essd"},
    "Tag.1": {"Key": "k", "Value": "v"},
    "ResourceTag.1": {"Key": "k", "Value": "v"},
    "TagFilter.1": {"TagKey": "k"},
}
