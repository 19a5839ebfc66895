# SPDX-License-Identifier: Apache-2.0
"""RunInstances and CreateInstance: every parameter, every limit, every refusal, over a real socket."""

import base64
import concurrent.futures
import datetime
import json
import threading

from harness import IMAGE, REGION, now_text
from test_lifecycle import DocumentedTest, VirtualTest

TYPE = "ecs.g6.large"
ZONE = "cn-hangzhou-h"
BASE = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": TYPE}


def malformed(name):
    return f'The specified parameter "{name}" is not valid.'


class RunTest(DocumentedTest):
    def run_many(self, **params):
        return self.call("RunInstances", **{**BASE, **params})["InstanceIdSets"]["InstanceIdSet"]

    def launched(self, **params):
        return self.instance(self.run_many(**params)[0])

    def refused(self, code, status, message=None, **params):
        """Refused, and nothing is made."""
        params = {k: v for k, v in {**BASE, **params}.items() if v is not None}
        before = self.total()
        body = self.refuses("RunInstances", code=code, status=status, message=message, **params)
        self.assertEqual(self.total(), before)
        return body

    def total(self):
        return self.call("DescribeInstances", RegionId=REGION, PageSize=1)["TotalCount"]

    def names(self, ids, field="InstanceName"):
        rows = self.call("DescribeInstances", RegionId=REGION, InstanceIds=json.dumps(ids), PageSize=100)["Instances"]["Instance"]
        by_id = {row["InstanceId"]: row[field] for row in rows}
        return [by_id[i] for i in ids]

    def disks_of(self, i):
        disks = self.call("DescribeDisks", RegionId=REGION, InstanceId=i, PageSize=100)["Disks"]["Disk"]
        return sorted(disks, key=lambda d: d["Device"])

    def address_of(self, shown):
        return shown["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]


class Required(RunTest):
    def test_image_and_type_are_enough(self):
        body = self.call("RunInstances", **BASE)
        self.assertEqual(sorted(body), ["InstanceIdSets", "RequestId"])
        i = body["InstanceIdSets"]["InstanceIdSet"][0]
        self.assertIn(self.status_of(i), ("Pending", "Starting", "Running"))
        self.await_status(i, "Running")

    def test_missing(self):
        for name in ("RegionId", "ImageId", "InstanceType"):
            for value in (None, ""):
                self.refused("MissingParameter", 400, **{name: value},
                             message=f'The input parameter "{name}" that is mandatory for processing this request is not supplied.')

    def test_unknown(self):
        self.refused("InvalidRegionId.NotFound", 404, RegionId="mars-1")
        self.refused("InvalidImageId.NotFound", 404, "The specified ImageId does not exist.", ImageId="m-none")
        self.refused("InvalidInstanceType.ValueNotSupported", 400, InstanceType="ecs.none.large")
        self.refused("InvalidZoneId.NotFound", 404, ZoneId="cn-hangzhou-zz")
        self.refused("InvalidZoneId.NotFound", 404, ZoneId="cn-beijing-g")
        self.refused("InvalidVSwitchId.NotFound", 404, VSwitchId="vsw-none")
        self.refused("InvalidSecurityGroupId.NotFound", 400, "The SecurityGroupId provided does not exist in our records.",
                     SecurityGroupId="sg-none")
        self.refused("InvalidSecurityGroupId.NotFound", 400, SecurityGroupIds__1="sg-none")

    def test_image_family(self):
        self.refused("UnexpectedImageFamily.ImageIdSupplied", 400, ImageFamily="acs:debian_12_6_x64")
        self.refused("InvalidImageFamily.NotFound", 404, ImageId=None, ImageFamily="acs:none")
        families = [i["ImageFamily"] for i in self.call("DescribeImages", RegionId=REGION, PageSize=100)["Images"]["Image"]]
        family = next(f for f in families if f)
        i = self.call("RunInstances", RegionId=REGION, InstanceType=TYPE, ImageFamily=family)["InstanceIdSets"]["InstanceIdSet"][0]
        self.assertTrue(self.instance(i)["ImageId"])

    def test_image_for_other_processors(self):
        arm = self.call("DescribeImages", RegionId=REGION, Architecture="arm64", PageSize=1)["Images"]["Image"][0]
        self.refused("ImageNotSupportInstanceType", 403, "The specified image does not support the specified InstanceType.", ImageId=arm["ImageId"])
        self.refused("ImageNotSupportInstanceType", 403, ImageId=None, ImageFamily=arm["ImageFamily"])

    def test_what_there_is_not(self):
        for name, code, status in (("KeyPairName", "InvalidKeyPairName.NotFound", 404), ("LaunchTemplateId", "InvalidLaunchTemplate.NotFound", 404),
                                   ("DedicatedHostId", "InvalidDedicatedHostId.NotFound", 404), ("RamRoleName", "UnsupportedParameter", 400),
                                   ("DeploymentSetId", "DeploymentSet.NotFound", 404), ("StorageSetId", "UnsupportedParameter", 400),
                                   ("SystemDisk__Encrypted", "UnsupportedParameter", 400), ("Ipv6AddressCount", "UnsupportedParameter", 400)):
            self.refused(code, status, **{name: "true" if name.endswith("Encrypted") else "1" if name.endswith("Count") else "some"})

    def test_defaults_that_clients_spell_out(self):
        self.run_many(Tenancy="default", Affinity="default", SystemDisk__Encrypted="false", Ipv6AddressCount=0, IoOptimized="optimized",
                      DataDisk__1__Size=20, DataDisk__1__Encrypted="false", SecurityEnhancementStrategy="Active", SpotDuration=1,
                      AutoRenew=False, AutoPay=True, PrivatePoolOptions__MatchCriteria="None", KeyPairName="", UnknownParameter="x")

    def test_amounts(self):
        for amount in (0, 101, -1, "many", "1.5", "99999999999999999999"):
            self.refused("InvalidParameter", 400, "The specified parameter Amount is not valid.", Amount=amount)
        for params in ({"MinAmount": 0}, {"MinAmount": 101}, {"Amount": 3, "MinAmount": 4}, {"MinAmount": "few"}):
            self.refused("InvalidMinAmount.Malformed", 400, "The specified parameter MinAmount is not valid.", **params)
        ids = self.run_many(Amount=100)
        self.assertEqual((len(ids), len(set(ids))), (100, 100))
        self.assertEqual(len(self.run_many(Amount=2, MinAmount=2)), 2)
        for i in ids:
            self.await_status(i, "Running")

    def test_xml(self):
        reply = self.ecs.v1("RunInstances", {**BASE, "Amount": 2}, format=None)
        self.assertEqual((reply.status, reply.xml.tag), (200, "RunInstancesResponse"))
        self.assertEqual([e.tag for e in reply.xml], ["RequestId", "InstanceIdSets"])
        self.assertEqual([e.tag for e in reply.xml.find("InstanceIdSets")], ["InstanceIdSet"] * 2)


class Names(RunTest):
    def test_patterns(self):
        for pattern, expected in {
                "k8s-node-[6,4]": ["k8s-node-0006", "k8s-node-0007", "k8s-node-0008"],
                "k8s-node-[]-ecshost": ["k8s-node-000000-ecshost", "k8s-node-000001-ecshost", "k8s-node-000002-ecshost"],
                "k8s-node-[,]-ecshost": ["k8s-node-000000-ecshost", "k8s-node-000001-ecshost", "k8s-node-000002-ecshost"],
                "k8s-node-[99]-ecshost": ["k8s-node-000099-ecshost", "k8s-node-000100-ecshost", "k8s-node-000101-ecshost"],
                "k8s-node-[99,1]": ["k8s-node-000099", "k8s-node-000100", "k8s-node-000101"],
                "k8s-node-[999998]": ["k8s-node-999998", "k8s-node-999999", "k8s-node-999999"],
                "node-[1,2].x": ["node-01.x", "node-02.x", "node-03.x"],
                "plain": ["plain"] * 3}.items():
            self.assertEqual(self.names(self.run_many(InstanceName=pattern, Amount=3)), expected)

    def test_unique_suffix(self):
        for pattern, expected in {"ecs": ["ecs001", "ecs002"], "k8s-[]-h": ["k8s-000000-h001", "k8s-000001-h002"],
                                  "k8s-[3,2]": ["k8s-03", "k8s-04"]}.items():
            ids = self.run_many(InstanceName=pattern, HostName=pattern, UniqueSuffix=True, Amount=2)
            self.assertEqual((self.names(ids), self.names(ids, "HostName")), (expected, expected))
        self.refused("InvalidParams.InstanceNameExceed", 403, InstanceName="n" * 126, UniqueSuffix=True, Amount=2)
        self.refused("InvalidParams.HostnameExceed", 403, HostName="h" * 62, UniqueSuffix=True, Amount=2)

    def test_absent_ones_come_from_the_id(self):
        ids = self.run_many(Amount=2)
        self.assertEqual(self.names(ids), ids)
        self.assertEqual(self.names(ids, "HostName"), [f"iZ{i[2:]}Z" for i in ids])

    def test_host_names(self):
        ids = self.run_many(Amount=3, HostNames__1="one", HostNames__2="two.three")
        self.assertEqual(self.names(ids, "HostName")[:2], ["one", "two.three"])
        self.assertEqual(self.names(self.run_many(HostName="h-${instance_id}")[:1], "HostName")[0][:4], "h-i-")
        self.refused("InvalidHostName.Malformed", 400, HostName="one", HostNames__1="two")
        self.refused("InvalidHostName.Malformed", 400, Amount=1, HostNames__1="one", HostNames__2="two")

    def test_limits(self):
        for name, values in {"InstanceName": ("x", "1digit", "http://a", "a b", "n" * 129, "a[1"), "HostName": ("x", "a..b", "-a", "h" * 65, "a_b"),
                             "Description": ("x", "http://d", "d" * 257), "Password": ("Short1!", "alllowercase", "A1!" * 11)}.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.refused(f"Invalid{name}.Malformed", 400, malformed(name), **{name: value})
        shown = self.launched(InstanceName="n" * 128, HostName="h" * 64, Description="d" * 256, Password="Aa1" + "b" * 27)
        self.assertEqual((len(shown["InstanceName"]), len(shown["HostName"]), len(shown["Description"])), (128, 64, 256))
        self.assertEqual(self.launched(InstanceName="名字-one", Description="描述 of it")["InstanceName"], "名字-one")

    def test_password_and_inherit(self):
        self.refused("InvalidPasswordParam.Mismatch", 400, "The input password should be null when passwdInherit is true.",
                     PasswordInherit=True, Password="Good-enough1")
        self.run_many(PasswordInherit=True)
        for password in ("aA1aA1aA", "a1-" * 10, "()`~!@#$%^&*-_+=|Aa", "{}[]:;'<>,.?/Aa"):
            self.run_many(Password=password)

    def test_user_data(self):
        text = base64.b64encode(b"#cloud-config\n").decode()
        i = self.run_many(UserData=text)[0]
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], text)
        self.refused("InvalidUserData.Malformed", 400, UserData="****")
        more = base64.b64encode(b"x" * (32 * 1024 + 1)).decode()
        reply = self.ecs.v1("RunInstances", BASE, form_params={"UserData": more})
        self.assertEqual((reply.status, reply.code), (400, "InvalidUserData.SizeExceeded"))


class Disks(RunTest):
    def test_system_disk(self):
        i = self.run_many(SystemDisk__Category="cloud_essd", SystemDisk__Size="60", SystemDisk__DiskName="the-system",
                          SystemDisk__Description="of it", SystemDisk__PerformanceLevel="PL2")[0]
        disk, = self.disks_of(i)
        self.assertEqual({k: disk[k] for k in ("Type", "Category", "Size", "DiskName", "Description", "PerformanceLevel", "Device", "Status")},
                         {"Type": "system", "Category": "cloud_essd", "Size": 60, "DiskName": "the-system", "Description": "of it",
                          "PerformanceLevel": "PL2", "Device": "/dev/xvda", "Status": "In_use"})
        for size in (None, 0, ""):
            params = {} if size is None else {"SystemDisk__Size": size}
            disk, = self.disks_of(self.run_many(**params)[0])
            self.assertEqual((disk["Size"], disk["Category"], disk["PerformanceLevel"]), (40, "cloud_efficiency", ""))
        disk, = self.disks_of(self.run_many(SystemDisk__Category="cloud_essd")[0])
        self.assertEqual(disk["PerformanceLevel"], "PL1")

    def test_system_disk_limits(self):
        for size, code in ((19, "InvalidSystemDiskSize.LessThanMinSize"), (1, "InvalidSystemDiskSize.LessThanMinSize"),
                           (2049, "InvalidSystemDiskSize.MoreThanMaxSize")):
            self.refused(code, 404, SystemDisk__Size=size)
        for size in ("big", "4.5", "40GiB"):
            self.refused("InvalidSystemDiskSize.ValueNotSupported", 400, SystemDisk__Size=size)
        for category in ("ephemeral_ssd", "floppy"):
            self.refused("InvalidSystemDiskCategory.ValueNotSupported", 400, SystemDisk__Category=category)
        self.refused("InvalidDiskName.Malformed", 400, malformed("SystemDisk.DiskName"), SystemDisk__DiskName="x")
        self.refused("InvalidDescription.Malformed", 400, SystemDisk__Description="http://d")
        self.refused("InvalidPerformanceLevel.Malformed", 400, SystemDisk__PerformanceLevel="PL9")
        windows = self.call("DescribeImages", RegionId=REGION, OSType="windows", PageSize=1)["Images"]["Image"][0]
        self.refused("InvalidSystemDiskSize.LessThanImageSize", 404, ImageId=windows["ImageId"], SystemDisk__Size=windows["Size"] - 1)
        self.run_many(SystemDisk__Size=20)
        self.run_many(SystemDisk__Size=2048)

    def test_data_disks(self):
        i = self.run_many(DataDisk__1__Size=20, DataDisk__2__Size=32768, DataDisk__2__Category="cloud_essd",
                          DataDisk__2__DeleteWithInstance=False, DataDisk__2__DiskName="second", Tag__1__Key="k", Tag__1__Value="v")[0]
        disks = self.disks_of(i)
        self.assertEqual([(d["Device"], d["Type"], d["Size"], d["Category"], d["PerformanceLevel"], d["DeleteWithInstance"]) for d in disks],
                         [("/dev/xvda", "system", 40, "cloud_efficiency", "", True), ("/dev/xvdb", "data", 20, "cloud_efficiency", "", True),
                          ("/dev/xvdc", "data", 32768, "cloud_essd", "PL1", False)])
        self.assertEqual([d["Tags"]["Tag"] for d in disks], [[{"TagKey": "k", "TagValue": "v"}]] * 3)

    def test_data_disk_limits(self):
        for size in (None, 0, 19, 32769, -5, "big"):
            params = {"DataDisk__1__Category": "cloud_ssd"} if size is None else {"DataDisk__1__Size": size}
            self.refused("InvalidDataDiskSize.ValueNotSupported", 400, **params)
        self.refused("InvalidDataDiskSize.ValueNotSupported", 400, DataDisk__1__Category="cloud", DataDisk__1__Size=2001)
        self.run_many(DataDisk__1__Category="cloud", DataDisk__1__Size=5)
        self.refused("InvalidDataDiskCategory.ValueNotSupported", 400, malformed("DataDisk.n.Category"), DataDisk__1__Size=20,
                     DataDisk__1__Category="floppy")
        self.refused("InvalidSnapshotId.NotFound", 400, DataDisk__1__SnapshotId="s-none")
        self.refused("InstanceDiskNumber.LimitExceed", 400, **{f"DataDisk__{n}__Size": 20 for n in range(1, 18)})
        self.assertEqual(len(self.disks_of(self.run_many(**{f"DataDisk__{n}__Size": 20 for n in range(1, 17)})[0])), 17)

    def test_local_disks_come_with_the_type(self):
        i = self.run_many(InstanceType="ecs.i1.xlarge", DataDisk__1__Size=20)[0]
        disks = self.disks_of(i)
        self.assertEqual([d["Device"] for d in disks], ["/dev/xvda", "/dev/xvdb", "/dev/xvdc", "/dev/xvdd"])
        self.assertEqual(len([d for d in disks if d["Category"].startswith(("ephemeral", "local"))]), 2)


class Network(RunTest):
    def test_all_of_it_in_one_zone(self):
        shown = self.launched(ZoneId="cn-hangzhou-i", InternetMaxBandwidthOut=5, InternetChargeType="PayByBandwidth")
        self.assertEqual((shown["ZoneId"], shown["InstanceNetworkType"], shown["InternetChargeType"]), ("cn-hangzhou-i", "vpc", "PayByBandwidth"))
        self.assertEqual(len(shown["PublicIpAddress"]["IpAddress"]), 1)
        vswitch = shown["VpcAttributes"]["VSwitchId"]
        self.assertEqual(self.launched(VSwitchId=vswitch)["ZoneId"], "cn-hangzhou-i")
        self.refused("InvalidParameter.Mismatch", 400, "Specified virtual switch is not in the specified zone.", VSwitchId=vswitch,
                     ZoneId="cn-hangzhou-h")

    def test_bandwidths(self):
        for out, given, shown_in in ((0, None, 10), (5, None, 10), (50, None, 50), (100, 100, 100), (5, 1, 1)):
            params = {"InternetMaxBandwidthOut": out, **({} if given is None else {"InternetMaxBandwidthIn": given})}
            shown = self.launched(**params)
            self.assertEqual((shown["InternetMaxBandwidthOut"], shown["InternetMaxBandwidthIn"]), (out, shown_in))
            self.assertEqual(len(shown["PublicIpAddress"]["IpAddress"]), 1 if out else 0)
        for out in (-1, 101, "fast"):
            self.refused("InvalidParameter", 400, malformed("InternetMaxBandwidthOut"), InternetMaxBandwidthOut=out)
        for params in ({"InternetMaxBandwidthIn": 11}, {"InternetMaxBandwidthIn": 0}, {"InternetMaxBandwidthIn": 21, "InternetMaxBandwidthOut": 20}):
            self.refused("InvalidInternetMaxBandwidthIn.Malformed", 400, **params)
        self.refused("InvalidInternetChargeType.ValueNotSupported", 400, InternetChargeType="PayByMood")

    def test_private_addresses(self):
        shown = self.launched(ZoneId="cn-hangzhou-j")
        first, vswitch = self.address_of(shown), shown["VpcAttributes"]["VSwitchId"]
        head = first.rsplit(".", 1)[0]
        ids = self.run_many(VSwitchId=vswitch, PrivateIpAddress=f"{head}.100", Amount=3)
        self.assertEqual([self.address_of(self.instance(i)) for i in ids], [f"{head}.{n}" for n in (100, 101, 102)])
        for address in (first, f"{head}.102"):
            self.refused("InvalidPrivateIpAddress.Duplicated", 400, VSwitchId=vswitch, PrivateIpAddress=address)
        # The third of three is taken: none is made.
        self.refused("InvalidPrivateIpAddress.Duplicated", 400, VSwitchId=vswitch, PrivateIpAddress=f"{head}.98", Amount=3)
        self.run_many(VSwitchId=vswitch, PrivateIpAddress=f"{head}.99")
        for address in ("10.1", "a.b.c.d", "1.2.3.400", "1.2.3.4.5", "01.2.3.4"):
            self.refused("InvalidPrivateIpAddress.Malformed", 400, VSwitchId=vswitch, PrivateIpAddress=address)
        for address in ("192.168.77.7", f"{head}.0" if head.endswith(".0") else "0.0.0.0", "255.255.255.255"):
            self.refused("InvalidPrivateIpAddress", 400, VSwitchId=vswitch, PrivateIpAddress=address)

    def test_addresses_differ(self):
        ids = self.run_many(Amount=50) + self.run_many(Amount=50)
        shown = [self.instance(i) for i in ids]
        self.assertEqual(len({(s["VpcAttributes"]["VSwitchId"], self.address_of(s)) for s in shown}), 100)
        self.assertEqual(len({s["NetworkInterfaces"]["NetworkInterface"][0]["MacAddress"] for s in shown}), 100)
        self.assertEqual(len({s["SerialNumber"] for s in shown}), 100)

    def test_groups(self):
        group = self.launched()["SecurityGroupIds"]["SecurityGroupId"][0]
        self.assertEqual(self.launched(SecurityGroupId=group)["SecurityGroupIds"]["SecurityGroupId"], [group])
        self.assertEqual(self.launched(SecurityGroupIds__1=group)["SecurityGroupIds"]["SecurityGroupId"], [group])
        self.refused("InvalidSecurityGroupId.SingleIdAndMultiIdConflict", 400, SecurityGroupId=group, SecurityGroupIds__1=group)
        self.refused("InvalidParameter.SecurityGroupIdRepeated", 400, SecurityGroupIds__1=group, SecurityGroupIds__2=group)
        other = self.call("RunInstances", RegionId="cn-beijing", ImageId=IMAGE, InstanceType=TYPE)["InstanceIdSets"]["InstanceIdSet"][0]
        abroad = self.call("DescribeInstances", RegionId="cn-beijing", InstanceIds=json.dumps([other]))["Instances"]["Instance"][0]
        self.refused("InvalidSecurityGroupId.NotFound", 400, SecurityGroupId=abroad["SecurityGroupIds"]["SecurityGroupId"][0])
        self.refused("InvalidVSwitchId.NotFound", 404, VSwitchId=abroad["VpcAttributes"]["VSwitchId"])

    def test_of_another_account(self):
        shown = self.launched()
        other = json.loads(self.ecs.ctl("account", "create", "stranger", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", other["AccountId"], "--json"))
        for name, value, code in (("VSwitchId", shown["VpcAttributes"]["VSwitchId"], "InvalidVSwitchId.NotFound"),
                                  ("SecurityGroupId", shown["SecurityGroupIds"]["SecurityGroupId"][0], "InvalidSecurityGroupId.NotFound")):
            reply = self.ecs.v3("RunInstances", {**BASE, name: value}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
            self.assertEqual(reply.code, code)

    def test_interface_described_by_itself(self):
        shown = self.launched(ZoneId="cn-hangzhou-k")
        vswitch, group = shown["VpcAttributes"]["VSwitchId"], shown["SecurityGroupIds"]["SecurityGroupId"][0]
        made = self.launched(NetworkInterface__1__VSwitchId=vswitch, NetworkInterface__1__SecurityGroupIds__1=group,
                             NetworkInterface__1__InstanceType="Primary")
        self.assertEqual((made["VpcAttributes"]["VSwitchId"], made["SecurityGroupIds"]["SecurityGroupId"]), (vswitch, [group]))
        self.refused("InvalidParameter", 400, malformed("NetworkInterface.1"), VSwitchId=vswitch, NetworkInterface__1__VSwitchId=vswitch)
        self.refused("UnsupportedParameter", 400, NetworkInterface__1__InstanceType="Secondary")


class Contract(RunTest):
    def test_subscription(self):
        body = self.call("RunInstances", **BASE, InstanceChargeType="PrePaid", Period=1)
        self.assertTrue(body["OrderId"].isdigit())
        shown = self.instance(body["InstanceIdSets"]["InstanceIdSet"][0])
        expires = datetime.datetime.strptime(shown["ExpiredTime"], "%Y-%m-%dT%H:%MZ")
        created = datetime.datetime.strptime(shown["CreationTime"], "%Y-%m-%dT%H:%MZ")
        self.assertTrue(28 <= (expires - created).days <= 31, shown)
        week = self.launched(InstanceChargeType="PrePaid", Period=2, PeriodUnit="Week")
        expires = datetime.datetime.strptime(week["ExpiredTime"], "%Y-%m-%dT%H:%MZ")
        self.assertEqual((expires - datetime.datetime.strptime(week["CreationTime"], "%Y-%m-%dT%H:%MZ")).days, 14)
        for params in ({}, {"Period": 0}, {"Period": 10}, {"Period": 13}, {"Period": 61}, {"Period": "x"}, {"Period": 5, "PeriodUnit": "Week"},
                       {"Period": 6, "PeriodUnit": "Year"}, {"Period": 1, "PeriodUnit": "Day"}):
            self.refused("InvalidPeriod", 400, InstanceChargeType="PrePaid", **params)
        self.refused("InvalidInstanceChargeType.NotFound", 404, InstanceChargeType="OnCredit")
        self.refused("ChargeTypeViolation", 403, InstanceChargeType="PrePaid", Period=1, DeletionProtection=True)
        self.refused("ChargeTypeViolation", 403, InstanceChargeType="PrePaid", Period=1, AutoReleaseTime=now_text(7200))
        self.refused("InvalidSpotPrepaid", 400, InstanceChargeType="PrePaid", Period=1, SpotStrategy="SpotAsPriceGo")

    def test_spot(self):
        shown = self.launched(SpotStrategy="SpotWithPriceLimit", SpotPriceLimit="0.165")
        self.assertEqual((shown["SpotStrategy"], shown["SpotPriceLimit"]), ("SpotWithPriceLimit", 0.165))
        self.assertEqual(self.launched(SpotStrategy="SpotAsPriceGo")["SpotStrategy"], "SpotAsPriceGo")
        for price in (None, "0.1234", "-1", "free", "0", "nan", "inf", "1e400"):
            params = {} if price is None else {"SpotPriceLimit": price}
            self.refused("InvalidSpotPriceLimit", 400, SpotStrategy="SpotWithPriceLimit", **params)
        self.refused("InvalidSpotStrategy", 400, SpotStrategy="Gamble")
        self.refused("InvalidSpotDuration", 400, SpotStrategy="SpotAsPriceGo", SpotDuration=7)

    def test_release_time(self):
        wanted = now_text(7200)
        self.assertEqual(self.launched(AutoReleaseTime=wanted)["AutoReleaseTime"], wanted[:16] + "Z")
        for value in (now_text(-60), now_text(25 * 60), now_text(4 * 365 * 86400), "soon"):
            self.refused("InvalidAutoReleaseTime.Malformed", 400, AutoReleaseTime=value)

    def test_credit_and_metadata(self):
        shown = self.launched(InstanceType="ecs.t6-c1m1.large", CreditSpecification="Unlimited", HttpTokens="required",
                              HttpEndpoint="enabled", HttpPutResponseHopLimit=5)
        self.assertEqual(shown["CreditSpecification"], "Unlimited")
        self.assertEqual(shown["MetadataOptions"], {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 5})
        self.refused("InvalidParameter.CreditSpecification", 400, CreditSpecification="Unlimited")
        self.refused("InvalidHttpEndpoint.NotSupported", 400, HttpEndpoint="maybe")
        self.refused("InvalidHttpTokens.NotSupported", 400, HttpTokens="maybe")
        self.refused("InvalidParameter", 400, HttpPutResponseHopLimit=65)

    def test_tags_and_resource_group(self):
        shown = self.launched(ResourceGroupId="rg-one", Tag__1__Key="a", Tag__1__Value="1", Tag__2__Key="b", Tag__2__Value="")
        self.assertEqual(shown["ResourceGroupId"], "rg-one")
        self.assertEqual(sorted((t["TagKey"], t["TagValue"]) for t in shown["Tags"]["Tag"]), [("a", "1"), ("b", "")])
        self.assertEqual(self.launched(**{"Tag__1__key": "low", "Tag__1__value": "er"})["Tags"]["Tag"], [{"TagKey": "low", "TagValue": "er"}])
        for key in ("aliyun-x", "acs:x", "http://x", "k" * 129):
            self.refused("InvalidTagKey.Malformed", 400, Tag__1__Key=key, Tag__1__Value="v")
        for value in ("https://x", "v" * 129):
            self.refused("InvalidTagValue.Malformed", 400, Tag__1__Key="k", Tag__1__Value=value)
        self.refused("Duplicate.TagKey", 400, Tag__1__Key="k", Tag__1__Value="1", Tag__2__Key="k", Tag__2__Value="2")
        self.refused("InvalidTag.Mismatch", 400, Tag__1__Value="alone")
        self.refused("InvalidTagCount", 400, **{f"Tag__{n}__Key": f"k{n}" for n in range(1, 22)})
        self.run_many(**{f"Tag__{n}__Key": f"k{n}" for n in range(1, 21)})


class DryRunLeavesNothing(RunTest):
    settings = {"sim.vcpus": "8", "sim.memory_gib": "32"}

    def used(self):
        return [(h["HostId"], h["UsedVcpus"]) for h in json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]]

    def test_passes_and_changes_nothing(self):
        before = (self.total(), self.used(), self.call("DescribeDisks", RegionId=REGION)["TotalCount"], self.ecs.ctl("event", "list"),
                  self.ecs.ctl("job", "list", "all=true"))
        for amount in (1, 4):
            self.refused("DryRunOperation", 400, "Request validation has been passed with DryRun flag set.", DryRun=True, Amount=amount, ZoneId=ZONE,
                         InternetMaxBandwidthOut=5, Password="Good-enough1", AutoReleaseTime=now_text(7200), DataDisk__1__Size=20)
        self.refuses("CreateInstance", code="DryRunOperation", status=400, DryRun=True, **BASE)
        self.assertEqual((self.total(), self.used(), self.call("DescribeDisks", RegionId=REGION)["TotalCount"], self.ecs.ctl("event", "list"),
                          self.ecs.ctl("job", "list", "all=true")), before)
        self.ecs.restart()
        self.assertEqual((self.total(), self.used()), before[:2])


class DryRun(RunTest):
    settings = {"sim.vcpus": "8", "sim.memory_gib": "32"}

    def test_finds_what_the_call_would_find(self):
        self.refused("OperationDenied.NoStock", 403, DryRun=True, Amount=5, ZoneId=ZONE)
        i = self.run_many(Amount=4, ZoneId=ZONE)[0]
        shown = self.instance(i)
        self.refused("OperationDenied.NoStock", 403, DryRun=True, VSwitchId=shown["VpcAttributes"]["VSwitchId"])
        zone = {"ZoneId": "cn-hangzhou-i"}
        shown = self.launched(**zone)
        self.refused("InvalidPrivateIpAddress.Duplicated", 400, DryRun=True, PrivateIpAddress=self.address_of(shown), **zone)
        self.refused("InvalidImageId.NotFound", 404, DryRun=True, ImageId="m-none")

    def test_leaves_the_client_token_free(self):
        zone = {"ZoneId": "cn-hangzhou-j"}
        self.refused("DryRunOperation", 400, DryRun=True, ClientToken="dry", **zone)
        i = self.run_many(ClientToken="dry", **zone)
        self.assertEqual(self.run_many(ClientToken="dry", **zone), i)


class Stock(RunTest):
    settings = {"sim.vcpus": "8", "sim.memory_gib": "32"}

    def test_all_or_as_many_as_there_are(self):
        zone = {"ZoneId": ZONE}  # one host for four
        self.refused("OperationDenied.NoStock", 403, Amount=5, **zone)
        self.refused("OperationDenied.NoStock", 403, Amount=7, MinAmount=5, **zone)
        ids = self.run_many(Amount=7, MinAmount=3, **zone)
        self.assertEqual(len(ids), 4)
        self.refused("OperationDenied.NoStock", 403, **zone)
        for i in ids:
            self.await_status(i, "Running")
        self.call("DeleteInstance", InstanceId=ids[0], Force=True)
        self.await_status(ids[0], None)
        self.assertEqual(len(self.run_many(Amount=100, MinAmount=1, **zone)), 1)

    def test_a_failed_call_may_be_sent_again_with_its_token(self):
        zone = {"ZoneId": "cn-hangzhou-i"}
        ids = self.run_many(Amount=4, **zone)
        self.refused("OperationDenied.NoStock", 403, ClientToken="again", **zone)
        self.await_status(ids[0], "Running")
        self.call("DeleteInstance", InstanceId=ids[0], Force=True)
        self.await_status(ids[0], None)
        self.assertEqual(self.run_many(ClientToken="again", **zone), self.run_many(ClientToken="again", **zone))


class Quota(RunTest):
    settings = {"quota.instances": "5"}

    def test_is_never_exceeded(self):
        self.refused("QuotaExceed.ElasticQuota", 403, Amount=6)
        self.assertEqual(len(self.run_many(Amount=2)), 2)
        self.refused("QuotaExceed.ElasticQuota", 403, Amount=100, MinAmount=4)
        self.assertEqual(len(self.run_many(Amount=100, MinAmount=2)), 3)
        self.refused("QuotaExceed.ElasticQuota", 403)
        self.assertEqual(self.total(), 5)


class ClientToken(RunTest):
    def test_same_token_same_instances(self):
        ids = self.run_many(ClientToken="t-1", Amount=2)
        self.assertEqual(self.run_many(ClientToken="t-1", Amount=2), ids)
        self.assertNotEqual(self.run_many(ClientToken="T-1", Amount=2), ids)
        self.assertNotEqual(self.run_many(ClientToken="t-2", Amount=2), ids)
        request = [self.call("RunInstances", ClientToken="t-1", Amount=2, **BASE)["RequestId"] for _ in range(2)]
        self.assertNotEqual(*request)

    def test_other_parameters_mismatch(self):
        self.run_many(ClientToken="m-1", InstanceName="one")
        for params in ({"InstanceName": "two"}, {}, {"InstanceName": "one", "Amount": 2}, {"InstanceName": "one", "DryRun": True}):
            self.refused("IdempotentParameterMismatch", 400, ClientToken="m-1", **params)

    def test_any_signature_and_format(self):
        ids = self.run_many(ClientToken="f-1")
        reply = self.ecs.v1("RunInstances", {**BASE, "ClientToken": "f-1"}, form=True)
        self.assertEqual((reply.status, reply.json["InstanceIdSets"]["InstanceIdSet"]), (200, ids))
        reply = self.ecs.v1("RunInstances", {**BASE, "ClientToken": "f-1"}, format="XML")
        self.assertEqual([e.text for e in reply.xml.find("InstanceIdSets")], ids)

    def test_each_action_and_account_has_its_own(self):
        ids = self.run_many(ClientToken="a-1")
        created = self.call("CreateInstance", ClientToken="a-1", **BASE)["InstanceId"]
        self.assertNotIn(created, ids)
        other = json.loads(self.ecs.ctl("account", "create", "token-other", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", other["AccountId"], "--json"))
        reply = self.ecs.v3("RunInstances", {**BASE, "ClientToken": "a-1"}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.assertNotEqual(reply.json["InstanceIdSets"]["InstanceIdSet"], ids)

    def test_form(self):
        for token in ("x" * 65, "t\u00e9", "a b\n"):
            self.refused("InvalidClientToken.ValueNotSupported", 400, ClientToken=token)
        self.run_many(ClientToken="x" * 64)
        self.assertNotEqual(self.run_many(ClientToken=""), self.run_many(ClientToken=""))

    def test_survives_restart_and_crash(self):
        ids = self.run_many(ClientToken="s-1", Amount=3)
        self.ecs.restart()
        self.assertEqual(self.run_many(ClientToken="s-1", Amount=3), ids)
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.run_many(ClientToken="s-1", Amount=3), ids)
        self.refused("IdempotentParameterMismatch", 400, ClientToken="s-1", Amount=4)

    def test_even_when_they_are_gone(self):
        ids = self.run_many(ClientToken="g-1")
        self.await_status(ids[0], "Running")
        self.call("DeleteInstance", InstanceId=ids[0], Force=True)
        self.await_status(ids[0], None)
        self.assertEqual(self.run_many(ClientToken="g-1"), ids)
        self.assertIsNone(self.status_of(ids[0]))

    def test_at_the_same_time(self):
        before = self.total()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: self.ecs.v3("RunInstances", {**BASE, "ClientToken": "c-1", "Amount": 3}), range(16)))
        answers = {json.dumps(r.json["InstanceIdSets"]) for r in replies if r.status == 200}
        self.assertEqual(len(answers), 1, replies)
        self.assertLessEqual({r.code for r in replies if r.status != 200}, {"LastTokenProcessing"})
        self.assertEqual(self.total(), before + 3)

    def test_a_crash_in_the_middle_makes_it_once(self):
        for n in range(5):
            before, answers = self.total(), []

            def client():
                try:
                    reply = self.ecs.v3("RunInstances", {**BASE, "ClientToken": f"k-{n}", "Amount": 20})
                    answers.append(reply.json["InstanceIdSets"]["InstanceIdSet"])
                except OSError:
                    pass

            thread = threading.Thread(target=client)
            thread.start()
            thread.join(0.001 * n)
            self.ecs.kill()
            thread.join()
            self.ecs.start()
            ids = self.run_many(ClientToken=f"k-{n}", Amount=20)
            self.assertEqual(self.total(), before + 20)
            for answer in answers:
                self.assertEqual(answer, ids)
            for i in ids:
                self.await_status(i, "Running")


class TokenExpiry(VirtualTest):
    def test_a_day_later_it_is_new(self):
        i = self.run_instance(ClientToken="d-1")
        self.advance("23h")
        self.assertEqual(self.run_instance(ClientToken="d-1"), i)
        self.advance("2h")
        self.assertNotEqual(self.run_instance(ClientToken="d-1"), i)


class Create(RunTest):
    def create(self, **params):
        return self.call("CreateInstance", **{**BASE, **params})

    def test_ends_stopped_and_without_a_public_address(self):
        body = self.create(InternetMaxBandwidthOut=5, InstanceName="created", DataDisk__1__Size=20)
        self.assertEqual(sorted(body), ["InstanceId", "RequestId"])
        i = body["InstanceId"]
        self.assertIn(self.await_status(i, "Stopped"), (["Pending", "Stopped"], ["Stopped"]))
        shown = self.instance(i)
        self.assertEqual((shown["InstanceName"], shown["InternetMaxBandwidthOut"], shown["PublicIpAddress"]["IpAddress"]), ("created", 5, []))
        self.assertEqual((shown["StartTime"], shown["StoppedMode"]), ("", "KeepCharging"))
        self.assertEqual(len(self.disks_of(i)), 2)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual(self.instance(i)["PublicIpAddress"]["IpAddress"], [])

    def test_refusals(self):
        for params, code, status in (({"InstanceType": ""}, "MissingParameter", 400), ({"ImageId": ""}, "MissingParameter", 400),
                                     ({"ImageId": "m-none"}, "InvalidImageId.NotFound", 404), ({"HostName": "-x"}, "InvalidHostName.Malformed", 400),
                                     ({"Password": "x"}, "InvalidPassword.Malformed", 400),
                                     ({"PrivateIpAddress": "8.8.8.8"}, "InvalidPrivateIpAddress", 400)):
            self.refuses("CreateInstance", code=code, status=status, **{**BASE, **params})

    def test_subscription_and_token(self):
        body = self.create(InstanceChargeType="PrePaid", Period=1, ClientToken="c-1")
        self.assertTrue(body["OrderId"])
        again = self.create(InstanceChargeType="PrePaid", Period=1, ClientToken="c-1")
        self.assertEqual((again["InstanceId"], again["OrderId"]), (body["InstanceId"], body["OrderId"]))
        self.refuses("CreateInstance", code="IdempotentParameterMismatch", status=400, ClientToken="c-1", **BASE)

    def test_amount_is_not_its_parameter(self):
        before = self.total()
        self.create(Amount=5)
        self.assertEqual(self.total(), before + 1)


class Launching(RunTest):
    def test_a_crash_while_they_boot(self):
        for delay in (0, 1, 2):
            ids = self.run_many(Amount=10)
            for i in ids[:delay * 3]:
                self.await_status(i, "Running")
            self.ecs.kill()
            self.ecs.start()
            for i in ids:
                seen = self.await_status(i, "Running")
                self.assertLessEqual(set(seen), {"Pending", "Starting", "Running"})

    def test_delete_while_it_is_made(self):
        """Clients repeat the call for as long as they are told to."""
        i = self.run_many()[0]
        for _ in range(2000):
            reply = self.ecs.v3("DeleteInstance", {"InstanceId": i, "Force": True})
            if reply.status == 200:
                break
            self.assertIn(reply.code, ("IncorrectInstanceStatus", "IncorrectInstanceStatus.Initializing"))
        self.assertEqual(reply.status, 200)
        self.await_status(i, None)

    def test_no_public_addresses_are_shared(self):
        ids = self.run_many(Amount=60, InternetMaxBandwidthOut=1)
        addresses = [self.instance(i)["PublicIpAddress"]["IpAddress"][0] for i in ids]
        self.assertEqual(len(set(addresses)), 60)
