# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon: every call that got its 200 stays true, every Stopping ends Stopped by its original deadline."""

import json
import random
import threading
import time
import uuid

from harness import REGION, EcsTest, now_text


class Crash(EcsTest):
    settings = {"sim.shutdown_s": "0.3", "stop.graceful_timeout_s": "8", "stop.press_interval_s": "1", "stop.kill_wait_s": "1"}

    def test_stop_survives_at_any_moment(self):
        chance = random.Random(1)
        for delay in (0, 0.002, 0.01, 0.05, 0.2, 0.32):
            ids = [self.running_instance() for _ in range(4)]
            for i in ids:
                self.call("StopInstance", InstanceId=i)
            time.sleep(delay * chance.uniform(0.8, 1.2))
            self.ecs.kill()
            self.ecs.start()
            for i in ids:
                self.assertIn(self.status_of(i), ("Stopping", "Stopped"))
            for i in ids:
                self.await_status(i, "Stopped")

    def test_calls_acknowledged_under_load_are_kept(self):
        for _ in range(3):
            ids = self.launch(40)
            acknowledged, stop = [], threading.Event()

            def client(share):
                for i in share:
                    try:
                        reply = self.ecs.v3("StopInstance", {"InstanceId": i})
                    except OSError:
                        return
                    if reply.status == 200:
                        acknowledged.append(i)
                    if stop.is_set():
                        return

            threads = [threading.Thread(target=client, args=(ids[n::4],)) for n in range(4)]
            for t in threads:
                t.start()
            while len(acknowledged) < 12:
                time.sleep(0.001)
            self.ecs.kill()
            stop.set()
            for t in threads:
                t.join()
            self.ecs.start()
            for i in acknowledged:
                self.assertIn(self.status_of(i), ("Stopping", "Stopped"))
            for i in acknowledged:
                self.await_status(i, "Stopped")

    def launch(self, count):
        body = self.call("RunInstances", RegionId=REGION, ImageId="debian_12_6_x64_20G_alibase_20240711.vhd", InstanceType="ecs.g6.large",
                         Amount=count)
        ids = body["InstanceIdSets"]["InstanceIdSet"]
        for i in ids:
            self.await_status(i, "Running")
        return ids

    def test_the_deadline_does_not_start_again(self):
        i = self.running_instance()
        self.ecs.ctl("sim", "guest", i, "ignore-power-button=on")
        self.call("StopInstance", InstanceId=i)
        start = time.monotonic()
        deadline = json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"][0]["Deadline"]
        for _ in range(3):
            time.sleep(1)
            self.ecs.kill()
            self.ecs.start()
            self.assertEqual(json.loads(self.ecs.ctl("job", "list", "--json"))["Jobs"]["Job"][0]["Deadline"], deadline)
        self.await_status(i, "Stopped", 20)
        self.assertLess(time.monotonic() - start, 13)

    def test_a_signed_mutation_cannot_be_replayed_after_a_crash(self):
        i = self.running_instance()
        call = {"nonce": uuid.uuid4().hex, "date": now_text()}
        self.assertEqual(self.ecs.v3("StopInstance", {"InstanceId": i}, **call).status, 200)
        self.await_status(i, "Stopped")
        self.ecs.kill()
        port = self.ecs.port
        self.ecs.start()
        self.call("StartInstance", InstanceId=i)
        self.await_status(i, "Running")
        # The same bytes; only the port in Host may differ, and a client that signed for it would be refused all the same.
        reply = self.ecs.v3("StopInstance", {"InstanceId": i}, **call)
        self.assertEqual((reply.status, reply.code), (400, "SignatureNonceUsed"), port)
        self.assertEqual(self.status_of(i), "Running")

    def test_guests_live_on_while_the_daemon_is_dead(self):
        i = self.running_instance()
        self.ecs.kill()
        self.ecs.start()
        self.assertEqual(self.status_of(i), "Running")
        self.call("StopInstance", InstanceId=i)
        self.ecs.kill()
        time.sleep(0.5)
        self.ecs.start()
        self.await_status(i, "Stopped")

    def test_orderly_restart(self):
        i = self.running_instance()
        self.ecs.restart()
        self.assertEqual(self.ecs.process.poll(), None)
        self.assertEqual(self.status_of(i), "Running")
