#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/'s PostgreSQL as it stands there: three machines with etcd and Patroni, two nodes, and the primary's machine loses its power.

    unshare --net --mount python3 -m unittest discover -v -s test/patroni

Each machine is a network namespace on a bridge that nobody else sees, with folders of its own in the places that the files name.
Needs root, and Debian's packages patroni and etcd-server."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / name) for name in ("nodes", "api")]
import sandbox  # noqa: E402
from cluster import Cluster, ClusterTest, until  # noqa: E402

DEPLOY = TEST.parent / "deploy"
FIRST = "10.0.0.11"  # what stands in the files; the others follow
HERE = "10.0.0.1/24"
TTL_S = 30  # of deploy/patroni/patroni.yml
HOSTS, INSTANCES = 4, 12
SECRETS = {"PATRONI_SUPERUSER_PASSWORD": "one", "PATRONI_REPLICATION_PASSWORD": "two", "ECSD_DATABASE_PASSWORD": "three"}
NEEDS = ("patroni", "patronictl", "etcd", "ip", "nsenter", "unshare", "setpriv")


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def is_private():
    """Nobody's network but ours: nothing but the loopback."""
    links = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=False)
    return os.geteuid() == 0 and links.returncode == 0 and [link["ifname"] for link in json.loads(links.stdout)] == ["lo"]


class Machine:
    """One of the three, named as the files name it. Its disk outlives its power."""

    def __init__(self, folder, number):
        self.name, self.address = f"pg{number}", FIRST[:-1] + str(number)
        self.disk = folder / self.name
        for name in ("postgresql/15", "run", "etcd"):
            (self.disk / name).mkdir(parents=True)
        for name in ("postgresql", "postgresql/15", "run"):
            shutil.chown(self.disk / name, "postgres", "postgres")
        self.started = []
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        self.network = f"/proc/{self.holder.pid}/ns/net"
        until(unittest.TestCase(), lambda: os.readlink(self.network) != os.readlink("/proc/self/ns/net"), 5)
        self.cable = f"to-{self.name}"
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "link", "set", self.cable, "master", "bridge", "up")
        for words in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
            run("nsenter", f"--net={self.network}", "ip", *words.split())

    def start(self, *words, env):
        """Inside."""
        with open(self.disk / "log", "ab") as log:
            self.started.append(subprocess.Popen(["nsenter", f"--net={self.network}", *words], env={**os.environ, **env},
                                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"))

    def settings(self, name):
        """A file for this machine, as its head says to change it."""
        words = dict(line.split("=", 1) for line in (DEPLOY / "patroni" / name).read_text().splitlines() if line and line[0] != "#")
        return {key: SECRETS.get(key) or (value if key == "ETCD_INITIAL_CLUSTER" else value.replace(FIRST, self.address).replace("pg1", self.name))
                for key, value in words.items()}

    def power_on(self):
        run("ip", "link", "set", self.cable, "up")
        self.start("etcd", env={**self.settings("etcd.env"), "ETCD_DATA_DIR": str(self.disk / "etcd")})
        mounts = "".join(f"mount --bind {self.disk}/{own} {place}; "
                         for own, place in (("postgresql", "/var/lib/postgresql"), ("run", "/var/run/postgresql")))
        self.start("unshare", "--mount", "sh", "-ec", mounts + "exec setpriv --reuid postgres --regid postgres --clear-groups"
                   " env HOME=/var/lib/postgresql patroni /etc/patroni/config.yml", env=self.settings("patroni.env"))

    def processes(self):
        mine, found = os.readlink(self.network), []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns/net") == mine and int(folder.name) != self.holder.pid:
                    found.append(int(folder.name))
            except OSError:
                pass  # it has just ended
        return found

    def lose_power(self):
        """From one moment to the next nothing of it answers, not even that it is gone."""
        run("ip", "link", "set", self.cable, "down")
        while self.processes():
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            while self.started:
                self.started.pop().wait()

    def close(self):
        self.lose_power()
        self.holder.kill()
        self.holder.wait()


class Nodes(Cluster):
    def url(self, proxy, name):
        """The one that stands in the drop-in."""
        [flags] = [value for key, value in sandbox.settings(DEPLOY / "systemd" / "node.conf") if "ECSD_UNIT_FLAGS" in value]
        return next(word for word in flags.strip('"').split() if word.startswith("postgresql://"))


@unittest.skipUnless(all(shutil.which(name) for name in NEEDS), "needs Debian's packages patroni and etcd-server")
@unittest.skipUnless(is_private(), "needs a network of its own, and root: unshare --net --mount")
class Patroni(ClusterTest):
    def setUp(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "bridge")
        run("ip", "addr", "add", HERE, "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-patroni-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        self.install(folder)
        self.machines = []
        for number in (1, 2, 3):
            self.machines.append(Machine(folder, number))
            self.addCleanup(self.machines[-1].close)
        for machine in self.machines:
            machine.power_on()
        until(self, lambda: sorted(self.roles().values()) == ["Leader", "Replica", "Sync Standby"], 90)

    def install(self, folder):
        """/etc/patroni, for us only."""
        (folder / "etc").mkdir()
        shutil.copy(DEPLOY / "patroni" / "patroni.yml", folder / "etc" / "config.yml")
        shutil.copy(DEPLOY / "patroni" / "create-database.sh", folder / "etc")
        run("mount", "--bind", str(folder / "etc"), "/etc/patroni")
        self.addCleanup(run, "umount", "/etc/patroni")

    def roles(self):
        """What `patronictl list` shows: name → role, of those that run."""
        living = next(machine for machine in self.machines if machine.processes())
        done = subprocess.run(["patronictl", "-c", "/etc/patroni/config.yml", "list", "-f", "json"], capture_output=True, text=True, check=False,
                              env={**os.environ, **living.settings("patroni.env")})
        rows = json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []
        return {row["Member"]: row["Role"] for row in rows if row["State"] in ("running", "streaming")}

    def start_nodes(self):
        os.environ["PGPASSWORD"] = SECRETS["ECSD_DATABASE_PASSWORD"]
        self.addCleanup(os.environ.pop, "PGPASSWORD")
        self.nodes = Nodes(2, servers=self.machines)
        self.addCleanup(self.nodes.close)
        self.nodes.start()
        self.nodes.use_hosts(HOSTS, vcpus=16)

    def test_the_primarys_machine_is_lost(self):
        self.start_nodes()
        ids = self.launch(INSTANCES)
        roles = self.roles()
        lost = next(machine for machine in self.machines if roles[machine.name] == "Leader")
        follower = next(name for name, role in roles.items() if role == "Sync Standby")
        self.stop_through(ids, lost.lose_power, lambda: None, 4 * TTL_S)  # who follows is Patroni's matter
        self.assertEqual(self.roles().get(follower), "Leader", "the one that had everything")
        self.assert_nobody_lived_twice()
        lost.power_on()
        until(self, lambda: self.roles().get(lost.name) in ("Replica", "Sync Standby"), 90)


if __name__ == "__main__":
    unittest.main()
