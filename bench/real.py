#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what ecsd adds to the stop of a real machine, beside `virsh destroy` in the same run, and prints its method.

    bench/real.py [--presses 200] [--forces 100] [--graceful 20] [--build build]

Needs the guest image (tools/guest.sh build/guest) and a build (./run makes both).
"""

import argparse
import ctypes
import datetime
import json
import math
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHOD = """\
Method: ecsd with its embedded libvirt on this machine's {cores} cores; machines of 512 MiB under {accelerator}.
* accept to press: from the time that the engine wrote into the event Running → Stopping (its transaction began then: the
  flush is in the figure) to the time of QEMU's command system_powerdown in libvirt's own log, whose times are whole
  milliseconds: one is added to each. The guests ignore the button, and stop.on_timeout=revert makes them Running again, so
  that each stop meets a guest that is up.
* process end to Stopped: from the moment that QEMU's process handle (pidfd, in this program) becomes readable to the first
  reply of DescribeInstanceStatus, asked without a pause, that says Stopped. The reply's own time is in the figure.
* ForceStop: from sending the signed call until the process is gone, and until Stopped is read. `virsh destroy`: the same
  machine's XML under a second embedded libvirt, from writing the command to a running virsh until the process is gone, and
  until virsh has answered. The two take turns.
fdatasync of 4 KiB here: {fsync:.0f} µs (p50); load average at the start: {load:.1f}."""


def rows(name, values, unit="ms"):
    ordered = sorted(values)
    pick = lambda q: ordered[max(math.ceil(len(ordered) * q), 1) - 1]  # nearest rank
    print(f"{name:<52} n {len(ordered):>4}  p50 {pick(.5):>7.2f}  p99 {pick(.99):>7.2f}  max {ordered[-1]:>7.2f} {unit}", flush=True)
    return pick(.5), pick(.99)


def fdatasync_us():
    times = []
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        for _ in range(200):
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)[100]


class Bench:
    def __init__(self, settings, agent, env=None):
        self.ecs = machines.RealDaemon(settings=settings, env=env)
        self.region = machines.REGION
        if not agent:  # Running as soon as QEMU runs: what is measured needs no guest that is up
            (self.ecs.data / "images" / machines.IMAGE / "agent").unlink()

    def call(self, action, **params):
        reply = self.ecs.v3(action, {k.replace("__", "."): v for k, v in params.items()})
        assert reply.status == 200, reply
        return reply.json

    def launch(self, *commands):
        return self.call("RunInstances", RegionId=self.region, ImageId=machines.IMAGE, InstanceType=machines.SMALL,
                         UserData=machines.script(*commands))["InstanceIdSets"]["InstanceIdSet"][0]

    def status(self, instance_id):
        found = self.call("DescribeInstanceStatus", RegionId=self.region, InstanceId__1=instance_id)
        return found["InstanceStatuses"]["InstanceStatus"][0]["Status"]

    def await_status(self, instance_id, wanted, seconds=120, pause=0.01):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.status(instance_id) == wanted:
                return
            time.sleep(pause)
        raise AssertionError(f"{instance_id} is {self.status(instance_id)}, not {wanted}")


def bench_press(count):
    """Accept to press, over machines that take turns."""
    folder = tempfile.mkdtemp(prefix="ecsd-bench-")
    log = pathlib.Path(folder, "libvirt.log")
    bench = Bench({"stop.graceful_timeout_s": "1", "stop.press_interval_s": "1", "stop.on_timeout": "revert"}, agent=True,
                  env={"LIBVIRT_LOG_OUTPUTS": f"1:file:{log}", "LIBVIRT_LOG_FILTERS": "1:qemu.qemu_monitor"})
    try:
        ids = [bench.launch("guest ignore-button", "killall qemu-ga") for _ in range(4)]
        for i in ids:
            bench.ecs.await_console(i, "user data ended", seconds=120)
            bench.await_status(i, "Running")
        time.sleep(1)  # until libvirt knows that the agents have gone: the button is what is measured
        for _ in range(-(-count // len(ids))):
            for i in ids:
                bench.call("StopInstance", InstanceId=i)
                time.sleep(0.05)
            for i in ids:
                bench.await_status(i, "Running")
        accepted = []
        for i in ids:
            listed = json.loads(bench.ecs.ctl("event", "list", i, "--json", "limit=1000"))
            listed = listed if isinstance(listed, list) else listed["Events"]["Event"]
            accepted += [e["TimeUs"] for e in listed if e.get("FromState") == "Running" and e.get("ToState") == "Stopping"]
        text = log.read_text(errors="replace")
    finally:
        bench.ecs.close()
        subprocess.run(["rm", "-rf", folder], check=False)
    presses = sorted(stamp_us(m[1]) for m in re.finditer(r"^(\S+ \S+?): .*SEND_MSG.*system_powerdown", text, re.M))
    return [next(p for p in presses if p >= a - 1000) / 1000 - a / 1000 + 1 for a in sorted(map(time_us, accepted))]


def stamp_us(text):
    """libvirt's own form of a time: 2026-11-24 18:20:28.222+0000"""
    return round(datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f%z").timestamp() * 1e6)


def time_us(value):
    if isinstance(value, (int, float)):
        return int(value)
    return round(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1e6)


def gone(handle, began):
    assert select.select([handle], [], [], 60)[0], "it lives"
    return (time.perf_counter() - began) * 1e3


def adopt_orphans():
    """virsh leaves QEMU without a parent, and waits for seconds where nobody collects it; ecsd has its own for that."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


class Virsh:
    """One virsh that stays open, over a libvirt of its own, and a machine defined as ecsd defines its own."""

    def __init__(self, data, instance_id):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-virsh-"))
        xml = (data / "libvirt" / "etc" / "qemu" / f"{instance_id}.xml").read_text()
        xml = re.sub(r"<uuid>[^<]*</uuid>", "", xml).replace(str(data / "machines" / instance_id), str(self.root))
        disk = next((data / "disks").glob("*.qcow2"))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(self.root / "disk.qcow2"), "64M"], check=True)
        xml = xml.replace(str(disk), str(self.root / "disk.qcow2"))
        subprocess.run(["cp", str(data / "machines" / instance_id / "seed.iso"), str(self.root / "seed.iso")], check=True)
        (self.root / "etc").mkdir()
        subprocess.run(["cp", str(data / "libvirt" / "etc" / "qemu.conf"), str(self.root / "etc")], check=True)
        (self.root / "machine.xml").write_text(xml)
        self.name = instance_id
        self.process = subprocess.Popen(["stdbuf", "-oL", "virsh", "-q", "-c", f"qemu:///embed?root={self.root}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.command(f"define {self.root}/machine.xml")

    def write(self, words):
        """A command, and an echo that tells when it has been carried out."""
        self.process.stdin.write(f"{words}\necho done-done\n".encode())
        self.process.stdin.flush()

    def read(self):
        seen = b""
        while b"\ndone-done" not in seen:  # in the command itself a blank stands before it
            more = os.read(self.process.stdout.fileno(), 4096)
            if not more:
                raise AssertionError("virsh ended")
            seen += more

    def command(self, words):
        self.write(words)
        self.read()

    def destroy(self):
        self.command(f"start {self.name}")
        pid = int((self.root / "run" / "qemu" / f"{self.name}.pid").read_text())
        handle = os.pidfd_open(pid)
        time.sleep(0.3)
        began = time.perf_counter()
        self.write(f"destroy {self.name}")
        dead = gone(handle, began)
        os.waitid(os.P_PIDFD, handle, os.WEXITED)  # see adopt_orphans
        self.read()
        answered = (time.perf_counter() - began) * 1e3
        os.close(handle)
        return dead, answered

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        subprocess.run(["rm", "-rf", str(self.root)], check=False)


def bench_force(count):
    """(process gone, Stopped read, process end to Stopped) of ForceStop; (process gone, answered) of virsh destroy."""
    bench = Bench({}, agent=False)
    ours, theirs, virsh = [], [], None
    try:
        i = bench.launch()
        bench.await_status(i, "Running")
        virsh = Virsh(bench.ecs.data, i)
        for n in range(count):
            if n:
                bench.call("StartInstance", InstanceId=i)
                bench.await_status(i, "Running")
            handle = os.pidfd_open(bench.ecs.qemu(i))
            time.sleep(0.3)
            ours.append(stop_once(bench, i, handle, ForceStop=True))
            os.close(handle)
            theirs.append(virsh.destroy())
    finally:
        if virsh:
            virsh.close()
        bench.ecs.close()
    return ours, theirs


def stop_once(bench, instance_id, handle, **params):
    began = time.perf_counter()
    bench.call("StopInstance", InstanceId=instance_id, **params)
    dead = gone(handle, began)
    while bench.status(instance_id) != "Stopped":
        pass
    stopped = (time.perf_counter() - began) * 1e3
    return dead, stopped, stopped - dead


def bench_graceful(count):
    bench = Bench({}, agent=True)
    results = []
    try:
        i = bench.launch()
        bench.await_status(i, "Running")
        for n in range(count):
            if n:
                bench.call("StartInstance", InstanceId=i)
                bench.await_status(i, "Running")
            handle = os.pidfd_open(bench.ecs.qemu(i))
            results.append(stop_once(bench, i, handle))
            os.close(handle)
    finally:
        bench.ecs.close()
    return results


def verdict(name, value, bound):
    print(f"  {'holds' if value <= bound else 'DOES NOT HOLD'}: {name}: {value:.2f}, at most {bound}", flush=True)
    return value <= bound


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--forces", type=int, default=100)
    parser.add_argument("--graceful", type=int, default=20)
    parser.add_argument("--build", default=str(ROOT / "build"))
    options = parser.parse_args()
    os.environ["ECSD_BUILD"] = options.build
    os.environ.setdefault("ECSD_GUEST", str(ROOT / "build" / "guest"))
    global machines
    sys.path.insert(0, str(ROOT / "test" / "real"))
    import machines
    if machines.missing():
        sys.exit(machines.missing())
    kvm = os.access("/dev/kvm", os.W_OK) and re.search(r"^flags.* (vmx|svm)", open("/proc/cpuinfo").read(), re.M)
    print(METHOD.format(cores=os.cpu_count(), accelerator="KVM" if kvm else "TCG", fsync=fdatasync_us(), load=os.getloadavg()[0]))
    well = True
    adopt_orphans()
    press = rows("accept to power press", bench_press(options.presses))
    well &= verdict("accept to power press, p99 in ms", press[1], 5)
    graceful = bench_graceful(options.graceful)
    rows("graceful StopInstance: sent to Stopped read", [r[1] for r in graceful])
    ours, theirs = bench_force(options.forces)
    end = rows("process end to Stopped read (force and graceful)", [r[2] for r in ours + graceful])
    well &= verdict("process end to Stopped, p99 in ms", end[1], 20)
    rows("ForceStop: sent to process gone", [r[0] for r in ours])
    our_stop = rows("ForceStop: sent to Stopped read", [r[1] for r in ours])
    rows("virsh destroy: sent to process gone", [r[0] for r in theirs])
    their_stop = rows("virsh destroy: sent to answered", [r[1] for r in theirs])
    well &= verdict("ForceStop to gone / virsh destroy to gone, p50, each as its caller sees it", our_stop[0] / their_stop[0], 1.1)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
