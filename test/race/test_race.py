# SPDX-License-Identifier: Apache-2.0
"""Many clients call the same instances at once; what all of them were told has to fit one order of events, pair by pair.

Under ThreadSanitizer (ECSD_BUILD=build-tsan, TSAN_OPTIONS=halt_on_error=1:exitcode=66) the first report ends the daemon, and
the test shows it."""

import itertools
import json
import os
import unittest

from linear import ACCEPTED, REFUSED
from race import HOST_ID, IMAGE, REGION, SIGNALS, Race

from exposition import parse  # test/api, which race has put on the path
from test_operator import admin_get

SECONDS = float(os.environ.get("ECSD_RACE_SECONDS", "4"))  # of calls, per test
SEED = int(os.environ.get("ECSD_RACE_SEED", "1"))


class RaceTest(unittest.TestCase):
    def race(self, seed, **more):
        race = Race(SEED * 1000 + seed, **more)
        self.addCleanup(race.close)
        return race

    def check(self, race):
        race.heal()
        history = race.history()
        for kind, what in itertools.product(("Start", "Stop", "Reboot"), (ACCEPTED, REFUSED)):
            told = {i for e in history if e.kind == kind for i, w in e.parts.items() if w == what}
            least = 1 if kind == "Reboot" else len(race.ids) / 2
            self.assertGreaterEqual(len(told), least, f"hardly any {kind} was {what}: no race")
        for found in race.violations(history):
            self.fail(f"seed {race.seed}: {found}")
        self.assertEqual(race.ecs.stop(), 0, race.ecs.log_text()[-20000:])


class Linearizable(RaceTest):
    def test_what_clients_are_told_fits_one_order(self):
        race = self.race(1)
        race.run(SECONDS, clients=48)
        self.check(race)

    def test_also_when_guests_and_host_misbehave(self):
        race = self.race(2)
        race.run(SECONDS, clients=32, meanwhile=Race.disturb)
        self.assertGreater(len(race.ends), 0)
        self.check(race)

    def test_also_over_kills_and_stops_of_the_daemon(self):
        def meanwhile(race):
            for _ in range(2):
                race.disturb()
            race.restart(race.chance.choice(SIGNALS))

        race = self.race(3)
        race.run(1.5 * SECONDS, clients=32, meanwhile=meanwhile)
        self.assertGreater(len(race.deaths), 0)
        self.check(race)

    def test_also_with_few_instances_and_many_clients(self):
        race = self.race(4, pairs=2)
        race.run(SECONDS / 2, clients=64, meanwhile=Race.disturb)
        self.check(race)


class Operator:
    """What operators and other clients do at the same time, one after the other, on things of their own."""

    def __init__(self, race):
        self.race, self.ecs = race, race.ecs
        self.turns = itertools.cycle((self.machines, self.accounts, self.hosts, self.looks, self.disks, self.tags, self.commands,
                                      self.host_for_all))
        self.done = 0

    def __call__(self, race):
        next(self.turns)()
        self.done += 1

    def ctl(self, *words):
        return json.loads(self.ecs.ctl(*words, "--json"))

    def machines(self):
        """One of its own is made, looked at and deleted."""
        made = self.race.call("RunInstances", ImageId=IMAGE, InstanceType="ecs.g6.large", Amount=2)
        for i in made["InstanceIdSets"]["InstanceIdSet"]:
            self.race.call("ModifyInstanceAttribute", InstanceId=i, InstanceName="mine")
            self.ecs.ctl("instance", "lock", i, "security")
            self.ecs.ctl("instance", "unlock", i)
            self.ecs.ctl("wait", i, "Running")
            self.race.call("DeleteInstance", InstanceId=i, Force="true")

    def accounts(self):
        account = self.ctl("account", "create", f"other-{self.done}")["AccountId"]
        self.ecs.ctl("account", "set", account, "stopped-mode=StopCharging")
        key = self.ctl("key", "create", account)
        self.ecs.v3("DescribeInstances", {"RegionId": REGION}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        self.ecs.ctl("key", "disable", key["AccessKeyId"])
        refused = self.ecs.v3("DescribeInstances", {"RegionId": REGION}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
        assert refused.code == "InvalidAccessKeyId.Inactive", refused
        self.ecs.ctl("key", "delete", key["AccessKeyId"])

    def hosts(self):
        self.ecs.ctl("host", "add", "spare", "zone=cn-hangzhou-i", "vcpus=8", "memory=32")
        self.ecs.ctl("host", "set", "spare", "state=draining")
        self.ecs.ctl("host", "set", HOST_ID, "vcpus=90000")
        self.ecs.ctl("host", "remove", "spare")
        self.ecs.ctl("host", "set", HOST_ID, "vcpus=100000")

    def host_for_all(self):
        """The host of all that are called drains, falls silent, and is back."""
        self.ecs.ctl("host", "set", HOST_ID, "state=draining")
        self.ecs.ctl("sim", "host", HOST_ID, "down")
        self.ecs.ctl("sim", "host", HOST_ID, "up")
        self.ecs.ctl("host", "set", HOST_ID, "state=up")

    def looks(self):
        for words in (("job", "list"), ("host", "list"), ("event", "list", "limit=20"), ("usage", "limit=20"), ("options",)):
            self.ctl(*words)
        self.race.call("DescribeInstances", PageSize=5)
        for path in ("/metrics", "/readyz", "/healthz"):
            status, text = admin_get(self.ecs, path)
            assert status == 200 or path == "/readyz", (path, status)
            if path == "/metrics":
                parse(text)
        self.ecs.raw(b"GET / HTTP/1.1\r\nHost: x\r\n")  # half a request, and gone

    def disks(self):
        disk = self.race.call("CreateDisk", ZoneId="cn-hangzhou-h", Size=20, DiskCategory="cloud_essd")["DiskId"]
        self.race.call("DescribeDisks", DiskIds=json.dumps([disk]))
        self.race.call("DeleteDisk", DiskId=disk)

    def tags(self):
        params = {"ResourceType": "instance", "ResourceId.1": self.race.ids[0], "Tag.1.Key": "k", "Tag.1.Value": "v"}
        self.race.call("TagResources", **params)
        self.race.call("ListTagResources", **{"ResourceType": "instance", "Tag.1.Key": "k"})
        self.race.call("UntagResources", **{"ResourceType": "instance", "ResourceId.1": self.race.ids[0], "All": "true"})

    def commands(self):
        """Runs where the guest happens to be up; either way there is an answer."""
        reply = self.ecs.v3("RunCommand", {"RegionId": REGION, "Type": "RunShellScript", "CommandContent": "ZWNobyBoaQ==",
                                           "InstanceId.1": self.race.ids[1]})
        assert reply.status in (200, 403), reply
        self.race.call("DescribeInvocationResults")


class Operated(RaceTest):
    def test_while_operators_change_things(self):
        race = self.race(5)
        operator = Operator(race)
        race.run(1.5 * SECONDS, clients=16, meanwhile=operator)
        self.assertGreater(operator.done, 2)
        self.check(race)


if __name__ == "__main__":
    unittest.main()
