# SPDX-License-Identifier: Apache-2.0
"""The promise under load, seen from outside: what several clients were told fits one order of events (linearizability),
also over kill -9; identical calls count once; a full disk loses nothing that was acknowledged."""

import hashlib
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import harness
from harness import BUILD, REGION, ROOT, SLOW, Daemon, EcsTest

sys.path.append(str(ROOT / "test" / "race"))
import linear  # noqa: E402

IN_FLIGHT = float("inf")

# An instance leaves these by itself, without a call.
OWN_MOVES = ("Starting", "Stopping")


class Operation:
    def __init__(self, name):
        self.name, self.began, self.ended, self.told = name, time.monotonic(), IN_FLIGHT, None

    def end(self, told):
        self.told, self.ended = told, time.monotonic()

    def __repr__(self):
        return f"{self.name}={self.told} [{self.began:.4f}, {self.ended:.4f}]"


def event_of(op):
    kind = {"Status": "Show", "StopInstance": "Stop", "StartInstance": "Start"}[op.name]
    if op.told is None:
        return linear.Event(kind, op.began, op.ended, {"it": linear.ACCEPTED}, linear.UNKNOWN)
    told = {200: linear.ACCEPTED, 403: linear.REFUSED}.get(op.told, op.told)
    return linear.Event(kind, op.began, op.ended, {"it": told})


def is_linearizable(history, state):
    """Is there an order that respects time and in which every reply is right? A call without a reply may have happened or not."""
    return linear.violation([event_of(op) for op in history], ["it"], [state]) is None


class Checker(unittest.TestCase):
    """The judge is judged first."""

    def history(self, *rows):
        made = []
        for name, told, began, ended in rows:
            op = Operation(name)
            op.told, op.began, op.ended = told, began, ended
            made.append(op)
        return made

    def test_accepts_what_fits(self):
        self.assertTrue(is_linearizable(self.history(("StopInstance", 200, 0, 1), ("Status", "Stopped", 2, 3)), "Running"))
        self.assertTrue(is_linearizable(self.history(("StopInstance", 200, 0, 5), ("Status", "Running", 1, 2)), "Running"))
        self.assertTrue(is_linearizable(self.history(("StopInstance", None, 0, IN_FLIGHT), ("Status", "Stopped", 9, 10)), "Running"))

    def test_refuses_what_does_not(self):
        for rows in ([("StopInstance", 200, 0, 1), ("Status", "Running", 2, 3)],
                     [("StopInstance", 200, 0, 1), ("StopInstance", 200, 0, 1)],
                     [("StopInstance", 403, 0, 1)],
                     [("Status", "Stopped", 0, 1)],
                     [("StopInstance", 200, 0, 1), ("Status", "Stopped", 2, 3), ("Status", "Stopping", 4, 5)]):
            self.assertFalse(is_linearizable(self.history(*rows), "Running"), rows)


class Clients:
    """Threads that start, stop and look at a few instances, and note what they were told."""

    def __init__(self, ecs, ids, seed, count=6):
        self.ecs, self.ids = ecs, ids
        self.histories = {i: [] for i in ids}
        self.unexpected = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(random.Random(f"{seed}/{n}"),)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def one(self, chance):
        instance_id = chance.choice(self.ids)
        name = chance.choice(("StopInstance", "StartInstance", "Status", "Status"))
        op = Operation(name)
        self.histories[instance_id].append(op)
        if name == "Status":
            reply = self.ecs.v3("DescribeInstanceStatus", {"RegionId": REGION, "InstanceId.1": instance_id})
            op.end(reply.json["InstanceStatuses"]["InstanceStatus"][0]["Status"])
            return
        params = {"InstanceId": instance_id, **({"ForceStop": chance.random() < 0.5} if name == "StopInstance" else {})}
        reply = self.ecs.v3(name, params)
        if reply.status in (200, 403):
            op.end(reply.status)
        elif reply.status < 500:
            self.unexpected.append(reply)

    def work(self, chance):
        while not self.ending.is_set():
            try:
                self.one(chance)
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)  # the daemon is being killed, or not up yet

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


class Linearizable(EcsTest):
    settings = {"sim.boot_s": "0.01", "sim.shutdown_s": "0.01", "engine.reconcile_s": "1"}

    def check(self, clients):
        self.assertEqual(clients.unexpected, [])
        for instance_id, history in clients.histories.items():
            self.assertTrue(any(op.told == 200 for op in history))
            self.assertTrue(is_linearizable(history, "Running"),
                            "\n".join(map(str, sorted(history, key=lambda op: op.began))))

    def test_what_clients_are_told_fits_one_order(self):
        clients = Clients(self.ecs, [self.running_instance() for _ in range(3)], seed=1)
        time.sleep(4)
        clients.end()
        self.check(clients)

    def test_also_when_the_daemon_is_killed_or_stopped_again_and_again(self):
        chance = random.Random(2)
        clients = Clients(self.ecs, [self.running_instance() for _ in range(4)], seed=2)
        for _ in range(8):
            time.sleep(chance.uniform(0.1, 0.6))
            self.ecs.restart(chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        time.sleep(0.5)
        clients.end()
        self.check(clients)
        for instance_id in clients.ids:  # and nothing hangs
            end = time.monotonic() + 15 * SLOW
            while self.status_of(instance_id) in OWN_MOVES:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)


class Once(EcsTest):
    def signed(self, action, params):
        """The bytes of one call, to be sent several times."""
        sent = {}
        send, self.ecs.send = self.ecs.send, lambda *args: sent.setdefault("args", args)
        try:
            self.ecs.v3(action, params)
        finally:
            self.ecs.send = send
        return sent["args"]

    def at_once(self, count, work):
        replies, gate = [], threading.Barrier(count)

        def run():
            gate.wait()
            replies.append(work())

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return replies

    def test_identical_bytes_count_once_however_they_come(self):
        for _ in range(10):
            i = self.running_instance()
            call = self.signed("StopInstance", {"InstanceId": i})
            replies = self.at_once(8, lambda: self.ecs.send(*call))
            self.assertEqual(sorted(r.status for r in replies), [200] + [400] * 7)
            self.assertEqual({r.code for r in replies if r.status != 200}, {"SignatureNonceUsed"})
            self.await_status(i, "Stopped")
            self.call("StartInstance", InstanceId=i)
            self.await_status(i, "Running")
            self.ecs.kill()
            self.ecs.start()
            self.assertEqual(self.ecs.send(*call).code, "SignatureNonceUsed")
            self.assertEqual(self.status_of(i), "Running")

    def test_a_client_token_makes_one_set_of_instances(self):
        for _ in range(5):
            token = uuid.uuid4().hex
            params = {"RegionId": REGION, "ImageId": harness.IMAGE, "InstanceType": "ecs.g6.large", "Amount": 2, "ClientToken": token}
            replies = self.at_once(6, lambda: self.ecs.v3("RunInstances", params))
            sets = {json.dumps(r.json["InstanceIdSets"]) for r in replies}
            self.assertEqual(({r.status for r in replies}, len(sets)), ({200}, 1))
            self.ecs.kill()
            self.ecs.start()
            again = self.ecs.v3("RunInstances", params)
            self.assertEqual(json.dumps(again.json["InstanceIdSets"]), sets.pop())


class OneProcess(EcsTest):
    def test_a_folder_has_one_daemon(self):
        for _ in range(3):
            second = subprocess.run([str(BUILD / "ecsd"), "--data", str(self.ecs.data), "--listen", "127.0.0.1:0"],
                                    capture_output=True, text=True, timeout=20 * SLOW)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(self.ecs.process.pid), second.stderr)
        self.running_instance()


@unittest.skipIf("ECSD_POSTGRES" in os.environ, "the store is no file then")
class FullDisk(unittest.TestCase):
    """A file system of a few MiB, filled by a ballast file while clients stop instances."""

    def setUp(self):
        self.mount = tempfile.mkdtemp(prefix="ecsd-full-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", self.mount], capture_output=True)
        if done.returncode != 0:
            os.rmdir(self.mount)
            self.skipTest("no file system of its own: " + done.stderr.decode().strip())
        self.addCleanup(os.rmdir, self.mount)
        self.addCleanup(subprocess.run, ["umount", self.mount], check=True)
        kept, tempfile.tempdir = tempfile.tempdir, self.mount
        try:
            self.ecs = Daemon(settings={"gateway.throttle": "false"})
        finally:
            tempfile.tempdir = kept
        self.addCleanup(self.ecs.close)

    def fill(self, leave):
        """All but `leave` bytes: the log's end finds the disk full in the middle of the work."""
        ballast = pathlib.Path(self.mount) / "ballast"
        with open(ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass
            file.truncate(ballast.stat().st_size - leave)
        return ballast

    def status_of(self, instance_id):
        reply = self.ecs.v3("DescribeInstanceStatus", {"RegionId": REGION, "InstanceId.1": instance_id})
        return reply.json["InstanceStatuses"]["InstanceStatus"][0]["Status"]

    def await_status(self, instance_id, wanted):
        end = time.monotonic() + 30 * SLOW
        while self.status_of(instance_id) != wanted:
            self.assertLess(time.monotonic(), end, f"{instance_id}: {self.status_of(instance_id)}\n{self.ecs.log_text()[-1500:]}")
            time.sleep(0.01)

    def launch(self, count):
        reply = self.ecs.v3("RunInstances", {"RegionId": REGION, "ImageId": harness.IMAGE, "InstanceType": "ecs.g6.large", "Amount": count})
        ids = reply.json["InstanceIdSets"]["InstanceIdSet"]
        for i in ids:
            self.await_status(i, "Running")
        return ids

    def stop_all(self, ids):
        """Four clients; the calls that got a 200, and those that did not."""
        told, lock = {}, threading.Lock()

        def client(share):
            for i in share:
                status = self.ecs.v3("StopInstance", {"InstanceId": i}).status
                with lock:
                    told[i] = status

        threads = [threading.Thread(target=client, args=(ids[n::4],)) for n in range(4)]
        ballast = self.fill(leave=512 << 10)
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return ballast, {i for i in told if told[i] == 200}, {i for i in told if told[i] != 200}, told

    def test_nothing_acknowledged_is_lost_and_all_goes_on(self):
        refused_in_all = 0
        for kill in (False, True, False):
            ids = self.launch(60)
            ballast, accepted, refused, told = self.stop_all(ids)
            refused_in_all += len(refused)
            self.assertTrue(all(told[i] >= 500 for i in refused), told)
            for i in accepted:
                self.assertIn(self.status_of(i), ("Stopping", "Stopped"))
            if kill:
                self.ecs.kill()
            ballast.unlink()
            if kill:
                self.ecs.start()
            for i in accepted:
                self.await_status(i, "Stopped")
            for i in refused:
                self.assertEqual(self.status_of(i), "Running")
                self.assertEqual(self.ecs.v3("StopInstance", {"InstanceId": i}).status, 200)
                self.await_status(i, "Stopped")
        self.assertGreater(refused_in_all, 0)


if __name__ == "__main__":
    unittest.main()
