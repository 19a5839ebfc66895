# SPDX-License-Identifier: Apache-2.0
"""What the reads show: filters, pages, types of members, whose resources. And tags, Location, Sts."""

import base64
import json
import time
import unittest

from harness import IMAGE, REGION, SLOW, Daemon, EcsTest

OTHER_REGION = "cn-shanghai"
STS, LOCATION = "2015-04-01", "2015-06-12"

TEXTS = """InstanceId InstanceName HostName Description Status StoppedMode RegionId ZoneId ClusterId VlanId SerialNumber ResourceGroupId
    HpcClusterId CreationTime StartTime ExpiredTime AutoReleaseTime InstanceType InstanceTypeFamily GPUSpec OSName OSNameEn OSType
    ImageId KeyPairName InstanceChargeType SaleCycle SpotStrategy InstanceNetworkType InternetChargeType ISP CreditSpecification
    DeploymentSetId EipAddress.AllocationId EipAddress.IpAddress EipAddress.InternetChargeType VpcAttributes.VpcId
    VpcAttributes.VSwitchId VpcAttributes.NatIpAddress CpuOptions.Numa MetadataOptions.HttpEndpoint MetadataOptions.HttpTokens
    DedicatedHostAttribute.DedicatedHostId DedicatedHostAttribute.DedicatedHostName DedicatedInstanceAttribute.Tenancy
    DedicatedInstanceAttribute.Affinity EcsCapacityReservationAttr.CapacityReservationId
    EcsCapacityReservationAttr.CapacityReservationPreference""".split()
NUMBERS = """Cpu Memory GPUAmount SpotPriceLimit InternetMaxBandwidthIn InternetMaxBandwidthOut CpuOptions.CoreCount
    CpuOptions.ThreadsPerCore MetadataOptions.HttpPutResponseHopLimit""".split()
BOOLS = "IoOptimized DeviceAvailable Recyclable DeletionProtection HibernationOptions.Configured".split()
LISTS = {"PublicIpAddress.IpAddress": str, "InnerIpAddress.IpAddress": str, "RdmaIpAddress.IpAddress": str,
         "VpcAttributes.PrivateIpAddress.IpAddress": str, "SecurityGroupIds.SecurityGroupId": str,
         "NetworkInterfaces.NetworkInterface": dict, "Tags.Tag": dict, "OperationLocks.LockReason": dict}


def member(value, path):
    for name in path.split("."):
        value = value[name]
    return value


def ids_of(body):
    return [row["InstanceId"] for row in body["Instances"]["Instance"]]


class DescribeTest(EcsTest):
    def assert_types(self, row, texts=(), numbers=(), bools=(), lists=None):
        for path in texts:
            self.assertIs(type(member(row, path)), str, path)
        for path in numbers:
            self.assertIn(type(member(row, path)), (int, float), path)
        for path in bools:
            self.assertIs(type(member(row, path)), bool, path)
        for path, kind in (lists or {}).items():
            self.assertIs(type(member(row, path)), list, path)
            self.assertTrue(all(type(item) is kind for item in member(row, path)), path)

    def find(self, **params):
        """Ids that a DescribeInstances with these filters shows, over all pages."""
        body = self.call("DescribeInstances", **{"RegionId": REGION, "PageSize": 100, **params})
        self.assertEqual(body["TotalCount"], len(ids_of(body)))
        return set(ids_of(body))

    def product(self, action, version, status=200, who=None, **params):
        reply = self.ecs.v3(action, params, version=version, **(who or {}))
        self.assertEqual(reply.status, status, f"{action} {params}: {reply}")
        return reply.json

    def xml(self, action, version="2014-05-26", **params):
        reply = self.ecs.v1(action, {k.replace("__", "."): v for k, v in params.items()}, version=version, format="XML")
        self.assertEqual((reply.status, reply.xml.tag), (200, action + "Response"), reply)
        self.assertEqual(reply.xml.findtext("RequestId"), reply.headers["x-acs-request-id"])
        return reply.xml

    @classmethod
    def other_account(cls, name="other"):
        account = json.loads(cls.ecs.ctl("account", "create", name, "--json"))["AccountId"]
        key = json.loads(cls.ecs.ctl("key", "create", account, "--json"))
        return account, {"key": key["AccessKeyId"], "secret": key["AccessKeySecret"]}


class Filters(DescribeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("setUp")
        zones = [z["ZoneId"] for z in test.call("DescribeZones", RegionId=REGION, Verbose=False)["Zones"]["Zone"]]
        cls.zones = zones
        cls.web = test.running_instance(InstanceName="web-1", Tag__1__Key="role", Tag__1__Value="web", Tag__2__Key="env",
                                        Tag__2__Value="prod", InternetMaxBandwidthOut=5, ZoneId=zones[0])
        cls.db = test.running_instance(InstanceName="db-1", Tag__1__Key="role", Tag__1__Value="db", Tag__2__Key="empty",
                                       Tag__2__Value="", InstanceType="ecs.c6.large", ZoneId=zones[1], ResourceGroupId="rg-one",
                                       HttpTokens="required", HttpPutResponseHopLimit=3, PrivateIpAddress="")
        cls.year = test.running_instance(InstanceName="web-2", InstanceChargeType="PrePaid", Period=1, ZoneId=zones[0],
                                         ImageId="centos_7_9_x64_20G_alibase_20240628.vhd", InternetChargeType="PayByBandwidth",
                                         InternetMaxBandwidthOut=1)
        cls.off = test.stopped_instance(InstanceName="off")
        cls.ecs.ctl("instance", "lock", cls.off, "security")
        cls.far = test.run_instance(RegionId=OTHER_REGION, InstanceName="web-1")
        cls.rows = {i: test.instance(i) for i in (cls.web, cls.db, cls.year, cls.off)}

    def test_each_alone(self):
        web, db, year, off = self.web, self.db, self.year, self.off
        row = self.rows[web]
        every = {web, db, year, off}
        cases = [
            ({}, every), ({"RegionId": OTHER_REGION}, {self.far}), ({"RegionId": "us-east-1"}, set()),
            ({"InstanceIds": json.dumps([web, off])}, {web, off}), ({"InstanceIds": json.dumps([web, "i-none", self.far, web])}, {web}),
            ({"InstanceIds": "[]"}, set()), ({"InstanceIds": f'[ "{db}" ,"{web}" ]'}, {web, db}),
            ({"ZoneId": self.zones[0]}, {i for i in every if self.rows[i]["ZoneId"] == self.zones[0]}), ({"ZoneId": "nowhere"}, set()),
            ({"VpcId": row["VpcAttributes"]["VpcId"]}, every), ({"VpcId": "vpc-none"}, set()),
            ({"VSwitchId": row["VpcAttributes"]["VSwitchId"]}, {i for i in every if self.rows[i]["ZoneId"] == row["ZoneId"]}),
            ({"SecurityGroupId": row["SecurityGroupIds"]["SecurityGroupId"][0]}, every), ({"SecurityGroupId": "sg-none"}, set()),
            ({"ImageId": "centos_7_9_x64_20G_alibase_20240628.vhd"}, {year}), ({"KeyPairName": "kp"}, set()),
            ({"InstanceType": "ecs.c6.large"}, {db}), ({"InstanceTypeFamily": "ecs.c6"}, {db}), ({"InstanceTypeFamily": "ecs.c"}, set()),
            ({"ResourceGroupId": "rg-one"}, {db}), ({"ResourceGroupId": "rg"}, set()),
            ({"InstanceName": "web-1"}, {web}), ({"InstanceName": "web*"}, {web, year}), ({"InstanceName": "*1"}, {web, db}),
            ({"InstanceName": "*b*"}, {web, db, year}), ({"InstanceName": "w?b-1"}, set()), ({"InstanceName": "WEB-1"}, set()),
            ({"InstanceName": "*"}, every),
            ({"InstanceNetworkType": "vpc"}, every), ({"InstanceNetworkType": "classic"}, set()),
            ({"PrivateIpAddresses": json.dumps(row["VpcAttributes"]["PrivateIpAddress"]["IpAddress"])}, {web}),
            ({"PrivateIpAddresses": "[]"}, set()), ({"PublicIpAddresses": json.dumps(row["PublicIpAddress"]["IpAddress"])}, {web}),
            ({"PublicIpAddresses": '["9.9.9.9"]'}, set()), ({"EipAddresses": '["9.9.9.9"]'}, set()),
            ({"InnerIpAddresses": '["10.0.0.1"]'}, set()), ({"RdmaIpAddresses": '["10.0.0.1"]'}, set()), ({"Ipv6Address__1": "::1"}, set()),
            ({"InstanceChargeType": "PrePaid"}, {year}), ({"InstanceChargeType": "PostPaid"}, {web, db, off}),
            ({"InternetChargeType": "PayByBandwidth"}, {year}), ({"Status": "Running"}, {web, db, year}), ({"Status": "Stopped"}, {off}),
            ({"Status": "Pending"}, set()), ({"LockReason": "security"}, {off}), ({"LockReason": "financial"}, set()),
            ({"IoOptimized": True}, every), ({"IoOptimized": False}, set()), ({"DeviceAvailable": "True"}, every),
            ({"DeviceAvailable": False}, set()), ({"HpcClusterId": "hpc-1"}, set()),
            ({"Tag__1__Key": "role"}, {web, db}), ({"Tag__1__Key": "role", "Tag__1__Value": "web"}, {web}),
            ({"Tag__1__key": "role", "Tag__1__value": "db"}, {db}), ({"Tag__1__Key": "Role"}, set()),
            ({"Tag__1__Key": "role", "Tag__2__Key": "env", "Tag__2__Value": "prod"}, {web}),
            ({"Tag__7__Key": "role", "Tag__3__Key": "env", "Tag__3__Value": "test"}, set()),
            ({"HttpTokens": "required"}, {db}), ({"HttpTokens": "optional"}, {web, year, off}), ({"HttpEndpoint": "enabled"}, every),
            ({"HttpEndpoint": "disabled"}, set()), ({"HttpPutResponseHopLimit": 3}, {db}), ({"HttpPutResponseHopLimit": 64}, set()),
        ]
        for params, expected in cases:
            with self.subTest(**params):
                self.assertEqual(self.find(**params), expected)

    def test_empty_tag_value(self):
        """TagKey with an empty value: that value, or any; never the others' tags."""
        self.assertEqual(self.find(Tag__1__Key="empty"), {self.db})
        self.assertEqual(self.find(Tag__1__Key="empty", Tag__1__Value=""), {self.db})
        self.assertEqual(self.find(Tag__1__Key="empty", Tag__1__Value="x"), set())

    def test_times(self):
        past, future, far = "2018-01-01T00:00Z", "2098-01-01T00:00:00Z", "2100-01-01T00:00Z"
        every = set(self.rows)
        for key, value, expected in (("CreationStartTime", past, every), ("CreationStartTime", future, set()),
                                     ("CreationEndTime", past, set()), ("CreationEndTime", future, every),
                                     ("ExpiredStartTime", past, every), ("ExpiredStartTime", far, set()),
                                     ("ExpiredEndTime", "2050-01-01T00:00Z", {self.year}), ("ExpiredEndTime", far, every)):
            with self.subTest(key=key, value=value):
                self.assertEqual(self.find(Filter__3__Key=key, Filter__3__Value=value), expected)
        self.assertEqual(self.find(Filter__4__Key="CreationStartTime", Filter__4__Value=past, Filter__1__Key="ExpiredEndTime",
                                   Filter__1__Value="2050-01-01T00:00Z"), {self.year})

    def test_anded(self):
        self.assertEqual(self.find(InstanceName="web*", InstanceChargeType="PostPaid", Status="Running", ZoneId=self.zones[0]), {self.web})
        self.assertEqual(self.find(InstanceName="web*", Status="Stopped"), set())
        self.assertEqual(self.find(InstanceIds=json.dumps([self.web, self.db]), Tag__1__Key="role", Tag__1__Value="db"), {self.db})
        self.assertEqual(self.find(InstanceIds=json.dumps([self.off]), LockReason="security", Status="Stopped"), {self.off})

    def test_errors(self):
        for params, status, code, message in (
                ({"Status": "Deleted"}, 404, "InvalidStatus.NotFound", "The specified Status is not found"),
                ({"LockReason": "mood"}, 404, "InvalidLockReason.NotFound", "The specified LockReason is not found"),
                ({"InstanceNetworkType": "x"}, 404, "InvalidNetworkType.NotFound", "The specified InstanceNetworkType is not found"),
                ({"InstanceChargeType": "x"}, 404, "InvalidInstanceChargeType.NotFound",
                 "The InstanceChargeType does not exist in our records"),
                ({"InternetChargeType": "x"}, 404, "InvalidInternetChargeType.ValueNotSupported",
                 "The specified InternetChargeType is not valid"),
                ({"Tag__1__Value": "x"}, 400, "InvalidTag.Mismatch", "The specified Tag.n.Key and Tag.n.Value are not match."),
                ({f"Tag__{n}__Key": "k" for n in range(1, 22)}, 400, "InvalidTagCount", "The specified tags are beyond the permitted range."),
                ({"Filter__1__Key": "Colour", "Filter__1__Value": "red"}, 404, "InvalidFilterKey.NotFound", ""),
                ({"Filter__1__Key": "CreationStartTime", "Filter__1__Value": "red"}, 404, "InvalidFilterValue", ""),
                ({"DryRun": True}, 400, "DryRunOperation", "Request validation has been passed with DryRun flag set."),
                ({"DryRun": True, "Status": "x"}, 404, "InvalidStatus.NotFound", None),
                ({"RegionId": "cn-nowhere"}, 404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."),
                ({"InstanceIds": json.dumps([f"i-{n}" for n in range(101)])}, 400, "InvalidParameter",
                 'The specified parameter "InstanceIds" is not valid.'),
                ({"InstanceIds": "i-1"}, 400, "InvalidParameter", 'The specified parameter "InstanceIds" is not valid.'),
                ({"InstanceIds": '["i-1"'}, 400, "InvalidParameter", 'The specified parameter "InstanceIds" is not valid.'),
                ({"InstanceIds": '{"a":1}'}, 400, "InvalidParameter", 'The specified parameter "InstanceIds" is not valid.'),
                ({"InstanceIds": '[["i-1"]]'}, 400, "InvalidParameter", 'The specified parameter "InstanceIds" is not valid.'),
                ({"InstanceIds": "[" * 20000}, 400, "InvalidParameter", 'The specified parameter "InstanceIds" is not valid.'),
                ({"PageNumber": 0}, 400, "InvalidParameter", 'The specified parameter "PageNumber" is not valid.'),
                ({"PageSize": -1}, 400, "InvalidParameter", 'The specified parameter "PageSize" is not valid.'),
                ({"PageSize": "ten"}, 400, "InvalidParameter", 'The specified parameter "PageSize" is not valid.'),
                ({"MaxResults": 0}, 400, "InvalidParameter", 'The specified parameter "MaxResults" is not valid.')):
            with self.subTest(**{k: str(v)[:40] for k, v in params.items()}):
                self.refuses("DescribeInstances", code, status, message, **{"RegionId": REGION, **params})
        self.refuses("DescribeInstances", "MissingParameter", 400,
                     'The input parameter "RegionId" that is mandatory for processing this request is not supplied.')
        self.assertEqual(len(self.find(**{f"Tag__{n}__Key": "role" for n in range(1, 21)})), 2, "20 are allowed")
        self.assertEqual(self.find(InstanceIds=json.dumps([f"i-{n}" for n in range(99)] + [self.web])), {self.web})

    def test_types_of_members(self):
        for row in self.rows.values():
            self.assert_types(row, TEXTS, NUMBERS, BOOLS, LISTS)
            self.assertNotIn(None, row.values())
            for eni in row["NetworkInterfaces"]["NetworkInterface"]:
                self.assert_types(eni, ("NetworkInterfaceId", "MacAddress", "PrimaryIpAddress", "Type"),
                                  lists={"PrivateIpSets.PrivateIpSet": dict, "Ipv6Sets.Ipv6Set": dict})
                self.assertIs(eni["PrivateIpSets"]["PrivateIpSet"][0]["Primary"], True)
            for path in ("CreationTime", "ExpiredTime", "StartTime"):
                self.assertRegex(row[path], r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ$")
        self.assertEqual(self.rows[self.off]["OperationLocks"]["LockReason"][0]["LockReason"], "security")
        self.assertEqual(self.rows[self.web]["Tags"]["Tag"], [{"TagKey": "env", "TagValue": "prod"}, {"TagKey": "role", "TagValue": "web"}])
        self.assertEqual(self.rows[self.web]["Memory"], 8192)

    def test_top_level(self):
        for params in ({}, {"MaxResults": 10}, {"InstanceIds": "[]"}):
            body = self.call("DescribeInstances", RegionId=REGION, **params)
            self.assert_types(body, ("NextToken", "RequestId"), ("TotalCount", "PageNumber", "PageSize"), (), {"Instances.Instance": dict})
            self.assertFalse({"Code", "Message", "Success"} & set(body))

    def test_xml(self):
        xml = self.xml("DescribeInstances", RegionId=REGION, InstanceIds=json.dumps([self.web]))
        [row] = xml.findall("Instances/Instance")
        self.assertEqual(row.findtext("InstanceId"), self.web)
        self.assertEqual([e.text for e in row.findall("SecurityGroupIds/SecurityGroupId")],
                         self.rows[self.web]["SecurityGroupIds"]["SecurityGroupId"])
        self.assertEqual([e.findtext("TagKey") for e in row.findall("Tags/Tag")], ["env", "role"])
        self.assertEqual(row.findtext("NetworkInterfaces/NetworkInterface/PrivateIpSets/PrivateIpSet/Primary"), "true")
        self.assertIsNotNone(row.find("InnerIpAddress"))
        self.assertEqual(row.findall("InnerIpAddress/*"), [])
        for name in ("TotalCount", "PageNumber", "PageSize"):
            self.assertTrue(xml.findtext(name).isdigit())
        self.assertIsNotNone(self.xml("DescribeInstances", RegionId=REGION, InstanceIds="[]").find("Instances"))

    def test_attribute(self):
        for i in self.rows:
            row = self.call("DescribeInstanceAttribute", InstanceId=i)
            self.assert_types(row, """InstanceId InstanceName Description HostName RegionId ZoneId ClusterId ImageId InstanceType Status
                StoppedMode SerialNumber VlanId CreationTime ExpiredTime InstanceChargeType InstanceNetworkType InternetChargeType
                IoOptimized CreditSpecification VpcAttributes.VpcId EipAddress.AllocationId DedicatedHostAttribute.DedicatedHostId""".split(),
                              ("Cpu", "Memory", "InternetMaxBandwidthIn", "InternetMaxBandwidthOut"), ("EnableJumboFrame",),
                              {"PublicIpAddress.IpAddress": str, "InnerIpAddress.IpAddress": str, "SecurityGroupIds.SecurityGroupId": str,
                               "OperationLocks.LockReason": dict, "VpcAttributes.PrivateIpAddress.IpAddress": str})
            self.assertEqual(row["IoOptimized"], "optimized")
            for name in ("InstanceName", "Status", "Cpu", "Memory", "CreationTime", "VpcAttributes", "PublicIpAddress", "StoppedMode"):
                self.assertEqual(row[name], self.rows[i][name], name)
        self.assertEqual(row["OperationLocks"], {"LockReason": [{"LockReason": "security"}]})
        self.refuses("DescribeInstanceAttribute", "InvalidInstanceId.NotFound", 404, "The specified InstanceId does not exist.", InstanceId="i-x")
        self.refuses("DescribeInstanceAttribute", "MissingParameter", 400)

    def test_status(self):
        def show(**params):
            return self.call("DescribeInstanceStatus", **{"RegionId": REGION, **params})
        body = show(InstanceId__1=self.off, InstanceId__2="i-none", InstanceId__3=self.web, InstanceId__4=self.far)
        self.assertEqual(body["InstanceStatuses"]["InstanceStatus"], [{"InstanceId": self.off, "Status": "Stopped"},
                                                                       {"InstanceId": self.web, "Status": "Running"}])
        self.assert_types(body, (), ("TotalCount", "PageNumber", "PageSize"), (), {"InstanceStatuses.InstanceStatus": dict})
        body = show(PageSize=500)
        self.assertEqual((body["TotalCount"], body["PageSize"], body["PageNumber"]), (4, 50, 1))
        seen = [row["InstanceId"] for n in (1, 2, 3) for row in show(PageSize=2, PageNumber=n)["InstanceStatuses"]["InstanceStatus"]]
        self.assertEqual(sorted(seen), sorted(self.rows))
        ids = {f"InstanceId__{n}": f"i-{n}" for n in range(1, 102)}
        self.refuses("DescribeInstanceStatus", "InvalidParameter.TooManyInstanceIds", 403, RegionId=REGION, **ids)
        self.refuses("DescribeInstanceStatus", "InvalidZoneId.NotFound", 404, "The ZoneId provided does not exist in our records.",
                     RegionId=REGION, ZoneId="zone-x")
        self.refuses("DescribeInstanceStatus", "InvalidRegionId.NotFound", 404, RegionId="cn-x")
        self.assertEqual(show(ZoneId=self.zones[1])["TotalCount"], 1)
        self.assertEqual(show(RegionId="us-east-1")["InstanceStatuses"], {"InstanceStatus": []})
        xml = self.xml("DescribeInstanceStatus", RegionId=REGION)
        self.assertEqual(len(xml.findall("InstanceStatuses/InstanceStatus/Status")), 4)

    def test_user_data(self):
        text = base64.b64encode("#!/bin/sh\necho 中\n".encode()).decode()
        i = self.run_instance(RegionId=OTHER_REGION, UserData=text)
        body = self.call("DescribeUserData", RegionId=OTHER_REGION, InstanceId=i)
        self.assertEqual((body["UserData"], body["InstanceId"], body["RegionId"]), (text, i, OTHER_REGION))
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=self.web)["UserData"], "")
        for params in ({"InstanceId": "i-x", "RegionId": REGION}, {"InstanceId": i, "RegionId": REGION}):
            self.refuses("DescribeUserData", "InvalidInstanceId.NotFound", 404, "The specified InstanceId does not exist.", **params)
        end = time.monotonic() + 20 * SLOW  # so that the other tests find one instance there
        while self.ecs.v3("DeleteInstance", {"InstanceId": i, "Force": True}).status != 200:
            self.assertLess(time.monotonic(), end)


class Pages(DescribeTest):
    def walk(self, action="DescribeInstances", between=None, **params):
        """All ids by NextToken, ten a page; `between` runs after each page."""
        seen, token = [], ""
        while True:
            more = {"NextToken": token} if token else {}
            body = self.call(action, RegionId=REGION, MaxResults=10, **params, **more)
            seen += ids_of(body)
            self.assertLessEqual(len(ids_of(body)), 10)
            token = body["NextToken"]
            if not token:
                return seen
            if between:
                between(seen)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("setUp")
        body = test.call("RunInstances", RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large", Amount=34, Tag__1__Key="batch",
                         Tag__1__Value="1")
        cls.batch = body["InstanceIdSets"]["InstanceIdSet"]
        for i in cls.batch:
            test.await_status(i, "Running")

    def test_by_number(self):
        for params in ({}, {"Tag__1__Key": "batch"}, {"InstanceName": "*"}):
            seen = []
            for n in range(1, 6):
                body = self.call("DescribeInstances", RegionId=REGION, Tag__2__Key="batch", PageNumber=n, PageSize=8, **params)
                self.assertEqual((body["TotalCount"], body["PageNumber"], body["PageSize"]), (34, n, 8))
                seen += ids_of(body)
            self.assertEqual((len(seen), set(seen)), (34, set(self.batch)))
            for n in (6, 2147483647):
                body = self.call("DescribeInstances", RegionId=REGION, Tag__1__Key="batch", PageNumber=n, PageSize=8)
                self.assertEqual((ids_of(body), body["TotalCount"], body["NextToken"]), ([], 34, ""))

    def test_bounds_of_sizes(self):
        def size(**params):
            body = self.call("DescribeInstances", RegionId=REGION, Tag__1__Key="batch", **params)
            return body["PageSize"], len(ids_of(body))
        self.assertEqual(size(), (10, 10))
        self.assertEqual(size(PageSize=1), (1, 1))
        self.assertEqual(size(PageSize=101), (100, 34))
        self.assertEqual(size(PageSize=2147483647), (100, 34))
        self.assertEqual(size(MaxResults=1), (10, 10))
        self.assertEqual(size(MaxResults=5000), (100, 34))

    def test_by_token(self):
        for params in ({"Tag__1__Key": "batch"}, {"InstanceType": "ecs.g6.large", "Tag__1__Key": "batch"},
                       {"InstanceIds": json.dumps(self.batch)}):
            seen = self.walk(**params)
            self.assertEqual((len(seen), set(seen)), (34, set(self.batch)))

    def test_a_first_page_without_asking_for_tokens_leads_on(self):
        """Pagers of the CLI only look at NextToken."""
        body = self.call("DescribeInstances", RegionId=REGION, Tag__1__Key="batch", PageSize=20)
        seen, token = ids_of(body), body["NextToken"]
        while token:
            body = self.call("DescribeInstances", RegionId=REGION, Tag__1__Key="batch", PageSize=20, PageNumber=1, NextToken=token)
            seen += ids_of(body)
            token = body["NextToken"]
        self.assertEqual((len(seen), set(seen)), (34, set(self.batch)))
        disks = self.call("DescribeDisks", RegionId=REGION, Tag__1__Key="batch", PageSize=20)
        rows = disks["Disks"]["Disk"]
        while disks["NextToken"]:
            disks = self.call("DescribeDisks", RegionId=REGION, Tag__1__Key="batch", PageSize=20, NextToken=disks["NextToken"])
            rows += disks["Disks"]["Disk"]
        self.assertEqual(len({row["DiskId"] for row in rows}), len(rows))
        self.assertEqual({row["InstanceId"] for row in rows}, set(self.batch))

    def test_tokens_while_instances_come_and_go(self):
        made, gone = [], []

        def between(seen):
            made.append(self.running_instance(Tag__1__Key="churn"))
            victim = next(i for i in reversed(seen) if i not in gone and i not in self.batch) if len(gone) < 2 else None
            if victim:
                self.call("DeleteInstance", InstanceId=victim, Force=True)
                gone.append(victim)
        for _ in range(3):
            made.append(self.running_instance(Tag__1__Key="churn"))
        seen = self.walk(between=between)
        self.assertEqual(len(seen), len(set(seen)), "none twice")
        self.assertLessEqual(set(self.batch), set(seen), "none of those that stayed is missing")
        self.assertGreaterEqual(len(gone), 1)

    def test_the_row_a_token_points_at_may_be_gone(self):
        extra = [self.running_instance(Tag__1__Key="gone") for _ in range(12)]
        body = self.call("DescribeInstances", RegionId=REGION, MaxResults=10, Tag__1__Key="gone")
        self.call("DeleteInstance", InstanceId=ids_of(body)[-1], Force=True)
        rest = self.call("DescribeInstances", RegionId=REGION, MaxResults=10, Tag__1__Key="gone", NextToken=body["NextToken"])
        self.assertEqual(set(ids_of(body)) | set(ids_of(rest)), set(extra))
        self.assertEqual(rest["NextToken"], "")

    def test_tokens_that_are_not_ours(self):
        token = self.call("DescribeInstances", RegionId=REGION, MaxResults=10)["NextToken"]
        flipped = ("0" if token[0] != "0" else "1") + token[1:]
        for bad in (flipped, token[:-1], token + "0", token[:10], "x", "AAAA", "0" * 44, "null", "\u4e2d", token.upper(), "a" * 5000, token * 60):
            with self.subTest(bad=bad[:50]):
                self.refuses("DescribeInstances", "InvalidParameter", 400, 'The specified parameter "NextToken" is not valid.',
                             RegionId=REGION, MaxResults=10, NextToken=bad)
        _, who = self.other_account("token-thief")
        reply = self.ecs.v3("DescribeInstances", {"RegionId": REGION, "NextToken": token}, **who)
        self.assertEqual((reply.status, reply.code), (400, "InvalidParameter"))

    def test_a_token_is_good_for_its_own_query(self):
        token = self.call("DescribeInstances", RegionId=REGION, MaxResults=10)["NextToken"]
        ids = json.dumps(self.batch)
        for params in ({"Status": "Running"}, {"Tag__1__Key": "batch"}, {"InstanceIds": ids}, {"RegionId": OTHER_REGION}, {"InstanceName": "*"},
                       {"HttpTokens": "optional"}, {"Filter__1__Key": "CreationStartTime", "Filter__1__Value": "2018-01-01T00:00Z"}):
            self.refuses("DescribeInstances", "InvalidParameter", 400, **{"RegionId": REGION, "NextToken": token, **params})
        disks = self.call("DescribeDisks", RegionId=REGION, MaxResults=5, Tag__1__Key="batch")
        for params in ({"Tag__1__Key": "other"}, {"Tag__1__Key": "batch", "Tag__1__Value": "2"}, {"Status": "In_use", "Tag__1__Key": "batch"},
                       {"DiskIds": '["d-1"]', "Tag__1__Key": "batch"}):
            self.refuses("DescribeDisks", "InvalidParameter", 400, RegionId=REGION, NextToken=disks["NextToken"], **params)

    def test_a_page_of_hundred(self):
        self.assertGreaterEqual(len(self.find(PageSize=100)), 34)


class Disks(DescribeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("setUp")
        cls.i = test.running_instance(DataDisk__1__Size=40, DataDisk__1__Category="cloud_ssd", DataDisk__1__DiskName="data-one",
                                      DataDisk__1__DeleteWithInstance=False, Tag__1__Key="a", Tag__1__Value="b")
        cls.local = test.running_instance(InstanceType="ecs.i2.xlarge")

    def disks(self, **params):
        body = self.call("DescribeDisks", **{"RegionId": REGION, "PageSize": 100, **params})
        self.assertEqual(body["TotalCount"], len(body["Disks"]["Disk"]))
        return body["Disks"]["Disk"]

    def test_filters(self):
        [system] = self.disks(InstanceId=self.i, DiskType="system")
        [data] = self.disks(InstanceId=self.i, DiskType="data")
        kinds = [d["Category"] for d in self.disks(InstanceId=self.local)]
        self.assertIn("local_ssd_pro", kinds)
        every = self.disks()
        self.assertEqual(len(self.disks(DiskType="all", Category="all", Status="All")), len(every))
        for params, expected in (({"DiskIds": json.dumps([data["DiskId"], "d-none"])}, [data]), ({"DiskIds": "[]"}, []),
                                 ({"Category": "cloud_ssd"}, [data]), ({"DiskName": "data-one"}, [data]), ({"DiskName": "data"}, []),
                                 ({"DeleteWithInstance": False}, [data]), ({"InstanceId": self.i, "Portable": True}, [data]),
                                 ({"InstanceId": self.i, "Portable": False}, [system]), ({"Status": "Available"}, []),
                                 ({"Encrypted": True}, []), ({"Encrypted": False}, every), ({"ZoneId": data["ZoneId"]}, [d for d in every if d["ZoneId"] == data["ZoneId"]]),
                                 ({"DiskChargeType": "PrePaid"}, []), ({"SnapshotId": "s-1"}, []), ({"KMSKeyId": "k"}, []),
                                 ({"LockReason": "security"}, []), ({"MultiAttach": "Disabled"}, every), ({"RegionId": OTHER_REGION}, []),
                                 ({"InstanceId": "i-none"}, []),
                                 ({"Filter__1__Key": "CreationStartTime", "Filter__1__Value": "2018-01-01T00:00Z"}, every),
                                 ({"Filter__1__Key": "CreationStartTime", "Filter__1__Value": "2098-01-01T00:00Z"}, []),
                                 ({"Filter__2__Key": "CreationEndTime", "Filter__2__Value": "2018-01-01T00:00Z"}, []),
                                 ({"Filter__2__Key": "CreationEndTime", "Filter__2__Value": "2098-01-01T00:00Z"}, every)):
            with self.subTest(**params):
                self.assertEqual([d["DiskId"] for d in self.disks(**params)], [d["DiskId"] for d in expected])

    def test_types(self):
        for disk in self.disks():
            self.assert_types(disk, """DiskId DiskName Description RegionId ZoneId Type Category Status Device InstanceId ImageId
                PerformanceLevel SourceSnapshotId AutoSnapshotPolicyId KMSKeyId DiskChargeType CreationTime AttachedTime DetachedTime
                ResourceGroupId SerialNumber""".split(), ("Size",), ("Portable", "DeleteWithInstance", "Encrypted", "EnableAutoSnapshot",
                                                                    "DeleteAutoSnapshot", "EnableAutomatedSnapshotPolicy"),
                              {"OperationLocks.OperationLock": dict, "Tags.Tag": dict, "Attachments.Attachment": dict,
                               "MountInstances.MountInstance": dict})
            self.assertRegex(disk["CreationTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        xml = self.xml("DescribeDisks", RegionId=REGION, InstanceId=self.i)
        self.assertEqual(len(xml.findall("Disks/Disk/DiskId")), 2)
        self.assertEqual(xml.findtext("Disks/Disk/Attachments/Attachment/InstanceId"), self.i)

    def test_errors(self):
        for params, status, code, message in (
                ({"RegionId": "cn-x"}, 400, "InvalidRegion.NotFound", "The specified parameter RegionId is not valid."),
                ({"RegionId": ""}, 400, "MissingParamter.RegionId", "The regionId should not be null."),
                ({"ZoneId": "z"}, 400, "InvalidZoneId.NotFound", "The zoneId provided does not exist in our records."),
                ({"DiskIds": "d-1"}, 400, "InvalidParameter.DiskIds", "The specified parameter diskIds is not valid."),
                ({"DiskIds": json.dumps([f"d-{n}" for n in range(101)])}, 403, "InvalidDiskIds.Malformed",
                 "The amount of specified disk Ids exceeds the limit."),
                ({"DiskType": "x"}, 400, "InvalidDiskType.ValueNotSupported", "The specified disk type is not supported."),
                ({"Category": "x"}, 400, "InvalidCategory.ValueNotSupported", "The specified disk category is not supported."),
                ({"Status": "x"}, 400, "InvalidStatus.ValueNotSupported", "The specified disk status is not supported."),
                ({"DiskChargeType": "x"}, 404, "InvalidDiskChargeType.NotFound", "The DiskChargeType does not exist in our records"),
                ({"LockReason": "x"}, 404, "InvalidLockReason.NotFound", "The specified LockReason is not found"),
                ({"Tag__1__Value": "x"}, 400, "InvalidTag.Mismatch", None), ({"DryRun": True}, 400, "DryRunOperation", None),
                ({"Filter__1__Key": "x", "Filter__1__Value": "y"}, 404, "InvalidFilterKey.NotFound", ""),
                ({"Filter__1__Key": "CreationEndTime", "Filter__1__Value": "y"}, 404, "InvalidFilterValue", ""),
                ({"MultiAttach": "x"}, 403, "InvalidParameter.MultiAttach", "The specified param MultiAttach is not valid.")):
            with self.subTest(**params):
                self.refuses("DescribeDisks", code, status, message, **{"RegionId": REGION, **params})


class KeptDisks(DescribeTest):
    def disks(self, **params):
        return self.call("DescribeDisks", RegionId=REGION, **params)["Disks"]["Disk"]

    def test_disks_of_the_deleted(self):
        i = self.running_instance(DataDisk__1__Size=20, DataDisk__1__DeleteWithInstance=False)
        [data] = self.disks(InstanceId=i, DiskType="data")
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.assertEqual(self.disks(InstanceId=i), [])
        [kept] = self.disks(DiskIds=json.dumps([data["DiskId"]]))
        self.assertEqual((kept["Status"], kept["InstanceId"], kept["Device"], kept["Attachments"]), ("Available", "", "", {"Attachment": []}))


class Catalogue(DescribeTest):
    def test_regions(self):
        body = self.call("DescribeRegions")
        regions = {r["RegionId"]: r for r in body["Regions"]["Region"]}
        self.assertIn(REGION, regions)
        for region in regions.values():
            self.assert_types(region, ("RegionId", "RegionEndpoint", "LocalName"))
            self.assertEqual(region["RegionEndpoint"], f"{self.ecs.host}:{self.ecs.port}")
        names = [self.call("DescribeRegions", AcceptLanguage=word)["Regions"]["Region"][0]["LocalName"] for word in ("zh-CN", "en-US", "ja")]
        self.assertEqual(len(set(names)), 3)
        self.assertEqual(names[0], body["Regions"]["Region"][0]["LocalName"])
        self.refuses("DescribeRegions", "InvalidAcceptLanguage.NotFound", 404,
                     "Only Chinese (zh-CN), English (en-US), and Japanese (ja) are allowed.", AcceptLanguage="la")
        self.refuses("DescribeRegions", "InvalidResourceType.NotFound", 404, "The ResourceType provided does not exist in our records.",
                     ResourceType="x")
        self.assertEqual(len(self.xml("DescribeRegions").findall("Regions/Region/RegionId")), len(regions))

    def test_zones(self):
        zones = self.call("DescribeZones", RegionId=REGION)["Zones"]["Zone"]
        types = {t["InstanceTypeId"] for t in self.call("DescribeInstanceTypes")["InstanceTypes"]["InstanceType"]}
        for zone in zones:
            self.assert_types(zone, ("ZoneId", "LocalName", "ZoneType"), lists={
                "AvailableResourceCreation.ResourceTypes": str, "AvailableDiskCategories.DiskCategories": str,
                "AvailableInstanceTypes.InstanceTypes": str, "AvailableVolumeCategories.VolumeCategories": str,
                "AvailableDedicatedHostTypes.DedicatedHostType": str, "DedicatedHostGenerations.DedicatedHostGeneration": str,
                "AvailableResources.ResourcesInfo": dict})
            self.assertIn("VSwitch", zone["AvailableResourceCreation"]["ResourceTypes"])
            self.assertEqual(set(zone["AvailableInstanceTypes"]["InstanceTypes"]), types)
            [info] = zone["AvailableResources"]["ResourcesInfo"]
            self.assert_types(info, (), (), ("IoOptimized",), {
                "InstanceTypes.supportedInstanceType": str, "InstanceTypeFamilies.supportedInstanceTypeFamily": str,
                "InstanceGenerations.supportedInstanceGeneration": str, "SystemDiskCategories.supportedSystemDiskCategory": str,
                "DataDiskCategories.supportedDataDiskCategory": str, "NetworkTypes.supportedNetworkCategory": str})
        xml = self.xml("DescribeZones", RegionId=REGION)
        self.assertEqual(len(xml.findall("Zones/Zone")), len(zones))
        self.assertEqual(len(xml.findall("Zones/Zone/AvailableInstanceTypes/InstanceTypes")), len(zones) * len(types))
        for params, status, code in (({"RegionId": "x"}, 404, "InvalidRegionId.NotFound"), ({}, 400, "MissingParameter"),
                                     ({"RegionId": REGION, "AcceptLanguage": "x"}, 404, "InvalidAcceptLanguage.NotFound"),
                                     ({"RegionId": REGION, "InstanceChargeType": "x"}, 404, "InvalidInstanceChargeType.NotFound"),
                                     ({"RegionId": REGION, "SpotStrategy": "x"}, 400, "InvalidSpotStrategy")):
            self.refuses("DescribeZones", code, status, **params)

    def types(self, **params):
        return self.call("DescribeInstanceTypes", **params)["InstanceTypes"]["InstanceType"]

    def test_types_in_pages(self):
        every = self.types()
        self.assertEqual(len(every), 517)
        self.assertEqual(len({t["InstanceTypeId"] for t in every}), 517)
        for size in (1600, 517, 516, 100, 7):
            seen, token, calls = [], "", 0
            while calls == 0 or token:
                body = self.call("DescribeInstanceTypes", MaxResults=size, **({"NextToken": token} if token else {}))
                seen += body["InstanceTypes"]["InstanceType"]
                token, calls = body["NextToken"], calls + 1
            self.assertEqual(calls, -(-517 // size))
            self.assertEqual(seen, every)
        self.refuses("DescribeInstanceTypes", "InvalidParameter", 400, NextToken="nonsense")
        self.refuses("DescribeInstanceTypes", "InvalidParameter", 400, MaxResults=1601)

    def test_types_members(self):
        for row in self.types():
            self.assert_types(row, ("InstanceTypeId", "InstanceTypeFamily", "InstanceFamilyLevel", "LocalStorageCategory", "GPUSpec"),
                              """CpuCoreCount MemorySize GPUAmount EniQuantity EniTotalQuantity EniPrivateIpAddressQuantity
                              EniIpv6AddressQuantity InstanceBandwidthRx InstanceBandwidthTx InstancePpsRx InstancePpsTx BaselineCredit
                              InitialCredit DiskQuantity PrimaryEniQueueNumber SecondaryEniQueueNumber MaximumQueueNumberPerEni
                              TotalEniQueueQuantity""".split(), ("EniTrunkSupported",))
            self.assertEqual("LocalStorageAmount" in row, row["LocalStorageCategory"] != "", row)
            self.assertTrue(row["InstanceTypeId"].startswith(row["InstanceTypeFamily"]), row)
            self.assertIn(row["InstanceFamilyLevel"], ("EntryLevel", "EnterpriseLevel", "CreditEntryLevel"))
        xml = self.xml("DescribeInstanceTypes").findall("InstanceTypes/InstanceType")
        self.assertEqual(len(xml), 517)
        for row in xml:
            self.assertRegex(row.findtext("MemorySize"), r"^[1-9]\d*$|^\d+\.\d*[1-9]$", "no zeroes behind the point")

    def test_types_filters(self):
        every = self.types()

        def only(test):
            return [t["InstanceTypeId"] for t in every if test(t)]
        for params, test in (({"InstanceTypeFamily": "ecs.g6"}, lambda t: t["InstanceTypeFamily"] == "ecs.g6"),
                             ({"InstanceTypes__1": "ecs.g6.large", "InstanceTypes__2": "ecs.none"},
                              lambda t: t["InstanceTypeId"] == "ecs.g6.large"),
                             ({"MinimumCpuCoreCount": 64}, lambda t: t["CpuCoreCount"] >= 64),
                             ({"MaximumCpuCoreCount": 1, "MaximumMemorySize": 1}, lambda t: t["CpuCoreCount"] == 1 and t["MemorySize"] <= 1),
                             ({"MinimumMemorySize": "0.5", "MaximumMemorySize": "0.5"}, lambda t: t["MemorySize"] == 0.5),
                             ({"MinimumGPUAmount": 1}, lambda t: t["GPUAmount"] >= 1),
                             ({"MinimumLocalStorageAmount": 1}, lambda t: t.get("LocalStorageAmount", 0) >= 1),
                             ({"LocalStorageCategory": "local_ssd_pro"}, lambda t: t["LocalStorageCategory"] == "local_ssd_pro"),
                             ({"InstanceFamilyLevel": "CreditEntryLevel"}, lambda t: t["InstanceFamilyLevel"] == "CreditEntryLevel"),
                             ({"InstanceTypeFamily": "ecs.none"}, lambda t: False)):
            with self.subTest(**params):
                self.assertEqual([t["InstanceTypeId"] for t in self.types(**params)], only(test))
        self.refuses("DescribeInstanceTypes", "InvalidParameter", 400, **{f"InstanceTypes__{n}": "ecs.g6.large" for n in range(1, 12)})
        self.refuses("DescribeInstanceTypes", "UnsupportedParameter", 400, NvmeSupport="required")

    def test_families(self):
        rows = self.call("DescribeInstanceTypeFamilies", RegionId=REGION)["InstanceTypeFamilies"]["InstanceTypeFamily"]
        self.assertEqual({r["InstanceTypeFamilyId"] for r in rows}, {t["InstanceTypeFamily"] for t in self.types()})
        generations = {r["Generation"] for r in rows}
        for generation in generations - {""}:
            some = self.call("DescribeInstanceTypeFamilies", RegionId=REGION, Generation=generation)
            self.assertEqual(some["InstanceTypeFamilies"]["InstanceTypeFamily"], [r for r in rows if r["Generation"] == generation])
        self.assertEqual(len(self.xml("DescribeInstanceTypeFamilies", RegionId=REGION).findall("InstanceTypeFamilies/InstanceTypeFamily")),
                         len(rows))

    def images(self, **params):
        return self.call("DescribeImages", **{"RegionId": REGION, "PageSize": 100, **params})["Images"]["Image"]

    def test_images(self):
        every = self.images()
        body = self.call("DescribeImages", RegionId=REGION, PageSize=3, PageNumber=2)
        self.assertEqual([i["ImageId"] for i in body["Images"]["Image"]], [i["ImageId"] for i in every[3:6]])
        self.assertEqual((body["TotalCount"], body["PageNumber"], body["PageSize"], body["RegionId"]), (len(every), 2, 3, REGION))
        for image in every:
            self.assert_types(image, """ImageId ImageName ImageFamily ImageVersion ImageOwnerAlias Description Architecture OSName OSNameEn
                OSType Platform Status Usage Progress ProductCode CreationTime IsSelfShared""".split(), ("Size",),
                              ("IsPublic", "IsCopied", "IsSubscribed", "IsSupportCloudinit", "IsSupportIoOptimized"),
                              {"DiskDeviceMappings.DiskDeviceMapping": dict, "Tags.Tag": dict})
            self.assertRegex(image["CreationTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        for params, expected in (({"ImageId": f"{IMAGE},{every[0]['ImageId']}"}, {IMAGE, every[0]["ImageId"]}), ({"ImageId": "m-none"}, set()),
                                 ({"OSType": "windows"}, {i["ImageId"] for i in every if i["OSType"] == "windows"}),
                                 ({"Architecture": "arm64"}, {i["ImageId"] for i in every if i["Architecture"] == "arm64"}),
                                 ({"ImageOwnerAlias": "self"}, set()), ({"ImageOwnerAlias": "marketplace"}, set()),
                                 ({"ImageOwnerAlias": "system"}, {i["ImageId"] for i in every}), ({"Status": "Creating"}, set()),
                                 ({"Status": "Waiting,Creating,CreateFailed,Available", "ImageName": IMAGE}, {IMAGE}),
                                 ({"ImageName": "debian*"}, {i["ImageId"] for i in every if i["ImageId"].startswith("debian")}),
                                 ({"IsPublic": False}, set()), ({"Tag__1__Key": "x"}, set())):
            with self.subTest(**params):
                self.assertEqual({i["ImageId"] for i in self.images(**params)}, expected)
        for params, status, code in (({"ImageOwnerAlias": "x"}, 400, "InvalidImageOwnerAlias.ValueNotSupported"),
                                     ({"Architecture": "x"}, 404, "InvalidArchitecture"), ({"OSType": "x"}, 404, "InvalidOSType"),
                                     ({"Usage": "x"}, 404, "InvalidUsage"), ({"InstanceType": "x"}, 400, "InvalidInstanceType.ValueNotSupported"),
                                     ({"Filter__1__Key": "x", "Filter__1__Value": "y"}, 404, "InvalidFilterKey.NotFound"),
                                     ({"Tag__1__Value": "x"}, 400, "InvalidTag.Mismatch"), ({"DryRun": True}, 400, "DryRunOperation"),
                                     ({"RegionId": "x"}, 404, "InvalidRegionId.NotFound")):
            with self.subTest(**params):
                self.refuses("DescribeImages", code, status, **{"RegionId": REGION, **params})
        self.assertEqual(len(self.xml("DescribeImages", RegionId=REGION, PageSize=100).findall("Images/Image/DiskDeviceMappings")), len(every))

    def test_location(self):
        def show(status=200, **params):
            return self.product("DescribeEndpoints", LOCATION, status, **params)
        body = show(Id=REGION, ServiceCode="ecs", Type="openAPI")
        [row] = body["Endpoints"]["Endpoint"]
        self.assertIs(body["Success"], True)
        self.assertEqual((row["Endpoint"], row["Id"], row["SerivceCode"], row["Type"]), (f"{self.ecs.host}:{self.ecs.port}", REGION, "ecs",
                                                                                        "openAPI"))
        self.assertEqual(row["Protocols"], {"Protocols": ["HTTP", "HTTPS"]})
        self.assertEqual(show(Id=REGION, ServiceCode="oss")["Endpoints"], {"Endpoint": []})
        body = show(404, Id="cn-x", ServiceCode="ecs")
        self.assertEqual((body["Code"], body["Message"]), ("InvalidRegionId", "The specified region does not exist."))
        for params in ({"ServiceCode": "ecs"}, {"Id": REGION}):
            body = show(400, **params)
            self.assertEqual((body["Code"], body["Message"]), ("Illegal Parameter", "Please check the parameters"))
        xml = self.xml("DescribeEndpoints", LOCATION, Id=REGION, ServiceCode="ecs")
        self.assertEqual(xml.findtext("Endpoints/Endpoint/Endpoint"), f"{self.ecs.host}:{self.ecs.port}")


class Tags(DescribeTest):
    def tag(self, ids, tags, status=200, kind="instance", **params):
        given = {f"ResourceId__{n + 1}": i for n, i in enumerate(ids)}
        for n, (key, value) in enumerate(tags):
            given.update({f"Tag__{n + 1}__Key": key, f"Tag__{n + 1}__Value": value})
        return self.call("TagResources", status=status, **{"RegionId": REGION, "ResourceType": kind, **given, **params})

    def tags_of(self, i, kind="instance", **params):
        body = self.call("ListTagResources", **{"RegionId": REGION, "ResourceType": kind, "ResourceId__1": i, **params})
        for row in body["TagResources"]["TagResource"]:
            self.assertEqual((row["ResourceId"], row["ResourceType"]), (i, kind))
        return {row["TagKey"]: row["TagValue"] for row in body["TagResources"]["TagResource"]}

    def test_come_and_go(self):
        i, j = self.run_instance(), self.run_instance()
        body = self.tag([i, j], [("a", "1"), ("b", "")])
        self.assertEqual(list(body), ["RequestId"])
        self.assertEqual((self.tags_of(i), self.tags_of(j)), ({"a": "1", "b": ""},) * 2)
        self.tag([i], [("a", "2"), ("c", "中文 &<>\"'")])
        self.assertEqual(self.tags_of(i), {"a": "2", "b": "", "c": "中文 &<>\"'"})
        self.assertEqual([t["TagKey"] for t in self.instance(i)["Tags"]["Tag"]], ["a", "b", "c"])
        xml = self.xml("ListTagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=i)
        self.assertEqual({e.findtext("TagKey"): e.findtext("TagValue") for e in xml.findall("TagResources/TagResource")}["c"], "中文 &<>\"'")
        self.call("UntagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=i, TagKey__1="a", TagKey__2="none")
        self.assertEqual(self.tags_of(i), {"b": "", "c": "中文 &<>\"'"})
        self.call("UntagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=i, All=True)
        self.assertEqual((self.tags_of(i), self.tags_of(j)), ({}, {"a": "1", "b": ""}))
        disk = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"][0]["DiskId"]
        self.tag([disk], [("d", "1")], kind="disk")
        self.assertEqual(self.tags_of(disk, "disk"), {"d": "1"})
        self.assertEqual(self.tags_of(disk), {})

    def test_xml_has_no_way_to_write_some_characters(self):
        i = self.run_instance()
        self.tag([i], [("odd", "a\ufffeb\uffffc\ufffd\U0001f600")])
        self.assertEqual(self.tags_of(i), {"odd": "a\ufffeb\uffffc\ufffd\U0001f600"})
        xml = self.xml("ListTagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=i)
        self.assertEqual(xml.findtext("TagResources/TagResource/TagValue"), "a?b?c\ufffd\U0001f600")

    def test_limits(self):
        i = self.run_instance()
        self.tag([i], [(f"k{n}", "v") for n in range(20)])
        self.tag([i], [(f"k{n}", "w") for n in range(20)])
        self.assertEqual(set(self.tags_of(i).values()), {"w"})
        for tags, status, code in (([("k-20", "v")], 400, "OperationDenied.QuotaExceed"), ([(f"m{n}", "v") for n in range(21)], 400, "NumberExceed.Tags"),
                                   ([("x", "1"), ("x", "2")], 400, "Duplicate.TagKey"), ([("", "1")], 400, "InvalidTag.Mismatch"),
                                   ([("k" * 129, "1")], 400, "InvalidTagKey.Malformed"), ([("aliyun.x", "1")], 400, "InvalidTagKey.Malformed"),
                                   ([("acs:x", "1")], 400, "InvalidTagKey.Malformed"), ([("http://x", "1")], 400, "InvalidTagKey.Malformed"),
                                   ([("k1", "v" * 129)], 400, "InvalidTagValue.Malformed"), ([("k1", "https://x")], 400, "InvalidTagValue.Malformed"),
                                   ([], 404, "MissingParameter.Tags")):
            with self.subTest(code=code, tags=tags[:1]):
                self.assertEqual(self.tag([i], tags, status)["Code"], code)
        self.assertEqual(set(self.tags_of(i).values()), {"w"}, "what is refused changes nothing")
        j = self.run_instance()
        self.tag([j], [("k" * 128, "v" * 128)])

    def test_all_or_none(self):
        i = self.run_instance()
        self.assertEqual(self.tag([i, "i-none"], [("a", "1")], 404)["Code"], "InvalidResourceId.NotFound")
        self.assertEqual(self.tags_of(i), {})
        full = self.run_instance()
        self.tag([full], [(f"k{n}", "v") for n in range(20)])
        self.assertEqual(self.tag([i, full], [("a", "1")], 400)["Code"], "OperationDenied.QuotaExceed")
        self.assertEqual(self.tags_of(i), {})

    def test_errors(self):
        i = self.run_instance()
        for params, status, code, message in (
                ({"RegionId": ""}, 404, "MissingParameter.RegionId", "The parameter - RegionId should not be null"),
                ({"ResourceType": ""}, 404, "MissingParameter.ResourceType", "The parameter - ResourceType should not be null"),
                ({"RegionId": "cn-x"}, 404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."),
                ({"ResourceType": "house"}, 404, "InvalidResourceType.NotFound", "The ResourceType provided does not exist in our records."),
                ({"ResourceId__1": "", "ResourceId": i}, 400, "MissingParameter",
                 'The input parameter "ResourceId" that is mandatory for processing this request is not supplied.'),
                ({"ResourceId__1": "", "ResourceId": "[]"}, 400, "MissingParameter", None),
                ({"RegionId": OTHER_REGION}, 404, "InvalidResourceId.NotFound", "The specified ResourceIds are not found in our records."),
                ({"ResourceType": "disk"}, 404, "InvalidResourceId.NotFound", None),
                ({f"ResourceId__{n}": "i-1" for n in range(1, 52)}, 400, "NumberExceed.ResourceIds",
                 "The ResourceIds parameter's number is exceed , Valid : 50")):
            body = self.call("TagResources", status=status, **{"RegionId": REGION, "ResourceType": "instance", "ResourceId__1": i,
                                                              "Tag__1__Key": "a", "Tag__1__Value": "b", **params})
            self.assertEqual(body["Code"], code)
            if message:
                self.assertEqual(body["Message"], message)
        self.refuses("UntagResources", "InvalidResourceId.NotFound", 404, RegionId=REGION, ResourceType="instance", ResourceId__1="i-x",
                     TagKey__1="a")
        self.refuses("UntagResources", "NumberExceed.Tags", 400, RegionId=REGION, ResourceType="instance", ResourceId__1=i,
                     **{f"TagKey__{n}": f"k{n}" for n in range(1, 22)})
        self.refuses("ListTagResources", "InvalidResourceType.NotFound", 404, RegionId=REGION, ResourceType="house")
        self.refuses("ListTagResources", "InvalidParameter", 400, RegionId=REGION, ResourceType="instance", NextToken="xyz")

    def test_pages(self):
        ids = self.call("RunInstances", RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large", Amount=9)["InstanceIdSets"]["InstanceIdSet"]
        for i in ids:
            self.tag([i], [("page", "x")] + [(f"k{n:02}", "v") for n in range(14)])
        seen, token, pages = [], "", 0
        while pages == 0 or token:
            body = self.call("ListTagResources", RegionId=REGION, ResourceType="instance", Tag__1__Key="page",
                             **({"NextToken": token} if token else {}))
            seen += [(r["ResourceId"], r["TagKey"]) for r in body["TagResources"]["TagResource"]]
            token, pages = body["NextToken"], pages + 1
            if pages == 1:
                first = token
        self.assertEqual((len(seen), len(set(seen)), {r for r, _ in seen}), (135, 135, set(ids)))
        self.assertGreater(pages, 2)
        for params in ({"Tag__1__Key": "other"}, {"Tag__1__Key": "page", "ResourceType": "disk"}, {"Tag__1__Key": "page", "RegionId": OTHER_REGION},
                       {"Tag__1__Key": "page", "ResourceId__1": ids[0]}):
            self.refuses("ListTagResources", "InvalidParameter", 400, **{"RegionId": REGION, "ResourceType": "instance", "NextToken": first, **params})
        _, who = self.other_account("tag-thief")
        reply = self.ecs.v3("ListTagResources", {"RegionId": REGION, "ResourceType": "instance", "Tag.1.Key": "page", "NextToken": first}, **who)
        self.assertEqual(reply.status, 400, reply)

    def test_one_region_at_a_time(self):
        here, there = self.run_instance(), self.run_instance(RegionId=OTHER_REGION)
        self.tag([here], [("where", "here")])
        self.tag([there], [("where", "there")], RegionId=OTHER_REGION)
        for region, i in ((REGION, here), (OTHER_REGION, there)):
            for filters in ({"Tag__1__Key": "where"}, {"ResourceId__1": here, "ResourceId__2": there}, {"TagFilter__1__TagKey": "where"}):
                rows = self.call("ListTagResources", RegionId=region, ResourceType="instance", **filters)["TagResources"]["TagResource"]
                self.assertEqual([r["ResourceId"] for r in rows], [i])

    def test_tags_end_with_their_resource(self):
        i = self.stopped_instance(Tag__1__Key="mortal", Tag__1__Value="yes")
        self.call("DeleteInstance", InstanceId=i)
        self.await_status(i, None)
        body = self.call("ListTagResources", RegionId=REGION, ResourceType="instance", Tag__1__Key="mortal")
        self.assertEqual(body["TagResources"], {"TagResource": []})


class Events(DescribeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("setUp")
        cls.ids = [test.running_instance() for _ in range(3)]
        for i in cls.ids * 4:
            before = test.count()
            cls.ecs.ctl("sim", "guest", i, "crash")
            end = time.monotonic() + 15 * SLOW
            while test.count() == before and time.monotonic() < end:
                pass
            test.await_status(i, "Stopped")
            test.call("StartInstance", InstanceId=i)
            test.await_status(i, "Running")

    def events(self, **params):
        return self.call("DescribeInstanceHistoryEvents", **{"RegionId": REGION, "PageSize": 100, **params})

    def rows(self, **params):
        return self.events(**params)["InstanceSystemEventSet"]["InstanceSystemEventType"]

    def count(self):
        return self.events()["TotalCount"]

    def test_members(self):
        rows = self.rows()
        self.assertGreaterEqual(len(rows), 12)
        for row in rows:
            self.assert_types(row, ("InstanceId", "EventId", "EventType.Name", "EventCycleStatus.Name", "EventPublishTime", "NotBefore",
                                    "EventFinishTime", "Reason"), ("EventType.Code", "EventCycleStatus.Code"))
            self.assertRegex(row["EventPublishTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertTrue(row["EventId"].startswith("e-"))
        xml = self.xml("DescribeInstanceHistoryEvents", RegionId=REGION, PageSize=100)
        self.assertEqual(len(xml.findall("InstanceSystemEventSet/InstanceSystemEventType/EventType/Name")), len(rows))

    def test_filters(self):
        rows = self.rows()
        i, j = self.ids[:2]
        one = rows[0]
        self.assertEqual([r["EventId"] for r in self.rows(InstanceId=i)], [r["EventId"] for r in rows if r["InstanceId"] == i])
        several = self.rows(ResourceId__1=i, ResourceId__2=j)
        self.assertEqual({r["EventId"] for r in several}, {r["EventId"] for r in rows if r["InstanceId"] in (i, j)})
        self.assertEqual([r["EventId"] for r in self.rows(EventId__1=one["EventId"])], [one["EventId"]])
        name = one["EventType"]["Name"]
        expected = {r["EventId"] for r in rows if r["EventType"]["Name"] == name}
        self.assertEqual({r["EventId"] for r in self.rows(EventType=name)}, expected)
        self.assertEqual({r["EventId"] for r in self.rows(InstanceEventType__1=name)}, expected)
        for params in ({"EventType": "AccountUnbalanced.Stop"}, {"EventCycleStatus": "Inquiring"}, {"InstanceId": "i-x"}, {"EventId__1": "e-x"},
                       {"EventPublishTime__Start": "2098-01-01T00:00:00Z"}, {"EventPublishTime__End": "2018-01-01T00:00:00Z"},
                       {"NotBefore__Start": "2098-01-01T00:00:00Z"}, {"RegionId": OTHER_REGION}, {"ImpactLevel": "100"}):
            with self.subTest(**params):
                self.assertEqual(self.rows(**params), [])
        for params in ({"Tag__1__Key": "a"}, {"ResourceGroupId": "rg-1"}):  # never more than was asked for
            self.refuses("DescribeInstanceHistoryEvents", "UnsupportedParameter", 400, RegionId=REGION, **params)
        status = one["EventCycleStatus"]["Name"]
        self.assertIn(one["EventId"], [r["EventId"] for r in self.rows(InstanceEventCycleStatus__1="Inquiring", InstanceEventCycleStatus__2=status)])

    def test_pages(self):
        rows = [r["EventId"] for r in self.rows()]
        seen = []
        for n in range(1, 20):
            body = self.events(PageNumber=n, PageSize=5)
            self.assertEqual((body["TotalCount"], body["PageNumber"], body["PageSize"]), (len(rows), n, 5))
            seen += [r["EventId"] for r in body["InstanceSystemEventSet"]["InstanceSystemEventType"]]
        self.assertEqual(seen, rows)
        body, seen = self.events(MaxResults=5), []
        token = body["NextToken"]
        while True:
            seen += [r["EventId"] for r in body["InstanceSystemEventSet"]["InstanceSystemEventType"]]
            if not body["NextToken"]:
                break
            body = self.events(MaxResults=5, NextToken=body["NextToken"])
        self.assertEqual(seen, rows)
        for params in ({"InstanceId": self.ids[0]}, {"EventType": "AccountUnbalanced.Stop"}, {"RegionId": OTHER_REGION}):
            body = self.call("DescribeInstanceHistoryEvents", status=400, **{"RegionId": REGION, "MaxResults": 5, "NextToken": token, **params})
            self.assertEqual(body["Code"], "InvalidParameter")

    def test_errors(self):
        for params, code in (({f"EventId__{n}": "e-1" for n in range(1, 102)}, "EventIdLimitExceeded"), ({"EventType": "x"}, "InvalidParameter"),
                             ({"EventCycleStatus": "x"}, "InvalidParameter"), ({"NotBefore__Start": "x"}, "InvalidParameter"),
                             ({"EventPublishTime__Start": "2020-01-02T00:00:00Z", "EventPublishTime__End": "2020-01-01T00:00:00Z"},
                              "InvalidParameter.TimeEndBeforeStart")):
            with self.subTest(code=code):
                self.refuses("DescribeInstanceHistoryEvents", code, 403, RegionId=REGION, **params)


class Tenants(DescribeTest):
    def test_nobody_sees_what_is_not_theirs(self):
        i = self.running_instance(Tag__1__Key="mine", Tag__1__Value="yes", InstanceName="mine", InternetMaxBandwidthOut=1)
        row = self.instance(i)
        [disk] = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"]
        self.ecs.ctl("sim", "guest", i, "crash")
        _, who = self.other_account()

        def ask(action, **params):
            return self.ecs.v3(action, {"RegionId": REGION, **{k.replace("__", "."): v for k, v in params.items()}}, **who)
        for params in ({}, {"InstanceIds": json.dumps([i])}, {"InstanceName": "mine"}, {"Tag__1__Key": "mine"}, {"Status": "Running"},
                       {"VpcId": row["VpcAttributes"]["VpcId"]}, {"VSwitchId": row["VpcAttributes"]["VSwitchId"]}, {"MaxResults": 10},
                       {"SecurityGroupId": row["SecurityGroupIds"]["SecurityGroupId"][0]}, {"ImageId": row["ImageId"]},
                       {"PublicIpAddresses": json.dumps(row["PublicIpAddress"]["IpAddress"])}, {"ZoneId": row["ZoneId"]},
                       {"PrivateIpAddresses": json.dumps(row["VpcAttributes"]["PrivateIpAddress"]["IpAddress"])},
                       {"InstanceType": row["InstanceType"]}, {"InstanceChargeType": "PostPaid"}):
            body = ask("DescribeInstances", **params).json
            self.assertEqual((body["TotalCount"], body["Instances"]), (0, {"Instance": []}), params)
        for params in ({}, {"InstanceId__1": i}, {"ZoneId": row["ZoneId"]}):
            body = ask("DescribeInstanceStatus", **params).json
            self.assertEqual((body["TotalCount"], body["InstanceStatuses"]), (0, {"InstanceStatus": []}))
        for params in ({}, {"InstanceId": i}, {"DiskIds": json.dumps([disk["DiskId"]])}, {"Tag__1__Key": "mine"}):
            body = ask("DescribeDisks", **params).json
            self.assertEqual((body["TotalCount"], body["Disks"]), (0, {"Disk": []}))
        for params in ({}, {"InstanceId": i}, {"ResourceId__1": i, "ResourceId__2": "i-x"}):
            self.assertEqual(ask("DescribeInstanceHistoryEvents", **params).json["TotalCount"], 0)
        for params in ({}, {"ResourceId__1": i}, {"Tag__1__Key": "mine"}, {"TagFilter__1__TagKey": "mine"}):
            self.assertEqual(ask("ListTagResources", ResourceType="instance", **params).json["TagResources"], {"TagResource": []})
        for action in ("DescribeInstanceAttribute", "DescribeUserData", "ModifyInstanceAttribute", "StopInstance"):
            reply = ask(action, InstanceId=i)
            self.assertEqual((reply.status, reply.code), (404, "InvalidInstanceId.NotFound"), action)
        for action in ("TagResources", "UntagResources"):
            for kind, name in (("instance", i), ("disk", disk["DiskId"])):
                reply = ask(action, ResourceType=kind, ResourceId__1=name, Tag__1__Key="theirs", TagKey__1="mine")
                self.assertEqual((reply.status, reply.code), (404, "InvalidResourceId.NotFound"))
        self.assertEqual(self.instance(i)["Tags"]["Tag"], [{"TagKey": "mine", "TagValue": "yes"}])


class Sessions(unittest.TestCase):
    """A virtual clock: sessions last a quarter of an hour at least."""

    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("--clock", "virtual")
        cls.skew = 0
        cls.account = cls.ask("GetCallerIdentity").json["AccountId"]

    @classmethod
    def tearDownClass(cls):
        cls.d.close()

    @classmethod
    def ask(cls, action, params=None, version=STS, **who):
        clock = json.loads(cls.d.ctl("clock", "show", "--json"))
        now = next(v for v in clock.values() if isinstance(v, str) and v.endswith("Z"))
        return cls.d.v3(action, params or {}, version=version, date=now, **who)

    def assume(self, **params):
        reply = self.ask("AssumeRole", {"RoleArn": f"acs:ram::{self.account}:role/ops", "RoleSessionName": "alice", **params})
        self.assertEqual(reply.status, 200, reply)
        body = reply.json
        credentials = body["Credentials"]
        return body, {"key": credentials["AccessKeyId"], "secret": credentials["AccessKeySecret"], "token": credentials["SecurityToken"]}

    def assert_error(self, reply, status, code, message=None):
        self.assertEqual((reply.status, reply.code), (status, code), reply)
        if message:
            self.assertEqual(reply.json["Message"], message)
        return reply.json

    def test_identity(self):
        body = self.ask("GetCallerIdentity").json
        self.assertEqual((body["Arn"], body["IdentityType"], body["UserId"], body["PrincipalId"]),
                         (f"acs:ram::{self.account}:root", "Account", self.account, self.account))
        for name, value in body.items():
            self.assertIs(type(value), str, name)

    def test_session(self):
        body, who = self.assume()
        self.assertEqual(body["AssumedRoleUser"]["Arn"], f"acs:ram::{self.account}:role/ops/alice".replace(":role/", ":assumed-role/"))
        self.assertTrue(body["AssumedRoleUser"]["AssumedRoleId"].endswith(":alice"))
        self.assertRegex(body["Credentials"]["Expiration"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertTrue(who["key"].startswith("STS."))
        self.assertEqual(self.ask("DescribeRegions", version="2014-05-26", **who).status, 200)
        identity = self.ask("GetCallerIdentity", **who).json
        self.assertEqual((identity["AccountId"], identity["IdentityType"], identity["Arn"], identity["PrincipalId"]),
                         (self.account, "AssumedRoleUser", body["AssumedRoleUser"]["Arn"], body["AssumedRoleUser"]["AssumedRoleId"]))
        self.assertEqual(identity["RoleId"], identity["PrincipalId"].split(":")[0])

    def test_token(self):
        _, who = self.assume()
        _, other = self.assume(RoleSessionName="bob")
        plain = {"key": who["key"], "secret": who["secret"]}
        self.assert_error(self.ask("GetCallerIdentity", **plain), 400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        self.assert_error(self.ask("GetCallerIdentity", **{**who, "token": other["token"]}), 400, "InvalidSecurityToken.MismatchWithAccessKey")
        self.assert_error(self.ask("GetCallerIdentity", **{**who, "token": who["token"][:-1]}), 400, "InvalidSecurityToken.MismatchWithAccessKey")
        self.assert_error(self.ask("GetCallerIdentity", **{**who, "token": "a b"}), 400, "InvalidSecurityToken.Malformed")
        self.assert_error(self.ask("GetCallerIdentity", **{**who, "secret": "x"}), 400, "SignatureDoesNotMatch")

    def test_policy(self):
        policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}]}
        _, who = self.assume(Policy=json.dumps(policy))
        self.assertEqual(self.ask("DescribeInstances", {"RegionId": REGION}, "2014-05-26", **who).status, 200)
        body = self.assert_error(self.ask("StopInstance", {"InstanceId": "i-1"}, "2014-05-26", **who), 403, "Forbidden.RAM")
        detail = body["AccessDeniedDetail"]
        self.assertEqual((detail["AuthAction"], detail["AuthPrincipalType"], detail["AuthPrincipalOwnerId"]),
                         ("ecs:StopInstance", "AssumedRoleUser", self.account))
        self.assertEqual(self.ask("AssumeRole", {"RoleArn": f"acs:ram::{self.account}:role/ops", "RoleSessionName": "wider"}, **who).status, 403,
                         "no way to more than one has")

    def test_expiry(self):
        _, short = self.assume(DurationSeconds=900)
        _, long = self.assume(DurationSeconds=43200)
        self.d.ctl("clock", "advance", "890s")
        self.assertEqual(self.ask("GetCallerIdentity", **short).status, 200)
        self.d.ctl("clock", "advance", "11s")
        self.assert_error(self.ask("GetCallerIdentity", **short), 400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        self.assertEqual(self.ask("GetCallerIdentity", **long).status, 200)
        self.d.ctl("clock", "advance", "1h")
        self.assertIn(self.ask("GetCallerIdentity", **short).code, ("InvalidSecurityToken.Expired", "InvalidAccessKeyId.NotFound"))

    def test_errors(self):
        arn = f"acs:ram::{self.account}:role/ops"
        for params, status, code in (({"RoleArn": ""}, 400, "MissingParameter"), ({"RoleSessionName": ""}, 400, "MissingParameter"),
                                     ({"RoleArn": "ops"}, 400, "InvalidParameter.RoleArn"), ({"RoleArn": arn.replace("role", "user")}, 400,
                                                                                            "InvalidParameter.RoleArn"),
                                     ({"RoleArn": "acs:ram::1:role/ops"}, 403, "NoPermission"),
                                     ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
                                     ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName"),
                                     ({"DurationSeconds": 899}, 400, "InvalidParameter.DurationSeconds"),
                                     ({"DurationSeconds": 43201}, 400, "InvalidParameter.DurationSeconds"),
                                     ({"Policy": "allow all"}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": "{nonsense}"}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": "{}"}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": '{"Statement":[{"Effect":"Maybe","Action":"*"}]}'}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": '{"Statement":[{"Effect":"Allow"}]}'}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": '{"Statement":["x"]}'}, 400, "InvalidParameter.PolicyGrammar"),
                                     ({"Policy": "{" + " " * 4100 + "}"}, 400, "InvalidParameter.PolicySize")):
            with self.subTest(**params):
                self.assert_error(self.ask("AssumeRole", {"RoleArn": arn, "RoleSessionName": "alice", **params}), status, code)


if __name__ == "__main__":
    unittest.main()
