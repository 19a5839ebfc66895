# SPDX-License-Identifier: Apache-2.0
"""StopInstance on real machines: what is found on the guest's disk afterwards, and how every kind of guest ends."""

import os
import signal
import time
import unittest

from machines import LOCAL_I1, LOCAL_I2, REGION, SMALL, RealTest, end_process


class Proof(RealTest):
    """The power button flushes, ForceStop is a power failure: the same guest, the same script."""

    def test_graceful_stop_flushes(self):
        i = self.launch(nonce="n-graceful")
        self.assertEqual(self.stop(i)[-2:], ["Stopping", "Stopped"])
        disk = self.look(i)
        self.assertEqual((disk.read("/synced"), disk.read("/unsynced"), disk.read("/clean")), ("n-graceful",) * 3)
        self.assertFalse(disk.needs_recovery)

    def test_forced_stop_is_a_power_failure(self):
        i = self.launch(nonce="n-forced")
        self.stop(i, ForceStop=True)
        disk = self.look(i)
        self.assertEqual(disk.read("/synced"), "n-forced")
        self.assertIsNone(disk.read("/unsynced"))
        self.assertIsNone(disk.read("/clean"))
        self.assertTrue(disk.needs_recovery)

    def test_it_starts_again_from_what_was_on_the_disk(self):
        i = self.launch(nonce="n-again")
        self.stop(i)
        self.start(i)
        self.ecs.await_console(i, "guest: ready")
        text = self.ecs.console(i)
        self.assertIn("guest: last stop clean", text)
        self.assertIn("guest: boot 2 nonce n-again", text)
        older = (self.ecs.data / "machines" / i / "console-1.log").read_text()
        self.assertIn("guest: boot 1 ", older)


class Endings(RealTest):
    """Deadlines are short here; each guest ends in a way of its own."""

    settings = {"stop.graceful_timeout_s": "12", "stop.press_interval_s": "2", "stop.kill_wait_s": "2"}

    def test_pressed_during_firmware(self):
        i = self.run_instance(InstanceType=SMALL)
        self.await_status(i, "Starting")
        end = time.monotonic() + 30
        while not self.ecs.qemus(i) and time.monotonic() < end:
            time.sleep(0.01)
        # Running is when its agent answers. A reboot brings it back into its firmware, and there it is asked to stop.
        self.await_status(i, "Running", seconds=90)
        self.call("RebootInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Running", seconds=90)
        pid = self.ecs.qemu(i)
        os.kill(pid, signal.SIGSTOP)  # so that the press meets a guest that is not up
        began = time.monotonic()
        self.call("StopInstance", InstanceId=i)
        time.sleep(1)
        os.kill(pid, signal.SIGCONT)
        self.await_status(i, "Stopped", seconds=30)
        self.assertLess(time.monotonic() - began, 11, "it took the deadline, not a press")
        self.assertIn("guest: clean", self.ecs.console(i))

    def test_button_ignored_until_the_deadline(self):
        i = self.launch("guest ignore-button")
        began = time.monotonic()
        self.stop(i)
        took = time.monotonic() - began
        self.assertTrue(11.5 < took < 20, took)
        self.assertGreaterEqual(self.ecs.console(i).count("guest: button ignored"), 3)
        self.assertNotIn("guest: clean", self.ecs.console(i))
        self.assertTrue(any("escalat" in str(e) for e in self.events(i)), self.events(i))
        history = self.call("DescribeInstanceHistoryEvents", RegionId=REGION, InstanceId=i)
        self.assertIn("SystemFailure.Stop", str(history))

    def test_slow_guest_inside_the_deadline_is_not_killed(self):
        i = self.launch("guest slow-shutdown 8")
        began = time.monotonic()
        self.stop(i)
        self.assertTrue(7.5 < time.monotonic() - began < 12)
        self.assertIn("guest: clean", self.ecs.console(i))
        self.assertEqual(self.look(i).needs_recovery, False)

    def test_guest_that_hangs(self):
        i = self.launch("(sleep 1; guest hang) &")
        self.ecs.await_console(i, "guest: hung")
        self.stop(i)
        self.assertNotIn("guest: clean", self.ecs.console(i))

    def test_poweroff_inside(self):
        i = self.launch("(sleep 1; guest poweroff) &")
        self.await_status(i, "Stopped", seconds=30)
        self.assertIn("guest: clean", self.ecs.console(i))
        self.assertIn(("Running", "Stopped", "guest"), [e[:3] for e in self.events(i)])
        self.assertEqual(self.instance(i)["StoppedMode"], "KeepCharging")

    def test_kernel_panic(self):
        i = self.launch("(sleep 1; guest panic) &")
        self.await_status(i, "Stopped", seconds=30)
        self.assertIn(("Running", "Stopped", "crash"), [e[:3] for e in self.events(i)])
        self.assertIn("InstanceFailure.Reboot", str(self.call("DescribeInstanceHistoryEvents", RegionId=REGION, InstanceId=i)))

    def test_qemu_killed_from_outside(self):
        i = self.launch()
        end_process(self.ecs.qemu(i))
        self.await_status(i, "Stopped", seconds=10)
        self.assertIn(("Running", "Stopped", "crash"), [e[:3] for e in self.events(i)])

    def test_qemu_stopped_then_forced(self):
        i = self.launch()
        pid = self.ecs.qemu(i)
        os.kill(pid, signal.SIGSTOP)  # its monitor hangs
        began = time.monotonic()
        self.stop(i, ForceStop=True)
        self.assertLess(time.monotonic() - began, 10)  # quit, TERM, KILL: two seconds each
        self.assertEqual(self.ecs.qemus(i), {})

    def test_qemu_stopped_and_asked(self):
        i, other = self.launch(), self.launch()
        os.kill(self.ecs.qemu(i), signal.SIGSTOP)
        self.call("StopInstance", InstanceId=i)
        began = time.monotonic()
        self.stop(other)  # a hung one holds nobody up
        self.assertLess(time.monotonic() - began, 5)
        self.await_status(i, "Stopped", seconds=40)  # by the deadline and SIGKILL
        self.assertTrue(any("escalat" in str(e) for e in self.events(i)))

    def test_reboot_soft_and_hard(self):
        i = self.launch(nonce="n-reboot")
        first = self.ecs.qemu(i)
        self.call("RebootInstance", InstanceId=i)
        self.await_status(i, "Running", seconds=90)
        self.assertIn("guest: last stop clean", self.ecs.await_console(i, "guest: ready"))
        second = self.ecs.qemu(i)
        self.assertNotEqual(first, second)
        self.call("RebootInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Running", seconds=90)
        self.assertIn("guest: last stop not clean", self.ecs.await_console(i, "guest: ready"))

    def test_released_machines_leave_nothing(self):
        i = self.launch()
        disk = self.system_disk(i)
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        end = time.monotonic() + 20
        while time.monotonic() < end and ((self.ecs.data / "machines" / i).exists() or
                                          (self.ecs.data / "disks" / f"{disk}.qcow2").exists()):
            time.sleep(0.05)
        self.assertFalse((self.ecs.data / "machines" / i).exists())
        self.assertFalse((self.ecs.data / "disks" / f"{disk}.qcow2").exists())
        self.assertEqual(self.ecs.qemus(i), {})


class LocalDisks(RealTest):
    """i1 reads zeros after a stop of the API, every other family keeps its data."""

    command_line = "ecsd.stamp maxcpus=1"  # four processors under TCG take long to find each other
    settings = {"libvirt.memory_scale": "0.01"}  # these types have 16 GiB and more

    def stamps(self, instance_id):
        self.ecs.await_console(instance_id, "guest: ready")
        return [line.split("first-bytes ")[1].strip() for line in self.ecs.console(instance_id).splitlines()
                if "first-bytes" in line]

    def test_i1_is_blank_after_a_stop(self):
        i = self.launch(InstanceType=LOCAL_I1, nonce="n-i1")
        self.assertEqual(set(self.stamps(i)), {"zeros"})
        self.refuses("StopInstance", InstanceId=i, code="InstanceType.ParameterMismatch", status=403)
        self.stop(i, ConfirmStop=True)
        self.start(i)
        self.assertEqual(set(self.stamps(i)), {"zeros"})
        self.assertGreaterEqual(len(self.stamps(i)), 1)

    def test_i2_keeps_its_data(self):
        i = self.launch(InstanceType=LOCAL_I2, nonce="n-i2")
        self.assertEqual(set(self.stamps(i)), {"zeros"})
        self.stop(i)
        self.start(i)
        self.assertEqual(set(self.stamps(i)), {"ecsd stamp n-i2 boot 1"})

    def test_i1_that_switches_itself_off_keeps_its_data(self):
        i = self.launch("(sleep 1; guest poweroff) &", InstanceType=LOCAL_I1, nonce="n-own")
        self.await_status(i, "Stopped", seconds=30)
        self.start(i)
        self.assertEqual(set(self.stamps(i)), {"ecsd stamp n-own boot 1"})


class Capacity(RealTest):
    """StopCharging gives the room to others."""

    settings = {"libvirt.vcpus": "1", "libvirt.memory_gib": "1"}

    def test_the_first_gets_no_stock(self):
        first = self.launch()
        self.stop(first, StoppedMode="StopCharging")
        self.assertEqual(self.instance(first)["StoppedMode"], "StopCharging")
        self.assertFalse((self.ecs.data / "machines" / first).exists())
        second = self.launch()
        self.refuses("StartInstance", InstanceId=first, code="OperationDenied.NoStock", status=403)
        self.assertEqual(self.status_of(first), "Stopped")
        self.stop(second, StoppedMode="StopCharging")
        self.start(first)
        self.assertIn("guest: last stop clean", self.ecs.await_console(first, "guest: ready"))


if __name__ == "__main__":
    unittest.main()
