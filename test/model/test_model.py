# SPDX-License-Identifier: Apache-2.0
"""Model-derived conformance: every parameter of every action, wrong in every way that its definition knows, sent in every way.

A failure prints the request and how its case is run alone:

    ECSD_CASE='StopInstance/InstanceId/empty/' python3 -m unittest discover -s test/model -p test_model.py
    ECSD_CASE='StopInstance/*@v3-post-json-*' …      behind the @: how it is sent
"""

import collections
import fnmatch
import glob
import os
import re
import shlex
import time
import unittest

import cases
import client
import coverage
import exceptions
import facts
import replies
import world

PATTERN, _, WAY_PATTERN = os.environ.get("ECSD_CASE", "").partition("@")
BLOCK = 2048  # requests that are held at once
SHOWN = 12  # failures that are printed in full
STATE = ((True, "ListInstances", {"Limit": "1000"}), (True, "ListEvents", {"Limit": "1000"}), (True, "ListJobs", {"All": "true"}),
         (True, "ListAccounts", {}), (True, "ListKeys", {}), (True, "ListHosts", {}), (True, "ListImages", {}),
         (False, "DescribeInstances", world.R), (False, "DescribeDisks", {**world.R, "PageSize": "100"}),
         (False, "DescribeKeyPairs", world.R), (False, "DescribeDeploymentSets", world.R), (False, "DescribeCommands", world.R),
         (False, "DescribeInvocations", world.R),
         (False, "ListTagResources", {**world.R, "ResourceType": "instance", "TagFilter.1.TagKey": "k"}))


class Speaker(world.World):
    """A world, connections to it, and the state that can be seen of it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.facts = facts.Facts()
        cls.actions = {action["key"]: action for action in cls.facts.actions}
        cls.checker = replies.Checker(cls.facts)
        cls.signer = client.Signer(cls.ecs.key_id, cls.ecs.secret, f"{cls.ecs.host}:{cls.ecs.port}")
        cls.network = client.Pool((cls.ecs.host, cls.ecs.port))
        cls.operator = client.Pool(str(cls.ecs.data / "admin.sock"), 2)
        cls.addClassCleanup(lambda: (cls.network.close(), cls.operator.close()))

    def setUp(self):
        self.signer.now()

    def pool(self, action):
        return self.operator if action["product"] == "Admin" else self.network

    def state(self):
        """What operator and client see, but for the request's id."""
        seen = {}
        for admin, name, params in STATE:
            action = self.actions[f"Admin.{name}" if admin else name]
            way = client.Way("operator" if admin else "v3", "POST", "query", "JSON")
            request = self.signer.bytes_of(name, action["version"], params.items(), way)
            [(head, body)] = self.pool(action).exchange([request])
            self.assertTrue(head.startswith(b"HTTP/1.1 200"), body)
            seen[name] = re.sub(rb'^{"RequestId":"[^"]*"', b"{", body)
        return seen

    def settled_state(self):
        """After what the world's making began: no job is active any more."""
        while True:
            seen = self.state()
            if b'"State":"active"' not in seen["ListJobs"] and seen == self.state():
                return seen


class Model(Speaker):
    def request(self, case, way):
        return self.signer.bytes_of(case.action["action"], case.action["version"], case.pairs, way, case.extra)

    def judge(self, case, way, head, body):
        """None, or what is wrong with the reply."""
        try:
            status, code, message, _ = self.checker.check(case.action, way.format, head, body)
        except replies.Wrong as error:
            return str(error)
        coverage.note(case.action["key"], status, code, message)
        expect = exceptions.expect_of(case)
        if expect == cases.DECLARED:
            fits = code is None or (status, code) in self.declared(case.action)
            return None if fits else f"{status} {code} is not an error of this action's page"
        if (status, code) != (expect.status, expect.code):
            return f"{status} {code}: {message}; expected {expect.status} {expect.code}: {expect.message}"
        if expect.message is not None and message != expect.message:
            return f"says {message!r}, expected {expect.message!r}"
        return None

    def declared(self, action):
        """(status, code)s of an action's page."""
        if action["key"] not in self.pages:
            self.pages[action["key"]] = self.facts.declared(action)
        return self.pages[action["key"]]

    def run_jobs(self, action, jobs):
        """Sends and judges all of one action; returns (case, way, request, what is wrong)."""
        wrong = []
        for start in range(0, len(jobs), BLOCK):
            block = jobs[start:start + BLOCK]
            requests = [self.request(case, way) for case, way in block]
            answers = self.pool(action).exchange(requests)
            for (case, way), request, (head, body) in zip(block, requests, answers):
                reason = self.judge(case, way, head, body)
                if reason:
                    wrong.append((case, way, request, reason))
                if PATTERN:
                    print(f"\n{case.name}@{way.name}\n{request[:3000].decode(errors='backslashreplace')}\n\n"
                          f"{head.decode()}\n\n{body[:3000].decode()}\n{reason or 'as expected'}")
        return wrong

    def who_changed_it(self, action, jobs, before):
        """The jobs again, one by one, until one changes what can be seen."""
        for case, way in jobs:
            self.pool(action).exchange([self.request(case, way)])
            after = self.state()
            if after != before:
                return f"{case.name}@{way.name} changed {self.difference(before, after)}"
            before = after
        return "no case of it does so when it is sent again"

    @staticmethod
    def difference(before, after):
        """Which listings, and where."""
        return ", ".join(f"{name}: …{before[name][at:at + 200]!r} became …{after[name][at:at + 200]!r}" for name in before
                         if before[name] != after[name]
                         for at in [max(0, len(os.path.commonprefix([before[name], after[name]])) - 60)])

    def select(self, generated):
        """Jobs by action, without what is not wanted."""
        by_action = collections.defaultdict(list)
        for case in generated:
            if (PATTERN and not fnmatch.fnmatchcase(case.name, PATTERN)) or exceptions.expect_of(case) == exceptions.SKIP:
                continue
            by_action[case.action["key"]] += [(case, way) for way in case.ways() if fnmatch.fnmatchcase(way.name, WAY_PATTERN or "*")]
        return by_action

    def test_every_parameter(self):
        self.pages = {}
        start, failures, kinds, ways = time.monotonic(), [], collections.Counter(), collections.Counter()
        state = self.settled_state()
        for key, jobs in self.select(cases.generate(self.facts, self.names)).items():
            action = self.actions[key]
            self.signer.now()
            failures += self.run_jobs(action, jobs)
            kinds.update(case.kind for case, _ in jobs)
            ways.update(f"{way.auth} {way.method} {way.place} {way.format}" for _, way in jobs)
            after = self.state()
            if after != state:
                failures.append((None, None, None, f"{key}: refused calls and reads changed {self.difference(state, after)};\n"
                                 f"    {self.who_changed_it(action, jobs, after)}"))
                state = self.state()
        self.report(kinds, ways, time.monotonic() - start)
        if failures:
            self.fail(self.text_of(failures))
        if not PATTERN:
            self.assertEqual(exceptions.unused(), [], "exceptions that no case needs")

    @staticmethod
    def report(kinds, ways, seconds):
        """How many of each kind ran."""
        for counts in (kinds, ways):
            for name, count in sorted(counts.items(), key=lambda item: -item[1]):
                print(f"{count:8d}  {name}")
        print(f"{sum(kinds.values()):8d}  cases in {seconds:.0f} s")

    @staticmethod
    def text_of(failures):
        """Some of them in full, no two alike."""
        lines, seen = [f"{len(failures)} cases failed"], set()
        for case, way, request, reason in failures:
            if case is None:
                lines.append(reason)
            elif (case.kind, reason) not in seen and len(seen) < SHOWN:
                seen.add((case.kind, reason))
                alone = shlex.quote(glob.escape(case.name) + "@" + way.name)
                lines.append(f"{case.name}@{way.name}: {reason}\n    {request[:700]!r}\n"
                             f"    alone: ECSD_CASE={alone} python3 -m unittest discover -s test/model -p test_model.py")
        return "\n".join(lines)


if __name__ == "__main__":
    unittest.main()
