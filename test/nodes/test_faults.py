# SPDX-License-Identifier: Apache-2.0
"""Three nodes, sixteen hosts, a steady load on all of them; a node is killed, paused, or loses its database, again and again."""

import os
import random
import threading
import time
import unittest

from cluster import LEASE_S, MEMORY_MIB, SLOW, VCPUS, ClusterTest, until
from load import NS, Load, Prober, longest_gap
from machines import History

SEED = int(os.environ.get("ECSD_NODES_SEED", "1"))
ROUNDS = int(os.environ.get("ECSD_NODES_ROUNDS", "2"))  # of each kind of fault
HOSTS, INSTANCES, DEAF = 16, 32, 4
GRACE_S = 5  # for what two slow processors take
GRACEFUL_S, KILL_WAIT_S = 3, 1
TURN_S = 5  # a transaction of a node that stands still holds up all others' until the server ends it, after so long
SETTINGS = {"stop.graceful_timeout_s": GRACEFUL_S, "stop.press_interval_s": 1, "stop.kill_wait_s": KILL_WAIT_S,
            "engine.reconcile_s": 2, "engine.job_keep_s": 3600}


class Faults:
    """What happens to nodes: each takes its time, and leaves all well."""

    def __init__(self, seed):
        self.chance, self.lasts = random.Random(seed), threading.Event()
        self.log = []  # (when and what, node, began, ended), the latter in ns

    def last(self, least_s, most_s):
        self.lasts.wait(self.chance.uniform(least_s, most_s) * SLOW)

    def kill(self, node):
        node.kill()
        self.last(0.5, 1.5 * LEASE_S)
        node.start()

    def pause(self, node):
        node.pause()
        self.last(TURN_S + 1, TURN_S + 2)
        node.resume()

    def stall(self, node):
        """What was on its way to the database arrives, far too late."""
        node.proxy.stall()
        self.last(LEASE_S + 1, TURN_S + 2)
        node.proxy.heal()

    def cut(self, node):
        node.proxy.cut()
        self.last(LEASE_S + 1, LEASE_S + 2)
        node.proxy.heal()

    def stall_and_cut(self, node):
        """Nothing arrives for a while, and then it is lost."""
        node.proxy.stall()
        self.last(1, LEASE_S)
        node.proxy.cut()
        self.last(1, LEASE_S)
        node.proxy.heal()

    def happen(self, kind, node):
        began, clock = time.monotonic_ns(), time.strftime("%H:%M:%S", time.gmtime())
        getattr(self, kind)(node)
        self.log.append((f"{clock} {kind}", node, began, time.monotonic_ns()))

    def plan(self, nodes):
        """In every round each kind (the two that lose what was sent take turns), in an order and at nodes of the seed."""
        for n in range(ROUNDS):
            kinds = ["kill", "pause", "stall", ("cut", "stall_and_cut")[n % 2]]
            self.chance.shuffle(kinds)
            for kind in kinds:
                yield kind, self.chance.choice(nodes)


class UnderFaults(ClusterTest):
    def setUp(self):
        print(f"seed {SEED} (ECSD_NODES_SEED)", flush=True)
        cluster = self.cluster(3, settings=SETTINGS)
        for node in cluster.nodes:
            node.start()
        cluster.use_hosts(HOSTS)
        self.await_spread(cluster.nodes, HOSTS, 3 * LEASE_S)
        self.spare, *self.ids = self.launch(INSTANCES + 1)
        for i in self.ids[:DEAF]:  # their stops end at the deadline; the machine has to stay for that
            cluster.any().ctl("sim", "guest", i, "ignore-power-button=on")

    def write(self, node):
        """One that no start or stop is disturbed by."""
        return node.v3("ModifyInstanceAttribute", {"InstanceId": self.spare, "InstanceName": f"asked-{node.name}"})

    def settle(self, load):
        """All nodes take writes again, and what had been ordered by then is done: faults do not add up."""
        end = time.monotonic() + 10 * LEASE_S * SLOW
        self.assertTrue(load.settle(self.write, lambda: time.monotonic() > end),
                        "a node that is well again takes no writes: " + "\n".join(n.log_text()[-800:] for n in self.nodes.nodes))
        left = self.active_jobs()
        until(self, lambda: not left & self.active_jobs(), GRACEFUL_S + KILL_WAIT_S + 2 * LEASE_S + GRACE_S)

    def active_jobs(self):
        return {job["JobId"] for job in self.nodes.pages("job", "list", path="Job")}

    def test_what_was_acknowledged_holds(self):
        nodes, faults = self.nodes.nodes, Faults(SEED)
        load = Load(nodes, self.ids, SEED, stay=self.ids[:DEAF]).start()
        probers = {node: Prober(node, self.spare) for node in nodes}
        try:
            for kind, node in faults.plan(nodes):
                faults.happen(kind, node)
                self.assertTrue(node.lives(), f"{node} has ended after {kind}: {node.log_text()[-2000:]}")
                self.settle(load)
                faults.last(0.3, 0.8)  # all are well
        finally:
            load.end()
            for prober in probers.values():
                prober.end()
        self.settle(load)
        print(dict(sorted(load.counts().items())), f"{load.replays} replayed", flush=True)

        states = self.check_the_end()
        self.check_told(load, states)
        self.check_answers(faults, load, probers)
        self.check_deadlines()
        self.check_machines(states)

    # ── what has to be true ──

    def check_told(self, load, states):
        self.assertEqual(load.unexpected, [])
        counts = load.counts()
        for kind in ("Start", "Stop"):
            self.assertGreater(counts.get(f"{kind} accepted", 0), 2 * len(self.ids), f"hardly any load: {counts}")
            self.assertGreater(counts.get(f"{kind} refused", 0), 0, counts)
        self.assertGreater(load.replays, 0)
        for found in load.violations(states):
            self.fail(f"seed {SEED}: {found}")

    def check_answers(self, faults, load, probers):
        """While one is away the others answer, and go on ordering."""
        reads, writes = [], []
        print("at       fault          node  lasted  longest without any order, and without an answer at a node that was well, in s")
        acknowledged = [o.event.ended for o in load.orders if o.event.kind != "Show" and o.event.outcome != "unknown"]
        for what, affected, began, ended in faults.log:
            writes.append(longest_gap(acknowledged, began, ended))
            reads.append(max(longest_gap(prober.answers, began, ended) for node, prober in probers.items() if node is not affected))
            print(f"{what:23} {affected}   {(ended - began) / NS:7.2f} {writes[-1]:7.2f} {reads[-1]:7.2f}", flush=True)
        self.assertLess(max(reads), LEASE_S * SLOW)
        self.assertLess(max(writes), TURN_S + GRACE_S * SLOW)

    def check_end_of_jobs(self):
        try:
            until(self, lambda: not self.active_jobs(), GRACEFUL_S + 3 * LEASE_S + GRACE_S)
        except AssertionError as error:
            raise AssertionError(f"still active: {self.nodes.pages('job', 'list', path='Job')}; {error}") from None

    def check_the_end(self):
        """Nothing is left to do, all nodes say the same, and what is counted is right. Returns each instance's state."""
        self.check_end_of_jobs()
        shown = [self.instances(node) for node in self.nodes.nodes]
        for node, rows in zip(self.nodes.nodes[1:], shown[1:]):
            self.assertEqual(rows, shown[0], f"{node} and {self.nodes.nodes[0]} differ")
        states = {i: row["Status"] for i, row in shown[0].items()}
        self.assertEqual(set(states), {self.spare, *self.ids})
        self.assertLessEqual(set(states.values()), {"Running", "Stopped"})
        for node in self.nodes.nodes:
            for state in ("Running", "Stopped", "Starting", "Stopping"):
                self.assertEqual(self.call("DescribeInstances", node=node, Status=state)["TotalCount"],
                                 sum(s == state for s in states.values()), f"{node} counts {state}")
        self.assertEqual(self.nodes.sql("SELECT state, sum(n) FROM tally GROUP BY state HAVING sum(n) <> 0 ORDER BY state"),
                         self.nodes.sql("SELECT state, count(*) FROM instance GROUP BY state ORDER BY state"))
        self.check_capacity()
        self.await_spread(self.nodes.nodes, HOSTS, 3 * LEASE_S)
        return states

    def check_capacity(self):
        placed = [row["HostId"] for row in self.nodes.pages("instance", "list", path="Instance")]
        self.assertEqual(len(placed), len(self.ids) + 1)
        for host in self.nodes.hosts():
            here = placed.count(host["HostId"])
            self.assertEqual((host["UsedVcpus"], host["UsedMemoryMib"]), (here * VCPUS, here * MEMORY_MIB), host["HostId"])

    def check_deadlines(self):
        """To the second, as they are shown."""
        late, jobs = [], [job for job in self.nodes.pages("job", "list", "all=true", path="Job") if job["Kind"] == "stop"]
        for job in jobs:
            finish, deadline = (time.mktime(time.strptime(job[at], "%Y-%m-%dT%H:%M:%SZ")) for at in ("FinishTime", "Deadline"))
            late.append((finish - deadline, job["InstanceId"], job["CreationTime"], job["FinishTime"], job["Holder"]))
            self.assertEqual(job["State"], "done", job)
        print(f"{len(jobs)} stops; s after the deadline, of the latest:", *sorted(late)[-5:], sep="\n  ", flush=True)
        self.assertGreater(len(jobs), len(self.ids))
        # Its host's node is lost: another takes over after the lease, and in between a turn may have to be ended.
        self.assertLessEqual(max(late)[0], KILL_WAIT_S + LEASE_S + TURN_S + GRACE_S * SLOW)

    def check_machines(self, states):
        history = History(self.nodes.hosts_folder / "sim.journal", self.nodes.host_ids)
        print(history.sum, flush=True)
        self.assertEqual(history.twice, [])
        self.assertGreater(history.sum["Lives"], 0)
        where = {row["InstanceId"]: row["HostId"] for row in self.nodes.pages("instance", "list", path="Instance")}
        self.assertEqual(history.living(), {i: where[i] for i, state in states.items() if state == "Running"},
                         "alive is just what is said to be Running, and where")


if __name__ == "__main__":
    unittest.main()
