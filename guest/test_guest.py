#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guest, proven on QEMU without libvirt: what it prints, and what is on its disk after each way to end.

    python3 guest/test_guest.py

ECSD_GUEST names a folder with a built guest; without it one is built. ECSD_GUEST_CACHE is build.sh's. ECSD_SLOW=4 is for
slow machines: it only makes the test more patient. Each QEMU is ended by its test.
"""

import base64
import filecmp
import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60 * float(os.environ.get("ECSD_SLOW", "1"))
BLANK_BYTES = 1 << 20
MADE = ["cmdline", "disk.qcow2", "guest.json", "initrd", "vmlinuz"]
TOOLS = ["qemu-system-x86_64", "qemu-img", "genisoimage", "mke2fs", "apt-get", "dpkg-deb"]

os.environ["PATH"] += ":/usr/sbin:/sbin"
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]

folder = None  # of the whole run
guest = None   # where the built guest is


def build(target):
    """Runs build.sh."""
    cache = os.environ.get("ECSD_GUEST_CACHE", str(folder / "cache"))
    subprocess.run([HERE / "build.sh", target], check=True, env=os.environ | {"ECSD_GUEST_CACHE": cache})


def setUpModule():
    """One guest for all tests."""
    global folder, guest
    if MISSING:
        raise unittest.SkipTest(f"not on this machine: {' '.join(MISSING)}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-guest-"))
    guest = pathlib.Path(os.environ.get("ECSD_GUEST", folder / "guest"))
    if "ECSD_GUEST" not in os.environ:
        build(guest)


def tearDownModule():
    """Nothing stays."""
    if folder:
        shutil.rmtree(folder)


class Lines:
    """A stream of text lines that can be waited for."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.rest = b""
        self.seen = []

    def next(self, deadline):
        """The next line, None at the end of the stream; fails when there is none in time."""
        while b"\n" not in self.rest:
            if not select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError("nothing came in time, only: " + " | ".join(self.seen[-30:]))
            data = os.read(self.descriptor, 65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        self.seen.append(line.decode(errors="replace").strip())
        return self.seen[-1]

    def wait(self, pattern, seconds=None):
        """The match of the first line from here on that has the pattern."""
        deadline = time.monotonic() + (PATIENCE if seconds is None else seconds)
        while (line := self.next(deadline)) is not None:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"ended without {pattern!r}: " + " | ".join(self.seen[-30:]))


class Json:
    """A socket on which JSON objects go to and fro, a line each: QMP and the guest agent."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.lines = Lines(self.socket.fileno())
        self.events = []
        self.sent = 0

    def send(self, name, **arguments):
        """Without waiting for what comes back."""
        self.sent += 1
        call = {"execute": name, "arguments": arguments, "id": self.sent}
        self.socket.sendall(json.dumps(call).encode() + b"\n")

    def receive(self, deadline):
        """The next object."""
        line = self.lines.next(deadline)
        if line is None:
            raise AssertionError("the socket was closed")
        return json.loads(line.lstrip("\ufffd"))

    def ask(self, name, seconds=None, **arguments):
        """The answer; events on the way are kept, and so are answers that nobody waited for."""
        deadline = time.monotonic() + (PATIENCE if seconds is None else seconds)
        self.send(name, **arguments)
        while True:
            answer = self.receive(deadline)
            if answer.get("id") != self.sent:
                self.events.append(answer)
            elif "error" in answer:
                raise AssertionError(f"{name}: {answer['error']}")
            else:
                return answer["return"]

    def wait_event(self, name):
        """The event of that name, old or new."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [event for event in self.events if event.get("event") == name]):
            self.events.append(self.receive(deadline))
        return found[0]


class Machine:
    """One QEMU of the kind that ecsd defines, on a system disk that outlives it."""

    def __init__(self, where, seed=None, disks=(), words=""):
        self.qmp = self.agent = None
        arguments = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-m", "128", "-nodefaults", "-vga", "cirrus",
                     "-display", "none", "-serial", "stdio", "-device", "pvpanic", "-action", "panic=pause",
                     "-kernel", guest / "vmlinuz", "-initrd", guest / "initrd",
                     "-append", (guest / "cmdline").read_text().strip() + " " + words,
                     "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=",
                     "-qmp", f"unix:{where}/qmp,server=on,wait=off", "-device", "virtio-serial",
                     "-chardev", f"socket,id=agent,path={where}/agent,server=on,wait=off",
                     "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                     "-drive", f"file={where}/system.qcow2,format=qcow2,if=virtio"]
        for disk in disks:
            arguments += ["-drive", f"file={disk},format=raw,if=virtio"]
        if seed:
            arguments += ["-drive", f"file={seed},format=raw,if=virtio,readonly=on"]
        self.where = where
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)
        self.console = Lines(self.process.stdout.fileno())

    def connect(self):
        """Opens QMP and the agent's socket; QEMU has made both before the guest runs."""
        self.qmp = Json(self.where / "qmp")
        self.qmp.receive(time.monotonic() + PATIENCE)
        self.qmp.ask("qmp_capabilities")
        self.agent = Json(self.where / "agent")

    def boot(self):
        """Waits until it is ready."""
        self.console.wait(r"^guest: ready$")
        self.connect()
        return self

    def press(self):
        """The power button."""
        self.qmp.ask("system_powerdown")

    def run(self, path, *words):
        """What the agent's exec of a command printed, and its status."""
        pid = self.agent.ask("guest-exec", **{"path": path, "arg": list(words), "capture-output": True})["pid"]
        while not (status := self.agent.ask("guest-exec-status", pid=pid))["exited"]:
            pass
        return base64.b64decode(status.get("out-data", "")).decode(), status["exitcode"]

    def tell(self, path, *words):
        """A command whose end the agent may not live to report."""
        self.agent.send("guest-exec", path=path, arg=list(words))

    def await_end(self):
        """QEMU has exited by itself, well."""
        assert self.process.wait(PATIENCE) == 0

    def kill(self):
        """kill -9, and all is closed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for end in (self.qmp, self.agent):
            if end:
                end.socket.close()


class GuestTest(unittest.TestCase):
    """A folder and a fresh system disk a test."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.fresh_disk()

    def fresh_disk(self):
        """An overlay of the image, as ecsd makes it."""
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", guest.resolve() / "disk.qcow2",
                        self.folder / "system.qcow2"], check=True)

    def machine(self, **what):
        """Started, and ended with the test at the latest."""
        machine = Machine(self.folder, **what)
        self.addCleanup(machine.kill)
        return machine

    def blank(self, name):
        """A data disk."""
        path = self.folder / name
        path.write_bytes(b"")
        os.truncate(path, BLANK_BYTES)
        return path

    def seed(self, user_data, meta_data="instance-id: i-1\nlocal-hostname: web-1\n"):
        """A NoCloud seed."""
        source = self.folder / "seed"
        source.mkdir(exist_ok=True)
        (source / "user-data").write_text(user_data)
        (source / "meta-data").write_text(meta_data)
        (source / "network-config").write_text("version: 2\n")
        subprocess.run(["genisoimage", "-quiet", "-V", "cidata", "-J", "-r", "-o", self.folder / "seed.iso", source], check=True)
        return self.folder / "seed.iso"

    def raw_disk(self):
        """The system disk of an ended machine, as it is."""
        raw = self.folder / "system.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", self.folder / "system.qcow2", raw], check=True)
        return raw

    def needs_recovery(self, raw):
        """The filesystem was not unmounted."""
        head = subprocess.run(["dumpe2fs", "-h", raw], check=True, capture_output=True, text=True).stdout
        return "needs_recovery" in head

    def read(self, raw, name):
        """A file of the filesystem, None when there is none."""
        listing = subprocess.run(["debugfs", "-R", "ls -p /", raw], check=True, capture_output=True, text=True).stdout
        if f"/{name}/" not in listing:
            return None
        return subprocess.run(["debugfs", "-R", f"cat /{name}", raw], check=True, capture_output=True, text=True).stdout.strip()

    def replay(self, raw):
        """What the next boot does first."""
        self.assertIn(subprocess.run(["e2fsck", "-fy", raw], capture_output=True, check=False).returncode, (0, 1))


class TestBuild(GuestTest):
    """build.sh"""

    def test_two_builds_in_different_folders_are_equal(self):
        again = self.folder / "another" / "folder"
        build(again)
        self.assertEqual(sorted(path.name for path in again.iterdir()), MADE)
        self.assertEqual(filecmp.cmpfiles(guest, again, MADE, shallow=False)[0], MADE)

    def test_the_description_names_what_is_there(self):
        description = json.loads((guest / "guest.json").read_text())
        for name, size in description["file_bytes"].items():
            self.assertEqual((guest / name).stat().st_size, size, name)
        info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", guest / "disk.qcow2"], check=True,
                                         capture_output=True).stdout)
        self.assertEqual(info["virtual-size"], description["disk_virtual_bytes"])
        self.assertLessEqual({"busybox-static", "qemu-guest-agent", "libc6"}, set(description["packages"]))


class TestEnds(GuestTest):
    """What is on the disk tells how the machine ended."""

    def test_a_graceful_stop_and_then_a_forced_one(self):
        disk = self.blank("data.raw")
        first = self.machine(seed=self.seed("ECSD_NONCE=first\n"), disks=[disk], words="ecsd.stamp")
        first.console.wait(r"^guest: boot 1 nonce first$")
        first.console.wait(r"^guest: disk vdb first-bytes zeros$")
        first.boot().press()
        first.console.wait(r"^guest: shutting down$")
        first.console.wait(r"^guest: clean$")
        self.assertTrue(first.qmp.wait_event("SHUTDOWN")["data"]["guest"])
        first.await_end()
        raw = self.raw_disk()
        self.assertFalse(self.needs_recovery(raw))
        self.assertEqual([self.read(raw, name) for name in ("synced", "unsynced", "clean", "boot")],
                         ["first", "first", "first", "1"])
        self.assertEqual(disk.read_bytes()[:512].rstrip(b"\0"), b"ecsd stamp first boot 1")

        second = self.machine(seed=self.seed("ECSD_NONCE=second\n"), disks=[disk])
        second.console.wait(r"^guest: last stop clean$")
        second.console.wait(r"^guest: boot 2 nonce second$")
        second.console.wait(r"^guest: disk vdb first-bytes ecsd stamp first boot 1$")
        second.boot()
        self.assertEqual(second.run("cat", "/data/unsynced"), ("second\n", 0))
        second.kill()
        raw = self.raw_disk()
        self.assertTrue(self.needs_recovery(raw))
        self.replay(raw)
        self.assertEqual([self.read(raw, name) for name in ("synced", "unsynced", "clean", "boot")],
                         ["second", None, None, "2"])
        self.assertEqual(disk.read_bytes()[:512].rstrip(b"\0"), b"ecsd stamp first boot 1")

        third = self.machine()
        third.console.wait(r"^guest: last stop not clean$")
        third.console.wait(r"^guest: boot 3 nonce [0-9a-f-]{36}$")

    def test_synced_by_hand_survives_force(self):
        machine = self.machine(seed=self.seed("ECSD_NONCE=n\n")).boot()
        self.assertEqual(machine.run("guest", "sync"), ("", 0))
        machine.kill()
        raw = self.raw_disk()
        self.replay(raw)
        self.assertEqual([self.read(raw, "unsynced"), self.read(raw, "clean")], ["n", None])

    def test_the_agent_and_a_user_inside_end_it_gracefully(self):
        for end in (lambda machine: machine.agent.send("guest-shutdown"),
                    lambda machine: machine.tell("guest", "poweroff"),
                    lambda machine: machine.tell("poweroff")):
            self.fresh_disk()
            machine = self.machine().boot()
            machine.agent.ask("guest-ping")
            end(machine)
            machine.console.wait(r"^guest: clean$")
            machine.await_end()
            self.assertIsNotNone(self.read(self.raw_disk(), "clean"))

    def test_ready_means_that_button_and_agent_are_there(self):
        machine = self.machine().boot()
        self.assertIn(("agent", True), [(end["label"], end["frontend-open"]) for end in machine.qmp.ask("query-chardev")])
        machine.press()
        machine.console.wait(r"^guest: shutting down$")

    def test_a_reset_and_a_reboot_boot_again(self):
        machine = self.machine().boot()
        machine.qmp.ask("system_reset")
        machine.console.wait(r"^guest: last stop not clean$")
        machine.console.wait(r"^guest: boot 2 ")
        machine.console.wait(r"^guest: ready$")
        self.assertEqual(machine.agent.ask("guest-sync", id=7), 7)
        machine.agent.send("guest-shutdown", mode="reboot")
        machine.console.wait(r"^guest: clean$")
        machine.console.wait(r"^guest: last stop clean$")
        machine.console.wait(r"^guest: ready$")


class TestSwitches(GuestTest):
    """Guests that do not do what they are asked to."""

    def test_ignore_button_from_the_command_line(self):
        machine = self.machine(words="ecsd.ignore-button").boot()
        machine.press()
        machine.console.wait(r"^guest: button ignored$")
        machine.agent.send("guest-shutdown")
        machine.console.wait(r"^guest: button ignored$")
        machine.press()
        machine.console.wait(r"^guest: button ignored$")
        self.assertIsNone(machine.process.poll())
        machine.tell("guest", "poweroff")
        machine.console.wait(r"^guest: clean$")
        machine.await_end()

    def test_ignore_button_and_slow_shutdown_from_within(self):
        machine = self.machine().boot()
        self.assertEqual(machine.run("guest", "slow-shutdown", "soon")[1], 2)
        machine.run("guest", "slow-shutdown", "2")
        machine.run("guest", "ignore-button")
        machine.press()
        machine.console.wait(r"^guest: button ignored$")
        machine.tell("guest", "poweroff")
        self.assert_slow(machine, 2)

    def test_slow_shutdown_from_the_command_line(self):
        machine = self.machine(words="ecsd.slow-shutdown=2").boot()
        machine.press()
        self.assert_slow(machine, 2)

    def assert_slow(self, machine, seconds):
        """It says at once that it ends, and takes its time."""
        machine.console.wait(r"^guest: shutting down$")
        start = time.monotonic()
        machine.console.wait(r"^guest: clean$")
        self.assertGreaterEqual(time.monotonic() - start, seconds * 0.9)
        machine.await_end()

    def test_a_panic_is_seen_from_outside(self):
        machine = self.machine().boot()
        machine.tell("guest", "panic")
        self.assertEqual(machine.qmp.wait_event("GUEST_PANICKED")["data"]["action"], "pause")
        machine.console.wait(r"Kernel panic")

    def test_a_hung_guest_answers_nothing(self):
        machine = self.machine().boot()
        machine.tell("guest", "hang")
        machine.console.wait(r"^guest: hung$")
        machine.press()
        with self.assertRaises(AssertionError):
            machine.console.wait(r"^guest:", 2)
        self.assertEqual(machine.qmp.ask("query-status")["status"], "running")


class TestScreen(GuestTest):
    """What a screenshot shows."""

    def test_what_is_said_is_on_the_screen(self):
        machine = self.machine().boot()
        booted = self.screen_lines(machine)
        machine.tell("guest", "ignore-button")
        machine.console.wait(r"^guest: will ignore the button$")
        self.assertEqual(self.screen_lines(machine), booted + 1)

    def screen_lines(self, machine):
        """How many lines of the text screen have text; a cursor alone, which comes and goes, is less than a word."""
        machine.qmp.ask("screendump", filename=str(self.folder / "screen.ppm"))
        kind, size, _, pixels = (self.folder / "screen.ppm").read_bytes().split(b"\n", 3)
        self.assertEqual((kind, size), (b"P6", b"720 400"))
        line_bytes = 720 * 3 * 16
        lit = [line_bytes - pixels[i:i + line_bytes].count(0) for i in range(0, len(pixels), line_bytes)]
        return sum(count > 100 for count in lit)


class TestSeed(GuestTest):
    """What comes from outside."""

    META = ("instance-id: i-1\nlocal-hostname: web-1.example\npublic-keys:\n"
            "  - ssh-rsa AAAAB3NzaC1yc2E one\n  - ssh-ed25519 AAAAC3NzaC1lZDI1 two\n")

    def test_names_keys_script_network_and_agent(self):
        script = "#!/bin/bash\necho script says $((40 + 2)) on $(hostname)\nguest net\nexit 3\n"
        machine = self.machine(seed=self.seed(script, self.META))
        machine.console.wait(r"^guest: hostname web-1\.example$")
        machine.console.wait(r"^guest: public keys 2$")
        machine.boot()
        machine.console.wait(r"^script says 42 on web-1\.example$")
        machine.console.wait(r"^guest: user data ended with 3$")
        machine.console.wait(r"^guest: net eth0 10\.0\.2\.15$")
        self.assertEqual(machine.agent.ask("guest-get-host-name")["host-name"], "web-1.example")
        self.assertEqual(machine.run("/bin/sh", "-c", "echo $((1 + 1)); exit 4"), ("2\n", 4))
        self.assertEqual(machine.agent.ask("guest-get-osinfo")["id"], "ecsd-guest")
        self.assertEqual(machine.agent.ask("guest-fsfreeze-freeze"), 1)
        self.assertEqual(machine.agent.ask("guest-fsfreeze-thaw"), 1)

    def test_meta_data_may_be_json(self):
        meta = json.dumps({"instance-id": "i-1", "local-hostname": "web-2", "public-keys": ["ssh-rsa AAAAB3 one"]})
        machine = self.machine(seed=self.seed("not a script\n", meta))
        machine.console.wait(r"^guest: hostname web-2$")
        machine.console.wait(r"^guest: public keys 1$")
        machine.boot()

    def test_a_disk_that_comes_later(self):
        machine = self.machine().boot()
        machine.qmp.ask("blockdev-add", **{"driver": "file", "filename": str(self.blank("late.raw")), "node-name": "late"})
        machine.qmp.ask("device_add", driver="virtio-blk-pci", drive="late", id="late")
        while machine.run("/bin/sh", "-c", "test -e /sys/block/vdb")[1]:
            pass
        machine.run("guest", "disks")
        machine.console.wait(r"^guest: disk vdb first-bytes zeros$")

    def test_without_stamp_other_disks_stay_as_they_are(self):
        disks = [self.blank("one.raw"), self.blank("two.raw")]
        disks[1].write_bytes(b"mine" + b"\0" * 1020)
        os.truncate(disks[1], BLANK_BYTES)
        before = [disk.read_bytes() for disk in disks]
        machine = self.machine(disks=disks)
        machine.console.wait(r"^guest: disk vdb first-bytes zeros$")
        machine.console.wait(r"^guest: disk vdc first-bytes mine$")
        machine.boot().press()
        machine.await_end()
        self.assertEqual([disk.read_bytes() for disk in disks], before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
