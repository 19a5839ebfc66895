#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures ecsd beside nginx `return 200`, in one run, and prints its method.

    bench/run.py [--instances 60000] [--seconds 5] [--pages 1000,100000,1000000] [--only stop,status,pages,start]
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import client

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


def bench_stop(folder, options):
    """Durable signed stops; each instance is stopped once."""
    ceiling = nginx_ceiling(folder, options.seconds)
    row("nginx return 200, 64 connections", ceiling)
    daemon = client.Daemon("--set", "sim.boot_s=0", "--set", "sim.shutdown_s=0.05")
    try:
        ids = daemon.launch(options.instances, IMAGE)
        first = min(len(ids) // 20, 2000)
        stops = [daemon.sign("StopInstance", InstanceId=i) for i in ids]
        result, cpu = measured(daemon, client.request_file(folder / "one", stops[:first]), 1, options.seconds)
        row("StopInstance, durable, 1 connection", result, cpu=cpu)
        result, cpu = measured(daemon, client.request_file(folder / "many", stops[first:]), 64, 600)
        row("StopInstance, durable, 64 connections", result, result["per_second"] / ceiling["per_second"], cpu)
        start = time.monotonic()
        while daemon.count("Stopping"):
            if time.monotonic() - start > 120:
                raise RuntimeError(f"{daemon.count('Stopping')} instances still Stopping after 120 s")
            time.sleep(0.05)
        print(f"{'':<62}all of them Stopped {time.monotonic() - start:.2f} s after the last 200; still Running: {daemon.count('Running')}")
    finally:
        daemon.close()


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
    parser.add_argument("--only", type=lambda text: text.split(","), default=["start", "stop", "status", "pages"])
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
