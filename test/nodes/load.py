# SPDX-License-Identifier: Apache-2.0
"""Clients of several nodes: they order starts and stops of a few instances at whichever node, and note what they were told.

Out comes a history for test/race/linear.py. A call whose outcome nobody told may have happened until a later write of the same
node was answered: the node takes its writes in order, also those that it found when it went on (`settle`)."""

import dataclasses
import http.client
import itertools
import pathlib
import random
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "race"))
from harness import REGION, SLOW, now_text  # noqa: E402
from linear import ACCEPTED, REFUSED, UNKNOWN, Event, violation  # noqa: E402

NS = 1_000_000_000
# What is asked, how often of all, and how often the same bytes go to another node as well once they were accepted.
SHOW, START = ("Show", {}), ("Start", {})
STOP, CUT, RELEASE = ("Stop", {}), ("Stop", {"ForceStop": "true"}), ("Stop", {"StoppedMode": "StopCharging"})
KINDS = [SHOW] * 5 + [START] * 6 + [STOP] * 3 + [CUT] * 2 + [RELEASE] * 2
REPLAYED = 0.1
AVOID_S = 1.0  # a node that did not answer, or only with 5xx, is not asked for so long
PAUSE_S = 0.06  # between two calls of a client
SETTLE_NS = int(2 * SLOW * NS)
LOST = (OSError, http.client.HTTPException)


def status_of(reply):
    return reply.json["InstanceStatuses"]["InstanceStatus"][0]["Status"]


@dataclasses.dataclass
class Order:
    """An event, and which node was asked."""

    event: Event
    node: object


class Load:
    """`stay`: instances that keep their machine when they stop. `unexpected`: replies that no call may get."""

    def __init__(self, nodes, ids, seed, stay=(), clients=10, avoid_s=AVOID_S, replayed=REPLAYED):
        self.nodes, self.ids, self.avoid_s, self.replayed = nodes, ids, avoid_s, replayed
        self.stay = set(stay)
        self.turns = itertools.count()
        self.avoided = {}  # node → until when
        self.orders, self.unexpected, self.replays = [], [], 0
        self.settled = {node: [] for node in nodes}  # when all earlier calls of that node were over
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(random.Random(f"{seed}/{n}"),)) for n in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60 * SLOW)

    # ── a client ──

    def next_node(self):
        """Round robin, past those that have just failed."""
        for _ in self.nodes:
            node = self.nodes[next(self.turns) % len(self.nodes)]
            if self.avoided.get(node, 0) < time.monotonic():
                break
        return node

    def work(self, chance):
        while not self.ending.wait(chance.uniform(0, 2 * PAUSE_S)):
            node, i, what = self.next_node(), chance.choice(self.ids), chance.choice(KINDS)
            kind, params = STOP if what is RELEASE and i in self.stay else what
            try:
                self.one(node, i, kind, params, chance)
            except Exception as error:  # a thread that ends unseen would be a test that asks nothing
                self.unexpected.append(repr(error))
                return

    def one(self, node, i, kind, params, chance):
        order = Order(Event(kind, time.monotonic_ns(), 0, {i: UNKNOWN}, UNKNOWN), node)
        signed = {"date": now_text(), "nonce": uuid.uuid4().hex}
        try:
            if kind == "Show":
                reply = node.v3("DescribeInstanceStatus", {"RegionId": REGION, "InstanceId.1": i})
            else:
                reply = node.v3(f"{kind}Instance", {"InstanceId": i, **params}, **signed)
        except ConnectionRefusedError:
            self.avoided[node] = time.monotonic() + self.avoid_s
            return  # it has not been asked
        except LOST:
            self.avoided[node] = time.monotonic() + self.avoid_s
            reply = None
        order.event.ended = time.monotonic_ns()
        if reply is not None and reply.status >= 500:
            self.avoided[node] = time.monotonic() + self.avoid_s
        if self.note(order, i, reply) and chance.random() < self.replayed:
            self.replay(self.next_node(), f"{kind}Instance", {"InstanceId": i, **params}, signed)

    def note(self, order, i, reply):
        """True: the order was accepted."""
        event = order.event
        if reply is not None and reply.status == 200:
            event.outcome = ACCEPTED
            event.parts[i] = status_of(reply) if event.kind == "Show" else ACCEPTED
        elif reply is not None and reply.status == 403 and reply.code == "IncorrectInstanceStatus":
            event.outcome, event.parts[i] = ACCEPTED, REFUSED
        elif reply is not None and reply.status < 500:
            self.unexpected.append((order, reply))
        elif reply is not None:
            event.note = f"answered {reply.status} {reply.code}"  # what was not done by now is not done any more
        self.orders.append(order)
        return event.kind != "Show" and event.parts[i] == ACCEPTED

    def replay(self, node, action, params, signed):
        """The same nonce has had its 200: no node may take it again, whatever became of the instance."""
        try:
            reply = node.v3(action, params, **signed)
        except LOST:
            return
        if reply.status < 500:
            self.replays += 1
            if (reply.status, reply.code) != (400, "SignatureNonceUsed"):
                self.unexpected.append(("replayed", node, action, params, reply))

    # ── afterwards ──

    def settle(self, write, give_up):
        """Asks each node that lives until it has answered a write; `write` is told which. What was not answered before is over
        soon after, or will never be."""
        left, pause = [node for node in self.nodes if node.lives()], threading.Event()
        while left and not give_up():
            pause.wait(0.02)
            for node in list(left):
                try:
                    if write(node).status == 200:
                        self.settled[node].append(time.monotonic_ns() + SETTLE_NS)
                        left.remove(node)
                except LOST:
                    pass
        return not left

    def history(self):
        for order in self.orders:
            event = order.event
            if event.outcome == UNKNOWN and not event.note:
                later = [at for at in self.settled[order.node] if at >= event.ended + SETTLE_NS]
                event.ended = later[0]  # settle() is called at the end, too
        return [order.event for order in self.orders]

    def counts(self):
        told = {}
        for order in self.orders:
            what = order.event.outcome if order.event.outcome == UNKNOWN else next(iter(order.event.parts.values()))
            key = f"{order.event.kind} {what if order.event.kind != 'Show' or what == UNKNOWN else 'seen'} {order.event.note}".strip()
            told[key] = told.get(key, 0) + 1
        return told

    def violations(self, states):
        """`states`: what each instance shows at the end; all were Running at first."""
        history, now = self.history(), time.monotonic_ns()
        for i in self.ids:
            mine = [e for e in history if i in e.parts]
            last = max((e.ended for e in mine), default=now)
            final = Event("Show", max(now, last), max(now, last) + 1, {i: states[i]}, note="at the end")
            found = violation(mine + [final], [i], ["Running"])
            if found:
                yield found


class Prober:
    """Asks one node for something cheap, over and over, and notes when it was answered."""

    def __init__(self, node, instance_id, pause_s=0.05):
        self.node, self.id, self.pause_s = node, instance_id, pause_s
        self.answers = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.ending.wait(self.pause_s):
            try:
                if self.node.v3("DescribeInstanceStatus", {"RegionId": REGION, "InstanceId.1": self.id}).status == 200:
                    self.answers.append(time.monotonic_ns())
            except LOST:
                pass

    def end(self):
        self.ending.set()
        self.thread.join(60 * SLOW)


def longest_gap(moments, begin, end):
    """Seconds without any of these moments, between two times."""
    inside = [begin] + sorted(m for m in moments if begin < m < end) + [end]
    return max(b - a for a, b in zip(inside, inside[1:])) / NS
