#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules find what they are made for, and let pass what is fine; options and metrics are read strictly."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))

import apilib  # noqa: E402
import check_layers  # noqa: E402
import check_size  # noqa: E402
import check_words  # noqa: E402
import cscan  # noqa: E402
import gen_metrics  # noqa: E402
import gen_options  # noqa: E402

ROOT = TOOLS.parent
LICENCE = "/* " + check_words.LICENCE + " */\n"


class Layers(unittest.TestCase):
    """The one-way street."""

    def offences(self, path, include):
        """What the checker says about one include in one file."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{LICENCE}#include {include}\n", encoding="utf-8")
            return check_layers.check_tree(pathlib.Path(folder))

    def test_inward_is_fine(self):
        for path, include in [("store/sqlite.c", '"model/job.h"'), ("gateway/auth.c", '"actions/actions.h"'),
                              ("engine/run.c", '"hypervisor/hypervisor.h"'), ("main.c", '"hypervisor/sim.h"'),
                              ("store/sqlite.c", "<sqlite3.h>"), ("base/hash.c", "<openssl/evp.h>"),
                              ("http/tls_cert.c", "<openssl/x509.h>"), ("actions/list.c", '"gen/actions.h"'),
                              ("model/type.c", '"gen/catalog.h"'), ("http/server.c", '"gateway/gateway.h"'),
                              ("model/list.c", "<stdio.h>")]:
            self.assertEqual(self.offences(path, include), [], (path, include))

    def test_outward_is_refused(self):
        for path, include in [("base/str.c", '"model/job.h"'), ("model/job.c", '"store/store.h"'),
                              ("store/sqlite.c", '"hypervisor/hypervisor.h"'), ("engine/run.c", '"actions/actions.h"'),
                              ("http/server.c", '"actions/actions.h"'), ("http/server.c", '"model/job.h"'),
                              ("engine/run.c", '"hypervisor/sim.h"'), ("engine/run.c", '"store/sqlite.h"'),
                              ("actions/x.c", '"engine/claim.h"'), ("engine/run.c", '"gen/actions.h"'),
                              ("model/job.c", "<sqlite3.h>"), ("engine/run.c", '"sqlite3.h"'),
                              ("hypervisor/sim.c", "<libvirt/libvirt.h>"), ("gateway/auth.c", "<openssl/evp.h>"),
                              ("http/server.c", "<openssl/evp.h>"), ("model/policy.c", "<jansson.h>"),
                              ("model/job.c", '"noun.h"'),
                              ("base/str.c", "<model/job.h>"), ("cloud/x.c", "<stdio.h>"), ("model/x.h", '"nowhere/x.h"')]:
            found = self.offences(path, include)
            self.assertEqual(len(found), 1, (path, include))
            self.assertEqual(found[0][0], path)


class Sizes(unittest.TestCase):
    """The light scanner."""

    def one(self, source):
        """The only function of `source`."""
        found = cscan.functions(source)
        self.assertEqual(len(found), 1, [function.name for function in found])
        return found[0]

    def test_finds_functions_only(self):
        source = """
            struct point { int x; int y; };
            enum kind { A, B };
            static const struct point points[] = { {1, 2}, {3, 4} };
            static struct str none = (struct str){0};
            int declared(int x);
            #define MACRO(x) do { if (x) { } } while (0)
            static __attribute__((noinline)) int
            defined(int x, void (*fn)(int))
            {
                return x;
            }
            static const char text[] = "int not_here(void) { }";
            /* int nor_here(void) { } */
            void second(void) { }
        """
        self.assertEqual([function.name for function in cscan.functions(source)], ["defined", "second"])

    def test_counts_lines_with_the_head(self):
        self.assertEqual(self.one("int f(int a,\n      int b)\n{\n    return a;\n}\n").lines, 5)

    def test_counts_branches(self):
        body = "if (a && b || c) x(); else while (d) y(); for (;;) z(); switch (e) { case 1: case 2: break; default: break; }"
        self.assertEqual(self.one(f"void f(void)\n{{ {body} return a ? b : c; }}").complexity, 1 + 3 + 1 + 1 + 2 + 1)
        self.assertEqual(self.one("void f(void) { list_for_each(n, h) { } }").complexity, 2)
        # Neither text nor comment nor a preprocessor line is a branch.
        self.assertEqual(self.one('void f(void) { x("if (a && b)", \'?\'); /* while */ }\n#if A && B\n#endif\n').complexity, 1)

    def test_counts_nesting_of_blocks_only(self):
        self.assertEqual(self.one("void f(void) { if (a) { for (;;) { while (b) { do { c(); } while (d); } } } }").nesting, 4)
        self.assertEqual(self.one("void f(void) { struct a x = {.b = {{1}, {2}}}; g((struct a){.b = {{3}}}); }").nesting, 0)
        self.assertEqual(self.one("int f(void) { return g((struct a){1}) + (int){2}; }").nesting, 0)
        self.assertEqual(self.one("void f(void) { if (x) { y = (struct a){.b = {1}}; } }").nesting, 1)

    def test_refuses_what_is_too_big(self):
        small = "void f(void)\n{\n" + "    x();\n" * 67 + "}\n"
        self.assertEqual(check_size.check_source("a.c", small)[0], [])
        big = "void f(void)\n{\n" + "    x();\n" * 68 + "}\n"
        self.assertEqual(check_size.check_source("a.c", big)[0], ["a.c:1: f: 71 lines, at most 70"])
        deep = "\n\nvoid f(void)\n{" + "if (a) {" * 5 + "}" * 5 + "}\n"
        self.assertEqual(check_size.check_source("a.c", deep)[0], ["a.c:3: f: 5 levels of nesting, at most 4"])
        branchy = "void f(void)\n{" + "if (a) b();" * 15 + "}\n"
        self.assertEqual(check_size.check_source("a.c", branchy)[0], ["a.c:1: f: 16 complexity, at most 15"])
        self.assertEqual(check_size.check_source("a.c", "int a;\n" * 900)[0], [])
        self.assertEqual(check_size.check_source("a.c", "int a;\n" * 901)[0], ["a.c:901: 901 lines, at most 900"])
        self.assertEqual(check_size.check_lengths([10] * 91 + [60] * 9), (10, []))
        self.assertEqual(len(check_size.check_lengths([10] * 80 + [60] * 20)[1]), 1)


class Built(unittest.TestCase):
    """A test that nobody builds asks nothing."""

    def test_every_unit_test_is_listed(self):
        listed = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("meson.build"))
        programs = [path.stem for path in (ROOT / "test" / "unit").glob("*.c") if "\nint main(" in path.read_text(encoding="utf-8")]
        self.assertGreater(len(programs), 50)
        self.assertEqual([name for name in programs if f"'{name}'" not in listed], [])


class Words(unittest.TestCase):
    """What every file says and none may say."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.banned = check_words.banned_functions(ROOT)

    def offences(self, path, text):
        """What the checker says about a file of this text."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return check_words.check_file(self.root, file, self.banned)

    def test_licence(self):
        self.assertEqual(self.offences("src/a.c", LICENCE), [])
        self.assertEqual(self.offences("run", "#!/bin/sh\n# " + check_words.LICENCE + "\n"), [])
        self.assertEqual(len(self.offences("src/a.c", "\n\n" + LICENCE)), 1)
        self.assertEqual(len(self.offences("tools/a.py", "import os\n")), 1)
        self.assertEqual(len(self.offences("run", "#!/bin/sh\necho\n")), 1)
        self.assertEqual(self.offences("docs/a.md", "# no licence needed\n"), [])

    def test_undone_and_machines(self):
        for word in ["TO" + "DO", "FIX" + "ME", "X" + "XX"]:
            self.assertEqual(self.offences("docs/a.md", f"one\ntwo {word}: x\n"), [f"docs/a.md:2: left undone: {word}"])
        self.assertEqual(self.offences("src/a.c", LICENCE + 'char x[] = "/tmp/a-X' + 'XXXXX";\n'), [])
        for path in ["/wo" + "rk/x", "/ho" + "me/me/x", "/tmp/b" + "-a"]:
            self.assertEqual(len(self.offences("docs/a.md", f"see {path}\n")), 1, path)
        self.assertEqual(self.offences("docs/a.md", "see ./wo" + "rk/x and $HOME/wo" + "rk/y\n"), [])

    def test_banned_calls(self):
        for call in ["strcpy(a, b)", "malloc(1)", "x = atoi (s)", "sleep(1)", "time(NULL)"]:
            self.assertEqual(len(self.offences("src/model/a.c", f"{LICENCE}int x = {call};\n")), 1, call)
        for text in ["ops->malloc(1)", "ops.rand(1)", "arena_strcpy(a)", '"malloc(1)"', "__attribute__((malloc))", "/* rand() */"]:
            self.assertEqual(self.offences("src/model/a.c", f"{LICENCE}int x = {text};\n"), [], text)
        self.assertEqual(self.offences("src/base/env.c", f"{LICENCE}int x = clock_gettime(0, &t);\n"), [])
        self.assertEqual(len(self.offences("src/engine/a.c", f"{LICENCE}int x = clock_gettime(0, &t);\n")), 1)

    def test_builds_are_left_out(self):
        (self.root / "out/meson-private").mkdir(parents=True)
        (self.root / "out/a.c").write_text("", encoding="utf-8")
        (self.root / "b.c").write_text("", encoding="utf-8")
        self.assertEqual([file.name for file in check_words.project_files(self.root)], ["b.c"])


class Banned(unittest.TestCase):
    """base/banned.h, with the compiler."""

    def compile(self, body):
        """What cc says about a function with this body."""
        source = f"void f(char *a, const char *b); void f(char *a, const char *b) {{ (void)a; (void)b; {body}; }}\n"
        return subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-I", ROOT / "src", "-include", "base/banned.h",
                               "-x", "c", "-"], input=source, capture_output=True, text=True, check=False)

    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_every_function_is_stopped(self):
        self.assertEqual(self.compile("free(a)").returncode, 0)
        for name, instead in check_words.banned_functions(ROOT).items():
            result = self.compile(f"(void){name}(a, b)")
            self.assertNotEqual(result.returncode, 0, name)
            self.assertIn(f"banned_{name}_use_{instead}", result.stderr)


class Facts(unittest.TestCase):
    """config.json and metrics.json."""

    def check(self, generator, name, change):
        """Runs a generator over a copy of the facts with one change."""
        with tempfile.TemporaryDirectory() as folder:
            rows = json.loads((ROOT / "api" / name).read_text(encoding="utf-8"))
            change(rows)
            (pathlib.Path(folder) / name).write_text(json.dumps(rows), encoding="utf-8")
            generator.generate(folder, folder)

    def first(self, rows, kind):
        """The first row of a type."""
        return next(row for row in rows if row["type"] == kind)

    def labelled(self, rows):
        """The first metric whose label values somebody else knows."""
        return next(row for row in rows if "labels" in row)

    def test_real_facts_pass(self):
        self.check(gen_options, "config.json", lambda rows: None)
        self.check(gen_metrics, "metrics.json", lambda rows: None)

    def test_broken_options(self):
        changes = [
            lambda rows: rows[0].update(extra=1),
            lambda rows: rows[0].pop("help"),
            lambda rows: rows[0].update(name="Node.Region"),
            lambda rows: rows[0].update(name="region"),
            lambda rows: rows[0].update(type="string"),
            lambda rows: rows[0].update(help="two\nlines."),
            lambda rows: rows[0].update(min=1),
            lambda rows: rows.append(dict(rows[0])),
            lambda rows: self.first(rows, "int").pop("max"),
            lambda rows: self.first(rows, "int").update(default=0.5),
            lambda rows: self.first(rows, "int").update(default=True),
            lambda rows: self.first(rows, "int").update(default=10 ** 12),
            lambda rows: self.first(rows, "int").update(max=2 ** 60),
            lambda rows: self.first(rows, "bool").update(default="on"),
            lambda rows: self.first(rows, "enum").update(default="other"),
            lambda rows: self.first(rows, "enum").update(words=[]),
            lambda rows: self.first(rows, "enum")["words"].append(self.first(rows, "enum")["words"][0].upper()),
        ]
        for i, change in enumerate(changes):
            with self.subTest(change=i), self.assertRaises(apilib.ApiError):
                self.check(gen_options, "config.json", change)

    def test_broken_metrics(self):
        changes = [
            lambda rows: rows[0].update(extra=1),
            lambda rows: rows[0].pop("id"),
            lambda rows: rows[0].update(name="calls_total"),
            lambda rows: rows[0].update(name="ecsd_calls"),
            lambda rows: rows[0].update(type="summary"),
            lambda rows: rows[0].pop("label"),
            lambda rows: rows[0]["values"].append('"'),
            lambda rows: rows.append(dict(rows[0])),
            lambda rows: rows[0].update(buckets=[1], unit="one"),
            lambda rows: self.first(rows, "histogram").update(buckets=[2, 1]),
            lambda rows: self.first(rows, "histogram").update(unit="one"),
            lambda rows: self.first(rows, "histogram").pop("unit"),
            lambda rows: self.first(rows, "gauge").update(unit="us"),
            lambda rows: self.first(rows, "gauge").update(unit="one"),
            lambda rows: self.first(rows, "counter").update(unit="us"),
            lambda rows: self.first(rows, "gauge").update(help="A \\ is an escape."),
            lambda rows: self.first(rows, "gauge").update(help="Two\nlines."),
            lambda rows: self.labelled(rows).update(labels=[]),
            lambda rows: self.labelled(rows).update(labels="action"),
            lambda rows: self.labelled(rows).update(labels=["a", "b", "c", "d"]),
            lambda rows: self.labelled(rows).update(labels=["a", "a"]),
            lambda rows: self.labelled(rows).update(labels=["Action"]),
            lambda rows: self.labelled(rows).update(labels=["le"]),
            lambda rows: self.labelled(rows).update(label="result", values=["ok"]),
        ]
        for i, change in enumerate(changes):
            with self.subTest(change=i), self.assertRaises(apilib.ApiError):
                self.check(gen_metrics, "metrics.json", change)


if __name__ == "__main__":
    unittest.main()
