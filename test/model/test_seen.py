# SPDX-License-Identifier: Apache-2.0
"""Every action has succeeded somewhere, every error has been told somewhere, and every reply that a test saw has its action's form.

Seen are the replies to the cases of this folder, if they ran in the same process, and those that the black-box tests wrote down
(ECSD_REPLIES, test/api/harness.py). What is never seen stands in UNSEEN with the reason.
"""

import collections
import json
import os
import pathlib
import re
import unittest
import urllib.parse

import coverage
import facts
import replies
from unseen import SOMETIMES, UNSEEN

FILE = os.environ.get("ECSD_REPLIES", "")


class Seen:
    """What there is in the file and in memory."""

    def __init__(self):
        self.facts = facts.Facts()
        self.checker = replies.Checker(self.facts)
        versions = {(action["action"], action["version"]): action for action in self.facts.actions}
        self.find = lambda name, version: versions.get((name, version))
        self.succeeded = collections.Counter(coverage.succeeded)
        self.told = collections.Counter(coverage.told)
        self.wrong, self.count = [], 0

    def read(self, path):
        """All lines of the file."""
        with open(path, encoding="utf-8") as file:
            for line in file:
                seen = json.loads(line)
                if "words" in seen:
                    self.ecsctl(seen)
                elif seen["body"]:
                    self.reply(seen)

    def ecsctl(self, seen):
        """Errors are told on stderr, `Code: Message`."""
        for code, message in re.findall(r"^([A-Z][A-Za-z.]+): (.*)$", seen["err"], re.M):
            self.told[None, code, message] += 1

    def reply(self, seen):
        """A success has its action's form, an error the form of all."""
        if not seen["type"].startswith(("application/json", "text/xml")):
            return
        self.count += 1
        params = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(seen["target"]).query) + urllib.parse.parse_qsl(seen["sent"]))
        headers = {name.lower(): value for name, value in seen["headers"].items()}
        name = headers.get("x-acs-action") or params.get("Action")
        action = self.find(name, headers.get("x-acs-version") or params.get("Version"))
        if seen["status"] == 200 and not action:
            return
        action = action or {"key": "?", "action": "?", "reply": {}}
        format = "JSON" if seen["type"].startswith("application/json") else "XML"
        try:
            code, message, _ = self.checker.check_body(action, format, seen["status"], seen["body"].encode())
        except replies.Wrong as error:
            self.wrong.append(f"{name}: {error}")
            return
        if code is None:
            self.succeeded[action["key"]] += 1
        else:
            self.told[seen["status"], code, message] += 1

    def rows(self):
        """Rows of errors.txt that were told. Rows that look alike can't be told apart."""
        found = set()
        for row in self.facts.rows.values():
            pattern = re.compile("(?s)" + ".*".join(re.escape(piece) for piece in row.message.split("%s")))
            if any(code == row.code and status in (None, row.status) and pattern.fullmatch(message or "")
                   for status, code, message in self.told):
                found.add(row.name)
        return found


def mentioned_rows():
    """C names that stand in the program or in the definitions."""
    root = facts.API.parent
    files = [*root.glob("src/*/*.[ch]"), *facts.API.glob("actions/*.json"), facts.API / "types.json"]
    return {name for file in files for name in re.findall(r"\bE_[A-Z0-9_]+\b", file.read_text(encoding="utf-8"))} & \
        {row.name for row in facts.Facts().rows.values()}


@unittest.skipUnless(FILE and pathlib.Path(FILE).exists(), "needs what the black-box tests have seen (ECSD_REPLIES)")
class Everything(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seen = Seen()
        cls.seen.read(FILE)

    def test_replies(self):
        self.assertGreater(self.seen.count, 100)
        self.assertEqual(self.seen.wrong, [])
        print(f"{self.seen.count:8d}  replies of the black-box tests have their action's form")

    def test_actions(self):
        never = {action["key"] for action in self.seen.facts.actions if not self.seen.succeeded[action["key"]]}
        listed = {name for name in UNSEEN if not name.startswith("E_")}
        self.assertEqual(never, listed, "actions that never succeeded, and those that are listed as such")
        print(f"{len(self.seen.facts.actions) - len(never):8d}  of {len(self.seen.facts.actions)} actions succeeded")

    def test_errors(self):
        told = self.seen.rows()
        mentioned = mentioned_rows()
        documented = set(self.seen.facts.rows) - mentioned - told
        never = mentioned - told - set(SOMETIMES)
        listed = {name for name in UNSEEN if name.startswith("E_")}
        self.assertEqual(never - listed, set(), "errors that no test has seen")
        self.assertEqual(listed - never, set(), "listed as unseen, but seen")
        print(f"{len(told):8d}  of {len(self.seen.facts.rows)} errors were told; the others:")
        for name in sorted(listed):
            print(f"          {name}: {UNSEEN[name]}")
        print(f"{len(documented):8d}  rows are documented, but nothing in the program tells them: {', '.join(sorted(documented))}")


if __name__ == "__main__":
    unittest.main()
