# SPDX-License-Identifier: Apache-2.0
"""What the proofs on real machines share: a daemon over libvirt with the guest of guest/build.sh, its QEMUs, its disks.

ECSD_GUEST names the folder that guest/build.sh made. Everything runs below one data folder; what is still alive at the end is
killed by its process id, and only if its command line names that folder.
"""

import base64
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from harness import BUILD, IMAGE, REGION, SLOW, Daemon, EcsTest  # noqa: E402,F401

GUEST = os.environ.get("ECSD_GUEST", str(BUILD / "guest"))
SMALL = "ecs.t5-lc2m1.nano"  # 1 vCPU, 512 MiB
LOCAL_I1 = "ecs.i1.xlarge"
LOCAL_I2 = "ecs.i2.xlarge"


def missing():
    """Why real machines can't be had here; None: they can."""
    if not pathlib.Path(GUEST, "vmlinuz").exists():
        return f"no guest in {GUEST}: guest/build.sh makes one"
    for tool in ("qemu-system-x86_64", "qemu-img", "debugfs", "e2fsck"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def b64(text):
    return base64.b64encode(text.encode()).decode()


def script(*lines, nonce=None):
    """User data: the guest's nonce, then commands that it runs when it is up."""
    return b64("\n".join(["#!/bin/sh", f"ECSD_NONCE={nonce or uuid.uuid4().hex}", *lines, ""]))


class RealDaemon(Daemon):
    """ecsd over libvirt. `url`: of its host; the embedded libvirt when there is none."""

    def __init__(self, *options, url="libvirt", settings=None, command_line="", env=None):
        self.command_line = command_line
        self.url = url
        super().__init__("--hypervisor", url, *options, env=env,
                         settings={"libvirt.local_disk_scale": "0.0001", "libvirt.vcpus": "64", "libvirt.memory_gib": "64",
                                   **(settings or {})})

    def start(self, **more):
        super().start(**more)
        if not (self.data / "images" / IMAGE).exists():
            self.import_image(IMAGE, self.command_line)

    def import_image(self, image_id, command_line=""):
        """The guest gives content to a public id, so that calls read as they do everywhere."""
        words = pathlib.Path(GUEST, "cmdline").read_text().strip()
        self.ctl("image", "import", f"{GUEST}/disk.qcow2", f"id={image_id}", f"kernel={GUEST}/vmlinuz", f"initrd={GUEST}/initrd",
                 f"cmdline={words} {command_line}".strip(), "agent=true", "cloud-init=true")

    def programs(self):
        """{process id: command line} of every QEMU below our folder, libvirt's own that only tell what QEMU can do included."""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "qemu-system" in words and str(self.data) in words:
                found[int(path.parent.name)] = words
        return found

    def qemus(self, instance_id=None):
        """{process id: command line} of the machines, of one instance or of all."""
        return {pid: words for pid, words in self.programs().items()
                if "guest=" in words and (instance_id is None or f"guest={instance_id}," in words)}

    def qemu(self, instance_id):
        pids = list(self.qemus(instance_id))
        assert len(pids) == 1, f"{instance_id} has QEMUs {pids}"
        return pids[0]

    def console(self, instance_id):
        path = self.data / "machines" / instance_id / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def await_console(self, instance_id, words, seconds=120):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            text = self.console(instance_id)
            if re.search(words, text):
                return text
            time.sleep(0.02)
        raise AssertionError(f"{instance_id} never said {words!r}: {self.console(instance_id)[-800:]!r}; "
                             f"machines {list(self.qemus(instance_id))}; log: {self.log_text()[-2000:]}")

    def close(self):
        try:
            super().stop()
        finally:
            for pid in self.programs():
                end_process(pid)
            super().close()


def unmake(note):
    """Makes libvirt's note of a machine that lives what is left of a start when libvirt is killed before the process is made."""
    text, count = re.subn(r"<domstatus state='running' reason='booted' pid='\d+'>",
                          "<domstatus state='paused' reason='starting up' pid='0'>", note.read_text())
    assert count == 1, text[:500]
    note.write_text(text.replace("<devices>", "<job type='none' async='start'/>\n<devices>", 1))


def end_process(pid, how=signal.SIGKILL, seconds=20):
    """Signals a process and waits for its end, by its handle."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, how)
        if not select.select([handle], [], [], seconds)[0]:
            raise AssertionError(f"process {pid} did not end after {how!r}")
    finally:
        os.close(handle)


class FileSystem:
    """What is on a system disk: looked at as it is, and again with its journal replayed, on a copy."""

    def __init__(self, data, disk_id):
        self.folder = tempfile.mkdtemp(prefix="ecsd-disk-")
        self.image = pathlib.Path(self.folder, "raw")
        subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", str(data / "disks" / f"{disk_id}.qcow2"), str(self.image)],
                       check=True, capture_output=True)
        self.needs_recovery = b"needs_recovery" in self.tool("dumpe2fs", "-h", str(self.image))
        subprocess.run(["e2fsck", "-fy", str(self.image)], capture_output=True)

    def tool(self, *words):
        return subprocess.run(words, capture_output=True, check=False).stdout

    def read(self, path):
        """The text of a file; None: it isn't there."""
        listing = self.tool("debugfs", "-R", f"stat {path}", str(self.image))
        if b"Inode:" not in listing:
            return None
        return self.tool("debugfs", "-R", f"cat {path}", str(self.image)).decode().strip()

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipIf(missing(), missing())
class RealTest(EcsTest):
    """One daemon over libvirt per class."""

    command_line = ""
    url = "libvirt"

    @classmethod
    def setUpClass(cls):
        cls.ecs = RealDaemon(*cls.options, url=cls.url, settings=cls.settings, command_line=cls.command_line, env=cls.env)

    def tearDown(self):
        """Each test leaves an empty host: the next one has its room."""
        for found in self.call("DescribeInstances", RegionId=REGION, PageSize=100)["Instances"]["Instance"]:
            self.release(found["InstanceId"])

    def release(self, instance_id):
        self.ecs.v3("DeleteInstance", {"InstanceId": instance_id, "Force": True})

    def launch(self, *commands, nonce=None, **params):
        """A running machine whose guest has carried out the commands."""
        instance_id = self.run_instance(**{"InstanceType": SMALL, "UserData": script(*commands, nonce=nonce), **params})
        self.await_status(instance_id, "Running", seconds=90)
        self.ecs.await_console(instance_id, "guest: user data ended with 0")
        return instance_id

    def stop(self, instance_id, seconds=60, **params):
        self.call("StopInstance", InstanceId=instance_id, **params)
        return self.await_status(instance_id, "Stopped", seconds=seconds)

    def start(self, instance_id):
        self.call("StartInstance", InstanceId=instance_id)
        self.await_status(instance_id, "Running", seconds=90)

    def system_disk(self, instance_id):
        disks = self.call("DescribeDisks", RegionId=REGION, InstanceId=instance_id, DiskType="system")["Disks"]["Disk"]
        return disks[0]["DiskId"]

    def look(self, instance_id):
        """The file system of its system disk; the machine has to be off."""
        self.assertEqual(self.ecs.qemus(instance_id), {}, "it lives")
        disk = FileSystem(self.ecs.data, self.system_disk(instance_id))
        self.addCleanup(disk.close)
        return disk

    def events(self, instance_id):
        """What the engine wrote down, as (from, to, reason)."""
        import json
        listed = json.loads(self.ecs.ctl("event", "list", instance_id, "--json"))
        rows = listed if isinstance(listed, list) else listed.get("Events", {}).get("Event", [])
        return [(e.get("FromState"), e.get("ToState"), e.get("Reason"), e.get("Kind")) for e in rows]
