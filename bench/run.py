#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures ecsd beside nginx `return 200`, in one run, and prints its method.

    bench/run.py [--instances 60000] [--seconds 5] [--pages 1000,100000,1000000]
                 [--only start,stop,postgres,cycles,status,thousand,recovery,memory,pages,moto]
"""

import argparse
import http.client
import json
import pathlib
import signal
import subprocess
import tempfile
import time

import client
import postgres

IMAGE = "debian_12_6_x64_20G_alibase_20240711.vhd"
METHOD = """\
Method: ecsd (release build), nginx and the load generator share this machine's {cores} cores. The generator is one thread
with N keep-alive connections, one request in flight on each; every request is signed beforehand (ACS3-HMAC-SHA256) and
sent once. A stop is counted when its 200 has arrived, that is after COMMIT and fdatasync; afterwards every stopped
instance must be found Stopped. nginx answers `return 200` to the same bytes. Rates are of this machine and this moment:
compare the ratios. fdatasync of 4 KiB here: {fsync:.0f} µs (p50)."""


def row(name, result, ratio=None, cpu=None, extra=""):
    print(f"{name:<62}{result['per_second']:>9,.0f}/s  p50 {result['p50_us'] / 1e3:>7.2f} ms  p99 {result['p99_us'] / 1e3:>7.2f} ms"
          f"  p99.9 {result['p999_us'] / 1e3:>7.2f} ms  max {result['max_us'] / 1e3:>7.2f} ms"
          + (f"  {ratio:.2f} × nginx" if ratio is not None else "") + (f"  {cpu:.0f} µs CPU" if cpu is not None else "")
          + f"  {result['statuses']}{extra}", flush=True)


def nginx_ceiling(folder, seconds, connections=64):
    nginx = client.Nginx(client.free_port())
    try:
        request = client.signed(nginx.address, "key", "secret", "StopInstance", {"InstanceId": "i-" + "a" * 20})
        path = client.request_file(folder / "nginx", [request])
        return client.load(nginx.address, path, connections, seconds, repeat=True)
    finally:
        nginx.close()


def measured(daemon, path, connections, seconds, repeat=False, close=False):
    before = daemon.cpu_us()
    result = client.load(daemon.address, path, connections, seconds, repeat, close)
    return result, (daemon.cpu_us() - before) / max(result["requests"], 1)


def await_none(daemon, status, seconds=120):
    """How long until no instance has that status."""
    start = time.monotonic()
    while daemon.count(status):
        if time.monotonic() - start > seconds:
            raise RuntimeError(f"{daemon.count(status)} instances still {status} after {seconds} s")
        time.sleep(0.01)
    return time.monotonic() - start


def bench_stop(folder, options):
    """Durable signed stops; each instance is stopped once."""
    ceiling = nginx_ceiling(folder, options.seconds)
    row("nginx return 200, 64 connections", ceiling)
    daemon = client.Daemon("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=0.05")
    try:
        ids = daemon.launch(options.instances, IMAGE)
        stops = [daemon.sign("StopInstance", InstanceId=i) for i in ids]
        few = min(len(ids) // 20, 2000)
        parts = [("1 connection", 1, stops[:few], False), ("new connection per call, 64 at a time", 64, stops[few:2 * few], True),
                 ("256 connections", 256, stops[2 * few:8 * few], False), ("64 connections", 64, stops[8 * few:], False)]
        for name, connections, calls, close in parts:
            result, cpu = measured(daemon, client.request_file(folder / "stops", calls), connections, 600, close=close)
            row(f"StopInstance, durable, {name}", result, result["per_second"] / ceiling["per_second"], cpu)
            took = await_none(daemon, "Stopping")
        print(f"{'':<62}all of them Stopped {took:.2f} s after the last 200; still Running: {daemon.count('Running')}")
    finally:
        daemon.close()


def bench_postgres(folder, options):
    """Durable stops on PostgreSQL, alone, with a standby, of two nodes; and on SQLite beside them."""
    postgres.bench(folder, options.instances // 30)


def bench_cycles(folder, options):
    """Whole lives: StopInstance until Stopped, StartInstance until Running, all transitions durable."""
    daemon = client.Daemon("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=0")
    try:
        ids = daemon.launch(max(options.instances // 4, 100), IMAGE)
        calls = {name: [daemon.sign(name, InstanceId=i) for i in ids] for name in ("StopInstance", "StartInstance")}
        start, cpu = time.monotonic(), daemon.cpu_us()
        for name, status in (("StopInstance", "Stopping"), ("StartInstance", "Starting")):
            client.load(daemon.address, client.request_file(folder / "cycle", calls[name]), 64, 600)
            await_none(daemon, status)
        took = time.monotonic() - start
        print(f"{'stop and start cycles, each transition durable, 64 connections':<62}{len(ids) / took:>9,.0f}/s  "
              f"{(daemon.cpu_us() - cpu) / len(ids):.0f} µs CPU each; Running again: {daemon.count('Running'):,} of {len(ids):,}")
    finally:
        daemon.close()


def bench_thousand(folder, options):
    """Graceful stops of 1,000 guests at once that take 5 s to shut down."""
    daemon = client.Daemon("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=5")
    try:
        ids = daemon.launch(1000, IMAGE)
        calls = [daemon.sign("StopInstance", InstanceId=i) for i in ids]
        start = time.monotonic()
        client.load(daemon.address, client.request_file(folder / "thousand", calls), 64, 60)
        accepted = time.monotonic() - start
        await_none(daemon, "Stopping")
        print(f"1,000 graceful stops at once, guests take 5 s: all accepted after {accepted:.2f} s, all Stopped after "
              f"{time.monotonic() - start:.2f} s; stuck: {daemon.count('Stopping') + daemon.count('Running')}")
    finally:
        daemon.close()


def bench_recovery(folder, options):
    """kill -9 with stops in flight: how long until all of them are carried on."""
    port = client.free_port()
    admin = ("--admin", f"127.0.0.1:{port}")
    sets = ("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=600", "--set", "stop.graceful_timeout_s=900")
    count = min(10000, options.instances)
    data = tempfile.mkdtemp(prefix="ecsd-recovery-")
    try:
        daemon = client.Daemon(*sets, *admin, data=data)
        calls = [daemon.sign("StopInstance", InstanceId=i) for i in daemon.launch(count, IMAGE)]
        client.load(daemon.address, client.request_file(folder / "recovery", calls), 64, 600)
        daemon.close(signal.SIGKILL)
        daemon = client.Daemon(*sets, *admin, data=data)
        while not is_ready(port):
            time.sleep(0.001)
        took = time.perf_counter() - daemon.started
        print(f"kill -9 with {count:,} stops in flight: answers {daemon.ready_ms:.0f} ms after exec, all taken up again after "
              f"{took * 1e3:.0f} ms; Stopping: {daemon.count('Stopping'):,}")
        daemon.close()
    finally:
        subprocess.run(["rm", "-rf", data], check=True)


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


def bench_memory(folder, options):
    """Resident memory for each running instance, simulated machine included."""
    daemon = client.Daemon("--set", "sim.boot_s=0")
    try:
        daemon.launch(1000, IMAGE)
        before, count = daemon.rss_mib(), max(options.instances // 2, 1000)
        daemon.launch(count, IMAGE)
        each = (daemon.rss_mib() - before) * 1024 / count
        print(f"memory: {before:.1f} MiB resident with 1,000 running instances, {each:.2f} KiB for each of {count:,} more")
    finally:
        daemon.close()


def bench_moto(folder, options):
    """The moto server's EC2 StopInstances on the same cores: unsigned, nothing durable, no machines."""
    venv = client.BUILD / "moto"
    if not (venv / "bin/moto_server").exists():
        subprocess.run(["python3", "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r",
                        str(client.ROOT / "bench/requirements.lock")], check=True)
    moto = client.Moto(venv)
    try:
        calls = [moto.request("StopInstances", **{"InstanceId.1": i}) for i in moto.launch(200)]
        for connections in (1, 64):
            result = client.load(moto.address, client.request_file(folder / "moto", calls), connections, options.seconds, repeat=True,
                                 close=True)  # its server closes each connection
            row(f"moto EC2 StopInstances, nothing durable, new connections, {connections}", result)
    finally:
        moto.close()


def bench_status(folder, options):
    ceiling = nginx_ceiling(folder, options.seconds)
    row("nginx return 200, 64 connections", ceiling)
    daemon = client.Daemon("--set", "sim.boot_s=0")
    try:
        ids = daemon.launch(1000, IMAGE)
        calls = [daemon.sign("DescribeInstanceStatus", **{"RegionId": "cn-hangzhou", "InstanceId.1": ids[n % len(ids)]})
                 for n in range(int(options.seconds * 50000))]
        result, cpu = measured(daemon, client.request_file(folder / "status", calls), 64, options.seconds)
        row("DescribeInstanceStatus by id, 64 connections", result, result["per_second"] / ceiling["per_second"], cpu)
    finally:
        daemon.close()


def bench_pages(folder, options):
    """DescribeInstances pages of 100 at several sizes; rows are put into the store directly."""
    for count in options.pages:
        data = tempfile.mkdtemp(prefix="ecsd-pages-")
        client.Daemon(data=data).close()
        start = time.monotonic()
        subprocess.run([str(client.BUILD / "seed"), "--data", data, "--instances", str(count)], check=True)
        took = time.monotonic() - start
        daemon = client.Daemon("--set", "engine.reconcile_s=86400", data=data)
        print(f"{count:,} instances (put there in {took:.0f} s); ready in {daemon.ready_ms:.0f} ms, {daemon.rss_mib():.1f} MiB resident")
        for name, params in page_calls(daemon):
            calls = [daemon.sign("DescribeInstances", **params) for _ in range(400)]
            result = client.load(daemon.address, client.request_file(folder / "page", calls), 1, 20)
            row(f"  page of 100: {name}", result)
        daemon.close()
        subprocess.run(["rm", "-rf", data], check=True)


def page_calls(daemon):
    base = {"RegionId": "cn-hangzhou", "PageSize": 100}
    page = daemon.call("DescribeInstances", RegionId="cn-hangzhou", MaxResults=100)
    sample = page["Instances"]["Instance"][50]
    yield "first", base
    yield "after NextToken", {"RegionId": "cn-hangzhou", "MaxResults": 100, "NextToken": page["NextToken"]}
    yield "Status=Stopped", {**base, "Status": "Stopped"}
    for name, value in (("VSwitchId", sample["VpcAttributes"]["VSwitchId"]), ("InstanceType", sample["InstanceType"])):
        params = {"RegionId": "cn-hangzhou", "MaxResults": 100, name: value}
        first = daemon.call("DescribeInstances", **params)
        yield f"{name}, first, by key", params
        yield f"{name}, after NextToken", {**params, "NextToken": first["NextToken"]}
        yield f"{name}, numbered, with its TotalCount", {**base, name: value}
    yield "one by id", {"RegionId": "cn-hangzhou", "InstanceIds": f'["{sample["InstanceId"]}"]'}


def bench_start(folder, options):
    """exec to the first answer on an empty folder, and the idle daemon's memory."""
    done = subprocess.run([str(client.BUILD / "start"), "--rounds", "50", "--", str(client.BUILD / "ecsd")],
                          stdout=subprocess.PIPE, check=True)
    times = json.loads(done.stdout)
    daemon = client.Daemon()
    daemon.call("DescribeRegions")
    time.sleep(1)
    print(f"exec to first answer, empty folder, {times['rounds']} times: min {times['min_ms']} ms, p50 {times['p50_ms']} ms,"
          f" max {times['max_ms']} ms; idle: {daemon.rss_mib():.1f} MiB resident")
    daemon.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=60000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--pages", type=lambda text: [int(n) for n in text.split(",")], default=[1000, 100000, 1000000])
    parser.add_argument("--only", type=lambda text: text.split(","), 
                        default=["start", "stop", "postgres", "cycles", "status", "thousand", "recovery", "memory", "pages", "moto"])
    options = parser.parse_args()

    subprocess.run([client.ROOT / "tools/setup.sh", "bench"], check=True)
    if not (client.BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(client.BUILD), str(client.ROOT), "--buildtype=release", "-Db_lto=true"],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(client.BUILD), "--quiet", "ecsd", "load", "seed", "start"], check=True)
    with tempfile.TemporaryDirectory(prefix="ecsd-bench-") as name:
        folder = pathlib.Path(name)
        print(METHOD.format(cores=len(__import__("os").sched_getaffinity(0)), fsync=client.fdatasync_p50_us(folder)))
        for part in options.only:
            globals()[f"bench_{part}"](folder, options)


if __name__ == "__main__":
    main()
