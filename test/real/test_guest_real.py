# SPDX-License-Identifier: Apache-2.0
"""What reaches a real guest and comes back from it: commands through its agent, disks while it runs, name, keys, user data."""

import base64
import json
import subprocess
import time
import unittest

from machines import REGION, RealTest


class Guest(RealTest):
    def script(self, instance_id, text, timeout=60, **wanted):
        """Runs it through RunCommand; its result when it has ended."""
        made = self.call("RunCommand", RegionId=REGION, Type="RunShellScript", CommandContent=text, ContentEncoding="PlainText",
                         InstanceId__1=instance_id, Timeout=timeout)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            result = self.call("DescribeInvocationResults", RegionId=REGION, InvokeId=made["InvokeId"],
                               ContentEncoding="PlainText")["Invocation"]["InvocationResults"]["InvocationResult"][0]
            if result["InvocationStatus"] not in ("Pending", "Running", "Stopping"):
                return result
            time.sleep(0.05)
        self.fail(f"{text!r} never ended: {result}")

    def new_disk(self, instance_id):
        """The name of the writable disk beside the system's, once the guest's kernel has found it."""
        find = "for d in /sys/block/vd[b-z]; do [ $(cat $d/ro) = 0 ] && echo ${d##*/}; done; true"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            names = self.script(instance_id, find)["Output"].split()
            if names:
                return names[0]
        self.fail(self.script(instance_id, "ls -l /sys/block; dmesg | tail -n 20")["Output"])

    def disk_status(self, disk_id):
        found = self.call("DescribeDisks", RegionId=REGION, DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
        return found[0]["Status"] if found else None

    def await_disk(self, disk_id, wanted, seconds=40):
        end = time.monotonic() + seconds
        while self.disk_status(disk_id) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.disk_status(disk_id), wanted)

    def test_commands(self):
        i = self.launch()
        result = self.script(i, "echo hello from $(hostname); exit 3")
        self.assertEqual((result["InvocationStatus"], result["ExitCode"]), ("Failed", 3))
        self.assertIn("hello from ", result["Output"])
        self.assertEqual(self.script(i, "true")["InvocationStatus"], "Success")
        began = time.monotonic()
        self.assertEqual(self.script(i, "sleep 1000", timeout=10)["InvocationStatus"], "Timeout")
        self.assertLess(time.monotonic() - began, 25)
        made = self.call("RunCommand", RegionId=REGION, Type="RunShellScript", CommandContent="sleep 1000",
                         ContentEncoding="PlainText", InstanceId__1=i)
        self.call("StopInvocation", RegionId=REGION, InvokeId=made["InvokeId"], InstanceId__1=i)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            status = self.call("DescribeInvocationResults", RegionId=REGION,
                               InvokeId=made["InvokeId"])["Invocation"]["InvocationResults"]["InvocationResult"][0]
            if status["InvocationStatus"] in ("Terminated", "Cancelled"):
                break
            time.sleep(0.05)
        self.assertIn(status["InvocationStatus"], ("Terminated", "Cancelled"))

    def test_a_disk_while_it_runs(self):
        i = self.launch()
        zone = self.instance(i)["ZoneId"]
        disk = self.call("CreateDisk", RegionId=REGION, ZoneId=zone, DiskCategory="cloud_essd", Size=20)["DiskId"]
        self.await_disk(disk, "Available")
        self.call("AttachDisk", InstanceId=i, DiskId=disk)
        self.await_disk(disk, "In_use")
        mark = "written-while-it-ran"
        name = self.new_disk(i)
        self.assertEqual(self.script(i, f"cat /sys/block/{name}/size")["Output"].split()[0], str(20 * 1024 * 1024 * 2))
        self.script(i, f"printf {mark} | dd of=/dev/{name} bs=512 conv=sync,fsync")
        self.call("DetachDisk", InstanceId=i, DiskId=disk)
        self.await_disk(disk, "Available")
        self.assertNotIn(name, self.script(i, "ls /sys/block")["Output"].split())
        other = self.launch()
        self.call("AttachDisk", InstanceId=other, DiskId=disk)
        self.await_disk(disk, "In_use")
        name = self.new_disk(other)
        self.assertIn(mark, self.script(other, f"head -c 64 /dev/{name} | tr -d '\\000'")["Output"])
        # QEMU's own lock: no second one opens it, whoever starts that.
        path = self.ecs.data / "disks" / f"{disk}.qcow2"
        second = subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 512", str(path)], capture_output=True, text=True)
        self.assertIn("lock", second.stderr + second.stdout)
        self.stop(other)
        self.call("DetachDisk", InstanceId=other, DiskId=disk)
        self.await_disk(disk, "Available")
        self.call("DeleteDisk", DiskId=disk)
        self.await_disk(disk, None)
        end = time.monotonic() + 20
        while path.exists() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(path.exists())

    def test_name_keys_and_user_data(self):
        made = self.call("CreateKeyPair", RegionId=REGION, KeyPairName="real")
        self.assertIn("PRIVATE KEY", made["PrivateKeyBody"])
        i = self.launch("echo said by user data", HostName="a-real-name", KeyPairName="real")
        text = self.ecs.console(i)
        self.assertIn("guest: hostname a-real-name", text)
        self.assertIn("guest: public keys 1", text)
        self.assertIn("said by user data", text)
        shown = base64.b64decode(self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i)["ConsoleOutput"]).decode()
        self.assertIn("guest: ready", shown)


if __name__ == "__main__":
    unittest.main()
