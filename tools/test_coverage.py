# SPDX-License-Identifier: Apache-2.0
"""What coverage.py counts and leaves out; what check_tidy.py takes for a finding."""

import unittest

import check_tidy
import coverage

SOURCE = """int f(int a)
{
    assert(a > 0 &&
           a < 9);
    if (a == 1)
        return 0;
    return a;
}
"""


def document(line, count, branches, function="f", file="../src/model/f.c"):
    return {"current_working_directory": "/x/build", "files": [{"file": file, "lines": [
        {"line_number": line, "count": count, "function_name": function, "branches": [{"count": n} for n in branches]}]}]}


class Coverage(unittest.TestCase):
    def judge(self, *documents):
        return coverage.judge(coverage.merge(documents)["/x/src/model/f.c"], SOURCE)

    def test_assertions_have_no_branches_but_are_lines(self):
        counts, unreached, ways = self.judge(document(3, 1, [1, 0]), document(4, 1, [1, 0]))
        self.assertEqual((counts.lines, counts.lines_hit, counts.branches), (2, 2, 0))
        self.assertEqual((unreached, ways), ([], {}))

    def test_a_way_never_taken_counts(self):
        counts, _, ways = self.judge(document(5, 3, [3, 0]))
        self.assertEqual((counts.branches, counts.branches_hit, counts.branch_rate()), (2, 1, 50.0))
        self.assertEqual(ways, {5: [True, False]})

    def test_programs_are_one(self):
        counts, unreached, _ = self.judge(document(5, 3, [3, 0]), document(5, 1, [0, 1]), document(6, 0, []), document(7, 0, []),
                                          document(7, 2, []))
        self.assertEqual((counts.lines, counts.lines_hit, counts.branches, counts.branches_hit), (3, 2, 2, 2))
        self.assertEqual(unreached, [6])

    def test_transitions(self):
        text = "may disk A B\nmay disk B A\ntook disk A B\nmay other A B\ntook disk A B\n"
        self.assertEqual(coverage.transitions(text, {"disk", "image"}), (2, ["disk B A"], ["image"]))
        self.assertEqual(coverage.transitions(text + "took disk B A\n", {"disk"}), (2, [], []))

    def test_tables_of_this_tree_are_found(self):
        self.assertLessEqual({"instance", "disk", "image"}, coverage.state_tables())


class Tidy(unittest.TestCase):
    def test_findings(self):
        text = ("a.c:1:2: warning: one [bugprone-x]\n  code\n  ^\nb.c:3:4: error: two [bugprone-y,-warnings-as-errors]\n"
                "  code\nb.c:9:9: note: of two\n")
        found = check_tidy.findings_of(text)
        self.assertEqual([finding.splitlines()[0] for finding in found],
                         ["a.c:1:2: warning: one [bugprone-x]", "b.c:3:4: error: two [bugprone-y,-warnings-as-errors]"])
        self.assertIn("note: of two", found[1])
        self.assertEqual(check_tidy.findings_of(""), [])


if __name__ == "__main__":
    unittest.main()
