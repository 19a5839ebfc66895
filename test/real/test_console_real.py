# SPDX-License-Identifier: Apache-2.0
"""Console, screenshot, VNC and redeploy of real machines."""

import base64
import json
import socket
import subprocess
import time
import unittest
import urllib.parse

import machines
from machines import REGION, SMALL, RealDaemon, script


def des_ecb(key, data):
    """RFC 6143 §7.2.2: each byte of the password with its bits the other way round."""
    key = bytes(int(f"{b:08b}"[::-1], 2) for b in key.ljust(8, b"\0")[:8])
    return subprocess.run(["openssl", "enc", "-des-ecb", "-provider", "legacy", "-provider", "default", "-nopad", "-K", key.hex()],
                          input=data, capture_output=True, check=True).stdout


def take(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def vnc_lets_in(url, password=None):
    """A client's way through the handshake; does the server take the password?"""
    parts = urllib.parse.urlparse(url)
    password = password or urllib.parse.parse_qs(parts.query)["VncPassword"][0]
    with socket.create_connection((parts.hostname, parts.port), 10) as s:
        assert take(s, 12) == b"RFB 003.008\n"
        s.sendall(b"RFB 003.008\n")
        kinds = take(s, take(s, 1)[0])
        assert kinds == b"\x02", kinds  # VNC authentication and nothing else
        s.sendall(b"\x02")
        s.sendall(des_ecb(password.encode(), take(s, 16)))
        return take(s, 4) == b"\0\0\0\0"


@unittest.skipIf(machines.missing(), machines.missing())
class Real(machines.EcsTest):
    @classmethod
    def setUpClass(cls):
        cls.ecs = RealDaemon()

    def test_console_screen_vnc(self):
        i = self.run_instance(InstanceType=SMALL, UserData=script("echo hello from user data"))
        self.await_status(i, "Running", seconds=90)
        self.ecs.await_console(i, "guest: user data ended with 0")
        text = base64.b64decode(self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i)["ConsoleOutput"]).decode()
        self.assertIn("guest: ready", text)
        png = base64.b64decode(self.call("GetInstanceScreenshot", RegionId=REGION, InstanceId=i)["Screenshot"])
        self.assertTrue(png.startswith(b"\x89PNG\r\n\x1a\n"))
        first = self.call("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i)["VncUrl"]
        self.assertRegex(first, r"^vnc://127\.0\.0\.1:\d+\?VncPassword=[A-Za-z0-9]{8}$")
        self.assertTrue(vnc_lets_in(first))
        self.assertFalse(vnc_lets_in(first, "WrongOne"))
        second = self.call("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i)["VncUrl"]
        self.assertFalse(vnc_lets_in(first))
        self.assertTrue(vnc_lets_in(second))
        time.sleep(17)
        self.assertFalse(vnc_lets_in(second))
        self.assertNotIn(second.rpartition("=")[2], self.ecs.log_text())
        self.call("StopInstance", InstanceId=i)
        self.await_status(i, "Stopped", seconds=90)
        text = base64.b64decode(self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i)["ConsoleOutput"]).decode()
        self.assertIn("guest: clean", text)
        self.refuses("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i, code="IncorrectInstanceStatus", status=403)
        self.call("RedeployInstance", InstanceId=i)
        self.await_status(i, "Running", seconds=90)
        shown = json.loads(self.ecs.ctl("instance", "show", i, "--json"))
        self.assertEqual(shown["Incarnation"], 2)
        text = base64.b64decode(self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i)["ConsoleOutput"]).decode()
        self.assertIn("guest: last stop clean", text)  # its cloud disk is the one that it had


if __name__ == "__main__":
    unittest.main()
