# SPDX-License-Identifier: Apache-2.0
"""Durable stops on SQLite and on PostgreSQL, interleaved in one run: part `postgres` of run.py."""

import concurrent.futures
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
import urllib.parse

import client

sys.path.insert(0, str(client.ROOT / "test/postgres"))
import server  # noqa: E402

IMAGE = "debian_12_6_x64_20G_alibase_20240711.vhd"
CONNECTIONS = 64
ROUNDS = 3
METHOD = """\
Method: {rounds} rounds; in each, every place stops {stops:,} instances over {connections} connections (two nodes: half of both at each) and {few}
over one, its nodes' other work is awaited, and the next place begins, another one first each time. All daemons, servers and the generator
share this machine's cores; SQLite and the servers write to the same disk, and flush (fsync=on). The standby is synchronous: COMMIT waits
until it has flushed. Rates are medians of the rounds, ratios to SQLite the median of those of one round."""
SHARE = 0.1  # of a core, for each node
SCALE_METHOD = """\
Then, as the cores of this machine are shared: one node against two, each of which may compute for {share:.0%} of a core (a control group), so
that the nodes are what is short, and neither the server nor the generator. {rounds} rounds of {stops:,} stops, one after the other, and
the other one first each time."""


class Place:
    """One way to keep the state, and the daemons that do it."""

    def __init__(self, name, url=None, nodes=1):
        self.name = name
        self.results, self.alone = [], []
        self.hosts = tempfile.mkdtemp(prefix="ecsd-bench-hosts-")
        self.daemons = []
        for n in range(nodes):
            store = ["--store", url, "--node", f"n{n + 1}", "--hypervisor", f"sim:{self.hosts}"] if url else []
            self.daemons.append(client.Daemon("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=0.05", *store,
                                              like=self.daemons[0] if self.daemons else None))

    def launch(self, count):
        start = time.monotonic()
        self.ids = self.daemons[0].launch(count, IMAGE)
        print(f"{self.name}: {count:,} instances launched in {time.monotonic() - start:.1f} s", flush=True)

    def take(self, count):
        ids, self.ids = self.ids[:count], self.ids[count:]
        return ids

    def stop(self, folder, count, connections):
        """Rate and latencies of `count` stops, the nodes together."""
        ids, share = self.take(count), len(self.daemons)
        files = [client.request_file(folder / f"stops-{n}", [daemon.sign("StopInstance", InstanceId=i) for i in ids[n::share]])
                 for n, daemon in enumerate(self.daemons)]
        with concurrent.futures.ThreadPoolExecutor(share) as pool:
            loads = [pool.submit(client.load, daemon.address, file, max(connections // share, 1), 120)
                     for daemon, file in zip(self.daemons, files)]
        results = [load.result() for load in loads]
        for result in results:
            if set(result["statuses"]) != {"200"} or result["broken"]:
                raise RuntimeError(f"{self.name}: {result}")
        if sum(result["requests"] for result in results) != count:
            raise RuntimeError(f"{self.name}: not all of {count} were sent: {results}")
        return {"per_second": count / max(result["seconds"] for result in results),
                **{key: max(result[key] for result in results) for key in ("p50_us", "p99_us", "max_us")}}

    def settle(self):
        """How long until no instance is Stopping: what was acknowledged has come true."""
        start = time.monotonic()
        while self.daemons[0].count("Stopping"):
            if time.monotonic() - start > 60:
                raise RuntimeError(f"{self.name}: still Stopping after 60 s")
            time.sleep(0.01)
        return time.monotonic() - start

    def close(self):
        for daemon in self.daemons:
            daemon.close()
        shutil.rmtree(self.hosts, ignore_errors=True)


def url_of(primary, schema):
    primary.sql(f"CREATE SCHEMA {schema}")
    return f"postgresql://ecsd@/postgres?host={urllib.parse.quote(str(primary.folder), '')}&options=-csearch_path%3D{schema}"


def open_places(add):
    """The server with a standby, and the places; `add` gets what closes each thing, as it comes."""
    def place(*words, **more):
        made = Place(*words, **more)
        add(made.close)
        return made

    alone = server.Server()
    add(alone.close)
    alone.start()
    primary, _ = server.pair(add)
    end = time.monotonic() + 30
    while not primary.is_followed():
        if time.monotonic() > end:
            raise RuntimeError("the standby does not follow")
        time.sleep(0.05)
    return primary, [place("SQLite"), place("PostgreSQL", url_of(alone, "alone")),
                     place("PostgreSQL, synchronous standby", url_of(primary, "one")),
                     place("two nodes, PostgreSQL, synchronous standby", url_of(primary, "two"), nodes=2)]


def measure(places, folder, stops, few):
    for number in range(ROUNDS):
        first = number % len(places)
        for place in places[first:] + places[:first]:
            result = place.stop(folder, stops, CONNECTIONS)
            took = place.settle()
            place.results.append(result)
            place.alone.append(place.stop(folder, few, 1))
            place.settle()
            print(f"  round {number + 1}  {place.name:<44}{result['per_second']:>9,.0f}/s  p50 {result['p50_us'] / 1e3:>7.2f} ms"
                  f"  p99 {result['p99_us'] / 1e3:>7.2f} ms  max {result['max_us'] / 1e3:>7.2f} ms"
                  f"  all Stopped {took:.2f} s after the last 200", flush=True)


def report(places):
    for place in places:
        rate = statistics.median(result["per_second"] for result in place.results)
        ratios = [ours["per_second"] / theirs["per_second"] for ours, theirs in zip(place.results, places[0].results)]
        alone = statistics.median(result["p50_us"] for result in place.alone)
        print(f"{place.name:<46}{rate:>9,.0f}/s  {statistics.median(ratios):.2f} × SQLite ({min(ratios):.2f} to {max(ratios):.2f})"
              f"  p99 {statistics.median(r['p99_us'] for r in place.results) / 1e3:.2f} ms;"
              f"  one connection: p50 {alone / 1e3:.2f} ms")


class Ration:
    """Processes that together compute for no more than a share of a core. OSError: no control group can be made here."""

    PERIOD_US = 10_000

    def __init__(self, name, share):
        root = pathlib.Path("/sys/fs/cgroup")
        unified = (root / "cgroup.controllers").exists()
        quota = int(share * self.PERIOD_US)
        limits = {"cpu.max": f"{quota} {self.PERIOD_US}"} if unified else {"cpu.cfs_period_us": self.PERIOD_US, "cpu.cfs_quota_us": quota}
        self.folder = (root if unified else root / "cpu") / name
        self.folder.mkdir()
        try:
            for file, limit in limits.items():
                (self.folder / file).write_text(str(limit))
        except OSError:
            self.close()
            raise

    def add(self, pid):
        (self.folder / "cgroup.procs").write_text(str(pid))

    def close(self):
        """After the last of them has ended."""
        self.folder.rmdir()


def ration_all(count, add):
    """So many, of which `add` gets what closes each."""
    made = []
    for number in range(count):
        made.append(Ration(f"ecsd-bench-{number}", SHARE))
        add(made[-1].close)
    return made


def scale(primary, folder, stops, add):
    """Whether a second node helps where nodes are short of time."""
    try:
        rations = ration_all(3, add)
    except OSError as error:
        print(f"one node against two: skipped, {error}")
        return
    places = []
    for nodes, schema in ((1, "scale_one"), (2, "scale_two")):
        places.append(Place(f"{nodes} of them", url_of(primary, schema), nodes=nodes))
        add(places[-1].close)
        places[-1].launch((ROUNDS + 1) * stops)
    for one, daemon in zip(rations, [daemon for place in places for daemon in place.daemons], strict=True):
        one.add(daemon.process.pid)
    print(SCALE_METHOD.format(rounds=ROUNDS, stops=stops, share=SHARE))
    rates = {place.name: [] for place in places}
    for number in range(ROUNDS + 1):
        for place in places if number % 2 else reversed(places):
            rates[place.name].append(place.stop(folder, stops, CONNECTIONS)["per_second"])
            place.settle()
    one, two = (rates[place.name][1:] for place in places)  # the first round warms up
    ratios = [b / a for a, b in zip(one, two)]
    print(f"one node {statistics.median(one):,.0f}/s, two nodes {statistics.median(two):,.0f}/s: {statistics.median(ratios):.2f} times"
          f" ({min(ratios):.2f} to {max(ratios):.2f})")


def bench(folder, stops):
    if not (server.BINARIES / "initdb").exists():
        print("postgres: skipped, PostgreSQL 15 is not installed (apt-get install postgresql-15)")
        return
    few = max(stops // 20, 2)
    few -= few % 2
    closers = []
    print(METHOD.format(rounds=ROUNDS, stops=stops, connections=CONNECTIONS, few=few))
    try:
        primary, places = open_places(closers.append)
        for place in places:
            place.launch(ROUNDS * (stops + few))
        print(f"load of the machine before: {pathlib.Path('/proc/loadavg').read_text().split()[0]}")
        measure(places, folder, stops, few)
        report(places)
        scale(primary, folder, max(stops // 4, 2), closers.append)
    finally:
        for close in reversed(closers):
            close()
