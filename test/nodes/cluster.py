# SPDX-License-Identifier: Apache-2.0
"""Several nodes on one PostgreSQL schema and one folder of simulated hosts, and what can happen to each of them."""

import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
from harness import IMAGE, REGION, SLOW, Daemon, Schema, until  # noqa: E402
from load import LOST  # noqa: E402
from machines import History  # noqa: E402
from proxy import Proxy  # noqa: E402

ZONE = "cn-hangzhou-h"
TYPE, VCPUS, MEMORY_MIB = "ecs.g6.large", 2, 8192
LEASE_S = 3
PATIENCE_S = 3  # of a client, for one call
KEY_ID, KEY_SECRET = "LTAI5tNodesOfOneSchema01", "NodesOfOneSchemaSecret00000001"


class Node(Daemon):
    """One of them. Its name and its data folder stay when it is started again; its port does not."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.data = pathlib.Path(tempfile.mkdtemp(prefix=f"ecsd-{name}-"))
        self.proxy = Proxy(cluster.socket) if cluster.socket else None
        self.options = ["--node", name, "--hypervisor", f"sim:{cluster.hosts_folder}", "--store", cluster.url(self.proxy, name)]
        self.settings = cluster.settings
        self.env = {k: v for k, v in os.environ.items() if k != "ECSD_POSTGRES"}
        self.env.update(ECSD_ACCESS_KEY_ID=KEY_ID, ECSD_ACCESS_KEY_SECRET=KEY_SECRET)
        self.log = open(self.data / "log", "ab")
        self.process = self.schema = None
        self.paused = False

    def __repr__(self):
        return self.name

    def read_credentials(self):
        self.key_id, self.secret = KEY_ID, KEY_SECRET

    def send(self, method, target, headers=None, body=b"", timeout=PATIENCE_S):
        return super().send(method, target, headers, body, timeout)

    def lives(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.paused and self.lives():
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def close(self):
        self.resume()
        if self.proxy:
            self.proxy.heal()
        try:
            super().close()
        finally:
            if self.proxy:
                self.proxy.close()


class Cluster:
    """Nodes n1, n2, …, none of which runs yet; close() leaves nothing behind."""

    def __init__(self, count, settings=None, servers=None):
        """`servers`: a list of test/postgres/server.py's to use directly, in place of the one in ECSD_POSTGRES through proxies."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-nodes-"))
        self.hosts_folder = self.folder / "hosts"
        self.hosts_folder.mkdir()
        self.settings = {"sim.boot_s": "0.05", "sim.shutdown_s": "0.1", "engine.lease_s": LEASE_S, "engine.retry_max_s": 1,
                         **(settings or {})}
        self.servers, self.schema, self.socket = servers, None, None
        if not servers:
            if "ECSD_POSTGRES" not in os.environ:
                raise RuntimeError("needs a server: test/postgres/server.py python3 -m unittest …")
            self.schema = Schema(self.folder)
            words = dict(word.split("=", 1) for word in os.environ["ECSD_POSTGRES"].split())
            self.user, self.database = words["user"], words["dbname"]
            self.socket = pathlib.Path(words["host"]) / ".s.PGSQL.5432"
        self.nodes = [Node(self, f"n{n + 1}") for n in range(count)]
        self.turns = itertools.count()

    def url(self, proxy, name):
        if self.servers:
            hosts = urllib.parse.quote(",".join(str(server.folder) for server in self.servers), "")
            return f"postgresql://ecsd@/postgres?host={hosts}&application_name={name}"
        return (f"postgresql://{self.user}@{proxy.url_host}:{proxy.port}/{self.database}?sslmode=disable&gssencmode=disable"
                f"&options=-csearch_path%3D{self.schema.name}&application_name={name}")

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def living(self):
        return [node for node in self.nodes if node.lives() and not node.paused]

    def any(self):
        """The next of those that live."""
        living = self.living()
        return living[next(self.turns) % len(living)]

    def close(self):
        errors = []
        for node in self.nodes:
            try:
                node.close()
            except Exception as error:  # the others have to end nevertheless
                errors.append(error)
        if self.schema:
            self.schema.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if errors:
            raise errors[0]

    # ── what operators see ──

    def ctl(self, *words, node=None):
        return json.loads((node or self.any()).ctl(*words, "--json"))

    def hosts(self, node=None):
        return self.ctl("host", "list", node=node)["Hosts"]["Host"]

    def holders(self, node=None):
        """Node's name → how many hosts it holds; "" for those that nobody holds."""
        held = {}
        for host in self.hosts(node):
            holder = host.get("Holder", "")
            held[holder] = held.get(holder, 0) + 1
        return held

    def pages(self, *words, path):
        """All rows of a list that comes in pages."""
        rows, token = [], None
        while token != "":
            page = self.ctl(*words, "limit=100", *([f"next-token={token}"] if token else []))
            rows += page[path + "s"][path]
            token = page.get("NextToken", "")
        return rows

    def use_hosts(self, count, vcpus=8):
        """The hosts of a fresh store make room for small ones, so that instances spread over all of them."""
        node = self.any()
        for host in self.hosts(node):
            node.ctl("host", "remove", host["HostId"])
        self.host_ids = [f"h{n + 1:02}" for n in range(count)]
        for host_id in self.host_ids:
            node.ctl("host", "add", host_id, f"zone={ZONE}", f"vcpus={vcpus}", f"memory={vcpus * 4}")

    def sql(self, text):
        """What psql prints of a query over the nodes' schema."""
        env = {**os.environ, "PGOPTIONS": f"-csearch_path={self.schema.name}"}
        return subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", os.environ["ECSD_POSTGRES"], "-c", text], check=True,
                              capture_output=True, text=True, env=env).stdout.strip()


class ClusterTest(unittest.TestCase):
    def cluster(self, count, **more):
        cluster = Cluster(count, **more)
        self.addCleanup(cluster.close)
        self.nodes = cluster
        return cluster

    def call(self, action, node=None, **params):
        """A call that has to succeed, at one of the living nodes."""
        reply = (node or self.nodes.any()).v3(action, {"RegionId": REGION, **{k.replace("__", "."): v for k, v in params.items()}})
        self.assertEqual(reply.status, 200, f"{action} {params}: {reply}")
        return reply.json

    def launch(self, count, **params):
        made = self.call("RunInstances", ImageId=IMAGE, InstanceType=TYPE, ZoneId=ZONE, Amount=count, **params)
        ids = made["InstanceIdSets"]["InstanceIdSet"]
        self.await_states(ids, "Running")
        return ids

    def instances(self, node=None):
        """Every instance as one node shows it, by id."""
        rows, page = {}, 1
        while True:
            reply = self.call("DescribeInstances", node=node, PageSize=100, PageNumber=page)
            rows.update((row["InstanceId"], row) for row in reply["Instances"]["Instance"])
            if len(rows) >= reply["TotalCount"] or not reply["Instances"]["Instance"]:
                return rows
            page += 1

    def states(self, node=None):
        return {i: row["Status"] for i, row in self.instances(node).items()}

    def await_states(self, ids, *wanted, seconds=15, node=None):
        def there():
            states = self.states(node)
            return all(states.get(i) in wanted for i in ids)

        until(self, there, seconds)

    def await_spread(self, nodes, hosts, seconds):
        """Until these hold all hosts, and none of them more than its share, rounded up."""
        names, most = {node.name for node in nodes}, -(-hosts // len(nodes))

        def even():
            held = self.nodes.holders(nodes[0])
            return set(held) <= names and max(held.values()) <= most

        try:
            until(self, even, seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.nodes.holders(nodes[0])}: not {hosts} hosts over {sorted(names)}, at most {most} at each; {error}") from None

    # ── the database is lost, and another follows it ──

    def stop_as_sdk(self, i, n, acknowledged):
        """It tries again, at the next node."""
        nodes, pause = self.nodes.nodes, threading.Event()
        for turn in range(n, n + 1000):
            try:
                reply = nodes[turn % len(nodes)].v3("StopInstance", {"InstanceId": i})
                # 403: an attempt before this one was carried out, and its answer was lost.
                if reply.status == 200 or reply.status == 403 and turn > n:
                    acknowledged.add(i)
                    return
            except LOST:
                pass
            pause.wait(0.1)

    def stop_through(self, ids, lose, follow, seconds):
        """Stops them all, half of them before `lose()`, the others before `follow()`: each gets through, and what was told stays true."""
        acknowledged, early = set(), len(ids) // 2
        threads = [threading.Thread(target=self.stop_as_sdk, args=(i, n, acknowledged)) for n, i in enumerate(ids)]
        for thread in threads[:early]:
            thread.start()
        lose()
        before = set(acknowledged)
        for thread in threads[early:]:
            thread.start()
        follow()
        for thread in threads:
            thread.join(seconds * SLOW)
        self.assertEqual(acknowledged, set(ids), "who kept trying got through")
        for node in self.nodes.nodes:
            until(self, lambda node=node: node.v3("DescribeRegions", {}).status == 200, 30)
            states = self.states(node)
            self.assertLessEqual({states[i] for i in before}, {"Stopping", "Stopped"}, "acknowledged by the one that was lost")
        self.await_states(ids, "Stopped", seconds=30)

    def assert_nobody_lived_twice(self):
        """All are off by now."""
        history = History(self.nodes.hosts_folder / "sim.journal", self.nodes.host_ids)
        self.assertEqual((history.twice, history.living()), ([], {}))


__all__ = ["IMAGE", "REGION", "SLOW", "Cluster", "ClusterTest", "until"]
