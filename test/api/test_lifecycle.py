# SPDX-License-Identifier: Apache-2.0
"""Start, reboot, delete and modify: every row of the operations table, every lock, every limit, over a real socket."""

import base64
import concurrent.futures
import datetime
import json
import time

from harness import IMAGE, REGION, ROOT, SLOW, EcsTest

STATES = ("Pending", "Starting", "Running", "Stopping", "Stopped")
ZONE, HOST = "cn-hangzhou-h", "host-1"  # one simulated host in each zone
STATUS_TEXT = "The current status of the resource does not support this operation."
ALL = frozenset(STATES)
USER_DATA = base64.b64encode(b"#!/bin/sh\necho marzipan-userdata\n").decode()


def documented(action):
    """The codes that the page of an action tells, and those that any call may meet."""
    page = json.loads((ROOT / "api" / "actions" / f"{action}.json").read_text())
    return {*page["errors"], "MissingParameter", "InvalidParameter", "UnsupportedParameter", "InvalidRegionId.NotFound"}


class DocumentedTest(EcsTest):
    """Whatever is refused is refused with a code that the action's page has."""

    def refuses(self, action, code, status, message=None, **params):
        if (ROOT / "api" / "actions" / f"{action}.json").exists():
            self.assertIn(code, documented(action), action)
        return super().refuses(action, code, status, message, **params)


def numbered(ids, **params):
    return {**{f"InstanceId__{n + 1}": i for n, i in enumerate(ids)}, "RegionId": REGION, **params}


class VirtualTest(DocumentedTest):
    """Time stands still but for advance(): every state can be held and every deadline be met to the second."""

    options = ("--clock", "virtual")
    settings = {"sim.boot_s": "10", "sim.shutdown_s": "10"}

    def now(self, offset_s=0):
        moment = json.loads(self.ecs.ctl("clock", "show", "--json"))["NowUs"] / 1e6 + offset_s
        return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, duration):
        self.ecs.ctl("clock", "advance", duration)

    def call(self, action, status=200, **params):
        reply = self.ecs.v3(action, {k.replace("__", "."): v for k, v in params.items()}, date=self.now())
        self.assertEqual(reply.status, status, f"{action} {params}: {reply}")
        return reply.json

    def await_status(self, instance_id, wanted, seconds=15):
        """A guest's phase takes 10 s of the clock; the daemon's part of the work takes real time in between."""
        end = time.monotonic() + seconds * SLOW
        while self.status_of(instance_id) != wanted and time.monotonic() < end:
            self.advance("11s")
        return super().await_status(instance_id, wanted, 0.1)

    def instance_in(self, state, **params):
        """An instance that stays in `state` for as long as the clock isn't advanced."""
        if state == "Pending":
            self.ecs.ctl("sim", "host", HOST, "down")
            self.addCleanup(self.ecs.ctl, "sim", "host", HOST, "up")
            i = self.run_instance(ZoneId=ZONE, **params)
        elif state == "Stopped":
            i = self.stopped_instance(**params)
        elif state == "Starting":
            i = self.stopped_instance(**params)
            self.call("StartInstance", InstanceId=i)
        else:
            i = self.running_instance(**params)
            if state == "Stopping":
                self.call("StopInstance", InstanceId=i)
        self.assertEqual(self.status_of(i), state)
        return i


class Table(VirtualTest):
    """Which operation is legal in which state."""

    def check(self, action, allowed, code="IncorrectInstanceStatus", status=403, codes=None, **params):
        for state in STATES:
            with self.subTest(action=action, state=state, **{k: str(v)[:20] for k, v in params.items()}):
                i = self.instance_in(state)
                try:
                    if state in allowed:
                        self.call(action, InstanceId=i, **params)
                    else:
                        self.refuses(action, InstanceId=i, code=(codes or {}).get(state, code), status=status, **params)
                        self.assertEqual(self.status_of(i), state)
                finally:
                    self.doCleanups()

    def test_start(self):
        self.check("StartInstance", {"Stopped"})

    def test_stop(self):
        self.check("StopInstance", {"Running"})

    def test_reboot(self):
        self.check("RebootInstance", {"Running"})

    def test_delete(self):
        self.check("DeleteInstance", {"Stopped"}, codes={"Pending": "IncorrectInstanceStatus.Initializing"})

    def test_delete_by_force(self):
        self.check("DeleteInstance", {"Running", "Stopped"}, codes={"Pending": "IncorrectInstanceStatus.Initializing"}, Force=True)

    def test_modify_texts(self):
        self.check("ModifyInstanceAttribute", ALL, InstanceName="renamed", Description="described", DeletionProtection=True)

    def test_modify_password(self):
        self.check("ModifyInstanceAttribute", ALL - {"Starting"}, Password="Very-secret1")

    def test_modify_host_name(self):
        self.check("ModifyInstanceAttribute", ALL - {"Pending", "Starting"}, HostName="other-name")

    def test_modify_user_data(self):
        self.check("ModifyInstanceAttribute", {"Running", "Stopped"}, UserData=USER_DATA)

    def test_modify_groups(self):
        group = self.instance(self.run_instance())["SecurityGroupIds"]["SecurityGroupId"][0]
        self.check("ModifyInstanceAttribute", {"Running", "Stopped"}, SecurityGroupIds__1=group)

    def test_auto_release_time(self):
        self.check("ModifyInstanceAutoReleaseTime", ALL, AutoReleaseTime=self.now(86400))

    def test_batches(self):
        shown = {"StartInstances": ({"Stopped"}, "Starting"), "StopInstances": ({"Running"}, "Stopping"),
                 "RebootInstances": ({"Running"}, "Stopping")}
        for state in STATES:
            for action, (allowed, current) in shown.items():
                with self.subTest(action=action, state=state):
                    i = self.instance_in(state)
                    if state in allowed:
                        items = self.call(action, **numbered([i]))["InstanceResponses"]["InstanceResponse"]
                        self.assertEqual(items, [{"Code": "200", "Message": "success", "InstanceId": i, "CurrentStatus": current,
                                                  "PreviousStatus": state}])
                    else:
                        self.refuses(action, code="IncorrectInstanceStatus", status=403, message=STATUS_TEXT, **numbered([i]))
                        self.assertEqual(self.status_of(i), state)
                    self.doCleanups()

    def test_describe_and_tags_always(self):
        for state in STATES:
            with self.subTest(state=state):
                i = self.instance_in(state)
                self.call("TagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=i, Tag__1__Key="k", Tag__1__Value="v")
                self.assertEqual(self.call("DescribeInstanceAttribute", InstanceId=i)["Status"], state)
                self.call("DescribeUserData", RegionId=REGION, InstanceId=i)
                self.doCleanups()


class Locks(VirtualTest):
    PASS = None
    SECURITY = "InstanceLockedForSecurity"
    ARREARS = "InstanceExpiredOrInArrears"

    def try_all(self, reason, expected):
        for action, (state, params, code) in expected.items():
            with self.subTest(lock=reason, action=action):
                i = self.instance_in(state)
                self.ecs.ctl("instance", "lock", i, reason)
                if code:
                    self.refuses(action, InstanceId=i, code=code, status=403, **params)
                    self.assertEqual(self.status_of(i), state)
                else:
                    self.call(action, InstanceId=i, **params)

    def test_security(self):
        self.try_all("security", {
            "StartInstance": ("Stopped", {}, self.SECURITY),
            "StopInstance": ("Running", {}, self.SECURITY),
            "RebootInstance": ("Running", {}, self.SECURITY),
            "ModifyInstanceAttribute": ("Running", {"InstanceName": "renamed"}, self.SECURITY),
            "DeleteInstance": ("Stopped", {}, self.PASS),
            "DescribeInstanceAttribute": ("Stopped", {}, self.PASS),
        })

    def test_for_unpaid_bills(self):
        for reason in ("financial", "dedicatedhostfinancial", "refunded"):
            self.try_all(reason, {
                "StartInstance": ("Stopped", {}, "InstanceExpired"),
                "StopInstance": ("Running", {}, self.ARREARS),
                "RebootInstance": ("Running", {}, self.ARREARS),
                "ModifyInstanceAttribute": ("Running", {"InstanceName": "renamed"}, self.PASS),
                "DeleteInstance": ("Stopped", {}, self.PASS),
            })

    def test_recycling_locks_nothing(self):
        self.try_all("recycling", {"StopInstance": ("Running", {}, self.PASS), "RebootInstance": ("Running", {}, self.PASS),
                                   "StartInstance": ("Stopped", {}, self.PASS)})

    def test_a_lock_is_told_before_the_state(self):
        i = self.stopped_instance()
        self.ecs.ctl("instance", "lock", i, "security")
        for action in ("StopInstance", "RebootInstance"):
            self.refuses(action, InstanceId=i, code=self.SECURITY, status=403)

    def test_locked_for_security_all_disks_go(self):
        i = self.stopped_instance(DataDisk__1__Size=20, DataDisk__1__DeleteWithInstance=False)
        self.ecs.ctl("instance", "lock", i, "security")
        disks = [d["DiskId"] for d in self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"]]
        self.assertEqual(len(disks), 2)
        self.call("DeleteInstance", InstanceId=i)
        self.assertEqual(self.call("DescribeDisks", RegionId=REGION, DiskIds=json.dumps(disks))["TotalCount"], 0)

    def test_one_locked_in_a_batch(self):
        i, j = self.running_instance(), self.running_instance()
        self.ecs.ctl("instance", "lock", j, "security")
        self.refuses("RebootInstances", code=self.SECURITY, status=403, **numbered([i, j]))
        self.assertEqual(self.status_of(i), "Running")
        items = self.call("RebootInstances", **numbered([i, j], BatchOptimization="SuccessFirst"))["InstanceResponses"]["InstanceResponse"]
        self.assertEqual([item["Code"] for item in items], ["200", self.SECURITY])
        self.assertIn("locked for security reasons", items[1]["Message"])

    def test_shown(self):
        i = self.running_instance()
        self.ecs.ctl("instance", "lock", i, "financial")
        self.ecs.ctl("instance", "lock", i, "security")
        locks = self.instance(i)["OperationLocks"]["LockReason"]
        self.assertEqual({lock["LockReason"] for lock in locks}, {"financial", "security"})
        self.assertTrue(all(lock["LockMsg"] for lock in locks), locks)


class Start(VirtualTest):
    settings = {**VirtualTest.settings, "stop.reclaim_s": "600"}

    def test_states_on_the_way(self):
        i = self.stopped_instance()
        self.assertEqual(list(self.call("StartInstance", InstanceId=i)), ["RequestId"])
        self.assertEqual(self.status_of(i), "Starting")
        self.advance("9s")
        self.assertEqual(self.status_of(i), "Starting")
        self.await_status(i, "Running")
        self.assertEqual(self.instance(i)["StartTime"], self.now()[:16] + "Z")

    def test_conflict_while_an_economical_stop_is_reclaimed(self):
        i = self.running_instance(InternetMaxBandwidthOut=1)
        before = self.instance(i)
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging", ForceStop=True)
        self.await_status(i, "Stopped")
        stopped = self.instance(i)
        self.assertEqual((stopped["StoppedMode"], stopped["PublicIpAddress"]["IpAddress"]), ("StopCharging", []))
        self.assertEqual(stopped["InternetMaxBandwidthOut"], 1)
        self.refuses("StartInstance", InstanceId=i, code="OperationConflict", status=409,
                     message="Request was denied due to conflict with a previous request.")
        self.refuses("StartInstances", code="InvalidOperation.Conflict", status=409, **numbered([i]))
        self.assertEqual(self.status_of(i), "Stopped")
        self.advance("600s")
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        after = self.instance(i)
        self.assertEqual((after["VpcAttributes"], after["StoppedMode"]), (before["VpcAttributes"], "Not-applicable"))
        self.assertNotIn(after["PublicIpAddress"]["IpAddress"], ([], before["PublicIpAddress"]["IpAddress"]))

    def test_parameters(self):
        i = self.stopped_instance()
        self.refuses("StartInstance", code="MissingParameter", status=400)
        self.refuses("StartInstance", InstanceId="blah", code="InvalidInstanceId.NotFound", status=404)
        self.refuses("StartInstance", InstanceId=i, InitLocalDisk="perhaps", code="InvalidParameter", status=400,
                     message='The specified parameter "InitLocalDisk" is not valid.')
        self.refuses("StartInstance", InstanceId=i, DryRun=True, code="DryRunOperation", status=400)
        self.assertEqual(self.status_of(i), "Stopped")
        self.call("StartInstance", InstanceId=i, InitLocalDisk=True, SourceRegionId="cn-hangzhou")

    def test_disk_error(self):
        i = self.stopped_instance()
        disk = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"][0]["DiskId"]
        self.ecs.ctl("disk", "set", disk, "status=Detaching")
        self.refuses("StartInstance", InstanceId=i, code="DiskError", status=403, message="IncorrectDiskStatus.")
        self.ecs.ctl("disk", "set", disk, "status=In_use")
        self.call("StartInstance", InstanceId=i)

    def test_of_another_region_is_not_found_in_a_batch(self):
        i, j = self.stopped_instance(), self.stopped_instance()
        for action, code in (("StartInstances", "InvalidInstanceId.NotFound"), ("StopInstances", "InvalidInstanceId.NotFound"),
                             ("RebootInstances", "InvalidInstanceId.NotFound"), ("DeleteInstances", "InvalidParameter.CrossRegionNotSupport")):
            status = 400 if action == "DeleteInstances" else 404
            self.refuses(action, code=code, status=status, **{**numbered([i, j]), "RegionId": "cn-beijing"})
            self.refuses(action, code="InvalidRegionId.NotFound", status=404, **{**numbered([i, j]), "RegionId": "cn-nowhere"})
            self.refuses(action, code="MissingParameter", status=400, InstanceId__1=i)


class Reboot(DocumentedTest):
    settings = {"sim.boot_s": "0.1", "sim.shutdown_s": "0.1", "reboot.timeout_s": "1", "start.timeout_s": "1"}

    def rebooted(self, i, action="RebootInstance", **params):
        self.call(action, **(params or {"InstanceId": i}))
        self.assertEqual(self.status_of(i), "Starting")
        seen = self.await_status(i, "Running")
        self.assertEqual(seen, ["Starting", "Running"])

    def incarnation(self, i):
        return json.loads(self.ecs.ctl("instance", "show", i, "--json"))["Incarnation"]

    def test_goes_through_starting_only(self):
        i = self.running_instance()
        self.assertEqual(self.incarnation(i), 1)
        self.rebooted(i)
        self.rebooted(i, InstanceId=i, ForceStop=True)
        self.assertEqual(self.incarnation(i), 3)

    def test_hard_needs_no_guest(self):
        i, j = self.running_instance(), self.running_instance()
        for k in (i, j):
            self.ecs.ctl("sim", "guest", k, "ignore-power-button=on")
        start = time.monotonic()
        self.rebooted(i, InstanceId=i, ForceStop=True)
        self.rebooted(j, "RebootInstances", **numbered([j], ForceReboot=True))
        self.assertLess(time.monotonic() - start, 1 * SLOW)

    def test_a_deaf_guest_is_cut_off_at_the_deadline(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        start = time.monotonic()
        self.rebooted(i)
        self.assertGreater(time.monotonic() - start, 0.9)

    def test_a_boot_that_takes_too_long_ends_stopped(self):
        i = self.running_instance()
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.ecs.ctl("sim", "guest", i, "boot=60")
        self.call("StartInstance", InstanceId=i)
        self.assertEqual(self.await_status(i, "Stopped"), ["Starting", "Stopped"])
        last = json.loads(self.ecs.ctl("event", "list", i, "--json"))["Events"]["Event"]
        self.assertIn(("Starting", "Stopped", "boot-failure"), [(e["FromState"], e["ToState"], e["Reason"]) for e in last])
        self.ecs.ctl("sim", "guest", i, "boot=0.1")
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")

    def test_keeps_everything(self):
        i = self.running_instance(InternetMaxBandwidthOut=1)
        before = self.instance(i)
        self.rebooted(i)
        after = self.instance(i)
        for name in ("PublicIpAddress", "VpcAttributes", "NetworkInterfaces", "SerialNumber", "CreationTime", "HostName"):
            self.assertEqual(after[name], before[name])

    def test_dry_run_and_parameters(self):
        i = self.running_instance()
        self.refuses("RebootInstance", InstanceId=i, DryRun=True, code="DryRunOperation", status=400)
        self.refuses("RebootInstances", code="DRYRUN.SUCCESS", status=400, **numbered([i], DryRun=True))
        self.refuses("RebootInstance", InstanceId=i, ForceStop="2", code="InvalidParameter", status=400)
        self.refuses("RebootInstances", code="InvalidParameter", status=400, **numbered([i], BatchOptimization="Some"))
        self.refuses("RebootInstance", InstanceId="i-none", DryRun=True, code="InvalidInstanceId.NotFound", status=404)
        self.assertEqual(self.status_of(i), "Running")


class Delete(VirtualTest):
    def disks_of(self, i):
        return {d["DiskId"]: d for d in self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"]}

    def test_disks_go_or_stay(self):
        i = self.stopped_instance(DataDisk__1__Size=20, DataDisk__2__Size=30, DataDisk__2__DeleteWithInstance=False,
                                  DataDisk__2__DiskName="the-kept-one", Tag__1__Key="k", Tag__1__Value="v")
        disks = self.disks_of(i)
        self.assertEqual(sorted((d["Type"], d["Size"], d["DeleteWithInstance"]) for d in disks.values()),
                         [("data", 20, True), ("data", 30, False), ("system", 40, True)])
        self.call("DeleteInstance", InstanceId=i)
        self.assertIsNone(self.status_of(i))
        left = self.call("DescribeDisks", RegionId=REGION, DiskIds=json.dumps(list(disks)))["Disks"]["Disk"]
        self.assertEqual([(d["DiskName"], d["Status"], d["InstanceId"], d["Device"], d["DiskChargeType"], d["Portable"]) for d in left],
                         [("the-kept-one", "Available", "", "", "PostPaid", True)])
        self.assertEqual(left[0]["Tags"]["Tag"], [{"TagKey": "k", "TagValue": "v"}])

    def test_force_on_a_running_one_stops_first(self):
        i = self.running_instance()
        self.call("DeleteInstance", InstanceId=i, Force=True, ForceStop=False)
        self.assertEqual(self.status_of(i), "Stopping")
        self.refuses("DeleteInstance", InstanceId=i, Force=True, code="IncorrectInstanceStatus", status=403)
        self.refuses("StartInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)
        self.advance("9s")
        self.assertEqual(self.status_of(i), "Stopping")
        self.await_status(i, None)
        self.refuses("DeleteInstance", InstanceId=i, Force=True, code="InvalidInstanceId.NotFound", status=404)

    def test_force_stop_is_the_default_of_force(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.assertNotIn("press", self.ecs.ctl("event", "list", i))

    def test_protection(self):
        i = self.stopped_instance(DeletionProtection=True)
        self.assertTrue(self.instance(i)["DeletionProtection"])
        for action, params in (("DeleteInstance", {"InstanceId": i, "Force": True}), ("DeleteInstances", numbered([i], Force=True))):
            self.refuses(action, code="InvalidOperation.DeletionProtection", status=403,
                         message="The operation is not allowed due to deletion protection.", **params)
        self.call("ModifyInstanceAttribute", InstanceId=i, DeletionProtection=False)
        self.call("DeleteInstance", InstanceId=i)
        self.assertIsNone(self.status_of(i))

    def test_a_subscription_must_have_ended(self):
        i = self.stopped_instance(InstanceChargeType="PrePaid", Period=1)
        expires = self.instance(i)["ExpiredTime"]
        for params in ({}, {"Force": True}, {"TerminateSubscription": True}):
            self.refuses("DeleteInstance", InstanceId=i, code="ChargeTypeViolation", status=403, **params)
        self.refuses("DeleteInstances", code="ChargeTypeViolation", status=403, **numbered([i]))
        self.advance("32d")
        self.assertLess(expires, self.now())
        self.refuses("DeleteInstance", InstanceId=i, code="ChargeTypeViolation", status=403)
        self.call("DeleteInstance", InstanceId=i, TerminateSubscription=True)
        self.assertIsNone(self.status_of(i))

    def test_all_or_nothing(self):
        ids = [self.stopped_instance(), self.stopped_instance()]
        protected, running = self.stopped_instance(DeletionProtection=True), self.running_instance()
        for other, code in ((protected, "InvalidOperation.DeletionProtection"), (running, "IncorrectInstanceStatus"),
                            ("i-none", "InvalidInstanceIds.NotFound")):
            self.refuses("DeleteInstances", code=code, status=404 if other == "i-none" else 403, **numbered([ids[0], other, ids[1]]))
            self.assertEqual([self.status_of(i) for i in ids], ["Stopped", "Stopped"])
        self.refuses("DeleteInstances", code="DRYRUN.SUCCESS", status=400, **numbered(ids, DryRun=True))
        self.assertEqual(list(self.call("DeleteInstances", **numbered(ids + [running, ids[0]], Force=True))), ["RequestId"])
        self.assertEqual([self.status_of(i) for i in ids], [None, None])
        self.await_status(running, None)

    def test_batch_with_a_client_token(self):
        ids = [self.stopped_instance(), self.stopped_instance()]
        self.call("DeleteInstances", **numbered(ids, ClientToken="once"))
        self.call("DeleteInstances", **numbered(ids, ClientToken="once"))
        self.refuses("DeleteInstances", code="IdempotentParameterMismatch", status=400, **numbered(ids[:1], ClientToken="once"))
        self.refuses("DeleteInstances", code="InvalidInstanceIds.NotFound", status=404, **numbered(ids, ClientToken="twice"))

    def test_limits(self):
        self.refuses("DeleteInstances", code="InvalidParameter.TooManyInstanceIds", status=403, **numbered([f"i-{n}" for n in range(101)]))
        self.refuses("DeleteInstance", code="MissingParameter", status=400)
        for params in ({}, {"InstanceId__1": ""}, {"InstanceId": "[]"}):
            self.refuses("DeleteInstances", RegionId=REGION, code="InvalidInstanceIds.ValueNotSupported", status=403, **params)
            self.refuses("StartInstances", RegionId=REGION, code="InvalidInstanceId.NotFound", status=403, message="InstanceId should not be null.",
                         **params)
        i = self.stopped_instance()
        self.refuses("DeleteInstance", InstanceId=i, DryRun=True, code="DryRunOperation", status=400)
        self.refuses("DeleteInstance", InstanceId=i, Force="x", code="InvalidParameter", status=400)
        self.assertEqual(self.status_of(i), "Stopped")

    def test_private_address_is_free_again(self):
        i = self.stopped_instance()
        address = self.instance(i)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0]
        zone = self.instance(i)["ZoneId"]
        params = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": "ecs.g6.large", "PrivateIpAddress": address, "ZoneId": zone}
        self.refuses("RunInstances", code="InvalidPrivateIpAddress.Duplicated", status=400, **params)
        self.call("DeleteInstance", InstanceId=i)
        j = self.run_instance(PrivateIpAddress=address, ZoneId=zone)
        self.assertEqual(self.instance(j)["VpcAttributes"]["PrivateIpAddress"]["IpAddress"], [address])

    def test_host_is_as_empty_as_before(self):
        def used():
            hosts = json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]
            return sum(h["UsedVcpus"] for h in hosts), sum(h["UsedMemoryMib"] for h in hosts)
        before = used()
        i, j = self.stopped_instance(), self.running_instance()
        self.assertEqual(used(), (before[0] + 4, before[1] + 16384))
        self.call("DeleteInstance", InstanceId=i)
        self.call("DeleteInstance", InstanceId=j, Force=True)
        self.await_status(j, None)
        self.assertEqual(used(), before)


class AutoRelease(VirtualTest):
    def test_at_its_time_and_whatever_protects_it(self):
        for state in ("Running", "Stopped"):
            i = self.instance_in(state, DeletionProtection=True)
            self.call("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=self.now(3600))
            self.advance("58m")
            self.assertEqual(self.status_of(i), state)
            self.advance("3m")
            self.await_status(i, None)
            last = json.loads(self.ecs.ctl("event", "list", i, "--json"))["Events"]["Event"][-1]
            self.assertEqual((last["ToState"], last["Reason"], last["Actor"]), ("Deleted", "release", "engine"))

    def test_limits(self):
        i = self.stopped_instance()
        set_time = lambda offset_s: {"InstanceId": i, "AutoReleaseTime": self.now(offset_s)}
        for offset_s in (-3600, 0, 28 * 60, 3 * 365 * 86400 + 120, 40 * 365 * 86400):
            self.refuses("ModifyInstanceAutoReleaseTime", code="InvalidAutoReleaseTime.Malformed", status=400, **set_time(offset_s))
        for text in ("tomorrow", "2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "1"):
            self.refuses("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=text, code="InvalidAutoReleaseTime.Malformed",
                         status=400)
        for offset_s in (31 * 60, 3 * 365 * 86400 - 60):
            self.call("ModifyInstanceAutoReleaseTime", **set_time(offset_s))

    def test_cut_to_the_minute_and_called_off(self):
        i = self.stopped_instance()
        wanted = self.now(7200)[:16]
        self.call("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=wanted + ":59Z")
        self.assertEqual(self.instance(i)["AutoReleaseTime"], wanted + "Z")
        self.call("ModifyInstanceAutoReleaseTime", InstanceId=i)
        self.assertEqual(self.instance(i)["AutoReleaseTime"], "")
        self.advance("3h")
        self.assertEqual(self.status_of(i), "Stopped")

    def test_moved(self):
        i = self.stopped_instance(AutoReleaseTime=self.now(2400))
        self.call("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=self.now(86400))
        self.advance("2h")
        self.assertEqual(self.status_of(i), "Stopped")
        self.advance("1d")
        self.await_status(i, None)

    def test_refusals(self):
        self.refuses("ModifyInstanceAutoReleaseTime", code="MissingParameter", status=400, message="InstanceId should not be null.")
        self.refuses("ModifyInstanceAutoReleaseTime", InstanceId="blah", code="NoSuchResource", status=404)
        i = self.stopped_instance(InstanceChargeType="PrePaid", Period=1)
        self.refuses("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=self.now(86400), code="ChargeTypeViolation", status=403)

    def test_while_it_stops_it_waits_its_turn(self):
        i = self.instance_in("Running")
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("ModifyInstanceAutoReleaseTime", InstanceId=i, AutoReleaseTime=self.now(1860))
        self.advance("29m")
        self.call("StopInstance", InstanceId=i)
        self.advance("4m")
        self.assertEqual(self.status_of(i), "Stopping")
        self.advance("2m")
        self.advance("5s")
        self.await_status(i, None)

    def test_survives_a_restart(self):
        i = self.stopped_instance(AutoReleaseTime=self.now(2400))
        shown = self.instance(i)["AutoReleaseTime"]
        now = json.loads(self.ecs.ctl("clock", "show", "--json"))["NowUs"]
        self.ecs.restart()
        self.assertEqual(self.instance(i)["AutoReleaseTime"], shown)
        behind = now - json.loads(self.ecs.ctl("clock", "show", "--json"))["NowUs"]
        self.advance(f"{max(behind, 0) // 1_000_000 + 2500}s")
        self.await_status(i, None)


class Modify(VirtualTest):
    def modified(self, i, **params):
        self.call("ModifyInstanceAttribute", InstanceId=i, **params)
        return self.instance(i)

    def test_what_is_absent_stays(self):
        i = self.running_instance(InstanceName="first-name", Description="first text", HostName="first-host")
        texts = lambda shown: (shown["InstanceName"], shown["Description"], shown["HostName"])
        self.assertEqual(texts(self.modified(i, InstanceName="second-name")), ("second-name", "first text", "first-host"))
        self.assertEqual(texts(self.modified(i, Description="second text", RegionId=REGION, ClientToken="t")),
                         ("second-name", "second text", "first-host"))
        self.assertEqual(texts(self.modified(i, HostName="second.host")), ("second-name", "second text", "second.host"))
        self.assertEqual(texts(self.modified(i, InstanceName="")), ("second-name", "second text", "second.host"))
        self.assertEqual(texts(self.modified(i, Description="")), ("second-name", "", "second.host"))

    def test_bad_texts_change_nothing(self):
        i = self.running_instance()
        before = self.instance(i)
        bad = {"InstanceName": ("x", "1digit-first", "http://name", "https://name", "a" * 129, "with space", "sla/sh"),
               "Description": ("x", "http://text", "https://text", "d" * 257),
               "HostName": ("x", "-lead", "trail-", "a..b", "a--b", ".lead", "trail.", "under_score", "h" * 65),
               "Password": ("Short1!", "alllowercase", "NoSpecial-or-digit"[:7], "A1!" * 11, "Has blank 1", "lower-only")}
        for name, values in bad.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    body = self.refuses("ModifyInstanceAttribute", InstanceId=i, code=f"Invalid{name}.Malformed", status=400, **{name: value},
                                        message=f'The specified parameter "{name}" is not valid.')
                    self.assertNotIn(value, body["Message"])
        self.assertEqual(self.instance(i), before)

    def test_one_bad_of_several_changes_none(self):
        i = self.running_instance()
        before = self.instance(i)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, InstanceName="good-name", Description="good", HostName="bad_name",
                     code="InvalidHostName.Malformed", status=400)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, InstanceName="good-name", SecurityGroupIds__1="sg-none",
                     code="InvalidSecurityGroupId.NotFound", status=404)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, InstanceName="good-name", Recyclable=True,
                     code="InvalidParameter.RecycleBin", status=400)
        self.assertEqual(self.instance(i), before)

    def test_windows_has_rules_of_its_own(self):
        images = self.call("DescribeImages", RegionId=REGION, OSType="windows", PageSize=1)["Images"]["Image"]
        i = self.stopped_instance(ImageId=images[0]["ImageId"])
        for name in ("1234567", "a.b", "h" * 16):
            self.refuses("ModifyInstanceAttribute", InstanceId=i, HostName=name, code="InvalidHostName.Malformed", status=400)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, Password="/Slash-first1", code="InvalidPassword.Malformed", status=400)
        self.call("ModifyInstanceAttribute", InstanceId=i, HostName="h" * 15, Password="Slash-last1/")

    def test_user_data(self):
        i = self.stopped_instance()
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], "")
        self.call("ModifyInstanceAttribute", InstanceId=i, UserData=USER_DATA)
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], USER_DATA)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, UserData="not base64!", code="InvalidUserData.Malformed", status=400)
        most = base64.b64encode(b"x" * 32 * 1024).decode()
        more = base64.b64encode(b"x" * (32 * 1024 + 1)).decode()
        for user_data, status in ((most, 200), (more, 400)):
            reply = self.ecs.v1("ModifyInstanceAttribute", {"InstanceId": i}, form_params={"UserData": user_data}, Timestamp=self.now())
            self.assertEqual(reply.status, status, reply)
        self.assertEqual(reply.code, "InvalidUserData.SizeExceeded")
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], most)

    def test_credit_specification(self):
        i = self.running_instance(InstanceType="ecs.t6-c1m1.large")
        self.assertEqual(self.instance(i)["CreditSpecification"], "Standard")
        self.assertEqual(self.modified(i, CreditSpecification="Unlimited")["CreditSpecification"], "Unlimited")
        self.refuses("ModifyInstanceAttribute", InstanceId=i, CreditSpecification="Endless", code="InvalidParameter.CreditSpecification",
                     status=400)
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.refuses("ModifyInstanceAttribute", InstanceId=i, CreditSpecification="Standard", code="InvalidInstanceStatus.NotRunning", status=400)
        other = self.running_instance()
        self.refuses("ModifyInstanceAttribute", InstanceId=other, CreditSpecification="Standard",
                     code="InvalidParameter.CreditSpecification", status=400)

    def test_groups(self):
        i = self.running_instance()
        group = self.instance(i)["SecurityGroupIds"]["SecurityGroupId"][0]
        self.refuses("ModifyInstanceAttribute", InstanceId=i, SecurityGroupIds__1=group, SecurityGroupIds__2=group,
                     code="InvalidParameter.SecurityGroupIdRepeated", status=400)
        self.assertEqual(self.modified(i, SecurityGroupIds__1=group)["SecurityGroupIds"]["SecurityGroupId"], [group])
        self.assertEqual(self.call("DescribeInstances", RegionId=REGION, SecurityGroupId=group, PageSize=1)["Instances"]["Instance"][0]
                         ["SecurityGroupIds"]["SecurityGroupId"], [group])

    def test_subscriptions_have_no_protection(self):
        i = self.stopped_instance(InstanceChargeType="PrePaid", Period=1)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, DeletionProtection=True, code="ChargeTypeViolation", status=403)

    def test_nobody_else_may(self):
        i = self.running_instance()
        other = json.loads(self.ecs.ctl("account", "create", f"other-{i}", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", other["AccountId"], "--json"))
        for action, params in (("ModifyInstanceAttribute", {"InstanceId": i, "InstanceName": "mine"}), ("StartInstance", {"InstanceId": i}),
                               ("RebootInstance", {"InstanceId": i}), ("DeleteInstance", {"InstanceId": i, "Force": True})):
            reply = self.ecs.v3(action, params, key=key["AccessKeyId"], secret=key["AccessKeySecret"], date=self.now())
            self.assertEqual((reply.status, reply.code), (404, "InvalidInstanceId.NotFound"), action)
        reply = self.ecs.v3("ModifyInstanceAutoReleaseTime", {"InstanceId": i}, key=key["AccessKeyId"], secret=key["AccessKeySecret"],
                            date=self.now())
        self.assertEqual((reply.status, reply.code), (404, "NoSuchResource"))
        self.assertNotEqual(self.instance(i)["InstanceName"], "mine")


class Secrets(DocumentedTest):
    settings = {"log.level": "debug", "log.calls": "all"}

    def test_nowhere_to_be_found(self):
        secrets = ("Xylo-phone-7731", "Krumm-horn-4418", "marzipan-userdata", USER_DATA)
        i = self.running_instance(Password=secrets[0], UserData=USER_DATA, ClientToken="with-secrets")
        self.call("ModifyInstanceAttribute", InstanceId=i, Password=secrets[1], UserData=USER_DATA)
        self.refuses("ModifyInstanceAttribute", InstanceId=i, Password=secrets[1] + "\u00e9", code="InvalidPassword.Malformed", status=400)
        self.refuses("RunInstances", RegionId=REGION, ImageId="none", InstanceType="ecs.g6.large", Password=secrets[0], UserData=USER_DATA,
                     code="InvalidImageId.NotFound", status=404)
        texts = {"instance": json.dumps(self.instance(i)), "attribute": json.dumps(self.call("DescribeInstanceAttribute", InstanceId=i)),
                 "events": self.ecs.ctl("event", "list", "--json"), "show": self.ecs.ctl("instance", "show", i, "--json"),
                 "jobs": self.ecs.ctl("job", "list", "all=true", "--json"), "log": self.ecs.log_text()}
        for where, text in texts.items():
            for secret in secrets:
                self.assertNotIn(secret, text, where)
        self.assertIn("ModifyInstanceAttribute", texts["log"])
        self.assertEqual(self.call("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], USER_DATA)
        # Passwords aren't even on the disk.
        self.ecs.stop()
        for path in self.ecs.data.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                for secret in secrets[:2]:
                    self.assertNotIn(secret.encode(), data, path)
        self.ecs.start()


class Unsupported(EcsTest):
    def test_known_and_refused(self):
        i = self.running_instance()
        for action in ("ReActivateInstances", "ModifyInstanceSpec", "ModifyInstanceVpcAttribute", "ReplaceSystemDisk",
                       "ReInitDisk", "ResetDisk", "AttachDisk", "AttachKeyPair", "RunCommand",
                       "ModifyPrepayInstanceSpec", "ModifyInstanceChargeType", "AllocatePublicIpAddress"):
            self.refuses(action, InstanceId=i, RegionId=REGION, code="UnsupportedOperation", status=403,
                         message=f"The specified action {action} is not supported.")
        self.refuses("RedeployInstanceNot", InstanceId=i, code="InvalidAction.NotFound", status=404)
        self.assertEqual(self.status_of(i), "Running")


class Whole(VirtualTest):
    """A life from launch to release, as the operator's records tell it."""

    def events(self, i):
        events = json.loads(self.ecs.ctl("event", "list", i, "--json"))["Events"]["Event"]
        return [(e["FromState"], e["ToState"], e["Reason"]) for e in events if e["Kind"] == "state"]

    def usage(self, i):
        segments = json.loads(self.ecs.ctl("usage", i, "--json"))["Segments"]["Segment"]
        for a, b in zip(segments, segments[1:]):
            self.assertEqual(a["End"], b["Start"], segments)
            self.assertGreaterEqual(a["Seconds"], 0)
        return segments

    def test_billing_has_neither_overlap_nor_hole(self):
        born = self.now()
        i = self.running_instance()                                      # running 11 s
        self.advance("100s")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")                                  # running until it is off
        self.advance("200s")                                             # kept
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.advance("300s")
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging", ForceStop=True)
        self.await_status(i, "Stopped")
        self.advance("400s")                                             # free
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.call("RebootInstance", InstanceId=i, ForceStop=True)        # no change of mode
        self.await_status(i, "Running")
        self.ecs.ctl("sim", "guest", i, "poweroff")
        self.advance("20s")
        self.await_status(i, "Stopped")                               # kept, never free
        self.advance("500s")
        self.call("DeleteInstance", InstanceId=i)
        died = self.now()
        segments = self.usage(i)
        self.assertEqual([s["Mode"] for s in segments], ["running", "kept", "running", "free", "running", "kept"])
        self.assertEqual((segments[0]["Start"], segments[-1]["End"]), (born, died))
        whole = (datetime.datetime.fromisoformat(died[:-1]) - datetime.datetime.fromisoformat(born[:-1])).total_seconds()
        self.assertAlmostEqual(sum(s["Seconds"] for s in segments), whole, delta=1)
        for segment, least in zip(segments, (110, 200, 311, 400, 11, 500)):
            self.assertGreaterEqual(segment["Seconds"], least - 1, segments)
        self.assertEqual(self.usage(i), segments)

    def test_reasons(self):
        i = self.running_instance()
        self.call("RebootInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.ecs.ctl("sim", "guest", i, "crash")
        self.advance("10s")
        self.await_status(i, "Stopped")
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.ecs.ctl("sim", "guest", i, "poweroff")
        self.advance("20s")
        self.await_status(i, "Stopped")
        self.call("DeleteInstance", InstanceId=i)
        self.assertEqual(self.events(i), [
            ("", "Pending", "api"), ("Pending", "Starting", "api"), ("Starting", "Running", "api"), ("Running", "Starting", "api"),
            ("Starting", "Running", "api"), ("Running", "Stopped", "crash"), ("Stopped", "Starting", "api"), ("Starting", "Running", "api"),
            ("Running", "Stopped", "guest"), ("Stopped", "Deleted", "api")])

    def test_guest_reboot_is_not_ours(self):
        i = self.running_instance()
        before = self.events(i)
        self.ecs.ctl("sim", "guest", i, "reboot")
        self.advance("60s")
        self.assertEqual((self.status_of(i), self.events(i)), ("Running", before))

    def test_created_and_never_started(self):
        i = self.call("CreateInstance", RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large")["InstanceId"]
        self.advance("60s")
        self.call("DeleteInstance", InstanceId=i)
        segments = self.usage(i)
        self.assertEqual([(s["Mode"], s["Seconds"]) for s in segments], [("kept", 60)])
        self.assertEqual(self.events(i), [("", "Stopped", "api"), ("Stopped", "Deleted", "api")])

    def test_latest_segments_of_all(self):
        i, j = self.running_instance(), self.running_instance()
        listed = {s["InstanceId"] for s in json.loads(self.ecs.ctl("usage", "--json"))["Segments"]["Segment"]}
        self.assertLessEqual({i, j}, listed)


class Races(DocumentedTest):
    """Calls that meet: one of them wins, the others are told why they didn't."""

    def many(self, calls):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda c: self.ecs.v3(c[0], c[1]), calls))

    def test_one_of_each(self):
        for action, make in (("StartInstance", self.stopped_instance), ("RebootInstance", self.running_instance)):
            i = make()
            replies = self.many([(action, {"InstanceId": i})] * 8)
            self.assertEqual(sorted(r.status for r in replies), [200] + [403] * 7, action)
            self.await_status(i, "Running")

    def test_delete_against_start(self):
        for _ in range(5):
            i = self.stopped_instance()
            replies = self.many([("StartInstance", {"InstanceId": i}), ("DeleteInstance", {"InstanceId": i})] * 4)
            won = [r for r in replies if r.status == 200]
            self.assertEqual(len(won), 1, replies)
            self.assertLessEqual({r.code for r in replies if r.status != 200},
                                 {"IncorrectInstanceStatus", "InvalidInstanceId.NotFound"})
            self.assertIn(self.status_of(i), (None, "Starting", "Running"))

    def test_kept_over_a_crash(self):
        i, j, k = (self.stopped_instance() for _ in range(3))
        self.call("StartInstance", InstanceId=i)
        self.call("DeleteInstance", InstanceId=j)
        self.call("ModifyInstanceAttribute", InstanceId=k, InstanceName="kept-name", DeletionProtection=True)
        self.ecs.kill()
        self.ecs.start()
        self.await_status(i, "Running")
        self.assertIsNone(self.status_of(j))
        self.assertEqual((self.instance(k)["InstanceName"], self.instance(k)["DeletionProtection"]), ("kept-name", True))
        self.call("RebootInstance", InstanceId=i, ForceStop=True)
        self.ecs.kill()
        self.ecs.start()
        self.await_status(i, "Running")
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.ecs.kill()
        self.ecs.start()
        self.await_status(i, None)


class Clients(DocumentedTest):
    """What well-known programs send, in their order and their spelling."""

    def form(self, action, **params):
        """tea-rpc, as Terraform uses it: lower-case json, the call in the query, its parameters in a form body."""
        reply = self.ecs.v1(action, format="json", form_params={k.replace("__", "."): v for k, v in params.items()})
        self.assertNotIn("Code", reply.json if reply.status == 200 else {})
        return reply

    def ok(self, action, **params):
        reply = self.form(action, **params)
        self.assertEqual(reply.status, 200, reply)
        return reply.json

    def wait(self, i, allowed, wanted):
        seen, end = set(), time.monotonic() + 15 * SLOW
        while time.monotonic() < end:
            found = self.ok("DescribeInstances", RegionId=REGION, InstanceIds=json.dumps([i]),
                            AdditionalAttributes__1="META_OPTIONS", AdditionalAttributes__2="NETWORK_PRIMARY_ENI_IP")
            rows = found["Instances"]["Instance"]
            status = rows[0]["Status"] if rows else None
            if status == wanted:
                return rows[0] if rows else None
            self.assertIn(status, allowed)
            seen.add(status)
            time.sleep(0.005)
        self.fail(f"{i} is not {wanted}: {seen}")

    def test_terraform(self):
        group = self.instance(self.run_instance())["SecurityGroupIds"]["SecurityGroupId"][0]
        vswitch = self.instance(self.run_instance())["VpcAttributes"]["VSwitchId"]
        i = self.ok("RunInstances", RegionId=REGION, ClientToken="tf-1", InstanceType="ecs.g6.large", ImageId=IMAGE,
                    SecurityGroupIds__1=group, VSwitchId=vswitch, InstanceName="tf-testacc", SystemDisk__Category="cloud_efficiency",
                    SystemDisk__Size=40, InternetMaxBandwidthOut=10, InstanceChargeType="PostPaid", SpotStrategy="NoSpot",
                    DeletionProtection=False, DryRun=False, UserData=USER_DATA, IoOptimized="optimized", Tag__1__Key="From",
                    Tag__1__Value="TF", DataDisk__1__Size=20, DataDisk__1__Category="cloud_ssd", DataDisk__1__Encrypted=False,
                    DataDisk__1__DeleteWithInstance=True)["InstanceIdSets"]["InstanceIdSet"][0]
        shown = self.wait(i, ("Pending", "Starting", "Stopped"), "Running")
        self.assertEqual(shown["StoppedMode"], "Not-applicable")
        disks = self.ok("DescribeDisks", RegionId=REGION, InstanceId=i, DiskType="system")["Disks"]["Disk"]
        self.assertEqual([(d["InstanceId"], d["Type"]) for d in disks], [(i, "system")])
        self.assertEqual(self.ok("DescribeUserData", RegionId=REGION, InstanceId=i)["UserData"], USER_DATA)
        self.assertEqual(self.ok("DescribeInstanceAttribute", RegionId=REGION, InstanceId=i)["InstanceId"], i)
        # An update that needs a stop: the mode comes from the state file, where Running had Not-applicable.
        self.ok("StopInstance", RegionId=REGION, InstanceId=i, ForceStop="false", StoppedMode="Not-applicable")
        self.assertEqual(self.form("StopInstance", RegionId=REGION, InstanceId=i, ForceStop="false").code, "IncorrectInstanceStatus")
        stopped = self.wait(i, ("Pending", "Running", "Stopping"), "Stopped")
        self.assertEqual(stopped["StoppedMode"], "KeepCharging")
        self.ok("ModifyInstanceAttribute", RegionId=REGION, ClientToken="tf-2", InstanceId=i, InstanceName="tf-renamed", HostName="tf-host",
                Password="Terra-form-1", UserData=USER_DATA)
        self.ok("StartInstance", InstanceId=i)
        self.assertEqual(self.wait(i, ("Pending", "Starting", "Stopped"), "Running")["InstanceName"], "tf-renamed")
        # Destroyed while it runs.
        self.ok("DeleteInstance", InstanceId=i, Force=True)
        self.wait(i, ("Pending", "Running", "Stopped", "Stopping"), None)
        reply = self.form("DeleteInstance", InstanceId=i, Force=True)
        self.assertEqual((reply.status, reply.code), (404, "InvalidInstanceId.NotFound"))

    def test_terraform_set(self):
        made = self.ok("RunInstances", RegionId=REGION, ClientToken="set-1", InstanceType="ecs.g6.large", ImageId=IMAGE, Amount=3,
                       UniqueSuffix=True, InstanceName="tf-set")["InstanceIdSets"]["InstanceIdSet"]
        for i in made:
            self.await_status(i, "Running")
        rows = self.ok("DescribeInstances", RegionId=REGION, InstanceIds=json.dumps(made), PageNumber=1, PageSize=100)["Instances"]["Instance"]
        self.assertEqual(sorted(row["InstanceName"] for row in rows), ["tf-set001", "tf-set002", "tf-set003"])
        ids = {f"InstanceId__{n + 1}": i for n, i in enumerate(made)}
        self.ok("DeleteInstances", RegionId=REGION, ClientToken="set-2", Force=True, **ids)
        for i in made:
            self.await_status(i, None)
        reply = self.form("DeleteInstances", RegionId=REGION, ClientToken="set-3", Force=True, **ids)
        self.assertEqual((reply.status, reply.code), (404, "InvalidInstanceIds.NotFound"))

    def test_packer(self):
        """0 GiB stands for the default; the instance is stopped before an image is made of it."""
        i = self.ok("RunInstances", RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large", InstanceName="packer-test",
                    SystemDisk__Size=0, SystemDisk__Category="cloud_efficiency", Password="Pack-er-1234", IoOptimized="optimized",
                    ClientToken="packer-1")["InstanceIdSets"]["InstanceIdSet"][0]
        shown = self.wait(i, ("Pending", "Starting"), "Running")
        self.assertEqual(shown["RegionId"], REGION)
        self.assertEqual([d["Size"] for d in self.ok("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"]], [40])
        self.ok("StopInstance", InstanceId=i, ForceStop=False)
        self.wait(i, ("Running", "Stopping"), "Stopped")
        self.ok("DeleteInstance", InstanceId=i, Force=True)
        self.wait(i, ("Stopped",), None)

    def test_command_line(self):
        """Its own integration script: create, wait, start, wait, stop, wait, delete."""
        i = self.call("CreateInstance", RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large")["InstanceId"]
        self.await_status(i, "Stopped")
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.call("DeleteInstance", InstanceId=i)
        self.assertIsNone(self.status_of(i))

    def test_drivers_that_suspend_and_resume(self):
        i = self.running_instance()
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
        self.await_status(i, "Stopped")
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.refuses("DeleteInstance", InstanceId=i, Force=False, code="IncorrectInstanceStatus", status=403)
        self.call("DeleteInstance", InstanceId=i, Force=True, ForceStop=False)
        self.await_status(i, None)
