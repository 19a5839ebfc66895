# SPDX-License-Identifier: Apache-2.0
"""A folder's state moves from SQLite into PostgreSQL: the daemon goes on there as if nothing had been."""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "api"))
import harness  # noqa: E402
from harness import BUILD, REGION, Daemon, EcsTest, until  # noqa: E402
from server import Server  # noqa: E402

SCRIPT = "ZWNobyD/Cg=="  # echo, and a byte that is no UTF-8


class Migrate(EcsTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        cls.ecs = Daemon()

    @classmethod
    def tearDownClass(cls):
        cls.ecs.close()

    def migrate(self, schema):
        return subprocess.run([BUILD / "ecsd", "migrate", "--from", f"sqlite:{self.ecs.data}/ecsd.db", "--to", schema.url],
                              capture_output=True, text=True, check=False)

    def schema(self, name):
        os.environ["ECSD_POSTGRES"] = self.server.url
        try:
            return harness.Schema(pathlib.Path(name))
        finally:
            del os.environ["ECSD_POSTGRES"]

    def seen(self):
        """What the API and ecsctl show, without what belongs to one call or one moment."""
        shown = [self.call(action, RegionId=REGION) for action in
                 ("DescribeInstances", "DescribeDisks", "DescribeKeyPairs", "DescribeCommands", "DescribeImages")]
        for body in shown:
            body.pop("RequestId", None)
        return shown, self.ecs.ctl("event", "list"), self.ecs.ctl("account", "list")

    def test_a_life_goes_on(self):
        running, stopped = self.running_instance(), self.running_instance()
        self.call("StopInstance", InstanceId=stopped, StoppedMode="StopCharging")
        self.await_status(stopped, "Stopped")
        self.call("TagResources", RegionId=REGION, ResourceType="instance", ResourceId__1=running, Tag__1__Key="k", Tag__1__Value="ü")
        until(self, lambda: self.ecs.v3("CreateKeyPair", {"RegionId": REGION, "KeyPairName": "moved"}).status == 200)  # keys take a while
        self.call("CreateCommand", RegionId=REGION, Name="bytes", Type="RunShellScript", CommandContent=SCRIPT)
        schema = self.schema("moved")
        while_it_runs = self.migrate(schema)
        self.assertEqual(while_it_runs.returncode, 1)
        self.assertIn("in use by the ecsd", while_it_runs.stderr)
        before = self.seen()
        self.ecs.stop()

        done = self.migrate(schema)
        self.assertEqual(done.returncode, 0, done.stderr)
        with sqlite3.connect(f"file:{self.ecs.data}/ecsd.db?mode=ro", uri=True) as db:
            tables = {name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} - {"migration"}
            counts = {name: db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in tables}
        told = dict(line.split() for line in done.stdout.splitlines()[:-1])
        self.assertEqual({name: int(count) for name, count in told.items()}, counts)
        self.assertGreater(sum(counts.values()), 50)

        again = self.migrate(schema)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is not empty", again.stderr)

        (self.ecs.data / "ecsd.db").unlink()  # nothing is looked up there any more
        self.ecs.options += ["--store", schema.url]
        self.ecs.start()
        self.assertEqual(json.dumps(self.seen(), indent=1), json.dumps(before, indent=1))
        self.call("StopInstance", InstanceId=running)
        self.await_status(running, "Stopped")
        self.call("StartInstance", InstanceId=stopped)
        self.await_status(stopped, "Running")

    def test_words(self):
        for words in ((), ("--from",), ("--from", "sqlite:x"), ("--from", "sqlite:x", "--to"), ("--from", "a", "--into", "b")):
            result = subprocess.run([BUILD / "ecsd", "migrate", *words], capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stdout), (2, ""), words)
            self.assertIn("Usage: ecsd migrate", result.stderr)
        result = subprocess.run([BUILD / "ecsd", "migrate", "--from", "mysql:x", "--to", "sqlite:/nowhere/x"], capture_output=True,
                                text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("ecsd: the store", result.stderr)

    def test_a_store_that_is_not_there(self):
        """A slip of the pen is not an empty store."""
        wrong = self.ecs.data / "ecsd.bd"
        done = subprocess.run([BUILD / "ecsd", "migrate", "--from", f"sqlite:{wrong}", "--to", self.schema("nothing").url],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("there is no store", done.stderr)
        self.assertFalse(wrong.exists())


if __name__ == "__main__":
    unittest.main()
