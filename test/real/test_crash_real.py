# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon around a stop of a real machine: the restart finds the truth and finishes, by the same deadline."""

import json
import os
import select
import signal
import threading
import time
import unittest

from machines import REGION, RealTest, end_process, unmake


class Census(threading.Thread):
    """Counts the machines of each instance all the time: never more than one."""

    def __init__(self, ecs):
        super().__init__(daemon=True)
        self.ecs, self.done, self.most = ecs, threading.Event(), 0

    def run(self):
        while not self.done.wait(0.01):
            by_instance = {}
            for words in self.ecs.qemus().values():
                name = words.split("guest=")[1].split(",")[0]
                by_instance[name] = by_instance.get(name, 0) + 1
            self.most = max([self.most, *by_instance.values()])


class Crash(RealTest):
    settings = {"stop.graceful_timeout_s": "20", "stop.press_interval_s": "2", "stop.kill_wait_s": "3"}

    def setUp(self):
        self.census = Census(self.ecs)
        self.census.start()

    def tearDown(self):
        self.census.done.set()
        self.census.join()
        self.assertLessEqual(self.census.most, 1, "two machines of one instance")
        super().tearDown()

    def job(self, instance_id):
        jobs = json.loads(self.ecs.ctl("job", "list", "--json"))
        jobs = jobs if isinstance(jobs, list) else jobs["Jobs"]["Job"]
        return next((j for j in jobs if j["InstanceId"] == instance_id), None)

    def test_before_the_press(self):
        i = self.launch(nonce="n-early")
        self.call("StopInstance", InstanceId=i)
        self.ecs.kill()  # the reply is a moment old
        self.ecs.start()
        self.await_status(i, "Stopped", seconds=30)
        self.assertEqual(self.look(i).read("/clean"), "n-early")

    def test_before_the_process_was_made(self):
        """Its libvirt is killed with it, and leaves a note without a process."""
        i = self.launch()
        pid = self.ecs.qemu(i)
        self.ecs.kill()
        end_process(pid)
        unmake(self.ecs.data / f"libvirt/run/qemu/{i}.xml")
        self.ecs.start()
        self.await_status(i, "Stopped", seconds=30)
        self.start(i)

    def test_between_press_and_power_off(self):
        i = self.launch("guest slow-shutdown 6", nonce="n-between")
        self.call("StopInstance", InstanceId=i)
        self.ecs.await_console(i, "guest: shutting down")
        before = self.job(i)["Deadline"]
        self.ecs.kill()
        self.ecs.start()
        after = self.job(i)
        self.assertEqual(after["Deadline"], before)
        self.await_status(i, "Stopped", seconds=30)
        self.assertEqual(self.look(i).read("/clean"), "n-between")

    def test_three_times_in_one_stop(self):
        i = self.launch("guest slow-shutdown 9")
        self.call("StopInstance", InstanceId=i)
        deadlines = set()
        for _ in range(3):
            deadlines.add(self.job(i)["Deadline"])
            time.sleep(1)
            self.ecs.kill()
            self.ecs.start()
        self.assertEqual(len(deadlines), 1)
        self.await_status(i, "Stopped", seconds=30)
        self.assertFalse(self.look(i).needs_recovery)

    def test_during_escalation(self):
        i = self.launch()
        pid = self.ecs.qemu(i)
        os.kill(pid, signal.SIGSTOP)  # neither quit nor TERM helps
        self.call("StopInstance", InstanceId=i)
        end = time.monotonic() + 40
        while self.job(i)["Step"] != "cut" and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.job(i)["Step"], "cut")
        self.ecs.kill()
        self.ecs.start()
        self.await_status(i, "Stopped", seconds=40)
        self.assertEqual(self.ecs.qemus(i), {})
        self.assertTrue(any("escalat" in str(e) for e in self.events(i)))

    def test_after_death_before_the_row(self):
        i = self.launch(nonce="n-dead")
        handle = os.pidfd_open(self.ecs.qemu(i))
        self.call("StopInstance", InstanceId=i)
        self.assertTrue(select.select([handle], [], [], 30)[0])
        self.ecs.kill()
        os.close(handle)
        self.ecs.start()
        self.await_status(i, "Stopped", seconds=20)
        self.assertEqual(self.look(i).read("/clean"), "n-dead")
        self.start(i)

    def test_dies_while_nobody_looks(self):
        killed, switched_off, on = self.launch(), self.launch("(sleep 3; guest poweroff) &"), self.launch()
        pid = self.ecs.qemu(killed)
        self.ecs.kill()
        end_process(pid)
        self.ecs.await_console(switched_off, "guest: clean")
        self.ecs.start()
        self.await_status(killed, "Stopped", seconds=20)
        self.await_status(switched_off, "Stopped", seconds=20)
        self.assertEqual(self.status_of(on), "Running")
        self.assertIn(("Running", "Stopped", "guest"), [e[:3] for e in self.events(switched_off)])
        self.assertEqual([e[2] for e in self.events(killed) if e[1] == "Stopped"], ["crash"])

    def test_during_a_start(self):
        i = self.launch(nonce="n-start")
        self.stop(i)
        for wait in (0.0, 0.3, 0.8):
            self.call("StartInstance", InstanceId=i)
            time.sleep(wait)
            self.ecs.kill()
            self.ecs.start()
            self.await_status(i, "Running", seconds=90)
            self.assertEqual(len(self.ecs.qemus(i)), 1)
            self.stop(i)

    def test_the_store_is_what_survives(self):
        """Deleted while the daemon is killed: nothing of it comes back."""
        i = self.launch()
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.ecs.kill()
        self.ecs.start()
        self.await_status(i, None, seconds=20)
        end = time.monotonic() + 30
        while self.ecs.qemus(i) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.ecs.qemus(i), {})
        self.assertEqual(self.call("DescribeDisks", RegionId=REGION)["Disks"]["Disk"], [])


if __name__ == "__main__":
    unittest.main()
