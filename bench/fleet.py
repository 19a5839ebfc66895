#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what hosts and instances cost as they become many, in one run, and prints its method.

    bench/fleet.py [--hosts 10,100,1000,10000] [--instances 100] [--running 10] [--stopping 5]

The largest of these sizes takes some minutes, 2 GiB of disk in /tmp and 1 GiB of memory. Ends with 1 when a cost that should be flat
isn't: when the largest size costs more than BOUND times the smallest, per host or per call. Ten thousand hosts are in no processor's
cache, and ten are: that is what the bound leaves room for.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import client

BOUND = 3
CALLS, AMOUNT = 7, 20  # instances that a zone of the smallest size has room for
IMAGE = "debian_12_6_x64_20G_alibase_20240711.vhd"
METHOD = """\
Method: for each size a store (SQLite) and simulated hosts are made anew, with {instances} instances a host: {running} Running,
{stopping} Stopping, whose jobs were left by a process that was killed, the others Stopped with their machine kept. Then one thread
calls what the engine calls, and its CPU time is read (the best of 3 where a round can be repeated). COMMIT, the network and other
threads are not in it. A placement is the choice of a host and its reservation, the mean of 100 that stay, one write each. Start-up
is from nothing in memory until all jobs are taken up. The rounds of several nodes are of one node that shares the store.
RunInstances: a daemon on the same folder, {calls} calls of {amount} instances, until these are Running; CPU time of the thread
that writes, COMMIT included. Figures are of this machine and this moment: compare the ratios."""

# What is printed: words, key, unit, what it is divided by, whether it is to be flat.
ROWS = [
    ("placement, zone given", "place_us", "µs a call", None, True),
    ("placement, any zone", "place_any_zone_us", "µs a call", None, True),
    ("placement, 1 vCPU left nearly everywhere", "place_no_processors_us", "µs a call", None, False),
    ("RunInstances, a daemon's writer", "launch_us", "µs an instance", None, True),
    ("reconcile", "reconcile_us", "µs a host", "hosts", True),
    ("are the hosts there (every 5 s)", "hosts_us", "µs a host", "hosts", True),
    ("metrics", "metrics_us", "µs a host", "hosts", True),
    ("several nodes: renewing the lease", "lease_us", "µs a host", "hosts", True),
    ("several nodes: taking all hosts", "take_us", "µs a host", "hosts", True),
    ("several nodes: taking up their jobs", "pick_up_us", "µs a job", "jobs", True),
    ("several nodes: giving half away", "give_us", "µs a host", "hosts", True),
    ("start-up, simulated hosts", "start_hosts_us", "µs an instance", "instances", True),
    ("start-up, store and engine", "start_engine_us", "µs an instance", "instances", True),
    ("resident memory", "resident_kib", "KiB a host", "hosts", True),
    ("resident memory", "resident_kib", "KiB an instance", "instances", True),
]


def writer_us(daemon):
    """CPU time of the thread that writes, to the nanosecond."""
    for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "writer":
            return int((task / "schedstat").read_text().split()[0]) / 1e3
    raise RuntimeError("the daemon has no writer")


def admin(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return reply.read().decode()


def await_idle(daemon, port):
    """Until all jobs have been taken up and are over: what was Stopping has ended, what was launched runs."""
    while True:
        try:
            admin(port, "/readyz")
            if re.search(r"^ecsd_jobs_active 0$", admin(port, "/metrics"), re.M):
                return writer_us(daemon)
        except urllib.error.URLError:
            pass  # not ready, or not there yet
        time.sleep(0.2)


def measure_launches(folder):
    """Of the writer, for each instance launched until it is Running."""
    port = client.free_port()
    daemon = client.Daemon("--set", "sim.boot_s=0", "--set", "engine.reconcile_s=86400", "--admin", f"127.0.0.1:{port}", data=folder)
    try:
        start = await_idle(daemon, port)
        for _ in range(CALLS):
            daemon.call("RunInstances", RegionId="cn-hangzhou", ZoneId="cn-hangzhou-h", ImageId=IMAGE,
                        InstanceType="ecs.t5-lc1m1.small", Amount=AMOUNT)
        return (await_idle(daemon, port) - start) / (CALLS * AMOUNT)
    finally:
        daemon.close()


def measure(hosts, options):
    with tempfile.TemporaryDirectory(prefix="ecsd-fleet-") as folder:
        start = time.monotonic()
        subprocess.run([client.BUILD / "fleet", "fill", folder, *map(str, (hosts, options.instances, options.running, options.stopping))],
                       check=True)
        filled = time.monotonic()
        done = subprocess.run([client.BUILD / "fleet", "measure", folder], stdout=subprocess.PIPE, check=True)
        result = json.loads(done.stdout)
        result["launch_us"] = measure_launches(folder)
    result |= {"hosts": hosts, "instances": hosts * options.instances, "jobs": max(hosts * options.stopping, 1),
               "resident_kib": result["resident_mib"] * 1024}
    print(f"{hosts:,} hosts, {hosts * options.instances:,} instances: made in {filled - start:.0f} s, measured in "
          f"{time.monotonic() - filled:.0f} s, {result['resident_mib']:.0f} MiB resident", flush=True)
    return result


def print_table(results):
    """How many of the rows that should be flat are not."""
    steep = 0
    print(f"\n{'':<42}{'':<16}" + "".join(f"{result['hosts']:>10,}" for result in results) + "   largest / smallest")
    for words, key, unit, by, flat in ROWS:
        values = [result[key] / (result[by] if by else 1) for result in results]
        ratio = values[-1] / values[0]
        steep += flat and ratio > BOUND
        verdict = "" if not flat else "  flat" if ratio <= BOUND else "  NOT FLAT"
        print(f"{words:<42}{unit:<16}" + "".join(f"{value:>10.2f}" for value in values) + f"{ratio:>10.2f}{verdict}")
    return steep


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=lambda text: sorted(int(n) for n in text.split(",")), default=[10, 100, 1000, 10000])
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--running", type=int, default=10)
    parser.add_argument("--stopping", type=int, default=5)
    options = parser.parse_args()

    if not (client.BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(client.BUILD), str(client.ROOT), "--buildtype=release", "-Db_lto=true"],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(client.BUILD), "--quiet", "fleet", "ecsd"], check=True)
    print(METHOD.format(**vars(options), calls=CALLS, amount=AMOUNT), flush=True)
    return 1 if print_table([measure(hosts, options) for hosts in options.hosts]) else 0


if __name__ == "__main__":
    sys.exit(main())
