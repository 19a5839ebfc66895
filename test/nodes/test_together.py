# SPDX-License-Identifier: Apache-2.0
"""What one node knows the others know: nonces, keys, tokens of clients, who was first, and how many calls an account may make."""

import json
import os
import threading
import time
import unittest
import uuid

from cluster import IMAGE, LEASE_S, REGION, SLOW, TYPE, ZONE, ClusterTest, until

NOTICED_S = 2  # until a change of a key is known everywhere
RATE, BURST = 30, 30
FLOOD_S = float(os.environ.get("ECSD_NODES_FLOOD_S", "4"))


def at_once(works):
    """All of them at the same time; what they answered, in their order."""
    replies, gate = [None] * len(works), threading.Barrier(len(works))

    def run(n):
        gate.wait()
        replies[n] = works[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * SLOW)
    return replies


def signed(node, action, params):
    """The bytes of one call, to be sent anywhere."""
    sent = {}
    send, node.send = node.send, lambda *args: sent.setdefault("args", args)
    try:
        node.v3(action, params)
    finally:
        node.send = send
    return sent["args"]


class Together(ClusterTest):
    def setUp(self):
        self.all = self.cluster(3).start().nodes

    def test_they_are_one(self):
        """One cluster for all: starting it is what takes time."""
        for check in (self.nonces, self.nonces_at_once, self.tokens, self.who_is_first, self.deployment_sets, self.what_is_read, self.keys,
                      self.same_name):
            with self.subTest(check.__name__):
                check()

    def nonces(self):
        for first in self.all:
            i = self.launch(1)[0]
            call = signed(first, "StopInstance", {"InstanceId": i})
            self.assertEqual(first.send(*call).status, 200)
            self.await_states([i], "Stopped")
            self.call("StartInstance", InstanceId=i)
            self.await_states([i], "Running")
            for node in self.all:
                self.assertEqual(node.send(*call).code, "SignatureNonceUsed", f"used at {first}, sent to {node}")
            self.assertEqual(self.states()[i], "Running")

    def nonces_at_once(self):
        for _ in range(5):
            i = self.launch(1)[0]
            call = signed(self.all[0], "StopInstance", {"InstanceId": i})
            replies = at_once([lambda node=node: node.send(*call) for node in self.all * 2])
            self.assertEqual(sorted(reply.status for reply in replies), [200] + [400] * 5)
            self.assertEqual({reply.code for reply in replies if reply.status != 200}, {"SignatureNonceUsed"})

    def tokens(self):
        params = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": TYPE, "ZoneId": ZONE, "Amount": 2, "ClientToken": uuid.uuid4().hex}
        replies = at_once([lambda node=node: node.v3("RunInstances", params) for node in self.all * 2])
        self.assertEqual([reply.status for reply in replies], [200] * 6, replies)
        self.assertEqual(len({json.dumps(reply.json["InstanceIdSets"]) for reply in replies}), 1)

    def who_is_first(self):
        for _ in range(5):
            i = self.launch(1)[0]
            replies = at_once([lambda node=node: node.v3("StopInstance", {"InstanceId": i}) for node in self.all * 2])
            self.assertEqual(sorted(reply.status for reply in replies), [200] + [403] * 5, replies)

    def deployment_sets(self):
        """Three hosts in the zone, nine calls at three nodes for one set: three of them get a host, each its own."""
        for host in ("set-2", "set-3"):
            self.nodes.ctl("host", "add", host, f"zone={ZONE}", "vcpus=64", "memory=256")
        for _ in range(5):
            set_id = self.call("CreateDeploymentSet")["DeploymentSetId"]
            params = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": TYPE, "ZoneId": ZONE, "DeploymentSetId": set_id}
            replies = at_once([lambda node=node: node.v3("RunInstances", params) for node in self.all * 3])
            self.assertEqual(sorted(reply.code or "" for reply in replies), [""] * 3 + ["OperationDenied.NoStock"] * 6)
            ids = [i for reply in replies if reply.status == 200 for i in reply.json["InstanceIdSets"]["InstanceIdSet"]]
            self.assertEqual({self.nodes.ctl("instance", "show", i)["HostId"] for i in ids}, {"host-1", "set-2", "set-3"})
            [seen] = self.call("DescribeDeploymentSets", DeploymentSetIds=json.dumps([set_id]))["DeploymentSets"]["DeploymentSet"]
            self.assertEqual(sorted(seen["InstanceIds"]["InstanceId"]), sorted(ids))

    def what_is_read(self):
        """What has had its 200 at one node is what the next one shows."""
        i = self.launch(1)[0]
        for turn in range(12):
            name, (writer, reader) = f"turn-{turn}", (self.all[turn % 3], self.all[(turn + 1) % 3])
            self.call("ModifyInstanceAttribute", node=writer, InstanceId=i, InstanceName=name)
            self.assertEqual(self.instances(reader)[i]["InstanceName"], name)

    def told(self, node, key):
        reply = node.v3("DescribeRegions", {}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        return 200 if reply.status == 200 else reply.code

    def await_told(self, key, what):
        began = time.monotonic()
        until(self, lambda: [self.told(node, key) for node in self.all] == [what] * 3, NOTICED_S)
        return time.monotonic() - began

    def keys(self):
        account, took = self.nodes.ctl("account", "list")["Accounts"]["Account"][0]["AccountId"], []
        for n, node in enumerate(self.all):
            key = self.nodes.ctl("key", "create", account, node=node)
            self.await_told(key, 200)
            node.ctl("key", "disable", key["AccessKeyId"])
            self.assertEqual(self.told(node, key), "InvalidAccessKeyId.Inactive", "where it was disabled, at once")
            took.append(self.await_told(key, "InvalidAccessKeyId.Inactive"))
            self.all[n - 1].ctl("key", "enable", key["AccessKeyId"])
            self.await_told(key, 200)
        print("a key was disabled everywhere after", " ".join(f"{t:.2f}" for t in took), "s", flush=True)

    def same_name(self):
        twin = type(self.all[0])(self.nodes, self.all[0].name)
        self.addCleanup(twin.close)
        with self.assertRaises(RuntimeError) as refused:
            twin.start()
        self.assertRegex(str(refused.exception), f"another ecsd.*{self.all[0].name}")
        self.assertEqual(self.told(self.all[0], {"AccessKeyId": None, "AccessKeySecret": None}), 200)


class Outdated(ClusterTest):
    """A newer ecsd, played by SQL, has changed the tables while these run."""

    def oldest(self, number):
        self.nodes.sql(f"UPDATE turn SET oldest = {number}")

    def test_who_is_too_old_writes_no_more(self):
        one, two = self.cluster(2).start().nodes
        i = self.launch(1)[0]
        self.nodes.sql("INSERT INTO migration (number, applied_us) VALUES (900, 1)")
        for node in (one, two):  # this one let them go on
            self.call("StopInstance", node=node, InstanceId=i)
            self.await_states([i], "Stopped")
            self.call("StartInstance", node=node, InstanceId=i)
            self.await_states([i], "Running")

        self.oldest(900)
        for node in (one, two):
            reply = node.v3("StopInstance", {"InstanceId": i})
            self.assertEqual((reply.status, reply.code), (503, "ServiceUnavailable"))
            self.assertEqual(self.states(node)[i], "Running")
        self.assertEqual(two.stop(), 0)
        with self.assertRaises(RuntimeError) as refused:
            two.start()
        self.assertRegex(str(refused.exception), "newer ecsd.*schema 900")

        self.oldest(0)
        two.start()
        until(self, lambda: one.v3("StopInstance", {"InstanceId": i}).status == 200, 3 * LEASE_S)
        self.await_states([i], "Stopped")


class Throttled(ClusterTest):
    def flood(self, nodes, seconds):
        """How many calls were let through, how many were not, and in how many seconds."""
        lock, let, refused, others = threading.Lock(), [], [], []
        began = time.monotonic()

        def client(node):
            while time.monotonic() < began + seconds:
                reply = node.v3("DescribeRegions", {})
                with lock:
                    (let if reply.status == 200 else refused if (reply.code or "").startswith("Throttling") else others).append(reply)

        at_once([lambda node=node: client(node) for node in nodes * 2])
        self.assertEqual(others, [])
        return len(let), len(refused), time.monotonic() - began

    def test_the_limit_is_of_all_together(self):
        settings = {"gateway.throttle": "true", "gateway.throttle_rate": RATE, "gateway.throttle_burst": BURST}
        nodes = self.cluster(3, settings=settings).start().nodes
        self.await_spread(nodes, len(self.nodes.hosts()), 3 * LEASE_S)  # then each knows how many there are
        let, refused, took = self.flood(nodes, FLOOD_S)
        print(f"three nodes: {let} of {let + refused} calls in {took:.2f} s; allowed {RATE}/s, {BURST} at once", flush=True)
        self.assertGreater(refused, 0)
        self.assertLessEqual(let, BURST + RATE * took + len(nodes))
        self.assertGreaterEqual(let, 0.6 * RATE * took, "each has its share, and uses it")
        for node in nodes[1:]:
            self.assertEqual(node.stop(), 0)
        self.await_spread(nodes[:1], len(self.nodes.hosts()), 3 * LEASE_S)
        let, refused, took = self.flood(nodes[:1], FLOOD_S)
        print(f"one that is left: {let} of {let + refused} calls in {took:.2f} s", flush=True)
        self.assertLessEqual(let, BURST + RATE * took + 1)
        self.assertGreaterEqual(let, 0.6 * RATE * took, "all of it is its share now")


if __name__ == "__main__":
    unittest.main()
