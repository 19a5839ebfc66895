# SPDX-License-Identifier: Apache-2.0
"""What test/fuzz/run.py takes for a finding when the clock has ended a run."""

import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "fuzz"))

import run  # noqa: E402

# Ends as libFuzzer does when a unit took too long; given that unit alone, does what REPLAY says.
TARGET = """#!/bin/sh
case "$*" in
*-max_total_time=*) ;;
*) REPLAY ;;
esac
echo unit >CRASHES/clock-KIND-1
echo "Test unit written to CRASHES/clock-KIND-1"
echo "SUMMARY: libFuzzer: KIND"
exit 70
"""


class Clock(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)
        self.addCleanup(setattr, run, "COMPUTING_S", run.COMPUTING_S)
        run.COMPUTING_S = 1

    def fine(self, kind, replay):
        program = self.build / "test/fuzz/fuzz_clock"
        program.parent.mkdir(parents=True)
        program.write_text(TARGET.replace("REPLAY", replay).replace("KIND", kind).replace("CRASHES", str(self.build / "crashes")))
        program.chmod(0o755)
        self.target = run.Run(types.SimpleNamespace(build=self.build, seconds=1, seed=1), "clock")
        return self.target.run()

    def test_who_got_no_processor_is_not_stuck(self):
        self.assertTrue(self.fine("timeout", "exit 0"))
        self.assertIn("no processor", self.target.summary())

    def test_who_computes_without_end_is(self):
        self.assertFalse(self.fine("timeout", "while :; do :; done"))
        self.assertIn("clock-timeout-1", self.target.finding())

    def test_who_fails_alone_is_a_finding(self):
        self.assertFalse(self.fine("timeout", "exit 1"))

    def test_a_crash_is_never_judged_again(self):
        self.assertFalse(self.fine("crash", "exit 0"))


if __name__ == "__main__":
    unittest.main()
