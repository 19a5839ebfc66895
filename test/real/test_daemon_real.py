# SPDX-License-Identifier: Apache-2.0
"""Machines of a libvirtd: it crashes, hangs and is not there, and neither machines nor promises are lost.

Its notes of processes are in its own mount namespace, so ecsd holds no process: libvirt's word is the proof of an end, as it is
for a host elsewhere.
"""

import json
import os
import signal
import threading
import time
import unittest

import libvirtd
from libvirtd import Libvirtd
from machines import IMAGE, REGION, SLOW, SMALL, RealDaemon, RealTest, end_process, script, unmake

LOST, FOUND = "the connection to a host is lost", "connected to a host"
NO_ANSWER = "the host does not answer"


@unittest.skipIf(libvirtd.missing(), libvirtd.missing())
class DaemonTest(RealTest):
    settings = {"stop.press_interval_s": "2", "stop.kill_wait_s": "3", "libvirt.memory_scale": "0.3"}

    @classmethod
    def setUpClass(cls):
        cls.libvirtd = Libvirtd()
        cls.addClassCleanup(cls.libvirtd.close)
        cls.libvirtd.start()
        cls.url = cls.libvirtd.url
        super().setUpClass()

    def job(self, instance_id):
        jobs = json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"]
        return next((job for job in jobs if job["InstanceId"] == instance_id), None)

    def await_true(self, what, seconds, why):
        end = time.monotonic() + seconds * SLOW
        while not what():
            self.assertLess(time.monotonic(), end, f"{why}: {self.ecs.log_text()[-1500:]}")
            time.sleep(0.02)

    def await_no_answer(self, instance_id, seconds):
        """The operator is told why it takes so long."""
        self.await_true(lambda: NO_ANSWER in (self.job(instance_id) or {}).get("Error", ""), seconds, "no reason is given")
        shown = json.loads(self.ecs.ctl("job", "show", self.job(instance_id)["JobId"], "--json"))
        self.assertIn(NO_ANSWER, str(shown))

    def await_log(self, text, before, seconds=20):
        """One more of these lines than there were before."""
        self.await_true(lambda: self.ecs.log_text().count(text) > before, seconds, f"not in the log: {text}")


class Life(DaemonTest):
    def test_a_whole_life(self):
        i = self.launch(nonce="n-life")
        disk = self.system_disk(i)
        self.assertEqual(self.stop(i)[-2:], ["Stopping", "Stopped"])
        looked = self.look(i)
        self.assertEqual((looked.read("/clean"), looked.needs_recovery), ("n-life", False))
        self.start(i)
        self.ecs.await_console(i, "guest: last stop clean")
        self.ecs.await_console(i, "guest: ready")
        self.stop(i, ForceStop=True)
        looked = self.look(i)
        self.assertEqual((looked.read("/clean"), looked.needs_recovery), (None, True))
        self.start(i)
        pid = self.ecs.qemu(i)
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None, seconds=30)
        self.await_true(lambda: not (self.ecs.data / "disks" / f"{disk}.qcow2").exists(), 20, "its disk stays")
        self.assertNotIn(pid, self.ecs.qemus())
        self.assertFalse((self.ecs.data / "machines" / i).exists())

    def test_guests_that_end_by_themselves(self):
        off, crashed = self.launch("(sleep 1; guest poweroff) &"), self.launch()
        end_process(self.ecs.qemu(crashed))
        for i, reason in ((off, "guest"), (crashed, "crash")):
            self.await_status(i, "Stopped", seconds=30)
            self.assertIn(("Running", "Stopped", reason), [e[:3] for e in self.events(i)])

    def test_a_stuck_qemu_is_cut_through_libvirt(self):
        """Its process can't be signalled from here: libvirt is told to."""
        i = self.launch()
        os.kill(self.ecs.qemu(i), signal.SIGSTOP)
        self.stop(i, ForceStop=True, seconds=90)
        self.assertEqual(self.ecs.qemus(i), {})


class Client(threading.Thread):
    """Stops and starts its own machine without an end, as a client does: what was acknowledged is waited for."""

    patience_s = 180  # libvirtd may be away for a minute of it, where the machine is slow

    def __init__(self, test, instance_id, force):
        super().__init__(daemon=True)
        self.test, self.id, self.force = test, instance_id, force
        self.done, self.error, self.rounds = threading.Event(), None, 0

    def await_mine(self, status):
        """Tells all there is to know when it doesn't come."""
        end = time.monotonic() + self.patience_s
        while (shown := self.test.status_of(self.id)) != status:
            if time.monotonic() > end:
                ecs = self.test.ecs
                raise AssertionError("\n".join([f"{self.id} is {shown}, not {status}", ecs.ctl("job", "list", ok=None),
                                                ecs.ctl("instance", "show", self.id, ok=None), str(ecs.qemus(self.id)),
                                                ecs.console(self.id)[-500:], ecs.log_text()[-4000:]]))
            time.sleep(0.02)

    def run(self):
        try:
            while not self.done.is_set():
                self.test.call("StopInstance", InstanceId=self.id, ForceStop=self.force)
                self.await_mine("Stopped")
                alive = self.test.ecs.qemus(self.id)  # nobody but us starts it
                self.test.assertEqual(alive, {}, "shown Stopped while it lives")
                self.test.call("StartInstance", InstanceId=self.id)
                self.await_mine("Running")
                self.rounds += 1
        except Exception as error:  # the test's thread reports it
            self.error = error


class Watcher(threading.Thread):
    """Sees every state that machines are shown in which nobody stops."""

    def __init__(self, test, ids):
        super().__init__(daemon=True)
        self.test, self.ids = test, ids
        self.done, self.seen = threading.Event(), set()

    def run(self):
        while not self.done.wait(0.02):
            self.seen |= {self.test.status_of(i) for i in self.ids}


class Crashes(DaemonTest):
    """libvirtd is killed again and again, and comes back; meanwhile clients stop and start machines."""

    def crash(self, away_s):
        """Back when ecsd has found it again."""
        lost, found = self.ecs.log_text().count(LOST), self.ecs.log_text().count(FOUND)
        self.libvirtd.kill()
        self.await_log(LOST, lost)
        time.sleep(away_s)  # a supervisor takes its time, too
        self.libvirtd.start()
        self.await_log(FOUND, found)

    def crash_when_found(self, times):
        """While the connection is new, or being made."""
        for n in range(times):
            self.await_log(FOUND, 0)
            time.sleep(n * 0.004)
            self.libvirtd.kill()
            self.libvirtd.start()

    def fleet(self, count):
        made = self.call("RunInstances", RegionId=REGION, ImageId=IMAGE, InstanceType=SMALL, Amount=count,
                         UserData=script())["InstanceIdSets"]["InstanceIdSet"]
        for i in made:
            self.await_status(i, "Running", seconds=120)
        return made

    def test_under_load(self):
        made = self.fleet(6)
        watcher = Watcher(self, made[:2])
        pids = {i: self.ecs.qemu(i) for i in made[:2]}
        clients = [Client(self, i, force=n % 2 == 1) for n, i in enumerate(made[2:])]
        for thread in (watcher, *clients):
            thread.start()
        try:
            for away_s in (0, 1, 3, 0, 2):
                time.sleep(2)  # of load
                self.crash(away_s)
            self.crash_when_found(12)
        finally:
            for thread in (watcher, *clients):
                thread.done.set()
            for thread in (watcher, *clients):
                thread.join(2 * Client.patience_s)
        self.assertEqual([c.error for c in clients if c.error], [])
        self.assertEqual([c.rounds for c in clients if c.rounds == 0], [], "one never came through")
        self.assertEqual(watcher.seen, {"Running"})
        self.assertEqual({i: self.ecs.qemu(i) for i in made[:2]}, pids)
        for i in made:
            self.assertEqual((self.status_of(i), len(self.ecs.qemus(i))), ("Running", 1))

    def test_a_stop_waits_and_says_for_what(self):
        i = self.launch(nonce="n-wait")
        found = self.ecs.log_text().count(FOUND)
        self.libvirtd.kill()
        self.call("StopInstance", InstanceId=i)
        self.await_no_answer(i, 10)
        self.assertEqual(self.status_of(i), "Stopping")
        self.assertEqual(len(self.ecs.qemus(i)), 1)
        self.libvirtd.start()
        self.await_log(FOUND, found)
        self.await_status(i, "Stopped", seconds=30)
        self.assertEqual(self.look(i).read("/clean"), "n-wait")

    def test_what_ended_while_it_was_away(self):
        on = self.launch()
        off = self.launch("(sleep 2; guest poweroff) &", nonce="n-away")
        self.libvirtd.kill()
        self.ecs.await_console(off, "guest: clean")
        self.assertEqual(self.status_of(off), "Running")  # nobody can know
        self.libvirtd.start()
        self.await_status(off, "Stopped", seconds=30)
        self.assertEqual(self.look(off).read("/clean"), "n-away")
        self.assertEqual(self.status_of(on), "Running")

    def test_killed_before_the_process_was_made(self):
        """Then libvirt has it starting up for ever (9.0). Nobody is told that it is off; with our drop-in the next libvirtd forgets it."""
        i = self.launch()
        self.libvirtd.kill()
        end_process(self.ecs.qemu(i))
        unmake(self.libvirtd.note(i))
        self.libvirtd.start(drop_in=False)
        self.call("StopInstance", InstanceId=i, ForceStop=True)
        self.await_log("libvirt has been starting a machine for long", 0, seconds=60)
        self.assertEqual(self.status_of(i), "Stopping")
        self.libvirtd.kill()
        self.libvirtd.start()
        self.await_status(i, "Stopped", seconds=40)
        self.start(i)

    def test_both_are_killed(self):
        i, other = self.launch("guest slow-shutdown 4", nonce="n-both"), self.launch()
        self.call("StopInstance", InstanceId=i)
        self.ecs.await_console(i, "guest: shutting down")
        self.ecs.kill()
        self.libvirtd.kill()
        self.ecs.start()
        self.assertEqual(self.status_of(i), "Stopping")
        self.libvirtd.start()
        self.await_status(i, "Stopped", seconds=40)
        self.assertEqual(self.look(i).read("/clean"), "n-both")
        self.assertEqual(self.status_of(other), "Running")


class Hangs(DaemonTest):
    def tearDown(self):
        self.libvirtd.signal(signal.SIGCONT)
        super().tearDown()

    def test_the_api_goes_on(self):
        i, other = self.launch(nonce="n-hang"), self.launch()
        self.libvirtd.signal(signal.SIGSTOP)
        began = time.monotonic()
        self.call("StopInstance", InstanceId=i)
        self.await_no_answer(i, 40)  # three lost keepalives, five seconds each
        slowest = 0.0
        while time.monotonic() < began + 25:
            asked = time.monotonic()
            self.assertEqual((self.status_of(i), self.status_of(other)), ("Stopping", "Running"))
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.02)
        self.assertLess(slowest, 2)
        self.assertEqual(len(self.ecs.qemus(i)), 1)
        self.libvirtd.signal(signal.SIGCONT)
        self.await_status(i, "Stopped", seconds=40)
        self.assertEqual(self.look(i).read("/clean"), "n-hang")
        self.assertEqual(self.status_of(other), "Running")

    def test_the_daemon_can_be_stopped_and_started_meanwhile(self):
        i = self.launch()
        self.libvirtd.signal(signal.SIGSTOP)
        self.call("StopInstance", InstanceId=i)
        began = time.monotonic()
        self.ecs.restart()
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.status_of(i), "Stopping")
        self.libvirtd.signal(signal.SIGCONT)
        self.await_status(i, "Stopped", seconds=40)


class Late(DaemonTest):
    def test_ecsd_is_there_first(self):
        i, off = self.launch(), self.launch()
        self.ecs.stop()
        self.libvirtd.kill()
        end_process(self.ecs.qemu(off))
        self.ecs.start()
        self.assertEqual((self.status_of(i), self.status_of(off)), ("Running", "Running"))
        self.call("StopInstance", InstanceId=i)
        self.await_no_answer(i, 10)
        self.libvirtd.start()
        self.await_status(i, "Stopped", seconds=40)
        self.await_status(off, "Stopped", seconds=20)
        self.start(i)

    def test_a_first_start_without_it(self):
        """A new data folder: what is asked for is made when the host comes."""
        self.libvirtd.kill()
        ecs, type(self).ecs = self.ecs, RealDaemon(url=self.url, settings=self.settings)
        try:
            i = self.run_instance(InstanceType=SMALL, UserData=script())
            self.await_no_answer(i, 10)
            self.libvirtd.start()
            self.await_status(i, "Running", seconds=60)
            self.release(i)
            self.await_status(i, None, seconds=20)
        finally:
            self.ecs.close()
            type(self).ecs = ecs


if __name__ == "__main__":
    unittest.main()
