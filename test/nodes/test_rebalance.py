# SPDX-License-Identifier: Apache-2.0
"""Hosts go to the nodes that there are: when one comes, when one ends in order, when one is killed."""

import time
import unittest

from cluster import SLOW, ClusterTest, until

LEASE_S = 6  # long, so that what happens at once can be told from what happens when a lease is over
HOSTS = 16
JOBS = 8


class Rebalance(ClusterTest):
    def timed_spread(self, what, nodes, seconds):
        began = time.monotonic()
        self.await_spread(nodes, HOSTS, seconds)
        took = time.monotonic() - began
        print(f"{what}: {took:.2f} s until {HOSTS} hosts are spread over {nodes}", flush=True)
        return took

    def epochs(self):
        """Of each node that holds hosts: by which of its lives it holds them."""
        held = {(host["Holder"], host["Epoch"]) for host in self.nodes.hosts()}
        self.assertEqual(len(held), len({holder for holder, _ in held}), held)
        return dict(held)

    def test_hosts_follow_the_nodes(self):
        one, two, three = self.cluster(3, settings={"engine.lease_s": LEASE_S}).nodes
        one.start()
        self.nodes.use_hosts(HOSTS)
        self.timed_spread("n1 alone", [one], LEASE_S)
        two.start()
        self.timed_spread("n2 came", [one, two], 2 * LEASE_S)
        three.start()
        self.timed_spread("n3 came", [one, two, three], 2 * LEASE_S)
        self.orders_at_others()

        before = self.epochs()
        self.assertEqual(two.stop(), 0, two.log_text()[-2000:])
        self.assertLess(self.timed_spread("n2 ended in order", [one, three], 2 * LEASE_S), LEASE_S / 2 * SLOW,
                        "it gives its hosts back: nobody has to wait for the end of a lease")
        self.assertEqual(self.epochs(), {name: before[name] for name in ("n1", "n3")}, "these have not been started again")

        three.kill()
        self.timed_spread("n3 was killed", [one], 3 * LEASE_S)
        two.start()
        three.start()
        self.timed_spread("both are back", [one, two, three], 3 * LEASE_S)
        after = self.epochs()
        self.assertEqual(after["n1"], before["n1"])
        for name in ("n2", "n3"):
            self.assertGreater(after[name], before[name], "another life of it")
        self.orders_at_others()

    def orders_at_others(self):
        """Each at a node that does not hold the instance's host."""
        ids, took = self.launch(JOBS), []
        holder = {host["HostId"]: host.get("Holder") for host in self.nodes.hosts()}
        for row in self.nodes.pages("instance", "list", path="Instance"):
            if row["InstanceId"] not in ids:
                continue
            other = next(node for node in self.nodes.living() if node.name != holder[row["HostId"]])
            self.call("StopInstance", node=other, InstanceId=row["InstanceId"], ForceStop="true")
            began = time.monotonic()
            until(self, lambda i=row["InstanceId"], n=other: self.states(n)[i] == "Stopped", LEASE_S)
            took.append(time.monotonic() - began)
        self.assertEqual(len(took), JOBS)
        print("ordered at another node, from the 200 to Stopped:", " ".join(f"{t:.2f}" for t in sorted(took)), "s", flush=True)
        for i in ids:
            self.call("DeleteInstance", InstanceId=i)
        until(self, lambda: not self.states(), LEASE_S)


if __name__ == "__main__":
    unittest.main()
