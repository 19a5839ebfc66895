# SPDX-License-Identifier: Apache-2.0
"""The systemd units: systemd reads them without complaint, their command lines are ones that ecsd takes, and the daemon
lives in what they take away; and what the daemon gives up by itself, wherever it is started."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import sandbox
from harness import BUILD, ROOT, Daemon, EcsTest

UNIT = ROOT / "packaging" / "ecsd.service"
REAL = ROOT / "packaging" / "real-machines.conf"
LIBVIRTD = ROOT / "packaging" / "libvirtd-notes.conf"
INSTALLED = "/usr/local/bin/ecsd"
EXPOSURE_LIMIT = 12  # of 100; systemd-analyze's figure may only go down
KEPT_CAPABILITIES = 0x40B  # as in src/main/privilege.c


def status_of(pid):
    lines = (pathlib.Path("/proc") / str(pid) / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def open_descriptors(pid):
    """Number to (file, flags). The process runs on: what it closes while we look is left out."""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            flags = re.search(r"^flags:\s+([0-7]+)", entry.read_text(), re.M).group(1)
            found[int(entry.name)] = (os.readlink(f"/proc/{pid}/fd/{entry.name}"), int(flags, 8))
        except FileNotFoundError:
            continue
    return found


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
class Units(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))

    def tearDown(self):
        shutil.rmtree(self.dir)

    def install(self, drop_in=None):
        """As an operator would, but with the program that was built."""
        def copy(source, target):
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text().replace(INSTALLED, str(BUILD / "ecsd")))
        copy(UNIT, self.dir / "ecsd.service")
        if drop_in:
            copy(drop_in, self.dir / "ecsd.service.d" / drop_in.name)
        return self.dir / "ecsd.service"

    def analyze(self, *words):
        return subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True)

    def test_systemd_has_no_complaint(self):
        for drop_in in (None, REAL):
            result = self.analyze("verify", "--man=no", self.install(drop_in))
            complaints = [line for line in result.stderr.splitlines() if "ecsd" in line or str(self.dir) in line]
            self.assertEqual((result.returncode, complaints), (0, []))

    def test_the_drop_in_of_libvirtd(self):
        """What it removes is tried in test/real; here, that systemd reads its line as we do."""
        unit = self.dir / "libvirtd.service"
        unit.write_text("[Service]\nExecStart=/bin/true\n")
        (self.dir / "libvirtd.service.d").mkdir()
        shutil.copy(LIBVIRTD, self.dir / "libvirtd.service.d" / "ecsd.conf")
        result = self.analyze("verify", "--man=no", unit)
        self.assertEqual((result.returncode, [line for line in result.stderr.splitlines() if str(self.dir) in line]), (0, []))

    def test_a_broken_unit_would_be_noticed(self):
        unit = self.install()
        unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
        self.assertIn("ProtectSytem", self.analyze("verify", "--man=no", unit).stderr)

    def test_exposure(self):
        result = self.analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", self.install())
        self.assertEqual(result.returncode, 0, result.stdout[-200:])

    def test_command_lines(self):
        for path in (UNIT, REAL):
            lines = [value for name, value in sandbox.settings(path) if name == "ExecStart" and value]
            self.assertEqual(len(lines), 1)
            program, *flags = lines[0].split()
            self.assertEqual((program, flags[-2:]), (INSTALLED, ["$ECSD_UNIT_FLAGS", "$ECSD_FLAGS"]))
            flags = flags[:-2]  # each is empty, or what a drop-in and the operator say
            result = subprocess.run([BUILD / "ecsd", *flags, "--print-config"], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_folder_is_the_one_that_systemd_makes(self):
        words = dict(sandbox.settings(UNIT))
        self.assertEqual((words["StateDirectory"], words["StateDirectoryMode"]), ("ecsd", "0700"))
        self.assertIn("--data /var/lib/ecsd ", words["ExecStart"])


class SandboxedDaemon(Daemon):
    def start(self, **more):
        """As Daemon.start, through sandbox.py."""
        (self.data / "endpoint").unlink(missing_ok=True)
        words = [f"--set={k}={v}" for k, v in {**self.settings, **more}.items()]
        self.process = subprocess.Popen(
            [sys.executable, pathlib.Path(sandbox.__file__), UNIT, BUILD / "ecsd", "--data", self.data, "--listen", "127.0.0.1:0",
             *[part for word in words for part in word.split("=", 1)], *self.options],
            stderr=self.log, stdout=self.log, env=self.env)
        self.await_endpoint()
        self.read_credentials()


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
@unittest.skipIf(b"__asan_init" in (BUILD / "ecsd").read_bytes(), "the sanitizers need more than the sandbox gives")
@unittest.skipIf("ECSD_POSTGRES" in os.environ, "its database is not in the sandbox")
class Sandbox(EcsTest):
    @classmethod
    def setUpClass(cls):
        cls.ecs = SandboxedDaemon("--admin", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0")

    def test_it_lives_in_its_sandbox(self):
        status = status_of(self.ecs.process.pid)
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)), ("2", "1", 0))
        self.assertNotIn("did not let go", self.ecs.log_text())
        i = self.running_instance()
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")
        self.ecs.restart(signal.SIGKILL)
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        self.assertEqual(self.ecs.stop(), 0)
        self.ecs.start()

    def test_the_sandbox_bites(self):
        script = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"
        result = subprocess.run([sys.executable, sandbox.__file__, UNIT, sys.executable, "-c", script], capture_output=True, text=True)
        self.assertIn("PermissionError", result.stderr)


class ByItself(EcsTest):
    """Without any unit."""

    env = {"ECSD_ACCESS_KEY_ID": "LTAI5tExampleTestKey0001", "ECSD_ACCESS_KEY_SECRET": "ASecretOfTheEnvironment1"}

    def test_what_it_gives_up(self):
        pid = self.ecs.process.pid
        for task in (pathlib.Path("/proc") / str(pid) / "task").iterdir():
            status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            self.assertEqual(status["NoNewPrivs"], "1")
            for name in ("CapPrm", "CapEff", "CapInh", "CapAmb") + (("CapBnd",) if os.geteuid() == 0 else ()):
                self.assertEqual(int(status[name], 16) & ~KEPT_CAPABILITIES, 0, (task.name, name))
        self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0, "nobody of its user may look into its memory")

    @unittest.skipUnless(os.geteuid() == 0, "only root may look into its environment")
    def test_the_secret_leaves_the_environment(self):
        self.assertEqual(self.ecs.secret, "ASecretOfTheEnvironment1")
        environment = pathlib.Path(f"/proc/{self.ecs.process.pid}/environ").read_bytes()
        self.assertNotIn(b"ASecretOfTheEnvironment1", environment)
        self.assertIn(b"PATH=", environment)

    @unittest.skipUnless(os.geteuid() == 0, "only root may look at its limits")
    def test_no_core(self):
        limits = pathlib.Path(f"/proc/{self.ecs.process.pid}/limits").read_text()
        self.assertRegex(limits, r"(?m)^Max core file size +0 +0 ")

    def test_every_descriptor_closes_on_exec(self):
        """A program that it runs gets none of its files."""
        self.running_instance()
        if os.geteuid() != 0:
            self.skipTest("only root may look at its descriptors")
        descriptors = open_descriptors(self.ecs.process.pid)
        self.assertGreater(len(descriptors), 5)
        for number, (file, flags) in descriptors.items():
            self.assertTrue(number <= 2 or flags & os.O_CLOEXEC, (number, file))


if __name__ == "__main__":
    unittest.main()
