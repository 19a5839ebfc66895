# SPDX-License-Identifier: Apache-2.0
"""The database's primary is lost under the load of two nodes, and the one that follows it takes over."""

import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "postgres"))
from cluster import LEASE_S, SLOW, ClusterTest, until  # noqa: E402
from load import LOST  # noqa: E402
from machines import History  # noqa: E402
from server import pair  # noqa: E402

HOSTS, INSTANCES, EARLY = 4, 12, 6


class Standby(ClusterTest):
    """A primary and one that follows it at each commit: two hosts in each node's URL."""

    def setUp(self):
        self.primary, self.standby = pair(self.addCleanup)
        until(self, self.primary.is_followed, 30)
        self.all = self.cluster(2, servers=[self.primary, self.standby]).start().nodes
        self.nodes.use_hosts(HOSTS, vcpus=16)
        self.await_spread(self.all, HOSTS, 3 * LEASE_S)

    def stop(self, i, n, acknowledged):
        """As an SDK would: it tries again, at the other node."""
        pause = threading.Event()
        for turn in range(n, n + 400):
            try:
                reply = self.all[turn % 2].v3("StopInstance", {"InstanceId": i})
                # 403: an attempt before this one was carried out, and its answer was lost.
                if reply.status == 200 or reply.status == 403 and turn > n:
                    acknowledged.add(i)
                    return
            except LOST:
                pass
            pause.wait(0.1)

    def test_the_primary_is_lost_under_load(self):
        ids = self.launch(INSTANCES)
        acknowledged = set()
        threads = [threading.Thread(target=self.stop, args=(i, n, acknowledged)) for n, i in enumerate(ids)]
        for thread in threads[:EARLY]:
            thread.start()
        self.primary.stop("immediate")  # as by kill -9: no flush, no farewell
        before = set(acknowledged)
        for thread in threads[EARLY:]:
            thread.start()
        self.standby.promote()
        for thread in threads:
            thread.join(60 * SLOW)
        self.assertEqual(acknowledged, set(ids), "who kept trying got through")
        self.assertEqual(self.standby.sql("SELECT pg_is_in_recovery()"), "f")
        for node in self.all:
            until(self, lambda node=node: node.v3("DescribeRegions", {}).status == 200, 30)
            states = self.states(node)
            self.assertLessEqual({states[i] for i in before}, {"Stopping", "Stopped"}, "acknowledged by the one that was lost")
        self.await_states(ids, "Stopped", seconds=30)
        self.assertEqual(self.instances(self.all[0]), self.instances(self.all[1]))
        self.await_spread(self.all, HOSTS, 5 * LEASE_S)
        history = History(self.nodes.hosts_folder / "sim.journal", self.nodes.host_ids)
        self.assertEqual((history.twice, history.living()), ([], {}))


if __name__ == "__main__":
    unittest.main()
