# SPDX-License-Identifier: Apache-2.0
"""A daemon, many clients (load.c), and what an operator or bad luck does meanwhile; out comes one history to be judged."""

import itertools
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from harness import BUILD, IMAGE, REGION, SLOW, Daemon  # noqa: E402

from linear import ACCEPTED, REFUSED, UNKNOWN, Event, violation  # noqa: E402

KINDS = {"StartInstance": "Start", "StopInstance": "Stop", "RebootInstance": "Reboot",
         "StartInstances": "Start", "StopInstances": "Stop", "RebootInstances": "Reboot"}
HOST_ID = "host-1"
SETTINGS = {"sim.boot_s": "0.01", "sim.shutdown_s": "0.01", "engine.reconcile_s": "1", "stop.graceful_timeout_s": "1",
            "stop.press_interval_s": "1", "stop.kill_wait_s": "1", "reboot.timeout_s": "1", "engine.retry_max_s": "1",
            "http.threads": "4"}

# What guests and their host are made to do while clients call, each with what makes it well again.
GUEST, HOST = "guest", "host"
KNOBS = ((GUEST, "poweroff", None), (HOST, "late-events=100", "late-events=0"), (GUEST, "crash", None), (HOST, "down", "up"),
         (GUEST, "shutdown=0.2", "shutdown=0.01"), (GUEST, "hang=on", "hang=off"), (GUEST, "boot=0.2", "boot=0.01"),
         (HOST, "crash", "up"), (GUEST, "ignore-power-button=on", "ignore-power-button=off"), (GUEST, "pause", "resume"),
         (HOST, "drop-events=0.5", "drop-events=0"), (GUEST, "reboot", None), (HOST, "delay=20", "delay=0"),
         (HOST, "duplicate-events=0.5", "duplicate-events=0"))


class Unexpected(AssertionError):
    """A reply that no call of the load may get."""


def shown(line):
    body = line["reply"]
    rows = body["Instances"]["Instance"] if "Instances" in body else body["InstanceStatuses"]["InstanceStatus"]
    parts = {row["InstanceId"]: row["Status"] for row in rows}
    if set(parts) != set(line["ids"]):
        raise Unexpected(line)
    return Event("Show", line["began"], line["ended"], parts)


def verdict(code, line):
    if code == "200":
        return ACCEPTED
    if code != "IncorrectInstanceStatus":
        raise Unexpected(line)
    return REFUSED


def order(line, deaths):
    kind, ended, note = KINDS[line["call"]], line["ended"], line["optimization"]
    status, body = line["status"], line["reply"]
    event = Event(kind, line["began"], ended, {i: UNKNOWN for i in line["ids"]}, UNKNOWN, note)
    if status == 0:
        # Whoever had the call is dead by then at the latest.
        event.ended = next((death for death in deaths if death >= ended), None) or next(d for d in deaths if d >= line["began"])
    elif status == 200 and "InstanceResponses" in body:
        event.outcome = ACCEPTED
        event.parts = {row["InstanceId"]: verdict(row["Code"], line) for row in body["InstanceResponses"]["InstanceResponse"]}
    elif status < 500:
        event.outcome = verdict("200" if status == 200 else body["Code"], line)
        if event.outcome == ACCEPTED or len(line["ids"]) == 1:
            event.parts = {i: event.outcome for i in line["ids"]}
            event.outcome = ACCEPTED
    elif body["Code"] != "ServiceUnavailable" or not deaths:
        raise Unexpected(line)
    return event


def event_of(line, deaths):
    """None: it tells nothing."""
    if line["call"] in KINDS:
        return order(line, deaths)
    if line["status"] == 200:
        return shown(line)
    if line["status"] == 0 and deaths or line["status"] == 503 and deaths:
        return None
    raise Unexpected(line)


class Race:
    """Running instances in pairs, clients that call them, and a driver that is asked to do things meanwhile."""

    def __init__(self, seed, pairs=8, settings=None):
        self.chance, self.seed = random.Random(seed), seed
        self.ecs = Daemon("--admin", "127.0.0.1:0", settings={**SETTINGS, **(settings or {})})
        self.deaths, self.ends, self.final = [], [], []
        self.knobs = itertools.cycle(KNOBS)
        try:
            self.ids = self.launch(2 * pairs)
        except BaseException:
            self.close()
            raise

    def call(self, action, **params):
        reply = self.ecs.v3(action, {"RegionId": REGION, **params})
        assert reply.status == 200, reply
        return reply.json

    def states(self):
        numbered = {f"InstanceId.{n + 1}": i for n, i in enumerate(self.ids)}
        rows = self.call("DescribeInstanceStatus", PageSize=50, **numbered)["InstanceStatuses"]["InstanceStatus"]
        return {row["InstanceId"]: row["Status"] for row in rows}

    def await_states(self, *wanted):
        end = time.monotonic() + 60 * SLOW
        while not set(self.states().values()) <= set(wanted):
            assert time.monotonic() < end, (self.states(), self.ecs.log_text()[-2000:])
            time.sleep(0.01)

    def launch(self, count):
        made = self.call("RunInstances", ImageId=IMAGE, InstanceType="ecs.g6.large", ZoneId="cn-hangzhou-h", Amount=count)
        self.ids = made["InstanceIdSets"]["InstanceIdSet"]
        self.await_states("Running")
        return self.ids

    # ── while the clients call ──

    def knob(self, kind, name, word, ids_that_end=()):
        """ecsctl sim …; what may end guests is noted as a call of its own."""
        began = time.monotonic_ns()
        done = subprocess.run([str(BUILD / "ecsctl"), "--data", str(self.ecs.data), "sim", kind, name, word], capture_output=True,
                              text=True, timeout=60 * SLOW)
        ended = time.monotonic_ns()
        for i in ids_that_end:
            if done.returncode == 0:
                self.ends.append(Event("End", began, ended, {i: ACCEPTED}, note=word))
            elif done.returncode == 3:  # nobody answered: it may have been done
                self.ends.append(Event("End", began, ended, {i: UNKNOWN}, UNKNOWN, note=word))
        assert done.returncode in (0, 1, 3), done.stderr

    def disturb(self):
        """The next of the things that happen to a guest or to the host; over after a moment."""
        kind, word, back = next(self.knobs)
        name = HOST_ID if kind == HOST else self.chance.choice(self.ids)
        ends = {"poweroff": [name], "crash": self.ids if kind == HOST else [name]}.get(word, ())
        self.knob(kind, name, word, ends)
        self.rest(0.05)
        if back:
            self.knob(kind, name, back)

    def rest(self, seconds):
        """For a while, or until the clients have ended."""
        try:
            self.clients.wait(self.chance.uniform(0, 2 * seconds))
        except subprocess.TimeoutExpired:
            pass

    def restart(self, how):
        ended = self.ecs.stop(how)
        assert ended == (0 if how == signal.SIGTERM else -how), f"ecsd ended with {ended}: {self.ecs.log_text()[-20000:]}"
        self.deaths.append(time.monotonic_ns())
        self.ecs.start()

    def assert_alive(self):
        ended = self.ecs.process.poll()
        assert ended is None, f"ecsd ended with {ended}: {self.ecs.log_text()[-20000:]}"

    def run(self, seconds, clients=32, meanwhile=lambda race: race.rest(0.1)):
        """Clients call for `seconds`; `meanwhile` is done over and over."""
        with open(self.ecs.data / "history", "wb") as out:
            self.clients = subprocess.Popen(
                [str(BUILD / "race_load"), "--data", str(self.ecs.data), "--key", self.ecs.key_id, "--secret", self.ecs.secret,
                 "--clients", str(clients), "--seed", str(self.seed), "--seconds", str(seconds), *self.ids], stdout=out,
                stderr=self.ecs.log)
            try:
                while self.clients.poll() is None:
                    self.assert_alive()
                    meanwhile(self)
                self.assert_alive()
            finally:
                self.clients.kill()
                self.clients.wait()
        assert self.clients.returncode == 0, f"the clients ended with {self.clients.returncode}: {self.ecs.log_text()[-3000:]}"

    def heal(self):
        """All is well again, and nothing hangs."""
        for word in ("up", "delay=0", "drop-events=0", "late-events=0", "duplicate-events=0"):
            self.knob(HOST, HOST_ID, word)
        for i in self.ids:
            self.knob(GUEST, i, "hang=off")
        self.await_states("Running", "Stopped")
        began, states = time.monotonic_ns(), self.states()
        self.final = [Event("Show", began, time.monotonic_ns(), states, note="at the end")]

    # ── afterwards ──

    def history(self):
        with open(self.ecs.data / "history", encoding="utf-8") as lines:
            events = [event_of(json.loads(line), self.deaths) for line in lines]
        return [e for e in events if e is not None] + self.ends + self.final

    def violations(self, history):
        """Each pair of instances together: what a batch or a list says of both has to fit, too."""
        for n in range(0, len(self.ids), 2):
            found = violation(history, self.ids[n:n + 2], ["Running", "Running"])
            if found:
                yield found

    def close(self):
        """Whatever else has failed: a report of ThreadSanitizer is shown whole."""
        try:
            self.ecs.stop()
            _, title, report = self.ecs.log_text().partition("WARNING: ThreadSanitizer")
        finally:
            self.ecs.close()
        assert not title, title + report[:20000]


SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
