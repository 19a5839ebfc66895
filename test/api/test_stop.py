# SPDX-License-Identifier: Apache-2.0
"""StopInstance, sentence by sentence of its page, over a real socket."""

import concurrent.futures
import json
import time

from harness import REGION, EcsTest

STATUS_TEXT = "The current status of the resource does not support this operation."


class Page(EcsTest):
    def test_stopping_at_once_then_stopped(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "shutdown=0.3")
        body = self.call("StopInstance", InstanceId=i)
        self.assertEqual(list(body), ["RequestId"])
        self.assertEqual(self.status_of(i), "Stopping")
        self.assertEqual(self.await_status(i, "Stopped"), ["Stopping", "Stopped"])

    def test_only_running_can_be_stopped(self):
        i = self.stopped_instance()
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403, message=STATUS_TEXT)
        self.assertEqual(self.status_of(i), "Stopped")

    def test_not_while_stopping_nor_by_force(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        for force in (False, True):
            self.refuses("StopInstance", InstanceId=i, ForceStop=force, code="IncorrectInstanceStatus", status=403)
        self.assertEqual(self.status_of(i), "Stopping")

    def test_not_while_starting(self):
        i = self.stopped_instance()
        self.ecs.ctl("sim", "guest", i, "boot=5")
        self.call("StartInstance", InstanceId=i)
        self.assertEqual(self.status_of(i), "Starting")
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403, message=STATUS_TEXT)

    def test_force_is_a_power_failure(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Stopped")

    def test_unknown_instance(self):
        self.refuses("StopInstance", InstanceId="blah", code="InvalidInstanceId.NotFound", status=404,
                     message="The specified InstanceId does not exist.")

    def test_instance_of_another_account(self):
        i = self.running_instance()
        other = json.loads(self.ecs.ctl("account", "create", "other", "--json"))
        key = json.loads(self.ecs.ctl("key", "create", other["AccountId"], "--json"))
        reply = self.ecs.v3("StopInstance", {"InstanceId": i}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.assertEqual((reply.status, reply.code), (404, "InvalidInstanceId.NotFound"))
        self.assertEqual(self.status_of(i), "Running")

    def test_security_lock(self):
        i = self.running_instance()
        self.ecs.ctl("instance", "lock", i, "security")
        self.refuses("StopInstance", InstanceId=i, code="InstanceLockedForSecurity", status=403,
                     message="The specified operation is denied as your instance is locked for security reasons.")
        locks = self.instance(i)["OperationLocks"]["LockReason"]
        self.assertEqual([lock["LockReason"] for lock in locks], ["security"])
        self.ecs.ctl("instance", "unlock", i)
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")

    def test_financial_lock(self):
        i = self.running_instance()
        self.ecs.ctl("instance", "lock", i, "financial")
        self.refuses("StopInstance", InstanceId=i, code="InstanceExpiredOrInArrears", status=403)

    def test_missing_and_bad_parameters(self):
        i = self.running_instance()
        self.refuses("StopInstance", code="MissingParameter", status=400,
                     message='The input parameter "InstanceId" that is mandatory for processing this request is not supplied.')
        self.refuses("StopInstance", InstanceId="", code="MissingParameter", status=400)
        self.refuses("StopInstance", InstanceId=i, ForceStop="maybe", code="InvalidParameter", status=400,
                     message='The specified parameter "ForceStop" is not valid.')
        self.refuses("StopInstance", InstanceId=i, StoppedMode="Never", code="InvalidParameter", status=400)
        self.assertEqual(self.status_of(i), "Running")

    def test_words_in_any_case_and_unknown_parameters(self):
        for params in ({"ForceStop": "True"}, {"forcestop": "FALSE"}, {"StoppedMode": "keepcharging"}, {"RegionId": REGION},
                       {"SourceIp": "1.2.3.4", "ConfirmStop": "False"}, {"DryRun": ""}):
            i = self.running_instance()
            self.call("StopInstance", InstanceId=i, **params)
            self.await_status(i, "Stopped")

    def test_dry_run_changes_nothing(self):
        i = self.running_instance()
        self.refuses("StopInstance", InstanceId=i, DryRun=True, code="DryRunOperation", status=400,
                     message="Request validation has been passed with DryRun flag set.")
        self.assertEqual(self.status_of(i), "Running")
        self.refuses("StopInstance", InstanceId="i-none", DryRun=True, code="InvalidInstanceId.NotFound", status=404)

    def test_hibernate_is_refused(self):
        i = self.running_instance()
        self.refuses("StopInstance", InstanceId=i, Hibernate=True, code="HibernationConfigured.NotEnabled", status=403)
        self.assertEqual(self.status_of(i), "Running")

    def test_disk_error(self):
        i = self.running_instance()
        disk = self.call("DescribeDisks", RegionId=REGION, InstanceId=i)["Disks"]["Disk"][0]["DiskId"]
        self.ecs.ctl("disk", "set", disk, "status=Attaching")
        self.refuses("StopInstance", InstanceId=i, code="DiskError", status=403, message="IncorrectDiskStatus")
        self.ecs.ctl("disk", "set", disk, "status=In_use")
        self.call("StopInstance", InstanceId=i)

    def test_xml_reply_and_error(self):
        i = self.running_instance()
        reply = self.ecs.v1("StopInstance", {"InstanceId": i}, format=None)
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "text/xml;charset=utf-8"))
        self.assertEqual((reply.xml.tag, [e.tag for e in reply.xml]), ("StopInstanceResponse", ["RequestId"]))
        reply = self.ecs.v1("StopInstance", {"InstanceId": "blah"}, format="xml")
        self.assertEqual((reply.status, reply.xml.tag, reply.xml.findtext("Code")), (404, "Error", "InvalidInstanceId.NotFound"))

    def test_two_racing_stops_one_200(self):
        for _ in range(5):
            i = self.running_instance()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                replies = list(pool.map(lambda _: self.ecs.v3("StopInstance", {"InstanceId": i}), range(8)))
            self.assertEqual(sorted(r.status for r in replies), [200] + [403] * 7)
            self.assertEqual({r.code for r in replies if r.status == 403}, {"IncorrectInstanceStatus"})

    def test_guest_switches_itself_off(self):
        i = self.running_instance(InstanceType="ecs.i1.xlarge")
        self.ecs.ctl("sim", "guest", i, "poweroff")
        self.await_status(i, "Stopped")
        self.assertIn("guest", self.ecs.ctl("event", "list"))

    def test_stop_start_stop(self):
        i = self.stopped_instance()
        private = self.instance(i)["VpcAttributes"]["PrivateIpAddress"]
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.assertEqual(self.instance(i)["VpcAttributes"]["PrivateIpAddress"], private)


class LocalDisks(EcsTest):
    def test_i1_needs_confirm_stop(self):
        i = self.running_instance(InstanceType="ecs.i1.xlarge")
        message = "The input parameter ConfirmStop must be true when an instance have localstorage."
        for params in ({}, {"ConfirmStop": False}, {"ForceStop": True}):
            self.refuses("StopInstance", InstanceId=i, code="InstanceType.ParameterMismatch", status=403, message=message, **params)
        self.assertEqual(self.status_of(i), "Running")
        self.call("StopInstance", InstanceId=i, ConfirmStop="True")
        self.await_status(i, "Stopped")

    def test_ignored_for_all_others(self):
        for kind in ("ecs.g6.large", "ecs.i2.xlarge", "ecs.d1.2xlarge"):
            i = self.running_instance(InstanceType=kind)
            self.call("StopInstance", InstanceId=i, ConfirmStop=False)
            self.await_status(i, "Stopped")

    def test_state_comes_before_confirmation(self):
        i = self.running_instance(InstanceType="ecs.i1.xlarge")
        self.call("StopInstance", InstanceId=i, ConfirmStop=True)
        self.await_status(i, "Stopped")
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)


class StoppedMode(EcsTest):
    def test_running_shows_not_applicable(self):
        self.assertEqual(self.instance(self.running_instance())["StoppedMode"], "Not-applicable")

    def test_keep_charging_is_the_default(self):
        self.assertEqual(self.instance(self.stopped_instance())["StoppedMode"], "KeepCharging")

    def test_stop_charging_gives_the_public_address_back(self):
        i = self.running_instance(InternetMaxBandwidthOut=5)
        before = self.instance(i)
        public = before["PublicIpAddress"]["IpAddress"]
        self.assertEqual(len(public), 1)
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
        self.await_status(i, "Stopped")
        stopped = self.instance(i)
        self.assertEqual((stopped["StoppedMode"], stopped["PublicIpAddress"]["IpAddress"]), ("StopCharging", []))
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        after = self.instance(i)
        self.assertEqual(len(after["PublicIpAddress"]["IpAddress"]), 1)
        self.assertNotEqual(after["PublicIpAddress"]["IpAddress"], public)
        self.assertEqual(after["VpcAttributes"], before["VpcAttributes"])

    def test_keep_charging_keeps_it(self):
        i = self.running_instance(InternetMaxBandwidthOut=5)
        public = self.instance(i)["PublicIpAddress"]
        self.call("StopInstance", InstanceId=i, StoppedMode="KeepCharging")
        self.await_status(i, "Stopped")
        self.assertEqual(self.instance(i)["PublicIpAddress"], public)

    def test_account_default_and_the_call_that_overrides_it(self):
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        self.ecs.ctl("account", "set", account, "stopped-mode=StopCharging")
        try:
            i = self.stopped_instance()
            self.assertEqual(self.instance(i)["StoppedMode"], "StopCharging")
            j = self.running_instance()
            self.call("StopInstance", InstanceId=j, StoppedMode="KeepCharging")
            self.await_status(j, "Stopped")
            self.assertEqual(self.instance(j)["StoppedMode"], "KeepCharging")
        finally:
            self.ecs.ctl("account", "set", account, "stopped-mode=KeepCharging")

    def test_what_does_not_qualify_stops_in_standard_mode(self):
        for params in ({"InstanceChargeType": "PrePaid", "Period": 1}, {"InstanceType": "ecs.i2.xlarge"},
                       {"InstanceType": "ecs.re6p.2xlarge"}):
            i = self.running_instance(**params)
            self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
            self.await_status(i, "Stopped")
            self.assertEqual(self.instance(i)["StoppedMode"], "Not-applicable")


class Capacity(EcsTest):
    settings = {"sim.vcpus": "4", "sim.memory_gib": "16"}

    def test_stop_charging_frees_capacity_and_start_may_find_none(self):
        zone = self.call("DescribeZones", RegionId=REGION)["Zones"]["Zone"][0]["ZoneId"]
        i = self.running_instance(InstanceType="ecs.g6.xlarge", ZoneId=zone)
        self.refuses("RunInstances", RegionId=REGION, ImageId="debian_12_6_x64_20G_alibase_20240711.vhd", InstanceType="ecs.g6.xlarge",
                     ZoneId=zone, code="OperationDenied.NoStock", status=403)
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
        self.await_status(i, "Stopped")
        j = self.running_instance(InstanceType="ecs.g6.xlarge", ZoneId=zone)
        self.refuses("StartInstance", InstanceId=i, code="OperationDenied.NoStock", status=403)
        self.assertEqual((self.status_of(i), self.instance(i)["StoppedMode"]), ("Stopped", "StopCharging"))
        self.call("StopInstance", InstanceId=j)
        self.await_status(j, "Stopped")
        self.refuses("StartInstance", InstanceId=i, code="OperationDenied.NoStock", status=403)
        self.call("DeleteInstance", InstanceId=j)
        self.await_status(j, None)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")


class Deadlines(EcsTest):
    settings = {"stop.graceful_timeout_s": "1", "stop.press_interval_s": "1", "stop.kill_wait_s": "1"}

    def test_guest_that_ignores_the_button_is_cut_off(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        start = time.monotonic()
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.assertGreater(time.monotonic() - start, 0.9)
        self.assertIn("escalate", self.ecs.ctl("event", "list"))

    def test_guest_that_hangs_is_killed(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "hang=on")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")

    def test_press_during_early_boot_is_repeated(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "boot=0.2")
        self.call("RebootInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")

    def test_lost_host_leaves_stopping(self):
        i = self.running_instance()
        host = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["HostId"]
        self.ecs.ctl("sim", "host", host, "down")
        try:
            self.call("StopInstance", InstanceId=i, ForceStop=True)
            time.sleep(2)
            self.assertEqual(self.status_of(i), "Stopping")
            self.assertRegex(self.ecs.ctl("job", "list"), "(?i)unreachable|does not answer")
        finally:
            self.ecs.ctl("sim", "host", host, "up")
        self.await_status(i, "Stopped", 40)


class Revert(EcsTest):
    settings = {"stop.graceful_timeout_s": "1", "stop.on_timeout": "revert", "stop.press_interval_s": "1"}

    def test_back_to_running(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        self.assertEqual(self.status_of(i), "Stopping")
        self.await_status(i, "Running")


class Overtakes(EcsTest):
    settings = {"stop.force_overtakes": "true"}

    def test_force_cuts_the_wait_short(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        self.assertEqual(self.status_of(i), "Stopping")
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)
        self.call("StopInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Stopped", 5)


class CurrentProfile(EcsTest):
    settings = {"compat.profile": "current", "compat.confirm_stop": "ignore"}

    def test_long_status_sentence(self):
        i = self.stopped_instance()
        self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403,
                     message="The specified instance is in an incorrect status for the requested action; Status of the specified "
                             "instance is Stopped but the expected status is in (Running).")

    def test_confirm_stop_is_ignored(self):
        i = self.running_instance(InstanceType="ecs.i1.xlarge")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")


class Batch(EcsTest):
    def batch(self, ids, **params):
        return {**{f"InstanceId__{n + 1}": i for n, i in enumerate(ids)}, "RegionId": REGION, **params}

    def test_all_together(self):
        ids = [self.running_instance() for _ in range(3)]
        items = self.call("StopInstances", **self.batch(ids))["InstanceResponses"]["InstanceResponse"]
        self.assertEqual(items, [{"Code": "200", "Message": "success", "InstanceId": i, "CurrentStatus": "Stopping",
                                  "PreviousStatus": "Running"} for i in ids])
        for i in ids:
            self.await_status(i, "Stopped")

    def test_all_together_with_an_unknown_one_stops_nothing(self):
        ids = [self.running_instance(), "i-unknown", self.running_instance()]
        self.refuses("StopInstances", code="InvalidInstanceId.NotFound", status=404, **self.batch(ids))
        self.assertEqual([self.status_of(ids[0]), self.status_of(ids[2])], ["Running", "Running"])

    def test_success_first(self):
        ids = [self.running_instance(), "i-unknown", self.running_instance()]
        items = self.call("StopInstances", **self.batch(ids, BatchOptimization="SuccessFirst"))["InstanceResponses"]["InstanceResponse"]
        self.assertEqual([(item["InstanceId"], item["Code"]) for item in items],
                         [(ids[0], "200"), (ids[1], "InvalidInstanceId.NotFound"), (ids[2], "200")])
        self.assertEqual((items[1]["CurrentStatus"], items[1]["PreviousStatus"]), ("", ""))
        self.await_status(ids[0], "Stopped")
        self.await_status(ids[2], "Stopped")

    def test_duplicates_count_once(self):
        i = self.running_instance()
        items = self.call("StopInstances", **self.batch([i, i, i]))["InstanceResponses"]["InstanceResponse"]
        self.assertEqual([item["InstanceId"] for item in items], [i])

    def test_limits_and_absence(self):
        self.refuses("StopInstances", code="InvalidParameter.TooManyInstanceIds", status=403,
                     message="Instance ids cannot be more than 100.", **self.batch([f"i-{n}" for n in range(101)]))
        self.refuses("StopInstances", code="InvalidInstanceId.NotFound", status=403, message="InstanceId should not be null.",
                     RegionId=REGION)

    def test_dry_run(self):
        i = self.running_instance()
        self.refuses("StopInstances", code="DRYRUN.SUCCESS", status=400,
                     message="This request is a dryrun request with successful result.", **self.batch([i], DryRun=True))
        self.refuses("StopInstances", code="InvalidInstanceId.NotFound", status=404, **self.batch([i, "i-x"], DryRun=True))
        self.refuses("StopInstances", code="DRYRUN.SUCCESS", status=400,
                     **self.batch([i, "i-x"], DryRun=True, BatchOptimization="SuccessFirst"))
        self.assertEqual(self.status_of(i), "Running")

    def test_i1_in_a_batch_needs_what_a_batch_cannot_say(self):
        i, j = self.running_instance(InstanceType="ecs.i1.xlarge"), self.running_instance()
        self.refuses("StopInstances", code="InstanceType.ParameterMismatch", status=403, **self.batch([i, j]))
        self.assertEqual((self.status_of(i), self.status_of(j)), ("Running", "Running"))
