# SPDX-License-Identifier: Apache-2.0
"""What lies in deploy/: systemd reads the node's drop-in, ecsd takes the flags that stand in it, in the Dockerfile and in
compose.yaml, the database is made as ecsd wants it, and files that have to agree do."""

import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import sandbox
from harness import BUILD, ROOT, Daemon

sys.path.append(str(ROOT / "test" / "postgres"))
import server  # noqa: E402

try:
    import yaml
except ImportError:
    yaml = None

DEPLOY = ROOT / "deploy"
NODE = DEPLOY / "systemd" / "node.conf"
UNIT = ROOT / "packaging" / "ecsd.service"
HAS_NODES = "--node " in subprocess.run([BUILD / "ecsd", "--help"], capture_output=True, text=True, check=True).stdout


def node_flags():
    """The words that systemd puts in place of $ECSD_UNIT_FLAGS."""
    for name, value in sandbox.settings(NODE):
        words = shlex.split(value)
        if name == "Environment" and words[0].startswith("ECSD_UNIT_FLAGS="):
            flags = words[0].partition("=")[2].replace("%H", socket.gethostname()).replace("%%", "%")
            return flags.split()
    raise AssertionError("the drop-in has no flags")


def value_of(flags, name):
    """--name VALUE or --name=VALUE."""
    for i, word in enumerate(flags):
        if word == name:
            return flags[i + 1]
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def environment(path):
    """Of a file for EnvironmentFile=."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#"))


def hosts_of(url):
    return re.search(r"@([^/]+)/", url).group(1).split(",")


def load(name):
    return yaml.safe_load((DEPLOY / name).read_text())


class Case(unittest.TestCase):
    def assert_taken(self, flags):
        done = subprocess.run([BUILD / "ecsd", *flags, "--print-config"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


class Node(Case):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_systemd_has_no_complaint(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-test-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "ecsd.service.d").mkdir()
        (folder / "ecsd.service").write_text(UNIT.read_text().replace("/usr/local/bin/ecsd", str(BUILD / "ecsd")))
        for drop_in in (NODE, ROOT / "packaging" / "real-machines.conf"):  # both at once are a node with real machines
            text = drop_in.read_text().replace("/usr/local/bin/ecsd", str(BUILD / "ecsd"))
            (folder / "ecsd.service.d" / drop_in.name).write_text(text)
            done = subprocess.run(["systemd-analyze", "--no-pager", "verify", "--man=no", folder / "ecsd.service"], capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, [line for line in done.stderr.splitlines() if "ecsd" in line]), (0, []))

    @unittest.skipUnless(HAS_NODES, "this ecsd has no --node")
    def test_flags(self):
        self.assert_taken(node_flags())

    def test_what_it_says(self):
        flags = node_flags()
        self.assertEqual(value_of(flags, "--node"), socket.gethostname())
        self.assertIn("target_session_attrs=read-write", value_of(flags, "--store"))
        self.assertNotIn(":", value_of(flags, "--store").partition("//")[2].partition("@")[0], "a password in a command line is seen by all")
        files = [value for name, value in sandbox.settings(NODE) if name == "EnvironmentFile"]
        self.assertEqual(files, ["/etc/ecsd/database.env"], "without - before it: a node does not start without its password")
        self.assertEqual(set(environment(DEPLOY / "systemd" / "database.env")), {"PGPASSWORD"})


@unittest.skipUnless((server.BINARIES / "initdb").exists() and shutil.which("psql"), "PostgreSQL 15 is not here")
@unittest.skipIf("ECSD_POSTGRES" in os.environ, "it has a server of its own")
class Database(Case):
    """What Patroni calls on its new cluster, called on one without Patroni."""

    def setUp(self):
        self.server = server.Server()
        self.addCleanup(self.server.close)
        self.server.start()
        # The role is for the script to make.
        self.server.sql("CREATE ROLE admin SUPERUSER LOGIN")
        self.server.url = self.server.url.replace("user=ecsd", "user=admin")
        self.server.sql("ALTER ROLE ecsd RENAME TO first")

    def create(self, **env):
        return subprocess.run([DEPLOY / "patroni" / "create-database.sh", self.server.url], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], **env})

    def test_ecsd_takes_it(self):
        done = self.create(ECSD_DATABASE_PASSWORD="it's \"one\"; with \\ and %")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.server.sql("SELECT pg_get_userbyid(datdba), datcollate, pg_encoding_to_char(encoding) FROM pg_database "
                                         "WHERE datname = 'ecsd'"), "ecsd|C|UTF8")
        self.assertTrue(self.server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'ecsd'").startswith("SCRAM-SHA-256$"))
        more = ("--node", value_of(node_flags(), "--node")) if HAS_NODES else ()
        daemon = Daemon("--store", f"postgresql://ecsd@/ecsd?host={self.server.folder}&target_session_attrs=read-write", *more)
        try:
            self.assertGreater(int(self.server_sql_in_ecsd("SELECT COUNT(*) FROM migration")), 0)
        finally:
            daemon.close()

    def server_sql_in_ecsd(self, text):
        self.server.url = self.server.url.replace("dbname=postgres", "dbname=ecsd")
        return self.server.sql(text)

    def test_without_a_password_nothing_is_made(self):
        for env in ({}, {"ECSD_DATABASE_PASSWORD": ""}):
            done = self.create(**env)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("ECSD_DATABASE_PASSWORD", done.stderr)
        self.assertEqual(self.server.sql("SELECT COUNT(*) FROM pg_roles WHERE rolname = 'ecsd'"), "0")


@unittest.skipUnless(yaml, "Python has no yaml here (apt-get install python3-yaml)")
class Patroni(Case):
    def test_what_a_200_rests_on(self):
        dcs = load("patroni/patroni.yml")["bootstrap"]["dcs"]
        self.assertEqual([dcs["synchronous_mode"], dcs["synchronous_mode_strict"]], [True, True])
        parameters = dcs["postgresql"]["parameters"]
        self.assertEqual([parameters[name] for name in ("fsync", "full_page_writes", "synchronous_commit")], ["on"] * 3)
        self.assertNotIn("synchronous_standby_names", parameters, "is Patroni's")

    def test_texts_are_sorted_by_bytes(self):
        words = load("patroni/patroni.yml")["bootstrap"]["initdb"]
        self.assertIn({"encoding": "UTF8"}, words)
        self.assertIn({"locale": "C"}, words)

    def test_the_files_of_a_machine_agree(self):
        config, own = load("patroni/patroni.yml"), environment(DEPLOY / "patroni" / "patroni.env")
        etcd = environment(DEPLOY / "patroni" / "etcd.env")
        endpoints = config["etcd3"]["hosts"].split(",")
        hosts = [host.partition(":")[0] for host in endpoints]
        cluster = dict(word.split("=", 1) for word in etcd["ETCD_INITIAL_CLUSTER"].split(","))
        self.assertEqual(len(set(hosts)), 3)
        self.assertEqual([re.search(r"//([^:]+)", url).group(1) for url in cluster.values()], hosts)
        self.assertEqual(cluster[etcd["ETCD_NAME"]], etcd["ETCD_INITIAL_ADVERTISE_PEER_URLS"])
        self.assertIn(etcd["ETCD_ADVERTISE_CLIENT_URLS"], [f"http://{endpoint}" for endpoint in endpoints])
        self.assertEqual(own["PATRONI_NAME"], etcd["ETCD_NAME"])
        self.assertIn(own["PATRONI_POSTGRESQL_CONNECT_ADDRESS"].partition(":")[0], hosts)
        self.assertEqual(hosts_of(value_of(node_flags(), "--store")), hosts)
        self.assertEqual(pathlib.Path(config["bootstrap"]["post_bootstrap"]).name, "create-database.sh")
        self.assertTrue(os.access(DEPLOY / "patroni" / "create-database.sh", os.X_OK))

    def test_nobody_comes_in_without_a_password(self):
        rules = [rule.split() for rule in load("patroni/patroni.yml")["postgresql"]["pg_hba"]]
        self.assertGreater(len(rules), 2)
        self.assertEqual({rule[-1] for rule in rules if rule[0] != "local"}, {"scram-sha-256"})
        self.assertEqual({rule[-1] for rule in rules if rule[0] == "local"}, {"peer"})

    def test_there_is_room_for_the_sessions_of_three(self):
        readers = int(re.search(r"#define STORE_READERS_MAX (\d+)", (ROOT / "src/store/core.h").read_text()).group(1))
        room = load("patroni/patroni.yml")["bootstrap"]["dcs"]["postgresql"]["parameters"]["max_connections"]
        self.assertGreater(room, 3 * (readers + 1) + 10)


def dockerfile():
    """[(instruction, the rest)], lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


class Image(Case):
    def flags(self):
        program, *flags = json.loads(dict(dockerfile())["ENTRYPOINT"])
        self.assertEqual(program, "/usr/bin/ecsd")
        return flags

    def test_flags(self):
        self.assert_taken(self.flags())

    def test_what_asks_for_its_health_asks_where_it_answers(self):
        self.assertIn(f"http://{value_of(self.flags(), '--admin')}/readyz", dict(dockerfile())["HEALTHCHECK"])

    def test_it_is_built_of_what_is_here(self):
        words = [rest.split() for name, rest in dockerfile() if name in ("COPY", "RUN")]
        for word in {word for line in words for word in line if word.startswith(("/src/", "tools/"))}:
            self.assertTrue((ROOT / word.removeprefix("/src/")).exists(), word)
        self.assertEqual([rest.split()[0] for name, rest in dockerfile() if name == "FROM"], ["debian:12", "debian:12-slim"])

    def test_it_is_no_service_of_root(self):
        self.assertEqual(dict(dockerfile())["USER"], "ecsd")


@unittest.skipUnless(yaml, "Python has no yaml here (apt-get install python3-yaml)")
class Compose(Case):
    def setUp(self):
        self.services = load("compose.yaml")["services"]
        self.nodes = {name: service for name, service in self.services.items() if name.startswith("node-")}

    def test_three_nodes_that_share_what_they_should(self):
        self.assertEqual(len(self.nodes), 3)
        self.assertEqual({value_of(node["command"], "--node") for node in self.nodes.values()}, set(self.nodes))
        self.assertEqual(len({value_of(node["command"], "--store") for node in self.nodes.values()}), 1)
        for name, node in self.nodes.items():
            self.assertEqual(node["volumes"], [f"{name}:/data", "sim:/sim"])
            self.assertEqual(value_of(node["command"], "--hypervisor"), "sim:/sim")
        used = {volume.partition(":")[0] for service in self.services.values() for volume in service["volumes"]}
        self.assertEqual(set(load("compose.yaml")["volumes"]), used)

    @unittest.skipUnless(HAS_NODES, "this ecsd has no --node")
    def test_flags(self):
        for node in self.nodes.values():
            self.assert_taken(node["command"])

    def test_only_this_computer_reaches_it(self):
        ports = [port for service in self.services.values() for port in service.get("ports", [])]
        self.assertEqual(len(ports), 3)
        for port in ports:
            self.assertRegex(port, r"^127\.0\.0\.1:\d+:8088$")

    def test_it_starts_in_order(self):
        healthy = {"condition": "service_healthy"}
        self.assertEqual(self.nodes["node-1"]["depends_on"], {"postgres": healthy})
        self.assertEqual([self.nodes[name]["depends_on"] for name in ("node-2", "node-3")], [{"node-1": healthy}] * 2)
        for service in self.services.values():
            self.assertIn("test", service["healthcheck"])

    def test_the_database_is_one_that_ecsd_takes(self):
        database = self.services["postgres"]["environment"]
        self.assertIn("--encoding=UTF8 --locale=C", database["POSTGRES_INITDB_ARGS"])
        url = value_of(self.nodes["node-1"]["command"], "--store")
        self.assertTrue(url.startswith(f"postgresql://{database['POSTGRES_USER']}@postgres/{database['POSTGRES_DB']}?"), url)
        for node in self.nodes.values():
            self.assertEqual(node["environment"]["PGPASSWORD"], database["POSTGRES_PASSWORD"])

    def test_docker_reads_it(self):
        if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("there is no docker compose")
        done = subprocess.run(["docker", "compose", "-f", DEPLOY / "compose.yaml", "config", "--quiet"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
