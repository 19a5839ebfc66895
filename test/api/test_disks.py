# SPDX-License-Identifier: Apache-2.0
"""Cloud disks that come and go: every row of the pages, over a real socket; guests that hold on, hosts that are lost, kill -9."""

import json
import random
import time
import uuid

from harness import REGION, SLOW
from test_lifecycle import STATUS_TEXT, ZONE, DocumentedTest

HOST = "host-1"
NOT_FOUND = "The specified disk does not exist."
EMPTY = "The input parameter is mandatory for processing this request is empty."


class DisksTest(DocumentedTest):
    settings = {"sim.boot_s": "0.02", "sim.shutdown_s": "0.02", "stop.press_interval_s": "1", "engine.retry_max_s": "1"}

    def disk(self, **params):
        return self.call("CreateDisk", **{"RegionId": REGION, "ZoneId": ZONE, "Size": 20, "DiskCategory": "cloud_essd", **params})["DiskId"]

    def describe(self, disk_id):
        found = self.call("DescribeDisks", RegionId=REGION, DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
        return found[0] if found else None

    def disk_status(self, disk_id):
        found = self.describe(disk_id)
        return found and found["Status"]

    def await_disk(self, disk_id, wanted, seconds=15):
        """Polls as clients do; None means gone. Returns the row."""
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            found = self.describe(disk_id)
            if (found and found["Status"]) == wanted:
                return found
            time.sleep(0.005)
        self.fail(f"{disk_id} is {found}, not {wanted}; log: {self.ecs.log_text()[-1500:]}")

    def running(self, **params):
        return self.running_instance(ZoneId=ZONE, **params)

    def stopped(self, **params):
        return self.stopped_instance(ZoneId=ZONE, **params)

    def attached(self, instance_id, **params):
        d = self.disk(**params)
        self.call("AttachDisk", InstanceId=instance_id, DiskId=d)
        self.await_disk(d, "In_use")
        return d

    def disks_of(self, instance_id):
        disks = self.call("DescribeDisks", RegionId=REGION, InstanceId=instance_id, PageSize=100)["Disks"]["Disk"]
        return sorted(disks, key=lambda d: d["Device"])

    def guest(self, instance_id, setting):
        self.ecs.ctl("sim", "guest", instance_id, setting)

    def host(self, state):
        self.ecs.ctl("sim", "host", HOST, state)


class Life(DisksTest):
    def test_a_disk_from_birth_to_death(self):
        i = self.running()
        d = self.disk(DiskName="the-disk", Description="for data", Tag__1__Key="k", Tag__1__Value="v")
        shown = self.describe(d)
        self.assertEqual((shown["Status"], shown["InstanceId"], shown["Device"], shown["Size"], shown["Type"], shown["Category"],
                          shown["ZoneId"], shown["DiskName"], shown["Description"], shown["PerformanceLevel"], shown["Portable"],
                          shown["DeleteWithInstance"], shown["DiskChargeType"], shown["Tags"]["Tag"], shown["DetachedTime"]),
                         ("Available", "", "", 20, "data", "cloud_essd", ZONE, "the-disk", "for data", "PL1", True, False, "PostPaid",
                          [{"TagKey": "k", "TagValue": "v"}], ""))
        self.assertEqual(sorted(self.call("AttachDisk", InstanceId=i, DiskId=d)), ["RequestId"])
        shown = self.await_disk(d, "In_use")
        self.assertEqual((shown["InstanceId"], shown["Device"], shown["DeleteWithInstance"]), (i, "/dev/xvdb", False))
        self.assertRegex(shown["AttachedTime"], r"^\d{4}-")
        self.assertEqual([a["InstanceId"] for a in shown["Attachments"]["Attachment"]], [i])
        self.assertEqual(self.status_of(i), "Running")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        shown = self.await_disk(d, "Available")
        self.assertEqual((shown["InstanceId"], shown["Device"], shown["AttachedTime"], shown["Attachments"]["Attachment"]), ("", "", "", []))
        self.assertRegex(shown["DetachedTime"], r"^\d{4}-")
        self.assertEqual(self.status_of(i), "Running")
        self.call("DeleteDisk", DiskId=d)
        self.assertIsNone(self.describe(d))
        self.refuses("DeleteDisk", DiskId=d, code="InvalidDiskId.NotFound", status=404, message=NOT_FOUND)

    def test_a_stopped_instance_has_it_at_once(self):
        i = self.stopped()
        d = self.disk()
        self.call("AttachDisk", InstanceId=i, DiskId=d, DeleteWithInstance=True)
        shown = self.describe(d)
        self.assertEqual((shown["Status"], shown["InstanceId"], shown["DeleteWithInstance"]), ("In_use", i, True))
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.call("DetachDisk", InstanceId=i, DiskId=d, DeleteWithInstance=False)
        self.assertFalse(self.await_disk(d, "Available")["DeleteWithInstance"])
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual(len(self.disks_of(i)), 1)

    def test_after_an_economical_stop(self):
        i = self.running()
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
        self.await_status(i, "Stopped")
        d, other = self.disk(), self.disk()
        for disk_id in (d, other):
            self.call("AttachDisk", InstanceId=i, DiskId=disk_id)
        self.call("DetachDisk", InstanceId=i, DiskId=other)
        self.assertEqual((self.disk_status(d), self.disk_status(other)), ("In_use", "Available"))

    def test_devices_in_order_and_gaps_first(self):
        i = self.running(DataDisk__1__Size=20)
        ids = [self.attached(i, **{}) for _ in range(3)]
        self.assertEqual([d["Device"] for d in self.disks_of(i)], ["/dev/xvda", "/dev/xvdb", "/dev/xvdc", "/dev/xvdd", "/dev/xvde"])
        self.call("DetachDisk", InstanceId=i, DiskId=ids[0])
        self.await_disk(ids[0], "Available")
        d = self.disk()
        self.call("AttachDisk", InstanceId=i, DiskId=d, Device="/dev/xvdz")
        self.assertEqual(self.await_disk(d, "In_use")["Device"], "/dev/xvdc")

    def test_released_with_or_without_the_instance(self):
        i = self.running()
        goes, stays = self.disk(), self.disk()
        self.call("AttachDisk", InstanceId=i, DiskId=goes, DeleteWithInstance=True)
        self.call("AttachDisk", InstanceId=i, DiskId=stays)
        for d in (goes, stays):
            self.await_disk(d, "In_use")
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.await_disk(stays, "Available")
        self.await_disk(goes, None)

    def test_a_disk_goes_from_one_to_the_other(self):
        i, j = self.running(), self.running()
        d = self.attached(i)
        self.refuses("AttachDisk", InstanceId=j, DiskId=d, code="InvalidDisk.InUse", status=404,
                     message="The specified disk has been occupied.")
        self.refuses("DetachDisk", InstanceId=j, DiskId=d, code="DependencyViolation", status=403,
                     message="The specified disk has not been attached on the specified instance.")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.await_disk(d, "Available")
        self.call("AttachDisk", InstanceId=j, DiskId=d)
        self.assertEqual(self.await_disk(d, "In_use")["InstanceId"], j)


class Guests(DisksTest):
    def test_one_that_holds_on(self):
        i = self.running()
        d = self.attached(i)
        self.guest(i, "hold-disks=on")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.assertEqual(self.disk_status(d), "Detaching")
        for action in ("StopInstance", "RebootInstance"):
            self.refuses(action, InstanceId=i, code="DiskError", status=403)
        self.refuses("DetachDisk", InstanceId=i, DiskId=d, code="IncorrectDiskStatus", status=403,
                     message="The current disk status does not support this operation.")
        self.refuses("DeleteDisk", DiskId=d, code="IncorrectDiskStatus", status=403,
                     message="The current disk status does not support this operation.")
        self.refuses("AttachDisk", InstanceId=i, DiskId=d, code="IncorrectDiskStatus", status=403,
                     message="The operation is not supported in this status.")
        self.refuses("ResizeDisk", DiskId=d, NewSize=40, code="IncorrectDiskStatus", status=403)
        self.guest(i, "hold-disks=off")
        self.await_disk(d, "Available")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")

    def test_one_that_goes_off_meanwhile(self):
        i = self.running()
        d = self.attached(i)
        self.guest(i, "hold-disks=on")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.ecs.ctl("sim", "guest", i, "poweroff")
        self.await_status(i, "Stopped")
        self.await_disk(d, "Available")

    def test_released_while_it_is_detached(self):
        i = self.running()
        d = self.disk()
        self.call("AttachDisk", InstanceId=i, DiskId=d, DeleteWithInstance=True)
        self.await_disk(d, "In_use")
        self.guest(i, "hold-disks=on")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.await_disk(d, "Available")


class LostHost(DisksTest):
    def test_it_holds_up_only_what_is_its_own(self):
        i, j = self.running(), self.running_instance(ZoneId="cn-hangzhou-i")
        d, other = self.disk(), self.disk(ZoneId="cn-hangzhou-i")
        self.host("down")
        try:
            self.call("AttachDisk", InstanceId=i, DiskId=d)
            self.call("AttachDisk", InstanceId=j, DiskId=other)
            self.await_disk(other, "In_use")
            self.call("DetachDisk", InstanceId=j, DiskId=other)
            self.await_disk(other, "Available")
            self.call("DeleteDisk", DiskId=other)
            self.assertEqual(self.disk_status(d), "Attaching")
            jobs = json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"]
            self.assertIn(("attach-disk", "active", i), [(x["Kind"], x["State"], x["InstanceId"]) for x in jobs])
        finally:
            self.host("up")
        self.await_disk(d, "In_use")


class Crash(DisksTest):
    def test_orders_survive_at_any_moment(self):
        chance = random.Random(3)
        i = self.running()
        for _ in range(6):
            coming, going, dying = self.disk(), self.attached(i), self.disk()
            self.call("AttachDisk", InstanceId=i, DiskId=coming)
            self.call("DetachDisk", InstanceId=i, DiskId=going)
            self.call("DeleteDisk", DiskId=dying)
            time.sleep(chance.choice((0, 0.001, 0.003, 0.02)))
            self.ecs.kill()
            self.ecs.start()
            self.assertIn(self.disk_status(coming), ("Attaching", "In_use"))
            self.assertIn(self.disk_status(going), ("Detaching", "Available"))
            self.assertIsNone(self.describe(dying))
            self.await_disk(coming, "In_use")
            self.await_disk(going, "Available")
            self.call("DetachDisk", InstanceId=i, DiskId=coming)
            self.await_disk(coming, "Available")
            self.assertEqual(self.status_of(i), "Running")
        self.assertEqual([x for x in json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"] if x["State"] == "active"], [])

    def test_what_waits_is_carried_on(self):
        i = self.running()
        d, other = self.attached(i), self.disk()
        self.guest(i, "hold-disks=on")
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.disk_status(d), "Detaching")
        self.guest(i, "hold-disks=off")
        self.await_disk(d, "Available")
        self.host("down")
        self.call("AttachDisk", InstanceId=i, DiskId=other)
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.disk_status(other), "Attaching")
        self.host("up")
        self.assertEqual(self.await_disk(other, "In_use", 20)["InstanceId"], i)


class Refused(DisksTest):
    def create_refused(self, code, status, message=None, **params):
        params = {"RegionId": REGION, "ZoneId": ZONE, "Size": 20, **params}
        self.refuses("CreateDisk", code, status, message, **{k: v for k, v in params.items() if v is not None})

    def total(self):
        return self.call("DescribeDisks", RegionId=REGION)["TotalCount"]

    def test_create(self):
        before = self.total()
        for params, status, code, message in (
                ({"RegionId": None}, 400, "MissingParameter", None), ({"ZoneId": None}, 400, "MissingParameter", None),
                ({"RegionId": "mars-1"}, 404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."),
                ({"ZoneId": "mars-1a"}, 404, "InvalidZoneId.NotFound", "The specified zone does not exist."),
                ({"ZoneId": "cn-beijing-g"}, 404, "InvalidZoneId.NotFound", None),
                ({"Size": None}, 400, "MissingParameter", "The input parameter either SnapshotId or Size should be specified."),
                ({"Size": 4}, 400, "InvalidSize.ValueNotSupported", "The specified parameter Size is not valid."),
                ({"Size": 2001}, 400, "InvalidSize.ValueNotSupported", None), ({"Size": "x"}, 400, "InvalidSize.ValueNotSupported", None),
                ({"Size": 19, "DiskCategory": "cloud_ssd"}, 400, "InvalidSize.ValueNotSupported", None),
                ({"Size": 32769, "DiskCategory": "cloud_essd"}, 400, "InvalidSize.ValueNotSupported", None),
                ({"DiskCategory": "x"}, 400, "InvalidDiskCategory.ValueNotSupported", "The specified parameter DiskCategory is not valid."),
                ({"DiskCategory": "local_ssd_pro"}, 403, "InvalidDataDiskCategory.NotSupported", "Specified disk category is not supported."),
                ({"DiskName": "1"}, 400, "InvalidDiskName.Malformed", "The specified disk name is wrongly formed."),
                ({"Description": "http://x"}, 400, "InvalidDescription.Malformed", "The specified description is wrongly formed."),
                ({"PerformanceLevel": "PL9"}, 400, "InvalidPerformanceLevel.Malformed", "The specified parameter PerformanceLevel is not valid."),
                ({"SnapshotId": "s-1"}, 404, "InvalidSnapshotId.NotFound", "The specified SnapshotId does not exist."),
                ({"InstanceId": "i-1"}, 403, "InvalidPayMethod", "The specified pay method is not valid."),
                ({"Encrypted": True}, 400, "InvalidParameter.EncryptedNotSupported", "Encrypted disk is not support in this region."),
                ({"MultiAttach": "x"}, 403, "InvalidParameter.MultiAttach", "The specified param MultiAttach is not valid."),
                ({"MultiAttach": "Enabled"}, 403, "InvalidParameter.DiskCategoryAndMultiAttachNotMatch", None),
                ({"StorageSetId": "ss-1"}, 400, "UnsupportedParameter", None),
                ({"Tag__1__Key": "acs:x"}, 400, "InvalidTagKey.Malformed", None),
                ({"Tag__1__Key": "a", "Tag__2__Key": "a"}, 400, "Duplicate.TagKey", None)):
            with self.subTest(**params):
                self.create_refused(code, status, message, **params)
        self.assertEqual(self.total(), before)

    def test_create_defaults(self):
        d = self.call("CreateDisk", RegionId=REGION, ZoneId=ZONE, Size=5)["DiskId"]
        shown = self.describe(d)
        self.assertEqual((shown["Category"], shown["Size"], shown["PerformanceLevel"], shown["DiskName"]), ("cloud", 5, "", ""))
        self.assertEqual(self.describe(self.disk(PerformanceLevel="PL0"))["PerformanceLevel"], "PL0")

    def test_attach(self):
        i = self.running()
        [system] = self.disks_of(i)
        d = self.disk()
        far = self.disk(ZoneId="cn-hangzhou-i")
        for params, status, code, message in (
                ({"DiskId": d}, 400, "InvalidParameter", EMPTY), ({"InstanceId": i}, 400, "InvalidParameter", EMPTY),
                ({"InstanceId": i, "DiskId": "d-none"}, 404, "InvalidDiskId.NotFound", NOT_FOUND),
                ({"InstanceId": "i-none", "DiskId": d}, 404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist."),
                ({"InstanceId": i, "DiskId": system["DiskId"]}, 403, "DiskNotPortable", "The specified disk is not a portable disk."),
                ({"InstanceId": i, "DiskId": far}, 403, "ResourcesNotInSameZone",
                 "The specified instance and disk are not in the same zone."),
                ({"InstanceId": i, "DiskId": d, "Bootable": True}, 400, "UnsupportedParameter", None),
                ({"InstanceId": i, "DiskId": d, "Password": "Sesame-Open-1x"}, 400, "UnsupportedParameter", None)):
            with self.subTest(**params):
                self.refuses("AttachDisk", code, status, message, **params)
        self.assertEqual(self.disk_status(d), "Available")

    def test_local_disks_stay(self):
        i = self.running(InstanceType="ecs.i1.xlarge")
        local = self.disks_of(i)[1]
        other = self.running()
        self.refuses("AttachDisk", InstanceId=other, DiskId=local["DiskId"], code="DiskCategory.OperationNotSupported", status=400,
                     message="The operation is not supported to the specified disk due to its disk category")
        self.refuses("DetachDisk", InstanceId=i, DiskId=local["DiskId"], code="DiskNotPortable", status=403)
        self.refuses("DeleteDisk", DiskId=local["DiskId"], code="DiskNotPortable", status=403)
        self.refuses("ResizeDisk", DiskId=local["DiskId"], NewSize=9999, code="OperationDenied", status=403)
        self.refuses("ModifyDiskAttribute", DiskId=local["DiskId"], DeleteWithInstance=False, code="DiskNotPortable", status=403)
        d = self.attached(i)
        self.assertEqual(self.describe(d)["Device"], "/dev/xvd" + "abcdef"[len(self.disks_of(i)) - 1])

    def test_instances_that_are_on_their_way(self):
        i = self.running()
        d, other = self.attached(i), self.disk()
        self.guest(i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        self.refuses("AttachDisk", InstanceId=i, DiskId=other, code="IncorrectInstanceStatus", status=400, message=STATUS_TEXT)
        self.refuses("DetachDisk", InstanceId=i, DiskId=d, code="IncorrectInstanceStatus", status=403, message=STATUS_TEXT)
        self.refuses("ResizeDisk", DiskId=d, NewSize=40, code="IncorrectInstanceStatus", status=403, message=STATUS_TEXT)
        self.ecs.ctl("sim", "guest", i, "crash")
        self.await_status(i, "Stopped")

    def test_locks(self):
        i = self.running()
        d, other = self.attached(i), self.disk()
        self.ecs.ctl("instance", "lock", i, "security")
        self.refuses("AttachDisk", InstanceId=i, DiskId=other, code="InstanceLockedForSecurity", status=403,
                     message="The instance is locked due to security.")
        self.refuses("DetachDisk", InstanceId=i, DiskId=d, code="InstanceLockedForSecurity", status=403)
        self.refuses("ResizeDisk", DiskId=d, NewSize=40, code="InstanceLockedForSecurity", status=403)
        self.ecs.ctl("instance", "unlock", i)
        self.ecs.ctl("instance", "lock", i, "financial")
        self.refuses("AttachDisk", InstanceId=i, DiskId=other, code="InstanceExpiredOrInArrears", status=403)
        self.refuses("ResizeDisk", DiskId=d, NewSize=40, code="InstanceExpiredOrInArrears", status=403)
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.await_disk(d, "Available")

    def test_an_instance_has_only_so_many(self):
        i = self.stopped()
        ids = [self.disk() for _ in range(17)]
        taken = []
        for d in ids:
            reply = self.ecs.v3("AttachDisk", {"InstanceId": i, "DiskId": d})
            if reply.status != 200:
                self.assertEqual((reply.status, reply.code), (403, "InstanceDiskLimitExceeded"))
                break
            taken.append(d)
        self.assertEqual(len(self.disks_of(i)), len(taken) + 1)
        self.assertLessEqual(len(taken), 16)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")

    def test_detach_and_delete(self):
        i = self.running()
        [system] = self.disks_of(i)
        d = self.attached(i)
        self.refuses("DetachDisk", DiskId=d, code="InvalidParameter", status=400, message=EMPTY)
        self.refuses("DetachDisk", InstanceId=i, DiskId="d-none", code="InvalidDiskId.NotFound", status=404, message=NOT_FOUND)
        self.refuses("DetachDisk", InstanceId="i-none", DiskId=d, code="InvalidInstanceId.NotFound", status=404)
        self.refuses("DetachDisk", InstanceId=i, DiskId=system["DiskId"], code="DiskTypeViolation", status=403,
                     message="The specified disk is a system disk and cannot support the operation.")
        self.refuses("DeleteDisk", DiskId=system["DiskId"], code="DiskTypeViolation", status=403)
        self.refuses("DeleteDisk", DiskId=d, code="DiskStillAttached", status=403, message="The disk is still attached to the disk.")
        self.refuses("DeleteDisk", code="MissingParameter", status=400)
        self.call("DetachDisk", InstanceId=i, DiskId=d)
        self.await_disk(d, "Available")
        self.refuses("DetachDisk", InstanceId=i, DiskId=d, code="InvalidDisk.AlreadyDetached", status=404,
                     message="The specified disk has been detached.")

    def test_the_disks_of_others_are_not_there(self):
        d = self.disk()
        account = json.loads(self.ecs.ctl("account", "create", "others", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", account["AccountId"], "--json"))
        who = {"key": key["AccessKeyId"], "secret": key["AccessKeySecret"]}
        for action, params in (("DeleteDisk", {}), ("ModifyDiskAttribute", {"DiskName": "mine"}), ("ResizeDisk", {"NewSize": 40}),
                               ("AttachDisk", {"InstanceId": "i-1"}), ("DetachDisk", {"InstanceId": "i-1"})):
            reply = self.ecs.v3(action, {"DiskId": d, **params}, **who)
            self.assertEqual((reply.status, reply.code, reply.json["Message"]), (404, "InvalidDiskId.NotFound", NOT_FOUND), action)
        self.assertEqual(self.disk_status(d), "Available")


class Change(DisksTest):
    def test_attributes(self):
        i = self.running()
        d = self.attached(i)
        self.call("ModifyDiskAttribute", DiskId=d, DiskName="new-name", Description="new words", DeleteWithInstance=True)
        shown = self.describe(d)
        self.assertEqual((shown["DiskName"], shown["Description"], shown["DeleteWithInstance"]), ("new-name", "new words", True))
        self.call("ModifyDiskAttribute", RegionId=REGION, DiskId=d, DiskName="", DeleteWithInstance=False)
        shown = self.describe(d)
        self.assertEqual((shown["DiskName"], shown["Description"], shown["DeleteWithInstance"]), ("", "new words", False))
        self.call("ModifyDiskAttribute", DiskId=d, EnableAutoSnapshot=True)

    def test_several_or_none(self):
        d, other = self.disk(), self.disk()
        self.call("ModifyDiskAttribute", DiskIds__1=d, DiskIds__2=other, DiskName="both")
        self.assertEqual([self.describe(x)["DiskName"] for x in (d, other)], ["both", "both"])
        self.refuses("ModifyDiskAttribute", DiskIds__1=d, DiskIds__2="d-none", DiskName="neither", code="InvalidDiskId.NotFound", status=404)
        self.assertEqual(self.describe(d)["DiskName"], "both")

    def test_refused(self):
        i = self.running()
        [system] = self.disks_of(i)
        d = self.disk()
        for params, status, code, message in (
                ({"DiskName": "name"}, 400, "IncompleteParamter", "Some fields can not be null in this request."),
                ({"DiskId": d}, 400, "NoAttributeToModify", "No attribute to be modified in this request."),
                ({"DiskId": d, "DiskName": "x"}, 400, "InvalidDiskName.Malformed", "The specified disk name is wrongly formed."),
                ({"DiskId": d, "Description": "x"}, 404, "InvalidDescription.Malformed", "The specified description is wrongly formed."),
                ({"DiskId": d, "DiskName": "name", "RegionId": "mars"}, 400, "InvalidRegionId.MalFormed", "The specified RegionId is not valid"),
                ({"DiskId": "d-none", "DiskName": "name"}, 404, "InvalidDiskId.NotFound", NOT_FOUND),
                ({"DiskId": system["DiskId"], "DeleteWithInstance": False}, 403, "DiskNotPortable", None)):
            with self.subTest(**params):
                self.refuses("ModifyDiskAttribute", code, status, message, **params)

    def test_size(self):
        i = self.running()
        d, free = self.attached(i), self.disk()
        for disk_id in (d, free):
            self.call("ResizeDisk", DiskId=disk_id, NewSize=40)
            self.assertEqual(self.describe(disk_id)["Size"], 40)
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.call("ResizeDisk", DiskId=d, NewSize=60, Type="offline")
        self.call("ResizeDisk", DiskId=self.disks_of(i)[0]["DiskId"], NewSize=50)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual([x["Size"] for x in self.disks_of(i)], [50, 60])
        for params, status, code, message in (
                ({}, 400, "IncompleteParamter", "Some fields can not be null in this request."),
                ({"NewSize": 59}, 403, "InvalidDiskSize.TooSmall", "Specified new disk size is less than the original disk size."),
                ({"NewSize": 60}, 403, "InvalidDiskSize", "Specified new disk size is less than or equal the original disk size."),
                ({"NewSize": 32769}, 403, "InvalidDiskSize.TooLarge", "Specified new disk size is beyond the permitted range."),
                ({"NewSize": 80, "Type": "online"}, 403, "InvalidRegion.NotSupport", "The specified region does not support resize online."),
                ({"NewSize": 80, "Type": "x"}, 400, "InvalidParam.Type", "The specified type is not supported."),
                ({"NewSize": 80, "DiskId": "d-none"}, 404, "InvalidDiskId.NotFound", NOT_FOUND)):
            with self.subTest(**params):
                self.refuses("ResizeDisk", code, status, message, **{"DiskId": d, **params})
        self.assertEqual(self.describe(d)["Size"], 60)

    def test_the_same_token_does_it_once(self):
        token = uuid.uuid4().hex
        d = self.disk(ClientToken=token)
        self.assertEqual(self.disk(ClientToken=token), d)
        self.refuses("CreateDisk", RegionId=REGION, ZoneId=ZONE, Size=21, ClientToken=token, code="IdempotentParameterMismatch", status=400)
        for _ in range(2):
            self.call("ResizeDisk", DiskId=d, NewSize=30, ClientToken=token + "r")
        self.refuses("ResizeDisk", DiskId=d, NewSize=30, code="InvalidDiskSize", status=403)

    def refuses(self, action, code, status, message=None, **params):
        if code == "IdempotentParameterMismatch":  # any call with a token may meet it
            return super(DocumentedTest, self).refuses(action, code, status, message, **params)
        return super().refuses(action, code, status, message, **params)


class Quota(DisksTest):
    settings = {**DisksTest.settings, "quota.disks": "4"}

    def test_all_disks_count(self):
        i = self.running()
        ids = [self.disk() for _ in range(3)]
        params = {"RegionId": REGION, "ZoneId": ZONE, "Size": 20}
        text = "The quota of portable cloud disk exceeds."
        self.refuses("CreateDisk", **params, code="QuotaExceed.PortableCloudDisk", status=403, message=text)
        self.call("DeleteDisk", DiskId=ids[0])
        self.disk()
        self.refuses("CreateDisk", **params, code="QuotaExceed.PortableCloudDisk", status=403)
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.ecs.restart()
        self.disk()
        self.refuses("CreateDisk", **params, code="QuotaExceed.PortableCloudDisk", status=403)


class Policy(DisksTest):
    def key(self, *resources):
        statement = [{"Effect": "Allow", "Action": "ecs:*", "Resource": list(resources)}]
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        made = json.loads(self.ecs.ctl("key", "create", account, "policy=" + json.dumps({"Statement": statement}), "--json"))
        return {"key": made["AccessKeyId"], "secret": made["AccessKeySecret"]}

    def test_disk_and_instance_have_to_be_allowed(self):
        i = self.running()
        d, other = self.disk(), self.disk()
        instance, mine = f"acs:ecs:*:*:instance/{i}", f"acs:ecs:*:*:disk/{d}"
        for who, disk_id in ((self.key(instance), d), (self.key(mine), d), (self.key(instance, mine), other)):
            reply = self.ecs.v3("AttachDisk", {"InstanceId": i, "DiskId": disk_id}, **who)
            self.assertEqual((reply.status, reply.code), (403, "Forbidden.RAM"))
        both = self.key(instance, mine)
        self.assertEqual(self.ecs.v3("AttachDisk", {"InstanceId": i, "DiskId": d}, **both).status, 200)
        self.await_disk(d, "In_use")
        self.assertEqual(self.ecs.v3("DetachDisk", {"InstanceId": i, "DiskId": d}, **both).status, 200)
        self.await_disk(d, "Available")
        for params in ({"DiskId": other}, {"DiskIds.1": d, "DiskIds.2": other}, {"DiskId": d, "DiskIds.1": other}):
            reply = self.ecs.v3("ModifyDiskAttribute", {**params, "DiskName": "name"}, **both)
            self.assertEqual((reply.status, reply.code), (403, "Forbidden.RAM"), params)
        for params in ({"DiskId": d}, {"DiskIds.1": d}):
            self.assertEqual(self.ecs.v3("ModifyDiskAttribute", {**params, "DiskName": "name"}, **both).status, 200)
        self.assertEqual(self.describe(other)["DiskName"], "")

    def test_the_region_is_where_the_disk_is(self):
        zone = self.call("DescribeZones", RegionId="cn-beijing")["Zones"]["Zone"][0]["ZoneId"]
        far = self.call("CreateDisk", RegionId="cn-beijing", ZoneId=zone, Size=20)["DiskId"]
        who = self.key(f"acs:ecs:{REGION}:*:*")
        for params in ({"DiskId": far}, {"DiskId": far, "RegionId": REGION}):
            reply = self.ecs.v3("DeleteDisk", params, **who)
            self.assertEqual((reply.status, reply.code), (403, "Forbidden.RAM"))
        self.assertEqual(self.ecs.v3("DeleteDisk", {"DiskId": far}, **self.key("acs:ecs:cn-beijing:*:*")).status, 200)
