# SPDX-License-Identifier: Apache-2.0
"""The judge of machines is judged: two lives of an instance are seen, also when they are over; one life is none too many."""

import pathlib
import subprocess
import tempfile
import unittest

from cluster import ClusterTest, until  # noqa: F401  (also finds the harness)
from harness import IMAGE, REGION, Daemon
from machines import PROGRAM, History


class Judge(unittest.TestCase):
    mode = "--two-lives"

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="ecsd-machines-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        subprocess.run([str(PROGRAM), self.mode, scratch.name], check=True)

    def test_two_lives_are_seen_after_they_are_over(self):
        history = History(self.folder / "sim.journal", ["h-1", "h-2"], prefixes=64)
        self.assertGreater(len(history.twice), 1)
        self.assertEqual({(row["Twice"], row["HostId"], row["OtherHostId"]) for row in history.twice}, {("i-1", "h-1", "h-2")})
        self.assertGreater(history.sum["Looks"], 8)

    def test_a_host_alone_has_one(self):
        history = History(self.folder / "sim.journal", ["h-2"], prefixes=64)
        self.assertEqual(history.twice, [])
        self.assertGreater(history.sum["Lives"], 0)
        self.assertEqual([row["Incarnation"] for row in history.machines], [2])

    def test_another_file_is_refused(self):
        (self.folder / "other").write_bytes(b"no journal " * 500)
        with self.assertRaises(RuntimeError):
            History(self.folder / "other", ["h-1"], prefixes=2)


class JudgeOfAShared(Judge):
    mode = "--two-lives-shared"


class OfADaemon(unittest.TestCase):
    def test_it_sees_what_the_daemon_says(self):
        ecs = Daemon()
        self.addCleanup(ecs.close)
        made = ecs.v3("RunInstances", {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": "ecs.g6.large", "Amount": 3,
                                       "ZoneId": "cn-hangzhou-h"}).json["InstanceIdSets"]["InstanceIdSet"]
        for i in made:
            ecs.ctl("wait", i, "Running")
        self.assertEqual(ecs.v3("StopInstance", {"InstanceId": made[0]}).status, 200)
        ecs.ctl("wait", made[0], "Stopped")
        history = History(ecs.data / "sim.journal", ["host-1", "host-2"], prefixes=50)
        self.assertEqual(history.twice, [])
        self.assertEqual(history.living(), {i: "host-1" for i in made[1:]})
        self.assertEqual({row["Machine"] for row in history.machines}, set(made))


if __name__ == "__main__":
    unittest.main()
