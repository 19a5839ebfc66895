# SPDX-License-Identifier: Apache-2.0
"""Bytes: what the server accepts, refuses and outlives, seen from outside. And the daemon as a process."""

import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from harness import BUILD, SLOW, Daemon


def reply_of(data):
    """(status, headers, body) of the first reply in `data`."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]) if lines[0] else 0, headers, body


def closed(s):
    """Has the peer ended it? Nothing was sent, so nothing but the end can be there to read."""
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Bytes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon("--admin", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0",
                       settings={"http.header_deadline_s": 2, "http.body_deadline_s": 2, "http.max_connections": 200})

    @classmethod
    def tearDownClass(cls):
        cls.d.close()

    def refused(self, data, status):
        got, headers, body = reply_of(self.d.raw(data))
        self.assertEqual(got, status, data[:200])
        self.assertEqual(headers["connection"], "close")
        self.assertEqual(int(headers["content-length"]), len(body))
        self.assertTrue(json.loads(body)["RequestId"] if body[:1] == b"{" else b"<RequestId>" in body)

    def test_ambiguous_requests(self):
        host = b"Host: a\r\n"
        for rest in (b"\r\n", host + host + b"\r\n",
                     host + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
                     host + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     host + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     host + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
                     host + b"Transfer-Encoding: gzip\r\n\r\n",
                     host + b"Content-Length : 1\r\n\r\na",
                     host + b"A: b\r\n c\r\n\r\n",
                     host + b"A\x00: b\r\n\r\n",
                     host + b"Content-Length: -1\r\n\r\n",
                     host + b"Content-Length: 1e3\r\n\r\n"):
            with self.subTest(rest=rest):
                self.refused(b"POST /?Action=StopInstance HTTP/1.1\r\n" + rest, 400)
        self.refused(b"GET / HTTP/1.1\nHost: a\n\n", 400)

    def test_smuggled_request_is_not_answered(self):
        data = self.d.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"0\r\n\r\nGET /?Action=DescribeRegions HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(data.count(b"HTTP/1.1 "), 1)

    def test_sizes(self):
        self.refused(b"GET /?a=" + b"a" * (140 * 1024) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414)
        self.refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (70 * 1024) + b"\r\n\r\n", 431)
        self.refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n", 413)

    def test_long_request_line_is_served(self):
        reply = self.d.v3("DescribeRegions", {"UserData": "a" * (120 * 1024)})
        self.assertEqual(reply.status, 200, reply)

    def test_200_megabytes(self):
        block = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        with socket.create_connection((self.d.host, self.d.port), 20 * SLOW) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            sent = 0
            try:
                while sent < 200 << 20:
                    sent += s.send(block)
            except OSError:
                pass
        self.assertLess(sent, 200 << 20)
        self.assertEqual(self.d.v3("DescribeRegions").status, 200)

    def test_chunked_body_and_absolute_target(self):
        signed = self.d.v1("DescribeRegions", method="POST", form=True)
        self.assertEqual(signed.status, 200, signed)
        data = self.d.raw(b"POST http://ecs.aliyuncs.com/ HTTP/1.1\r\nHost: ecs.aliyuncs.com\r\nConnection: close\r\n"
                          b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"16\r\nAction=DescribeRegions\r\n1e\r\n&Version=2014-05-26&Format=JSO\r\n1\r\nN\r\n0\r\n\r\n")
        status, _, body = reply_of(data)
        self.assertEqual((status, json.loads(body)["Code"]), (400, "MissingAccessKeyId"), body[:300])
        self.assertEqual(json.loads(body)["HostId"], "ecs.aliyuncs.com")

    def test_methods(self):
        for method in ("PUT", "DELETE", "PATCH", "TRACE"):
            with self.subTest(method=method):
                reply = self.d.send(method, "/?Action=DescribeRegions&Version=2014-05-26&Format=JSON")
                self.assertIn(b"UnsupportedHTTPMethod", reply.body)
        head = self.d.send("HEAD", "/?Action=DescribeRegions&Version=2014-05-26&Format=JSON")
        self.assertEqual(head.body, b"")
        self.assertGreater(int(head.headers["content-length"]), 0)

    def test_keep_alive_and_pipelining(self):
        one = b"GET /?Action=DescribeRegions&Version=2014-05-26&Format=JSON HTTP/1.1\r\nHost: a\r\n"
        data = self.d.raw((one + b"\r\n") * 20 + one + b"Connection: close\r\n\r\n")
        self.assertEqual(data.count(b"HTTP/1.1 400"), 21)
        self.assertEqual(data.count(b"Connection: keep-alive"), 20)
        _, headers, _ = reply_of(data)
        self.assertRegex(headers["date"], r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertEqual(headers["keep-alive"], "timeout=60")

    def test_half_close(self):
        data = self.d.raw(b"GET /?Action=DescribeRegions HTTP/1.1\r\nHost: a\r\n\r\n", half_close=True)
        self.assertEqual(reply_of(data)[0], 400)

    def test_byte_a_moment_is_cut(self):
        """Both in the head and in the body, while others are served."""
        for head in (b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"):
            with socket.create_connection((self.d.host, self.d.port), 20 * SLOW) as s:
                s.sendall(head)
                s.settimeout(0.1)
                start = time.monotonic()
                while time.monotonic() - start < 15 * SLOW:
                    try:
                        s.sendall(b"a")
                        if s.recv(1) == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                self.assertLess(time.monotonic() - start, 12 * SLOW)
            self.assertEqual(self.d.v3("DescribeRegions").status, 200)

    def test_ten_thousand_silent_connections(self):
        """Beyond http.max_connections the one that has waited longest makes room; a newcomer is served at any time."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(12000, limit[1]), limit[1]))
        except (ValueError, OSError) as error:
            self.skipTest(str(error))
        if limit[1] < 12000:
            self.skipTest("this process may not open 10,000 sockets")
        crowd = []
        try:
            for n in range(10000):
                crowd.append(socket.create_connection((self.d.host, self.d.port), 20 * SLOW))
                if n % 2500 == 2499:
                    self.assertEqual(self.d.v3("DescribeRegions").status, 200)
            left = sum(1 for s in crowd if not closed(s))
            self.assertLessEqual(left, 200)  # http.max_connections of this daemon
            self.assertGreater(left, 100)
        finally:
            for s in crowd:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        self.assertEqual(self.d.v3("DescribeRegions").status, 200)

    def test_tls(self):
        context = ssl.create_default_context(cafile=str(self.d.data / "tls.crt"))
        url = urllib.parse.urlparse((self.d.data / "endpoint-tls").read_text().strip())
        connection = http.client.HTTPSConnection("localhost", url.port, context=context, timeout=20 * SLOW)
        for _ in range(3):
            connection.request("GET", "/?Action=DescribeRegions&Version=2014-05-26&Format=JSON")
            self.assertEqual(json.loads(connection.getresponse().read())["Code"], "MissingAccessKeyId")
        connection.close()
        self.assertEqual((self.d.data / "tls.key").stat().st_mode & 0o777, 0o600)

    def test_who_finds_the_endpoint_finds_the_other_one(self):
        for _ in range(10):
            self.d.stop()
            for name in ("endpoint", "endpoint-tls"):
                (self.d.data / name).unlink(missing_ok=True)
            starting = threading.Thread(target=self.d.start)
            starting.start()
            while starting.is_alive() and not (self.d.data / "endpoint").exists():
                pass  # the moment is short
            found = (self.d.data / "endpoint-tls").exists()
            starting.join()
            self.assertTrue(found)

    def test_operator_socket(self):
        path = self.d.data / "admin.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20 * SLOW)
            s.connect(str(path))
            s.sendall(b"GET /?Action=ListHosts&Version=admin HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            data = b"".join(iter(lambda: s.recv(65536), b""))
        self.assertIn("Hosts", json.loads(reply_of(data)[2]))
        outside = self.d.v3("ListHosts", version="admin")
        self.assertIn(outside.status, (400, 404), "operator's actions are not for the network")


class Process(unittest.TestCase):
    def run_ecsd(self, *words, **env):
        return subprocess.run([str(BUILD / "ecsd"), *map(str, words)], capture_output=True, text=True, timeout=60 * SLOW,
                              env={**os.environ, **env})

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def test_help_names_every_flag_and_option(self):
        text = self.run_ecsd("--help").stdout
        for word in ("--config", "--data", "--listen", "--listen-tls", "--admin", "--store", "--hypervisor", "--clock", "--set",
                     "stop.graceful_timeout_s", "gateway.clock_window_s", "http.max_body_bytes"):
            self.assertIn(word, text)

    def test_print_config_says_why(self):
        file = self.dir / "ecsd.ini"
        file.write_text("[stop]\npress_interval_s = 7\ngraceful_timeout_s = 8\nkill_wait_s = 9\n")
        result = self.run_ecsd("--config", file, "--set", "stop.kill_wait_s=3", "--print-config",
                               ECSD_STOP_GRACEFUL_TIMEOUT_S="200")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = {line.split("=")[0].strip(): line for line in result.stdout.splitlines() if "=" in line}
        self.assertRegex(lines["stop.press_interval_s"], r"= 7\b.*file")
        self.assertRegex(lines["stop.graceful_timeout_s"], r"= 200\b.*environment")
        self.assertRegex(lines["stop.kill_wait_s"], r"= 3\b.*command line")
        again = self.dir / "again.ini"
        again.write_text(result.stdout)
        self.assertEqual(self.run_ecsd("--config", again, "--print-config").returncode, 0, "what it prints is a config file")

    def test_wrong_words(self):
        for words, text in ((("--nonsense",), "not known"), (("--data",), "needs DIR"), (("--clock", "fast"), "real or virtual"),
                            (("--set", "stop.nonsense=1"), "stop.nonsense"), (("--set", "stop.press_interval_s=0"), "press_interval"),
                            (("--config", "/nonexistent/file"), "/nonexistent/file"),
                            (("--data", self.dir, "--listen", "nonsense"), "HOST:PORT"),
                            (("--data", self.dir, "--hypervisor", "vbox:///x"), "give sim, sim:FOLDER, libvirt")):
            with self.subTest(words=words):
                result = self.run_ecsd(*words)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(text, result.stderr)

    def test_port_and_folder_in_use(self):
        d = Daemon()
        try:
            result = self.run_ecsd("--data", self.dir, "--listen", f"{d.host}:{d.port}")
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use", result.stderr)
            result = self.run_ecsd("--data", d.data, "--listen", "127.0.0.1:0")
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertEqual(d.v3("DescribeRegions").status, 200, "the first one goes on")
        finally:
            d.close()

    def test_files_and_stop(self):
        d = Daemon(env={"ECSD_ACCESS_KEY_ID": "LTAI5tExampleTestKey0001", "ECSD_ACCESS_KEY_SECRET": "ExampleSecret0123456789"})
        try:
            self.assertEqual(d.key_id, "LTAI5tExampleTestKey0001")
            self.assertEqual(d.secret, "ExampleSecret0123456789")
            self.assertEqual((d.data / "credentials").stat().st_mode & 0o777, 0o600)
            self.assertEqual(d.v3("DescribeRegions").status, 200)
            d.process.send_signal(signal.SIGHUP)
            self.assertEqual(d.v3("DescribeRegions").status, 200)
            self.assertEqual(d.stop(), 0)
            self.assertFalse((d.data / "endpoint").exists())
            self.assertFalse((d.data / "admin.sock").exists())
            (d.data / "credentials").unlink()
            d.start()
            self.assertEqual(d.key_id, "LTAI5tExampleTestKey0001", "a lost file is written again")
            self.assertEqual(d.stop(signal.SIGINT), 0)
            self.assertNotIn("ExampleSecret0123456789", d.log_text())
        finally:
            d.close()

    def test_notifies_its_supervisor(self):
        path = self.dir / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(str(path))
            s.settimeout(20 * SLOW)
            d = Daemon(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"})
            try:
                self.assertIn(b"READY=1", s.recv(4096))
                self.assertIn(b"WATCHDOG=1", s.recv(4096))
                d.stop()
                while b"STOPPING=1" not in (word := s.recv(4096)):
                    self.assertIn(b"WATCHDOG=1", word)
            finally:
                d.close()

    def test_out_of_files(self):
        """An idle connection makes room for a newcomer. One that has just said something is answered first: in the daemon's
        next round both are there, and what it made room with must not be looked at any more."""
        def say(connection, path):
            connection.request("GET", path)
            return lambda: connection.getresponse().read()

        def open_files():
            return {int(name) for name in os.listdir(f"/proc/{d.process.pid}/fd")}

        others = []
        d = Daemon(settings={"http.threads": "1"})
        try:
            idle, newcomer = (http.client.HTTPConnection(d.host, d.port, timeout=20 * SLOW) for _ in range(2))
            say(idle, "/healthz")()
            while (files := open_files()) != set(range(len(files))):  # a gap: left by what was open for a moment
                others.append(http.client.HTTPConnection(d.host, d.port, timeout=20 * SLOW))
                say(others[-1], "/healthz")()
            d.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, d.process.pid, os.WSTOPPED)
            newcomer.connect()  # the first event of the next round
            answer = say(idle, "/healthz")
            before = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (len(files), before[1]))
            d.process.send_signal(signal.SIGCONT)
            self.assertTrue(answer())
            self.assertTrue(say(newcomer, "/healthz")())
            resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, before)
            for connection in (idle, newcomer, *others):
                connection.close()
            self.assertEqual(d.v3("DescribeRegions").status, 200)
            self.assertEqual(d.stop(), 0)
        finally:
            d.process.send_signal(signal.SIGCONT)
            d.close()

    def test_admin_listener(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        d = Daemon("--admin", f"127.0.0.1:{port}")
        try:
            def get(path):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * SLOW)
                try:
                    connection.request("GET", path)
                    reply = connection.getresponse()
                    return reply.status, reply.read().decode()
                finally:
                    connection.close()
            status, text = get("/healthz")
            self.assertEqual((status, json.loads(text)["machines"]), (200, "simulated"))
            end = time.monotonic() + 20 * SLOW
            while get("/readyz")[0] == 503:  # until what was unfinished has been taken up
                self.assertLess(time.monotonic(), end, "it never got ready")
            self.assertEqual(get("/readyz"), (200, "ready\n"))
            status, text = get("/metrics")
            self.assertEqual(status, 200)
            self.assertIn("\necsd_connections ", text)
            self.assertEqual(get("/")[0], 404)
        finally:
            d.close()


if __name__ == "__main__":
    unittest.main()
