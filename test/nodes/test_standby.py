# SPDX-License-Identifier: Apache-2.0
"""The database's primary is lost under the load of two nodes, and the one that follows it takes over."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "postgres"))
from cluster import LEASE_S, ClusterTest, until  # noqa: E402
from server import pair  # noqa: E402

HOSTS, INSTANCES = 4, 12


class Standby(ClusterTest):
    """A primary and one that follows it at each commit: two hosts in each node's URL."""

    def setUp(self):
        self.primary, self.standby = pair(self.addCleanup)
        until(self, self.primary.is_followed, 30)
        self.all = self.cluster(2, servers=[self.primary, self.standby]).start().nodes
        self.nodes.use_hosts(HOSTS, vcpus=16)
        self.await_spread(self.all, HOSTS, 3 * LEASE_S)

    def test_the_primary_is_lost_under_load(self):
        ids = self.launch(INSTANCES)
        # Its end is as by kill -9: no flush, no farewell.
        self.stop_through(ids, lambda: self.primary.stop("immediate"), self.standby.promote, 60)
        self.assertEqual(self.standby.sql("SELECT pg_is_in_recovery()"), "f")
        self.assertEqual(self.instances(self.all[0]), self.instances(self.all[1]))
        self.await_spread(self.all, HOSTS, 5 * LEASE_S)
        self.assert_nobody_lived_twice()


if __name__ == "__main__":
    unittest.main()
