# SPDX-License-Identifier: Apache-2.0
"""GetInstanceConsoleOutput, GetInstanceScreenshot, DescribeInstanceVncUrl, ModifyInstanceVncPasswd by their pages."""

import base64
import concurrent.futures
import json
import struct
import time
import zlib

from harness import REGION, SLOW, EcsTest

THROTTLED = "Request was denied due to request throttling."


def read_png(data):
    """(width, height, rows) of one with a palette of two colours; every checksum is looked at."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        length, = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        crc, = struct.unpack(">I", data[at + 8 + length:at + 12 + length])
        assert crc == zlib.crc32(kind + body), kind
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, methods, len(chunks[1][1]) % 3) == (1, 3, [0, 0, 0], 0)
    raw, row = zlib.decompress(chunks[2][1]), (width + 7) // 8 + 1
    assert len(raw) == row * height
    rows = [raw[i:i + row] for i in range(0, len(raw), row)]
    assert all(r[0] == 0 for r in rows)
    return width, height, rows


class Console(EcsTest):
    def output(self, instance_id, **params):
        body = self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=instance_id, **params)
        self.assertEqual(sorted(body), ["ConsoleOutput", "InstanceId", "LastUpdateTime", "RequestId"])
        self.assertEqual(body["InstanceId"], instance_id)
        self.assertRegex(body["LastUpdateTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        return base64.b64decode(body["ConsoleOutput"], validate=True).decode()

    def test_what_the_latest_boot_wrote(self):
        i = self.running_instance()
        text = self.output(i)
        self.assertIn("start 1", text)
        self.assertTrue(text.endswith("login: "))
        self.call("RebootInstance", InstanceId=i)
        self.await_status(i, "Running")
        text = self.output(i)
        self.assertIn("start 2", text)
        self.assertNotIn("start 1", text)

    def test_a_stopped_one_shows_its_last_words(self):
        i = self.stopped_instance()
        self.assertIn("reboot: Power down", self.output(i))
        self.assertEqual(self.output(i), self.output(i))

    def test_a_power_cut_leaves_none(self):
        i = self.running_instance()
        self.call("StopInstance", InstanceId=i, ForceStop=True)
        self.await_status(i, "Stopped")
        self.assertTrue(self.output(i).endswith("login: "))

    def test_remove_symbols(self):
        i = self.running_instance()
        self.assertIn("\x1b[0;32m", self.output(i))
        plain = self.output(i, RemoveSymbols=True)
        self.assertIn("[  OK  ] Reached", plain)
        self.assertEqual({c for c in plain if ord(c) < 32}, {"\n"})

    def test_after_a_restart_of_the_daemon(self):
        i = self.running_instance()
        before = self.output(i)
        self.ecs.restart()
        self.assertEqual(self.output(i), before)

    def test_nothing_after_an_economical_stop(self):
        i = self.running_instance()
        self.call("StopInstance", InstanceId=i, StoppedMode="StopCharging")
        self.await_status(i, "Stopped")
        self.refuses("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i, code="IncorrectInstanceStatus", status=405,
                     message="The instance status “Stopped” is not applicable")

    def test_not_of_windows(self):
        i = self.running_instance(ImageId="win2022_21H2_x64_dtc_en-us_40G_alibase_20240711.vhd")
        self.refuses("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i, code="NotSupported", status=405,
                     message=f"The operation is not supported for “{i}”")
        self.call("GetInstanceScreenshot", RegionId=REGION, InstanceId=i)

    def test_missing_unknown_and_foreign(self):
        i = self.running_instance()
        for action in ("GetInstanceConsoleOutput", "GetInstanceScreenshot"):
            self.refuses(action, RegionId=REGION, code="MissingParameter", status=400,
                         message="The input parameter “instanceId” that is mandatory for processing this request is not supplied.")
            self.refuses(action, InstanceId=i, code="MissingParameter", status=400)
            for region, instance in ((REGION, "i-none"), ("cn-beijing", i)):
                self.refuses(action, RegionId=region, InstanceId=instance, code="InvalidParameter", status=404,
                             message="The “instanceId” provided is not valid.")
            self.refuses(action, RegionId="mars", InstanceId=i, code="InvalidRegionId.NotFound", status=404)
        self.refuses("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i, RemoveSymbols="maybe", code="InvalidParameter",
                     status=400)

    def test_nothing_of_it_is_in_the_log(self):
        i = self.running_instance()
        text = self.call("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i)["ConsoleOutput"]
        self.assertNotIn(text[:40], self.ecs.log_text())


class Screen(EcsTest):
    def test_a_png_of_a_running_one(self):
        i = self.running_instance()
        body = self.call("GetInstanceScreenshot", RegionId=REGION, InstanceId=i, WakeUp=True)
        self.assertEqual(sorted(body), ["InstanceId", "RequestId", "Screenshot"])
        width, height, rows = read_png(base64.b64decode(body["Screenshot"], validate=True))
        self.assertEqual((width, height), (720, 400))
        self.assertGreater(len(set(rows)), 1)

    def test_once_in_ten_seconds(self):
        i, other = self.running_instance(), self.running_instance()
        self.call("GetInstanceScreenshot", RegionId=REGION, InstanceId=i)
        self.refuses("GetInstanceScreenshot", RegionId=REGION, InstanceId=i, code="Throttling", status=429, message=THROTTLED)
        self.call("GetInstanceScreenshot", RegionId=REGION, InstanceId=other)

    def test_running_only(self):
        i = self.stopped_instance()
        self.refuses("GetInstanceScreenshot", RegionId=REGION, InstanceId=i, code="IncorrectInstanceStatus", status=405,
                     message="The instance status “Stopped” is not applicable")

    def test_a_policy_decides(self):
        i = self.running_instance()
        account = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["AccountId"]
        actions = ("GetInstanceScreenshot", "GetInstanceConsoleOutput", "DescribeInstanceVncUrl", "ModifyInstanceVncPasswd")
        for allowed in actions:
            policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": f"ecs:{allowed}", "Resource": "*"}]}
            key = json.loads(self.ecs.ctl("key", "create", account, f"policy={json.dumps(policy)}", "--json"))
            for action in actions:
                reply = self.ecs.v3(action, {"RegionId": REGION, "InstanceId": i, "VncPassword": "aZ09bY"},
                                    key=key["AccessKeyId"], secret=key["AccessKeySecret"])
                self.assertEqual(reply.code == "Forbidden.RAM", action != allowed, reply)


class Vnc(EcsTest):
    def test_simulated_machines_have_none(self):
        i = self.running_instance()
        self.refuses("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i, code="NotSupported", status=405,
                     message=f"The operation is not supported for “{i}”")

    def test_not_when_stopped_unknown_or_elsewhere(self):
        i = self.stopped_instance()
        self.refuses("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i, code="IncorrectInstanceStatus", status=403,
                     message="The current status of the resource does not support this operation.")
        self.refuses("DescribeInstanceVncUrl", RegionId=REGION, InstanceId="i-none", code="InvalidInstanceId.NotFound", status=404,
                     message="The specified InstanceId does not exist.")
        self.refuses("DescribeInstanceVncUrl", RegionId="cn-beijing", InstanceId=i, code="InvalidRegionInstance", status=400,
                     message="The specified InstanceId does not exist in given region.")
        self.refuses("DescribeInstanceVncUrl", RegionId="mars", InstanceId=i, code="InvalidRegionId.NotFound", status=404)

    def test_a_password_of_six_letters_and_digits_is_taken_and_kept_nowhere(self):
        i = self.running_instance()
        body = self.call("ModifyInstanceVncPasswd", RegionId=REGION, InstanceId=i, VncPassword="qZ09bY")
        self.assertEqual(list(body), ["RequestId"])
        for bad in ("qZ09b", "qZ09bYc", "qZ09b!"):
            self.refuses("ModifyInstanceVncPasswd", RegionId=REGION, InstanceId=i, VncPassword=bad, status=400,
                         code="IncorrectVncPassword.Malformed", message="The specified parameter VncPassword is not valid.")
        self.refuses("ModifyInstanceVncPasswd", RegionId=REGION, InstanceId=i, code="MissingParameter", status=400)
        self.refuses("ModifyInstanceVncPasswd", RegionId=REGION, InstanceId="i-none", VncPassword="qZ09bY", status=404,
                     code="InvalidInstanceId.NotFound")
        for path in self.ecs.data.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"qZ09bY", path.read_bytes(), path)


class Hosts(EcsTest):
    def test_a_host_out_of_reach(self):
        i = self.running_instance()
        host = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["HostId"]
        self.ecs.ctl("sim", "host", host, "down")
        for _ in range(2):
            self.refuses("GetInstanceConsoleOutput", RegionId=REGION, InstanceId=i, code="ServiceUnavailable", status=503)
            self.refuses("GetInstanceScreenshot", RegionId=REGION, InstanceId=i, code="ServiceUnavailable", status=503)
            self.refuses("DescribeInstanceVncUrl", RegionId=REGION, InstanceId=i, code="InternalError", status=500)
        self.ecs.ctl("sim", "host", host, "up")

    def test_a_slow_host_holds_one_thread_of_two(self):
        i = self.running_instance(ZoneId="cn-hangzhou-i")
        host = json.loads(self.ecs.ctl("instance", "show", i, "--json"))["HostId"]
        self.ecs.ctl("sim", "host", host, "delay=200")
        codes, end = set(), time.monotonic() + 30 * SLOW
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # a thread that has two of the calls makes them one by one
            while "Throttling" not in codes and time.monotonic() < end:
                calls = [pool.submit(self.ecs.v3, "GetInstanceConsoleOutput", {"RegionId": REGION, "InstanceId": i})
                         for _ in range(4)]
                codes.update(call.result().code for call in calls)
        self.assertEqual(codes, {None, "Throttling"})
