# SPDX-License-Identifier: Apache-2.0
"""The load and its judge are judged: against nodes that are played here, one of which may lie, or answer too late."""

import itertools
import json
import random
import threading
import time
import unittest

from cluster import ClusterTest  # noqa: F401  (finds the harness)
from harness import Reply
from load import PAUSE_S, Load, Prober, longest_gap

IDS = ["i-1", "i-2"]
MOVE_S = 0.02  # what a start and a stop take
GUARDS = {"StartInstance": ("Stopped", "Starting", "Running"), "StopInstance": ("Running", "Stopping", "Stopped")}
ENOUGH = 150  # orders


class Cloud:
    """What nodes share: a correct service."""

    def __init__(self):
        self.lock = threading.Lock()
        self.states = {i: ("Running", 0.0, "Running") for i in IDS}
        self.nonces = set()
        self.ordered = itertools.count(1)
        self.enough = threading.Event()

    def show(self, i):
        state, until, then = self.states[i]
        return state if time.monotonic() < until else then

    def order(self, action, i, nonce, lies=False):
        with self.lock:
            if next(self.ordered) == ENOUGH:
                self.enough.set()
            if nonce in self.nonces:
                return 400, {"Code": "SignatureNonceUsed"}
            guard, now, then = GUARDS[action]
            if self.show(i) != guard:
                return 403, {"Code": "IncorrectInstanceStatus"}
            self.nonces.add(nonce)
            if not lies:
                self.states[i] = (now, time.monotonic() + MOVE_S, then)
            return 200, {}


class Played:
    """A node of it. Now and then it does as `fault` says: "forgets" what it has acknowledged, loses its "answer"; or
    always: takes a nonce "again"."""

    def __init__(self, cloud, name, fault=None):
        self.cloud, self.name, self.fault = cloud, name, fault
        self.chance, self.calls = random.Random(name), itertools.count()

    def lives(self):
        return True

    def v3(self, action, params, date=None, nonce=None):
        time.sleep(self.chance.uniform(0, 0.004))
        if action == "DescribeInstanceStatus":
            i = params["InstanceId.1"]
            with self.cloud.lock:
                return self.reply(200, {"InstanceStatuses": {"InstanceStatus": [{"InstanceId": i, "Status": self.cloud.show(i)}]}})
        faulty = self.fault if self.chance.random() < 0.2 or self.fault == "again" else None
        nonce = (nonce, next(self.calls)) if faulty == "again" else nonce  # it knows none of them
        told = self.cloud.order(action, params["InstanceId"], nonce, lies=faulty == "forgets")
        if faulty == "answer":
            raise TimeoutError("lost")
        return self.reply(*told)

    @staticmethod
    def reply(status, body):
        return Reply(status, {}, json.dumps(body).encode())


class Judge(unittest.TestCase):
    def run_load(self, fault):
        cloud = Cloud()
        nodes = [Played(cloud, "a"), Played(cloud, "b", fault), Played(cloud, "c")]
        load = Load(nodes, IDS, seed=3, clients=6, avoid_s=0.1, replayed=0.5).start()
        self.assertTrue(cloud.enough.wait(60), "no load")
        load.end()
        self.assertTrue(load.settle(lambda node: node.reply(200, {}), lambda: False))
        threading.Event().wait(2 * MOVE_S)
        return load, list(load.violations({i: cloud.show(i) for i in IDS}))

    def test_what_is_right_passes(self):
        load, found = self.run_load(None)
        self.assertEqual((found, load.unexpected), ([], []))
        counts = load.counts()
        self.assertGreater(min(counts.get(f"{kind} accepted", 0) for kind in ("Start", "Stop")), 10, counts)
        self.assertGreater(load.replays, 0)

    def test_lost_answers_pass(self):
        load, found = self.run_load("answer")
        self.assertEqual((found, load.unexpected), ([], []))
        self.assertGreater(sum(count for key, count in load.counts().items() if "unknown" in key), 3)

    def test_what_was_acknowledged_and_forgotten_is_seen(self):
        self.assertNotEqual(self.run_load("forgets")[1], [])

    def test_a_nonce_that_is_taken_twice_is_seen(self):
        self.assertNotEqual(self.run_load("again")[0].unexpected, [])


class Gaps(unittest.TestCase):
    def test_longest(self):
        second = 1_000_000_000
        self.assertEqual(longest_gap([1 * second, 2 * second, 5 * second], 0, 6 * second), 3)
        self.assertEqual(longest_gap([], 0, 6 * second), 6)
        self.assertEqual(longest_gap([9 * second], 2 * second, 6 * second), 4)

    def test_a_prober_notes_answers_only(self):
        cloud = Cloud()
        prober = Prober(Played(cloud, "a"), IDS[0], pause_s=PAUSE_S / 10)
        began = time.monotonic()
        while len(prober.answers) < 5 and time.monotonic() < began + 10:
            cloud.enough.wait(0.01)
        prober.end()
        self.assertGreaterEqual(len(prober.answers), 5)


if __name__ == "__main__":
    unittest.main()
