# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: signing, a daemon to measure, the load generator, nginx as the yardstick."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import struct
import subprocess
import tempfile
import time
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("ECSD_BUILD", ROOT / "build-bench"))
EMPTY = hashlib.sha256(b"").hexdigest()


def quote(text):
    return urllib.parse.quote(str(text), safe="-_.~")


def signed(host, key, secret, action, params, stamp=None):
    """The bytes of a keep-alive POST, signed with ACS3-HMAC-SHA256 as the current SDKs do."""
    query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(params.items()))
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": stamp or datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-version": "2014-05-26",
    }
    names = ";".join(headers)
    canonical = "\n".join(["POST", "/", query] + [f"{k}:{v}" for k, v in headers.items()] + ["", names, EMPTY])
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    lines = [f"POST /?{query} HTTP/1.1"] + [f"{k}: {v}" for k, v in headers.items()]
    lines += [f"authorization: ACS3-HMAC-SHA256 Credential={key},SignedHeaders={names},Signature={signature}",
              "accept: application/json", "content-length: 0", "", ""]
    return "\r\n".join(lines).encode()


def request_file(path, requests):
    with open(path, "wb") as out:
        for request in requests:
            out.write(struct.pack("<I", len(request)) + request)
    return path


def load(address, requests, connections, seconds=10.0, repeat=False, close=False):
    """Runs bench/load; returns what it printed."""
    command = [str(BUILD / "load"), "--to", address, "--requests", str(requests), "--connections", str(connections),
               "--seconds", str(seconds)] + (["--repeat"] if repeat else []) + (["--close"] if close else [])
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds + 60)
    return json.loads(done.stdout)


def fdatasync_p50_us(folder, rounds=200):
    """What the disk under `folder` takes to make 4 KiB durable."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(rounds):
            file.write(os.urandom(4096))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


class Nginx:
    """`return 200` with 2 workers: what these two cores can do when there is nothing to do."""

    def __init__(self, port):
        self.folder = tempfile.mkdtemp()
        self.address = f"127.0.0.1:{port}"
        conf = pathlib.Path(self.folder) / "nginx.conf"
        conf.write_text(f"""daemon off; worker_processes 2; pid {self.folder}/pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {self.folder}; proxy_temp_path {self.folder}; fastcgi_temp_path {self.folder};
  uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
  server {{ listen {self.address}; location / {{ default_type application/json;
    return 200 '{{"RequestId":"1C488B66-B819-4D14-8711-C4EAAA13AC01"}}'; }} }} }}
""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(conf), "-p", self.folder], stderr=subprocess.DEVNULL)
        wait_for_port(port)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Moto:
    """The moto server, for comparison."""

    def __init__(self, venv):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen([str(venv / "bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(port, 60)

    def request(self, action, **params):
        body = urllib.parse.urlencode({"Action": action, "Version": "2016-11-15", **params})
        return (f"POST / HTTP/1.1\r\nhost: {self.address}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
                "authorization: AWS4-HMAC-SHA256 Credential=x/20261124/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=x\r\n"
                f"content-length: {len(body)}\r\n\r\n{body}").encode()

    def launch(self, count):
        """Ids of new instances."""
        head, _, body = self.request("RunInstances", ImageId="ami-12c6146b", MinCount=count, MaxCount=count).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("POST", "/", body=body, headers=dict(line.split(": ", 1) for line in lines))
        text = connection.getresponse().read().decode()
        connection.close()
        ids = re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", text)
        if len(ids) != count:
            raise RuntimeError(f"moto: {text[:300]}")
        return ids

    def close(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, seconds=10):
    import socket
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"nothing listens on port {port}")


class Daemon:
    """ecsd on a data folder of its own; `like`: another node of the same store, whose key it takes."""

    def __init__(self, *options, data=None, like=None):
        self.own = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="ecsd-bench-"))
        (self.data / "endpoint").unlink(missing_ok=True)
        self.started = time.perf_counter()
        self.process = subprocess.Popen([str(BUILD / "ecsd"), "--data", str(self.data), "--listen", "127.0.0.1:0",
                                         "--set", "log.level=warning", *options])
        while not (self.data / "endpoint").exists() or not (self.data / "endpoint").read_text().strip():
            if self.process.poll() is not None:
                raise RuntimeError("ecsd ended")
            time.sleep(0.0005)
        self.ready_ms = (time.perf_counter() - self.started) * 1e3
        self.address = (self.data / "endpoint").read_text().split("//")[1].strip().rstrip("/")
        self.key, self.secret = (like.key, like.secret) if like else self.read_credentials()
        self.connection = None

    def read_credentials(self):
        words = dict(line.split("=", 1) for line in (self.data / "credentials").read_text().splitlines() if "=" in line)
        words = {k.strip().lower(): v.strip() for k, v in words.items()}
        return (next(v for k, v in words.items() if k.endswith("id")), next(v for k, v in words.items() if k.endswith("secret")))

    def sign(self, action, stamp=None, **params):
        return signed(self.address, self.key, self.secret, action, params, stamp)

    def call(self, action, **params):
        """One signed call; the parsed body, or RuntimeError with the error."""
        head, _, _ = self.sign(action, **params).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=60)
        self.connection.request("POST", lines[0].split(" ")[1], headers=dict(line.split(": ", 1) for line in lines[1:]))
        reply = self.connection.getresponse()
        body = json.loads(reply.read())
        if reply.status != 200:
            raise RuntimeError(f"{action}: {reply.status} {body}")
        return body

    def launch(self, count, image, type_id="ecs.t5-lc1m1.small"):
        """`count` running instances; their ids."""
        ids = []
        while len(ids) < count:
            body = self.call("RunInstances", RegionId="cn-hangzhou", ImageId=image, InstanceType=type_id,
                             Amount=min(100, count - len(ids)))
            ids += body["InstanceIdSets"]["InstanceIdSet"]
        while self.count("Starting") + self.count("Pending"):
            time.sleep(0.1)
        return ids

    def count(self, status):
        return self.call("DescribeInstances", RegionId="cn-hangzhou", Status=status, PageSize=1)["TotalCount"]

    def cpu_us(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def rss_mib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def close(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()
        if self.own:
            shutil.rmtree(self.data, ignore_errors=True)
