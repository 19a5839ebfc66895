# SPDX-License-Identifier: Apache-2.0
"""A daemon to talk to, and the ways to sign: what the black-box tests share. Python's standard library only.

A test reads like the page that it comes from:

    class Stop(EcsTest):
        def test_needs_running(self):
            i = self.stopped_instance()
            self.refuses("StopInstance", InstanceId=i, code="IncorrectInstanceStatus", status=403)
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import uuid
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("ECSD_BUILD", ROOT / "build"))
SLOW = float(os.environ.get("ECSD_SLOW", "1"))  # sanitizers: everything takes longer
REPLIES = os.environ.get("ECSD_REPLIES")  # a file that gets a line of each reply; test/model reads it
REGION = "cn-hangzhou"
IMAGE = "debian_12_6_x64_20G_alibase_20240711.vhd"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def quote(text):
    return urllib.parse.quote(str(text), safe="-_.~")


def now_text(offset_s=0):
    t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset_s)
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def wire(value):
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def sign_v1(method, params, secret, digest="sha1"):
    canonical = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(params.items()))
    text = f"{method}&%2F&{quote(canonical)}"
    return base64.b64encode(hmac.new((secret + "&").encode(), text.encode(), digest).digest()).decode()


def record(**seen):
    """For whoever asks which actions and errors the tests have seen."""
    if REPLIES:
        with open(REPLIES, "a", encoding="utf-8") as file:
            file.write(json.dumps(seen) + "\n")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def xml(self):
        return xml.etree.ElementTree.fromstring(self.body)

    @property
    def code(self):
        return self.json.get("Code")

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def until(test, what, seconds=15):
    """Polls; returns the first result that is true."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        result = what()
        if result:
            return result
        time.sleep(0.01)
    return test.fail(f"did not come true in {seconds} s")


class Schema:
    """A store of its own at the server that test/postgres/server.py has started."""

    def __init__(self, folder):
        self.name = folder.name.replace("-", "_").lower()
        self.sql(f"CREATE SCHEMA {self.name}")
        words = dict(word.split("=", 1) for word in os.environ["ECSD_POSTGRES"].split())
        self.url = (f"postgresql://{words['user']}@/{words['dbname']}?host={urllib.parse.quote(words['host'], '')}"
                    f"&options=-csearch_path%3D{self.name}&application_name=ecsd")

    def sql(self, text):
        subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", os.environ["ECSD_POSTGRES"], "-c", text], check=True,
                       env={**os.environ, "PGOPTIONS": "-cclient_min_messages=warning"})

    def close(self):
        self.sql(f"DROP SCHEMA {self.name} CASCADE")


class Daemon:
    """ecsd on a free port, with its own data folder; close() leaves nothing behind."""

    def __init__(self, *options, env=None, settings=None):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        self.options = [str(o) for o in options]
        self.settings = {"sim.boot_s": "0.02", "sim.shutdown_s": "0.02", **(settings or {})}
        self.env = {**os.environ, **(env or {})}
        self.log = open(self.data / "log", "ab")
        self.process = None
        self.schema = Schema(self.data) if "ECSD_POSTGRES" in os.environ else None
        if self.schema:
            self.options += ["--store", self.schema.url]
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self, **more):
        settings = {**self.settings, **more}
        sets = [word for k, v in settings.items() for word in ("--set", f"{k}={v}")]
        (self.data / "endpoint").unlink(missing_ok=True)
        self.process = subprocess.Popen([str(BUILD / "ecsd"), "--data", str(self.data), "--listen", "127.0.0.1:0", *sets,
                                         *self.options], stderr=self.log, stdout=self.log, env=self.env)
        self.await_endpoint()
        self.read_credentials()

    def await_endpoint(self):
        end = time.monotonic() + 20 * SLOW
        path = self.data / "endpoint"
        while time.monotonic() < end:
            if path.exists() and path.read_text().strip():
                url = urllib.parse.urlparse(path.read_text().split()[0])
                self.host, self.port = url.hostname, url.port
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"ecsd ended with {self.process.returncode}: {self.log_text()[-2000:]}")
            time.sleep(0.002)
        raise RuntimeError(f"no endpoint: {self.log_text()[-2000:]}")

    def read_credentials(self):
        self.key_id = self.secret = None
        for line in (self.data / "credentials").read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower().endswith("id"):
                self.key_id = value.strip()
            elif name.strip().lower().endswith("secret"):
                self.secret = value.strip()

    def log_text(self):
        return (self.data / "log").read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None

    def kill(self):
        """Power failure of the daemon: SIGKILL."""
        self.stop(signal.SIGKILL)

    def restart(self, how=signal.SIGTERM, **settings):
        self.stop(how)
        self.start(**settings)

    def close(self):
        try:
            self.stop()
        finally:
            self.log.close()
            if self.schema:
                self.schema.close()
            if os.environ.get("ECSD_KEEP"):
                print(f"kept: {self.data}")
            else:
                shutil.rmtree(self.data, ignore_errors=True)

    # ── talking ──

    def send(self, method, target, headers=None, body=b"", timeout=30):
        """One request as given; the Host header is right unless `headers` has another."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            reply = connection.getresponse()
            reply = Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
            record(target=target, headers=headers or {}, sent=body.decode("latin-1") if isinstance(body, bytes) else "",
                   status=reply.status, type=reply.headers.get("content-type", ""), body=reply.body.decode(errors="replace"))
            return reply
        except OSError as error:
            if self.process.poll() is None:
                raise
            # The same kind of error, for tests that kill ecsd; with what one has to know when none did.
            raise type(error)(f"{error}; ecsd ended with {self.process.returncode}: {self.log_text()[-2000:]}") from error
        finally:
            connection.close()

    def raw(self, data, timeout=10, half_close=False):
        """Bytes in, bytes out, until the peer closes or nothing comes for `timeout`."""
        out = b""
        with socket.create_connection((self.host, self.port), timeout * SLOW) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(65536):
                    out += chunk
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
        return out

    def v3(self, action, params=None, version="2014-05-26", key=None, secret=None, token=None, date=None, nonce=None,
           method="POST", body=b"", headers=None):
        """ACS3-HMAC-SHA256: parameters in the query."""
        query = "&".join(f"{quote(k)}={quote(wire(v))}" for k, v in sorted((params or {}).items()))
        sent = {"host": f"{self.host}:{self.port}", "x-acs-action": action, "x-acs-version": version,
                "x-acs-date": date or now_text(), "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
                "x-acs-content-sha256": hashlib.sha256(body).hexdigest(), **(headers or {})}
        if token:
            sent["x-acs-security-token"] = token
            sent["x-acs-accesskey-id"] = key
        names = sorted(sent)
        canonical = "\n".join([method, "/", query] + [f"{k}:{sent[k]}" for k in names] +
                              ["", ";".join(names), sent["x-acs-content-sha256"]])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new((secret or self.secret).encode(), text.encode(), "sha256").hexdigest()
        sent["authorization"] = (f"ACS3-HMAC-SHA256 Credential={key or self.key_id},SignedHeaders={';'.join(names)},"
                                 f"Signature={signature}")
        sent.setdefault("accept", "application/json")
        return self.send(method, "/?" + query if query else "/", sent, body)

    def v1(self, action, params=None, version="2014-05-26", key=None, secret=None, method="GET", form=False, form_params=None,
           format="JSON", digest="sha1", **common):
        """Signature version 1.0: everything in the query, or with `form` in the body."""
        every = {"Action": action, "Version": version, "AccessKeyId": key or self.key_id, "SignatureVersion": "1.0",
                 "SignatureMethod": {"sha1": "HMAC-SHA1", "sha256": "HMAC-SHA256"}[digest], "SignatureNonce": uuid.uuid4().hex,
                 "Timestamp": now_text(), **({"Format": format} if format else {}),
                 **{k: wire(v) for k, v in (params or {}).items()}, **common}
        every = {k: v for k, v in every.items() if v is not None}
        body_params = {k: wire(v) for k, v in (form_params or {}).items()}
        verb = "POST" if form or body_params else method
        every["Signature"] = sign_v1(verb, {**every, **body_params}, secret or self.secret, digest)
        text = urllib.parse.urlencode(every)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if verb == "POST" else {}
        if form:
            return self.send("POST", "/", headers, text.encode())
        return self.send(verb, "/?" + text, headers, urllib.parse.urlencode(body_params).encode() if body_params else b"")

    def ctl(self, *words, ok=True):
        """ecsctl; its standard output. With ok=None any exit code will do."""
        done = subprocess.run([str(BUILD / "ecsctl"), "--data", str(self.data), *map(str, words)], capture_output=True,
                              text=True, timeout=60 * SLOW)
        record(words=[str(word) for word in words], out=done.stdout, err=done.stderr)
        if ok is not None and (done.returncode == 0) != ok:
            raise AssertionError(f"ecsctl {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout


class EcsTest(unittest.TestCase):
    """One daemon per class."""

    options = ()
    settings = {}
    env = {}

    @classmethod
    def setUpClass(cls):
        cls.ecs = Daemon(*cls.options, env=cls.env, settings=cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.ecs.close()

    def call(self, action, status=200, **params):
        """A signed call that must answer `status`; names use __ for a dot (Tag__1__Key)."""
        reply = self.ecs.v3(action, {k.replace("__", "."): v for k, v in params.items()})
        self.assertEqual(reply.status, status, f"{action} {params}: {reply}")
        return reply.json

    def refuses(self, action, code, status, message=None, **params):
        body = self.call(action, status=status, **params)
        self.assertEqual(body["Code"], code, body)
        if message is not None:
            self.assertEqual(body["Message"], message)
        self.assertTrue(body["RequestId"] and "HostId" in body, body)
        return body

    def run_instance(self, **params):
        params = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": "ecs.g6.large", **params}
        return self.call("RunInstances", **params)["InstanceIdSets"]["InstanceIdSet"][0]

    def instance(self, instance_id):
        found = self.call("DescribeInstances", RegionId=REGION, InstanceIds=json.dumps([instance_id]))["Instances"]["Instance"]
        return found[0] if found else None

    def status_of(self, instance_id):
        found = self.call("DescribeInstanceStatus", RegionId=REGION, InstanceId__1=instance_id)
        found = found["InstanceStatuses"]["InstanceStatus"]
        return found[0]["Status"] if found else None

    def await_status(self, instance_id, wanted, seconds=15):
        """Polls as clients do; None means gone. Returns the states seen on the way."""
        seen, end = [], time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            status = self.status_of(instance_id)
            if not seen or seen[-1] != status:
                seen.append(status)
            if status == wanted:
                return seen
            time.sleep(0.005)
        self.fail(f"{instance_id} went {seen}, not to {wanted}; log: {self.ecs.log_text()[-1500:]}")

    def running_instance(self, **params):
        instance_id = self.run_instance(**params)
        self.await_status(instance_id, "Running")
        return instance_id

    def stopped_instance(self, **params):
        instance_id = self.running_instance(**params)
        self.call("StopInstance", InstanceId=instance_id)
        self.await_status(instance_id, "Stopped")
        return instance_id
