# SPDX-License-Identifier: Apache-2.0
"""`ecsctl host evacuate` and `host remove` over a real socket: what moves, what is left and why, and that nothing is lost."""

import json
import subprocess
import threading

from harness import BUILD, Daemon, EcsTest, until

ZONE = "zone=cn-hangzhou-h"


class Evacuate(EcsTest):
    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.ecs = Daemon()  # hosts are drained and filled: each test has its own
        self.addCleanup(self.ecs.close)
        # host-1, the larger one, takes what is new
        self.ecs.ctl("host", "add", "rack-2", ZONE, "vcpus=16", "memory=64")

    def run_instance(self, **params):
        return super().run_instance(**{"ZoneId": "cn-hangzhou-h", **params})

    def shown(self, instance_id):
        return json.loads(self.ecs.ctl("instance", "show", instance_id, "--json"))

    def host_of(self, instance_id):
        return self.shown(instance_id)["HostId"]

    def placed(self, host_id):
        listed = json.loads(self.ecs.ctl("instance", "list", "limit=1000", "--json"))["Instances"]["Instance"]
        return [i["InstanceId"] for i in listed if i["HostId"] == host_id]

    def host(self, host_id):
        hosts = json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]
        return next(host for host in hosts if host["HostId"] == host_id)

    def refusal(self, *words, code=1):
        """What ecsctl says when it ends with that code."""
        done = subprocess.run([BUILD / "ecsctl", "--data", self.ecs.data, *words], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done)
        return done.stderr

    def evacuate(self, ok=True, host="host-1"):
        """What moved as {instance: host}, what is left as {instance: reason}."""
        reply = json.loads(self.ecs.ctl("host", "evacuate", host, "--json", ok=ok))
        return ({i["InstanceId"]: i["HostId"] for i in reply["Moved"]}, {i["InstanceId"]: i["Reason"] for i in reply["Left"]})

    def test_stopped_ones_move_and_the_host_can_be_removed(self):
        ids = [self.stopped_instance() for _ in range(3)]
        before = self.instance(ids[0])
        self.assertEqual({self.host_of(i) for i in ids}, {"host-1"})
        text = self.ecs.ctl("host", "evacuate", "host-1")
        for i in ids:
            self.assertIn(f"moved   {i}  rack-2\n", text)
        self.assertIn("3 moved, 0 left at host-1", text)
        self.assertEqual(self.host("host-1")["State"], "draining")
        self.assertEqual((self.host("host-1")["UsedVcpus"], self.host("rack-2")["UsedVcpus"]), (0, 6))
        for i in ids:
            self.assertEqual((self.host_of(i), self.status_of(i)), ("rack-2", "Stopped"))
        after = self.instance(ids[0])
        self.assertEqual(before, after)
        jobs = json.loads(self.ecs.ctl("job", "list", "all=true", "--json"))["Jobs"]["Job"]
        moves = [job for job in jobs if job["Kind"] == "evacuate" and job["InstanceId"] in ids]
        self.assertEqual([(job["State"], job["Reason"]) for job in moves], [("done", "operator")] * 3)
        events = json.loads(self.ecs.ctl("event", "list", ids[0], "--json"))["Events"]["Event"]
        self.assertIn(("host", "host-1", "rack-2"), [(e["Kind"], e["FromState"], e["ToState"]) for e in events])
        self.call("StartInstance", InstanceId=ids[0])
        self.await_status(ids[0], "Running")
        self.assertEqual(self.host_of(ids[0]), "rack-2")

    def test_an_empty_host_is_removed_and_one_that_is_not_says_what_it_has(self):
        i = self.stopped_instance()
        running = self.running_instance()
        self.ecs.ctl("host", "add", "rack-3", ZONE, "vcpus=200000", "memory=800000")
        try:
            j = self.stopped_instance()
            self.assertEqual(self.host_of(j), "rack-3")
            refused = self.refusal("host", "remove", "host-1")
            self.assertIn("HostInUse", refused)
            self.ecs.ctl("host", "set", "host-1", "vcpus=1", ok=False)
            self.assertEqual(self.host("host-1")["Vcpus"], 100000)
            self.assertIn(f"{i} (Stopped)", refused)
            self.assertIn(f"{running} (Running)", refused)
            self.assertEqual(self.evacuate(host="rack-3"), ({j: "host-1"}, {}))
        finally:
            self.ecs.ctl("host", "remove", "rack-3")
        self.assertEqual(self.status_of(j), "Stopped")
        with self.assertRaises(StopIteration):
            self.host("rack-3")

    def test_a_deployment_set_is_kept_to(self):
        """Also by one that a redeploy would let leave its set: an operator empties the host, nothing has failed."""
        set_id = self.call("CreateDeploymentSet", RegionId="cn-hangzhou", OnUnableToRedeployFailedInstance="CancelMembershipAndStart")
        member = {"DeploymentSetId": set_id["DeploymentSetId"]}
        i, j = self.stopped_instance(**member), self.stopped_instance(**member)
        self.assertEqual((self.host_of(i), self.host_of(j)), ("host-1", "rack-2"))
        self.assertEqual(self.evacuate(ok=False), ({}, {i: "its deployment set leaves no other host to it"}))
        self.assertEqual(self.host_of(i), "host-1")
        self.assertEqual(self.instance(i)["DeploymentSetId"], member["DeploymentSetId"])
        self.ecs.ctl("host", "add", "rack-3", ZONE, "vcpus=4", "memory=16")
        self.assertEqual(self.evacuate(), ({i: "rack-3"}, {}))

    def test_what_can_not_move_is_named_with_the_reason(self):
        running = self.running_instance()
        local = self.stopped_instance(InstanceType="ecs.i2.xlarge")
        large = self.stopped_instance(InstanceType="ecs.g6.8xlarge")  # 32 vCPUs: rack-2 has 16
        i = self.stopped_instance()
        moved, left = self.evacuate(ok=False)
        self.assertEqual(moved, {i: "rack-2"})
        self.assertEqual(left, {running: "it is Running", local: "its local disks would be lost",
                                large: "no other host of its zone has room"})
        self.assertEqual(self.status_of(running), "Running")
        text = self.ecs.ctl("host", "evacuate", "host-1", ok=False)
        self.assertIn(f"left    {running}  it is Running\n", text)
        self.assertIn("0 moved, 3 left at host-1", text)
        # It is done again when they have stopped, and when there is room.
        self.call("StopInstance", InstanceId=running)
        self.await_status(running, "Stopped")
        self.ecs.ctl("host", "set", "rack-2", "vcpus=64", "memory=256")
        moved, left = self.evacuate(ok=False)
        self.assertEqual((sorted(moved), list(left)), (sorted([running, large]), [local]))

    def test_a_host_that_does_not_answer_keeps_its_instances(self):
        i = self.stopped_instance()
        self.ecs.ctl("sim", "host", "host-1", "down")
        self.assertEqual(self.evacuate(ok=False), ({}, {i: "can't look at the machine: the host does not answer"}))
        self.ecs.ctl("sim", "host", "host-1", "up")
        self.assertEqual(self.evacuate(), ({i: "rack-2"}, {}))

    def test_no_host_and_no_words(self):
        self.assertIn("InvalidHostId.NotFound", self.refusal("host", "evacuate", "nowhere"))
        self.assertIn("host evacuate needs HOST", self.refusal("host", "evacuate", code=2))
        self.assertIn("--timeout soon", self.refusal("host", "evacuate", "host-1", "--timeout", "soon", code=2))

    def test_orders_meanwhile_wait_or_are_refused_and_nothing_is_lost(self):
        """While the host takes its time: OperationConflict. What was acknowledged holds, before and after."""
        i = self.stopped_instance()
        self.ecs.ctl("sim", "host", "host-1", "delay=1500")
        done = []
        thread = threading.Thread(target=lambda: done.append(self.evacuate()))
        thread.start()
        try:
            until(self, lambda: self.shown(i)["JobId"] != 0)
            conflict = {"code": "OperationConflict", "status": 409,
                        "message": "Request was denied due to conflict with a previous request."}
            self.refuses("StartInstance", InstanceId=i, **conflict)
            self.refuses("DeleteInstance", InstanceId=i, **conflict)
            self.refuses("RedeployInstance", InstanceId=i, **conflict)
            self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)
            self.assertEqual(self.status_of(i), "Stopped")
            self.assertIn("evacuate", self.ecs.ctl("job", "list"))
        finally:
            thread.join()
            self.ecs.ctl("sim", "host", "host-1", "delay=0")
        self.assertEqual(done, [({i: "rack-2"}, {})])
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")

    def test_killed_in_between(self):
        """kill -9 while moves are under way, again and again: all that were ordered end, each instance at one host, whole."""
        ids = [self.stopped_instance() for _ in range(8)]
        moving = lambda: "evacuate" in self.ecs.ctl("job", "list")
        self.ecs.ctl("sim", "host", "host-1", "delay=300")
        thread = threading.Thread(target=lambda: self.ecs.ctl("host", "evacuate", "host-1", ok=None))
        thread.start()
        until(self, moving)
        kills = 0
        while moving() and kills < 5:
            self.ecs.kill()
            self.ecs.start()
            kills += 1
        self.assertGreater(kills, 1)
        thread.join()
        until(self, lambda: not moving())
        self.assertEqual({self.host_of(i) for i in ids}, {"rack-2"})
        self.assertEqual({self.status_of(i) for i in ids}, {"Stopped"})
        self.assertEqual(self.host("host-1")["State"], "draining")
        self.assertEqual((self.host("host-1")["UsedVcpus"], self.host("rack-2")["UsedVcpus"]), (0, 16))
        for i in ids:
            self.call("StartInstance", InstanceId=i)
        for i in ids:
            self.await_status(i, "Running")
            self.assertEqual(self.host_of(i), "rack-2")


if __name__ == "__main__":
    import unittest

    unittest.main()
