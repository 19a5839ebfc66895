# SPDX-License-Identifier: Apache-2.0
"""What an operator sees: files, flags and their errors, readiness, metrics, ecsctl, the virtual clock, expiry."""

import datetime
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, REGION, SLOW, Daemon, EcsTest, until

EMPTY_ENV = {k: v for k, v in os.environ.items() if not k.startswith("ECSD_ACCESS_KEY")}


def ecsd(*words, env=None, preexec=None):
    """Runs to its end: exit status, stdout, the last line of stderr."""
    done = subprocess.run([str(BUILD / "ecsd"), *map(str, words)], capture_output=True, text=True, timeout=30 * SLOW,
                          env={**EMPTY_ENV, **(env or {})}, preexec_fn=preexec)
    lines = done.stderr.strip().splitlines()
    return done.returncode, done.stdout, lines[-1] if lines else ""


def admin_address(daemon):
    found = re.findall(r'msg="ecsd answers".* admin=([^ ]+)', daemon.log_text())
    host, _, port = found[-1].rpartition(":")
    return host, int(port)


def admin_get(daemon, path):
    connection = http.client.HTTPConnection(*admin_address(daemon), timeout=10 * SLOW)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def metric(daemon, name):
    for line in admin_get(daemon, "/metrics")[1].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


class VirtualDaemon(Daemon):
    """Signs with the daemon's time, as ecsctl does."""

    def now_us(self):
        return json.loads(self.ctl("clock", "show", "--json"))["NowUs"]

    def v3(self, action, params=None, **more):
        if "date" not in more:
            now = datetime.datetime.fromtimestamp(self.now_us() / 1e6, datetime.timezone.utc)
            more["date"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return super().v3(action, params, **more)


class VirtualTest(EcsTest):
    options = ("--clock", "virtual", "--admin", "127.0.0.1:0")

    @classmethod
    def setUpClass(cls):
        cls.ecs = VirtualDaemon(*cls.options, env=cls.env, settings=cls.settings)

    def advance(self, duration):
        self.ecs.ctl("clock", "advance", duration)

    def await_status(self, instance_id, wanted, seconds=15):
        """Guests take virtual time too."""
        def there():
            if self.status_of(instance_id) == wanted:
                return True
            self.advance("100ms")
            return False
        until(self, there, seconds)
        return []


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))

    def tearDown(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def test_files_are_private_whatever_the_umask(self):
        data = self.dir / "a" / "b"
        process = subprocess.Popen([str(BUILD / "ecsd"), "--data", str(data), "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"],
                                   stderr=subprocess.DEVNULL, preexec_fn=lambda: os.umask(0), env=EMPTY_ENV)
        try:
            until(self, lambda: (data / "endpoint-tls").exists())
            self.assertEqual(stat.S_IMODE(data.stat().st_mode), 0o700)
            public = {"endpoint": 0o644, "endpoint-tls": 0o644}
            names = {p.name for p in data.iterdir()}
            self.assertLessEqual({"ecsd.db", "ecsd.db-wal", "ecsd.db-shm", "sim.journal", "lock", "credentials", "admin.sock",
                                  "tls.crt", "tls.key", *public}, names)
            for path in data.iterdir():
                mode = stat.S_IMODE(path.stat().st_mode)
                self.assertEqual(mode & 0o077 if path.name not in public else mode, public.get(path.name, 0), path)
        finally:
            process.terminate()
            process.wait(30 * SLOW)

    def test_a_folder_that_others_may_write_is_told(self):
        d = Daemon()
        try:
            self.assertNotIn("others may write", d.log_text())
            d.stop()
            d.data.chmod(0o770)
            d.start()
            self.assertIn("others may write into the data folder", d.log_text())
        finally:
            d.close()

    def test_a_folder_serves_one_process_and_says_which(self):
        d = Daemon()
        try:
            code, _, error = ecsd("--data", d.data, "--listen", "127.0.0.1:0")
            self.assertEqual(code, 1)
            self.assertIn(f"in use by the ecsd with process id {d.process.pid} ", error)
            self.assertTrue((d.data / "endpoint").exists(), "the one that serves keeps its endpoint")
        finally:
            d.close()


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))

    def tearDown(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def refused(self, code, text, *words, **more):
        got, out, error = ecsd("--data", self.dir / "d", *words, **more)
        self.assertEqual((got, out), (code, ""), error)
        self.assertRegex(error, "^ecsd: ")
        self.assertIn(text, error)

    def test_help_names_every_option_and_flag(self):
        code, out, _ = ecsd("--help")
        self.assertEqual(code, 0)
        rows = json.loads((pathlib.Path(__file__).parents[2] / "api/config.json").read_text())
        for row in rows:
            self.assertIn(f"  {row['name']} = ", out)
            self.assertIn(row["help"], out)
        for line in out.splitlines():
            self.assertLessEqual(len(line), 200, line)
        for name, value in re.findall(r"^  (--[a-z-]+) ([A-Z][A-Z:=]+)? ", out, re.M):
            code, _, error = ecsd(name) if value else ecsd(name, "--help")
            self.assertEqual((code, error), (2, f"ecsd: {name} needs {value}") if value else (0, ""), name)
        self.assertIn(".backup", out)

    def test_what_is_wrong_is_named(self):
        (self.dir / "unreadable.ini").mkdir()
        (self.dir / "bad.ini").write_text("[stop]\ngraceful_timeout_s = 60\npress_interval_s = soon\n")
        (self.dir / "twice.ini").write_text("[stop]\ngraceful_timeout_s = 60\n[stop]\ngraceful_timeout_s = 61\n")
        (self.dir / "word.ini").write_text("[stop]\nhello\n")
        for text, words in {
            "--bogus is not known": ("--bogus",),
            "extra is not known": ("extra",),
            "--data needs DIR": ("--data",),
            "--print-config takes no value": ("--print-config=yes",),
            "option stop.press_interval: no such option; the nearest is stop.press_interval_s": ("--set", "stop.press_interval=5"),
            'option stop.press_interval_s: "0" is not allowed; it takes a whole number from 1 to 3600': ("--set", "stop.press_interval_s=0"),
            "give it as NAME=VALUE": ("--set", "stop.press_interval_s"),
            "--clock is real or virtual, not fake": ("--clock", "fake"),
            "No such file": ("--config", self.dir / "none.ini"),
            "could not be read": ("--config", self.dir / "unreadable.ini"),
            "bad.ini line 3: option stop.press_interval_s": ("--config", self.dir / "bad.ini"),
            "twice.ini line 4: this option stands in the file twice": ("--config", self.dir / "twice.ini"),
            "word.ini line 2: expected [section] or name = value": ("--config", self.dir / "word.ini"),
            "not HOST:PORT": ("--listen", "everywhere"),
            "sqlite:": ("--store", "mysql:here"),
            "give sim, sim:FOLDER, libvirt": ("--hypervisor", "vbox:///x"),
        }.items():
            self.refused(2, text, *words)
        self.refused(2, "ECSD_STOP_PRESS: no such option", env={"ECSD_STOP_PRESS": "5"})
        self.refused(2, 'option stop.press_interval_s: "x"', env={"ECSD_STOP_PRESS_INTERVAL_S": "x"})

    def test_credentials_of_the_environment(self):
        good = "LTAI5tExampleTestKey0001"
        for key_id, secret in ((good, ""), ("", good), ("short", good), (good, "short"), ("with a blank in", good), (good, "é" * 8)):
            self.refused(2, "ECSD_ACCESS_KEY_ID and ECSD_ACCESS_KEY_SECRET: give both or neither", "--listen", "127.0.0.1:0",
                         env={"ECSD_ACCESS_KEY_ID": key_id, "ECSD_ACCESS_KEY_SECRET": secret})
            self.assertFalse((self.dir / "d" / "credentials").exists())
        d = Daemon(env={"ECSD_ACCESS_KEY_ID": "", "ECSD_ACCESS_KEY_SECRET": ""})  # as compose files leave them
        try:
            self.assertRegex(d.key_id, "^LTAI")
            d.env["ECSD_ACCESS_KEY_ID"] = "!"  # later starts ignore it
            d.restart()
        finally:
            d.close()

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for flag in ("--listen", "--admin"):
                self.refused(1, f"127.0.0.1:{port}", *(("--listen", "127.0.0.1:0") if flag != "--listen" else ()), flag,
                             f"127.0.0.1:{port}")

    def test_a_database_that_is_not_there(self):
        self.refused(1, "can't connect to the database", "--listen", "127.0.0.1:0", "--store", "postgresql://127.0.0.1:1/ecsd")

    def test_a_folder_that_can_not_be_made(self):
        (self.dir / "file").write_text("")
        for path in (self.dir / "file", self.dir / "file" / "below"):
            code, _, error = ecsd("--listen", "127.0.0.1:0", "--data", path)
            self.assertEqual(code, 1, error)
            self.assertIn("choose another with --data", error)

    def test_print_config_says_what_is_in_force_and_why(self):
        path = self.dir / "a.ini"
        path.write_text("# comment\n[stop]\ngraceful_timeout_s = 60 ; patience\npress_interval_s = 2\n[http]\nthreads = 3\n"
                        "[gateway]\ntroubleshoot_url = http://127.0.0.1/?q=a;b&r=\n")
        code, out, _ = ecsd("--config", path, "--set", "http.threads=5", "--print-config", "--set", "sim.boot_s=0.5",
                            env={"ECSD_STOP_PRESS_INTERVAL_S": "7", "ECSD_HTTP_THREADS": "4"})
        self.assertEqual(code, 0)
        lines = dict(line.split(" = ", 1) for line in out.splitlines())
        self.assertRegex(lines["stop.graceful_timeout_s"], "^60 ; file;")
        self.assertRegex(lines["stop.press_interval_s"], "^7 ; environment;")
        self.assertRegex(lines["http.threads"], "^5 ; command line;")
        self.assertRegex(lines["sim.boot_s"], r"^0\.5 ; command line;")
        self.assertRegex(lines["gateway.troubleshoot_url"], r"^http://127.0.0.1/\?q=a;b&r= ; file;")
        self.assertRegex(lines["stop.on_timeout"], "^escalate ; default; one of escalate, revert;")
        # What it prints is a file that it reads, with the same values.
        (self.dir / "b.ini").write_text(out)
        code, again, error = ecsd("--config", self.dir / "b.ini", "--print-config")
        self.assertEqual(code, 0, error)
        values = {name: text.split(" ; ")[0] for name, text in lines.items()}
        self.assertEqual({n: t.split(" ; ")[0] for n, t in (line.split(" = ", 1) for line in again.splitlines())}, values)

    def test_ecsctl_errors(self):
        def ctl(*words):
            done = subprocess.run([str(BUILD / "ecsctl"), "--data", str(self.dir), *words], capture_output=True, text=True,
                                  timeout=30 * SLOW)
            return done.returncode, done.stdout + done.stderr
        for code, text, words in (
                (2, "no command", ()), (2, "foo bar is not a command", ("foo", "bar")), (2, "--nope is not a flag", ("--nope",)),
                (2, "instance show needs INSTANCE", ("instance", "show")),
                (2, "host add needs zone=ZONE", ("host", "add", "h")),
                (2, "does not take colour", ("account", "create", "a", "colour=red")),
                (3, "Start it with: ecsd --data", ("account", "list")), (0, "Exit status", ("--help",)),
                (0, "[limit=N]", ("help", "usage"))):
            got, out = ctl(*words)
            self.assertEqual(got, code, out)
            self.assertIn(text, out)


class Ready(EcsTest):
    options = ("--admin", "127.0.0.1:0")
    settings = {"engine.lease_s": "3"}

    def ready(self):
        return admin_get(self.ecs, "/readyz")

    @unittest.skipIf("ECSD_POSTGRES" in os.environ, "the store is no file then")
    def test_a_store_that_refuses_writes(self):
        until(self, lambda: self.ready()[0] == 200)
        i = self.running_instance()
        resource.prlimit(self.ecs.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            until(self, lambda: self.ecs.v3("StopInstance", {"InstanceId": i}).status == 503)
            status, text = self.ready()
            self.assertEqual(status, 503)
            self.assertRegex(text, r"^not ready: .+\n$")
            self.assertEqual(self.status_of(i), "Running", "reads go on")
        finally:
            resource.prlimit(self.ecs.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(self, lambda: self.ready() == (200, "ready\n"))
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")

    def test_not_while_it_stops(self):
        d = Daemon(*self.options)
        try:
            until(self, lambda: admin_get(d, "/readyz")[0] == 200)
            with socket.create_connection(admin_address(d), 10 * SLOW) as s:
                s.sendall(b"GET /readyz HTTP/1.1\r\nHost: here\r\n")  # has begun, and may end
                until(self, lambda: metric(d, "ecsd_connections") >= 2)  # this one, and the one that asks
                d.process.send_signal(signal.SIGTERM)
                until(self, lambda: "msg=stopping" in d.log_text())
                until(self, lambda: not (d.data / "endpoint").exists())
                try:
                    s.sendall(b"\r\n")
                    answer = s.recv(65536)
                except (ConnectionResetError, BrokenPipeError):
                    answer = b""
                self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0])
        finally:
            d.close()

    def test_buffered_bytes_are_counted(self):
        self.assertEqual(metric(self.ecs, "ecsd_buffered_bytes"), 0)
        with socket.create_connection((self.ecs.host, self.ecs.port), 10 * SLOW) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
            until(self, lambda: metric(self.ecs, "ecsd_buffered_bytes") >= 50000)
        until(self, lambda: metric(self.ecs, "ecsd_buffered_bytes") == 0)


class Hosts(VirtualTest):
    def test_a_silent_host_is_counted_while_it_is_silent(self):
        self.assertEqual(metric(self.ecs, "ecsd_hosts_unreachable"), 0)
        self.ecs.ctl("sim", "host", "host-1", "down")
        self.ecs.ctl("sim", "host", "host-2", "down")
        until(self, lambda: (self.advance("1s"), metric(self.ecs, "ecsd_hosts_unreachable") == 2)[1])
        self.ecs.ctl("sim", "host", "host-2", "up")
        until(self, lambda: (self.advance("1s"), metric(self.ecs, "ecsd_hosts_unreachable") == 1)[1])
        self.ecs.ctl("sim", "host", "host-1", "up")
        until(self, lambda: (self.advance("1s"), metric(self.ecs, "ecsd_hosts_unreachable") == 0)[1])
        self.assertIn('msg="a host does not answer', self.ecs.log_text())
        self.assertIn('msg="a host answers again"', self.ecs.log_text())


class Jobs(EcsTest):
    settings = {"engine.retry_max_s": "1", "engine.retry_min_ms": "20"}

    def job(self, instance_id):
        found = [j for j in json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"] if j["InstanceId"] == instance_id]
        return found[0] if found else None

    def test_step_by_name_and_attempts_of_now(self):
        i = self.running_instance()
        host = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["HostId"]
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        until(self, lambda: (self.job(i) or {}).get("Step") == "press")
        self.assertEqual(self.job(i)["Attempts"], 0)
        self.ecs.ctl("sim", "host", host, "down")
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=off")
        first = until(self, lambda: self.job(i)["Attempts"])
        until(self, lambda: self.job(i)["Attempts"] >= first + 2)
        shown = json.loads(self.ecs.ctl("job", "show", self.job(i)["JobId"], "--json"))
        self.assertEqual((shown["Step"], shown["Kind"]), ("press", "stop"))
        self.assertIn("the host does not answer", shown["Error"])
        self.assertEqual(json.loads(self.ecs.ctl("instance", "show", i, "--json"))["Job"]["Step"], "press")
        self.ecs.ctl("sim", "host", host, "up")
        self.await_status(i, "Stopped")
        done = [j for j in json.loads(self.ecs.ctl("job", "list", "all=true", "--json"))["Jobs"]["Job"] if j["InstanceId"] == i]
        self.assertEqual([j["Step"] for j in done if j["Kind"] == "stop"], ["stopped"])


class Guests(EcsTest):
    settings = {"sim.boot_s": str(1.0 * SLOW)}  # a second order has to find a guest that still boots

    def test_pause_resume_reboot(self):
        i = self.running_instance()
        incarnation = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["Incarnation"]
        self.ecs.ctl("sim", "guest", i, "reboot")
        refused = self.ecs.ctl("sim", "guest", i, "reboot", ok=False)
        self.assertEqual(refused, "")
        for _ in range(50):
            self.assertEqual(self.status_of(i), "Running")
            time.sleep(0.01)
        shown = json.loads(self.ecs.ctl("instance", "show", i, "--json"))
        self.assertEqual((shown["State"], shown["Incarnation"], shown["JobId"]), ("Running", incarnation, 0))
        self.ecs.ctl("sim", "guest", i, "pause")
        self.ecs.ctl("sim", "guest", i, "resume")
        self.ecs.ctl("sim", "guest", i, "pause")
        self.call("StopInstance", InstanceId=i)  # resumes it: a paused guest can't shut down
        self.await_status(i, "Stopped")

    def test_a_rebooting_guest_is_stopped_by_a_later_press(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "reboot")
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped")


class Usage(EcsTest):
    def segments(self, *words):
        return json.loads(self.ecs.ctl("usage", *words, "--json"))

    def test_latest_of_all_page_by_page(self):
        ids = [self.stopped_instance() for _ in range(3)]
        every = self.segments()["Segments"]["Segment"]
        self.assertEqual([s["InstanceId"] for s in every], [i for i in reversed(ids) for _ in range(2)])
        self.assertEqual([s["Mode"] for s in every], ["kept", "running"] * 3)
        pages, token = [], None
        while True:
            page = self.segments("limit=2", *([f"next-token={token}"] if token else []))
            pages += page["Segments"]["Segment"]
            token = page.get("NextToken")
            if not token:
                break
        key = ("InstanceId", "Start", "Mode")
        self.assertEqual([[s[k] for k in key] for s in pages], [[s[k] for k in key] for s in every])
        self.ecs.ctl("usage", "next-token=nonsense", ok=False)
        self.call("DeleteInstance", InstanceId=ids[0])
        until(self, lambda: self.instance(ids[0]) is None)
        self.assertEqual({s["InstanceId"] for s in self.segments()["Segments"]["Segment"]}, set(ids), "gone ones stay to be billed")
        self.assertEqual(len(self.ecs.ctl("usage", ids[1]).splitlines()), 3)
        self.assertEqual(len(self.ecs.ctl("usage").splitlines()), 7)


class VirtualClock(VirtualTest):
    settings = {"stop.graceful_timeout_s": "600"}

    def test_a_restart_does_not_go_back(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.advance("2d")
        self.call("StopInstance", InstanceId=i)
        self.advance("9m")
        for how in (signal.SIGTERM, signal.SIGKILL):
            before = self.ecs.now_us()
            self.ecs.restart(how)
            self.assertGreaterEqual(self.ecs.now_us(), before)
            self.assertLess(self.ecs.now_us(), before + 60_000_000, "it stands where it stood")
            self.assertEqual(self.status_of(i), "Stopping")
        self.advance("59s")
        self.assertEqual(self.status_of(i), "Stopping")
        self.advance("1s")  # the deadline that the order had
        self.await_status(i, "Stopped")
        self.assertIn("clock", self.ecs.ctl("event", "list"))

    def test_not_beyond_the_end_of_time(self):
        before = self.ecs.now_us()
        for duration in ("9999999999999", "3000000d", "-5", "soon", ""):
            self.ecs.ctl("clock", "advance", duration, ok=False)
        self.assertEqual(self.ecs.now_us(), before)


class Expiry(VirtualTest):
    def show(self, i):
        return json.loads(self.ecs.ctl("instance", "show", i, "--json"))

    def prepaid(self, **more):
        i = self.run_instance(InstanceChargeType="PrePaid", Period=1, PeriodUnit="Week", **more)
        self.await_status(i, "Running")
        return i

    def test_a_subscription_that_is_over_is_locked_and_stopped(self):
        i, off, later = self.prepaid(), self.prepaid(), self.run_instance(InstanceChargeType="PrePaid", Period=1)
        other = self.running_instance()
        self.await_status(later, "Running")
        self.call("StopInstance", InstanceId=off)
        self.await_status(off, "Stopped")
        self.advance("6d")
        self.assertEqual(self.status_of(i), "Running")
        self.advance("25h")
        self.await_status(i, "Stopped")
        until(self, lambda: self.instance(off)["OperationLocks"]["LockReason"])
        for stopped in (i, off):
            seen = self.instance(stopped)
            self.assertEqual([lock["LockReason"] for lock in seen["OperationLocks"]["LockReason"]], ["financial"])
            self.assertEqual((seen["Status"], seen["InstanceChargeType"]), ("Stopped", "PrePaid"))
        for running in (later, other):
            self.assertEqual(self.instance(running)["OperationLocks"]["LockReason"], [])
            self.assertEqual(self.status_of(running), "Running")
        self.refuses("StartInstance", InstanceId=i, code="InstanceExpired", status=403)
        self.refuses("StopInstance", InstanceId=i, code="InstanceExpiredOrInArrears", status=403)
        events = self.ecs.ctl("event", "list", i)
        self.assertIn("expired", events)
        history = self.call("DescribeInstanceHistoryEvents", RegionId=REGION, InstanceId=i)["InstanceSystemEventSet"]
        self.assertEqual([e["EventType"]["Name"] for e in history["InstanceSystemEventType"]], ["InstanceExpiration.Stop"])
        # As long as it is over the lock comes back; a release is always possible.
        self.ecs.ctl("instance", "unlock", i)
        until(self, lambda: (self.advance("1s"), self.show(i)["Locks"])[1])
        self.call("DeleteInstance", InstanceId=i, TerminateSubscription=True)
        until(self, lambda: self.instance(i) is None)

    def test_it_expires_while_the_daemon_is_away_and_while_it_starts(self):
        i, booting = self.prepaid(), self.prepaid()
        self.ecs.ctl("sim", "guest", booting, "boot=100")
        self.call("RebootInstance", InstanceId=booting)
        self.advance("8d")
        self.await_status(i, "Stopped")
        self.await_status(booting, "Stopped", 30)


if __name__ == "__main__":
    unittest.main()
