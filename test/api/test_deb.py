# SPDX-License-Identifier: Apache-2.0
"""The Debian package: it is built, says what it needs, holds what it should, installs into a root of its own and runs there; and
what its scripts do to the service."""

import gzip
import hashlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest
import urllib.request

import sandbox
from harness import BUILD, ROOT, until

SCRIPTS = ROOT / "packaging" / "deb"
CONFFILES = ["/etc/default/ecsd", "/etc/ecsd/ecsd.conf"]
TOOLS = ("dpkg-deb", "dpkg-shlibdeps", "meson", "ninja", "strip", "readelf")
LOADED_WHEN_ASKED_FOR = {"libvirt0", "libpq5"}


def run(*words, **more):
    """Its output; what it complained of is shown when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def build_into(folder):
    return pathlib.Path(run(ROOT / "packaging" / "deb.sh", folder, env={**os.environ, "ECSD_JOBS": "2"}).splitlines()[-1])


def packages_of(relation):
    """Names in a line of Depends or the like."""
    return {part.split()[0] for part in relation.split(",")}


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            raise unittest.SkipTest(f"not here: {', '.join(missing)} (apt-get install dpkg-dev)")
        if b"__asan_init" in (BUILD / "ecsd").read_bytes() or "ECSD_POSTGRES" in os.environ:
            raise unittest.SkipTest("the package is the same with any sanitizer and store: it is tried once, without")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.deb = build_into(cls.folder / "first")
        cls.tree = cls.folder / "tree"
        run("dpkg-deb", "-x", cls.deb, cls.tree)
        run("dpkg-deb", "-e", cls.deb, cls.folder / "control")

    def field(self, name):
        return run("dpkg-deb", "-f", self.deb, name).strip()

    def files(self):
        return {"/" + file.relative_to(self.tree).as_posix(): file for file in self.tree.rglob("*") if not file.is_dir()}

    def test_name_and_fields(self):
        version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
        arch = run("dpkg", "--print-architecture").strip()
        self.assertEqual(self.deb.name, f"ecsd_{version}_{arch}.deb")
        self.assertEqual([self.field(name) for name in ("Package", "Version", "Architecture")], ["ecsd", version, arch])
        self.assertEqual(run(self.tree / "usr/bin/ecsd", "--version"), f"ecsd {version}\n")
        self.assertNotIn("@", self.field("Depends") + self.field("Installed-Size"))

    def test_it_depends_on_what_its_programs_are_linked_with(self):
        needed, kind = set(), run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
        for program in ("ecsd", "ecsctl"):
            for name in re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-d", self.tree / "usr/bin" / program)):
                owners = run("dpkg-query", "--search", f"*/{kind}/{name}").splitlines()
                needed |= {line.split(":")[0] for line in owners}
        depends = packages_of(self.field("Depends"))
        self.assertGreater(len(needed), 4)
        self.assertEqual(needed - depends, set())
        self.assertEqual(depends - needed, {"init-system-helpers"})
        self.assertIn("(>= ", self.field("Depends").split("libsqlite3-0")[1][:6], "without the version that it was built with")

    def test_what_is_loaded_when_asked_for_is_not_demanded(self):
        self.assertEqual(packages_of(self.field("Depends")) & LOADED_WHEN_ASKED_FOR, set())
        self.assertEqual(LOADED_WHEN_ASKED_FOR - packages_of(self.field("Recommends")) - packages_of(self.field("Suggests")), set())

    def test_contents(self):
        files = self.files()
        doc = "/usr/share/doc/ecsd/"
        wanted = ["/usr/bin/ecsd", "/usr/bin/ecsctl", "/lib/systemd/system/ecsd.service", *CONFFILES,
                  *(doc + name for name in ("copyright", "changelog.gz", "README.md", "docs/OPERATIONS.md", "docs/OPTIONS.md",
                                            "packaging/real-machines.conf", "packaging/libvirtd-notes.conf", "deploy/UPGRADE.md",
                                            "deploy/systemd/node.conf", "deploy/patroni/patroni.yml"))]
        self.assertEqual([name for name in wanted if name not in files], [])
        for name in files:
            self.assertTrue(name in wanted or name.startswith(doc), f"{name}: what is it there for?")
        self.assertIn(self.field("Version"), gzip.decompress(files[doc + "changelog.gz"].read_bytes()).decode())

    def test_owners_and_modes(self):
        for line in run("dpkg-deb", "-c", self.deb).splitlines():
            mode, owner, *_, name = line.split()
            may_run = name.startswith("./usr/bin/") and name != "./usr/bin/" or mode.startswith("d")
            self.assertEqual((owner, mode[1:]), ("root/root", "rwxr-xr-x" if may_run else "rw-r--r--"), name)

    def test_the_programs_name_no_folder_of_this_machine(self):
        for program in ("ecsd", "ecsctl"):
            content = (self.tree / "usr/bin" / program).read_bytes()
            self.assertNotIn(str(ROOT).encode(), content)
            self.assertNotIn(b".debug_info", content)

    def test_units_name_the_installed_program(self):
        for name, file in self.files().items():
            if file.suffix in (".service", ".conf"):
                self.assertNotIn("/usr/local", file.read_text(), name)
        line = dict(sandbox.settings(self.tree / "lib/systemd/system/ecsd.service"))["ExecStart"]
        self.assertTrue(line.startswith("/usr/bin/ecsd --config /etc/ecsd/ecsd.conf "), line)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_systemd_has_no_complaint(self):
        for drop_in in (None, "packaging/real-machines.conf", "deploy/systemd/node.conf"):
            folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
            copies = [("lib/systemd/system/ecsd.service", "ecsd.service")]
            copies += [(f"usr/share/doc/ecsd/{drop_in}", "ecsd.service.d/its.conf")] if drop_in else []
            for source, target in copies:
                (folder / target).parent.mkdir(exist_ok=True)
                (folder / target).write_text((self.tree / source).read_text().replace("/usr/bin/ecsd", f"{self.tree}/usr/bin/ecsd"))
            done = subprocess.run(["systemd-analyze", "--no-pager", "verify", "--man=no", folder / "ecsd.service"], capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, [line for line in done.stderr.splitlines() if "ecsd" in line]), (0, []), drop_in)

    def test_sums(self):
        lines = (self.folder / "control/md5sums").read_text().splitlines()
        summed = {"/" + line.split("  ", 1)[1]: line.split()[0] for line in lines}
        self.assertEqual(set(summed), set(self.files()) - set(CONFFILES))
        for name, value in summed.items():
            self.assertEqual(hashlib.md5((self.tree / name[1:]).read_bytes()).hexdigest(), value, name)
        self.assertEqual((self.folder / "control/conffiles").read_text().split(), CONFFILES)

    def test_the_same_tree_makes_the_same_package(self):
        self.assertEqual(build_into(self.folder / "again").read_bytes(), self.deb.read_bytes())

    def test_its_files_with_options_are_ones_that_it_takes(self):
        as_it_comes = (self.tree / "etc/ecsd/ecsd.conf").read_text()
        with_all_it_shows, count = re.subn(r"(?m)^; (?=\w+ = )", "", as_it_comes)
        self.assertGreater(count, 3)
        for text, expected in ((as_it_comes, 0), (with_all_it_shows, count)):
            file = self.folder / "options"
            file.write_text(text)
            lines = run(self.tree / "usr/bin/ecsd", "--config", file, "--print-config")
            self.assertEqual(len(re.findall(r"; file", lines)), expected)
        words = dict(re.findall(r"(?m)^#(\w+)=\"?([^\"\n]*)", (self.tree / "etc/default/ecsd").read_text()))
        flags = words.pop("ECSD_FLAGS").split()
        run(self.tree / "usr/bin/ecsd", *flags, "--print-config", env={**os.environ, **words})

    # ── installed ──

    def dpkg(self, root, *words):
        """The scripts run outside of the root, which has no shell; they see DPKG_ROOT."""
        return run("dpkg", f"--root={root}", f"--log={root}/log", "--force-depends", "--force-confold", "--force-script-chrootless", *words,
                   env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})

    def new_root(self):
        root = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        self.addCleanup(shutil.rmtree, root)
        for name in ("info", "updates", "triggers"):
            (root / "var/lib/dpkg" / name).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        return root

    def serve(self, root):
        """The installed program with its file of options: started, asked, ended."""
        data, words = root / "var/lib/ecsd", root / "said"
        log = open(words, "wb")
        daemon = subprocess.Popen([root / "usr/bin/ecsd", "--config", root / "etc/ecsd/ecsd.conf", "--data", data, "--listen", "127.0.0.1:0",
                                   "--admin", "127.0.0.1:0"], stderr=log)
        try:
            until(self, lambda: (data / "endpoint").exists() or daemon.poll() is not None)
            admin = re.search(r"admin=(\S+)", words.read_text())
            self.assertTrue(admin, words.read_text())
            url = admin.group(1) if "://" in admin.group(1) else f"http://{admin.group(1)}"
            with urllib.request.urlopen(f"{url.rstrip('/')}/healthz", timeout=10) as reply:
                self.assertEqual(reply.status, 200)
                self.assertIn(self.field("Version"), reply.read().decode())
            self.assertIn("cn-hangzhou", run(root / "usr/bin/ecsctl", "--data", data, "host", "list"))
        finally:
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(30), 0)
            log.close()

    @unittest.skipUnless(os.geteuid() == 0, "only root may install")
    def test_its_life(self):
        root = self.new_root()
        self.dpkg(root, "--install", self.deb)
        self.assertIn("Status: install ok installed", run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--status", "ecsd"))
        self.assertFalse((root / "etc/systemd").exists(), "nothing is enabled by an installation")
        self.serve(root)

        options = root / "etc/ecsd/ecsd.conf"
        options.write_text("[log]\ncalls = all\n")
        self.dpkg(root, "--install", self.deb)
        self.assertEqual(options.read_text(), "[log]\ncalls = all\n", "an upgrade keeps what the operator wrote")
        self.serve(root)

        self.dpkg(root, "--remove", "ecsd")
        self.assertEqual([(root / name).exists() for name in ("usr/bin/ecsd", "lib/systemd/system/ecsd.service", "etc/ecsd/ecsd.conf")],
                         [False, False, True])
        self.dpkg(root, "--purge", "ecsd")
        self.assertEqual([options.exists(), (root / "var/lib/ecsd/ecsd.db").exists()], [False, True], "the data folder stays")


class Scripts(unittest.TestCase):
    """What the package's scripts do to the service, with tools that only write down what they are asked."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "systemd").mkdir()
        self.tool("deb-systemd-helper", "")
        self.tool("deb-systemd-invoke", "")

    def tool(self, name, then):
        file = self.folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.folder}/asked"\n{then}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def asked(self, script, *words, active=False, state="enabled", systemd=True, dpkg_root=""):
        """What it asked the tools for."""
        self.tool("systemctl", f'case "$*" in *is-active*) exit {0 if active else 3} ;; is-enabled*) echo {state} ;; esac')
        (self.folder / "asked").write_text("")
        text = (SCRIPTS / script).read_text()
        self.assertIn("/run/systemd/system", text)
        text = text.replace("/run/systemd/system", str(self.folder / "systemd") if systemd else str(self.folder / "none"))
        run("sh", "-c", text, script, *words, env={"PATH": f"{self.folder}:/usr/bin:/bin", "DPKG_ROOT": dpkg_root})
        return (self.folder / "asked").read_text()

    def test_a_first_install_starts_nothing(self):
        asked = self.asked("postinst", "configure", "")
        self.assertIn("daemon-reload", asked)
        self.assertNotRegex(asked, r"\b(re)?start\b|deb-systemd-helper enable")

    def test_an_upgrade_restarts_what_runs(self):
        asked = self.asked("postinst", "configure", "0.0.9", active=True)
        self.assertIn("deb-systemd-invoke restart ecsd.service", asked)
        self.assertLess(asked.index("daemon-reload"), asked.index("restart"), "the new unit has to be read first")

    def test_an_upgrade_leaves_what_does_not_run(self):
        self.assertNotIn("deb-systemd-invoke", self.asked("postinst", "configure", "0.0.9"))

    def test_an_upgrade_leaves_what_is_masked(self):
        for state in ("masked", "masked-runtime"):
            self.assertNotIn("deb-systemd-invoke", self.asked("postinst", "configure", "0.0.9", active=True, state=state))

    def test_without_systemd_nobody_is_asked(self):
        for more in ({"systemd": False}, {"dpkg_root": "/somewhere"}):
            for script, word in (("postinst", "configure"), ("prerm", "remove"), ("postrm", "remove")):
                self.assertNotRegex(self.asked(script, word, "0.0.9", active=True, **more), r"systemctl|invoke")

    def test_only_a_removal_stops_it(self):
        self.assertEqual(self.asked("prerm", "upgrade", "0.2.0", active=True), "")
        self.assertEqual(self.asked("prerm", "remove", active=True), "deb-systemd-invoke stop ecsd.service\n")

    def test_what_a_removal_leaves(self):
        self.assertIn("daemon-reload", self.asked("postrm", "remove"))
        self.assertIn("deb-systemd-helper purge ecsd.service", self.asked("postrm", "purge"))
        self.assertNotIn("daemon-reload", self.asked("postrm", "upgrade", "0.2.0"))


if __name__ == "__main__":
    unittest.main()
