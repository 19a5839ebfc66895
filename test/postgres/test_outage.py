# SPDX-License-Identifier: Apache-2.0
"""A database server that is killed, and one whose answers are lost: nothing acknowledged is lost, and no outcome is guessed."""

import os
import pathlib
import socket
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "api"))
import harness  # noqa: E402
from harness import SLOW, Daemon, EcsTest, until  # noqa: E402
from server import Server, pair  # noqa: E402


class Proxy:
    """Between ecsd and the server. `cut` says when the next COMMIT of a writing transaction ends the connection."""

    def __init__(self, target, folder):
        self.target, self.path = target, folder / ".s.PGSQL.5432"
        self.cut = None  # "before" it is sent on, "after": its answer is not
        self.cuts = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return  # closed
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.target))
            except OSError:
                client.close()
                continue
            lost = threading.Event()
            threading.Thread(target=self.carry, args=(client, server, lost, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, lost, False), daemon=True).start()

    def carry(self, source, sink, lost, from_client):
        try:
            while data := source.recv(65536):
                if from_client and self.cut and b"; COMMIT" in data:
                    how, self.cut = self.cut, None
                    self.cuts += 1
                    lost.set()
                    if how == "before":
                        break
                elif not from_client and lost.is_set():
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the other direction
            except OSError:
                pass
        source.close()  # each direction closes its own

    def close(self):
        self.listener.close()
        self.path.unlink()


class Served(EcsTest):
    """Beside a server of its own, which daemons of the harness then use."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()
        os.environ["ECSD_POSTGRES"] = cls.server.url
        cls.addClassCleanup(os.environ.pop, "ECSD_POSTGRES")

    @classmethod
    def tearDownClass(cls):
        cls.ecs.close()


class Outage(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ecs = Daemon("--set", "sim.shutdown_s=0.2")

    def test_the_server_is_killed_under_load(self):
        ids = [self.running_instance() for _ in range(12)]
        acknowledged, refused = set(), set()

        def stop(instance_id):
            reply = self.ecs.v3("StopInstance", {"InstanceId": instance_id})
            (acknowledged if reply.status == 200 else refused).add(instance_id)

        threads = [threading.Thread(target=stop, args=(i,)) for i in ids[:6]]
        for thread in threads:
            thread.start()
        self.server.stop("immediate")  # as by kill -9: no flush, no farewell
        threads += [threading.Thread(target=stop, args=(i,)) for i in ids[6:]]
        for thread in threads[6:]:
            thread.start()
        time.sleep(1)  # an outage
        self.server.start()
        for thread in threads:
            thread.join(60 * SLOW)
        self.assertEqual(acknowledged | refused, set(ids))
        until(self, lambda: self.ecs.v3("DescribeRegions", {}).status == 200, 30)
        for i in acknowledged:
            self.await_status(i, "Stopped", seconds=30)
        for i in refused:
            self.assertIn(self.status_of(i), ("Running", "Stopping", "Stopped"))
            self.assertEqual(self.ecs.v3("StopInstance", {"InstanceId": i}).status in (200, 403), True)
            self.await_status(i, "Stopped", seconds=30)


class LostAnswers(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.server.folder / "proxy"
        folder.mkdir()
        cls.proxy = Proxy(cls.server.folder / ".s.PGSQL.5432", folder)
        cls.addClassCleanup(cls.proxy.close)
        schema = harness.Schema(pathlib.Path("/lost_answers"))
        url = schema.url.replace(urllib.parse.quote(str(cls.server.folder), ""), urllib.parse.quote(str(folder), ""))
        os.environ.pop("ECSD_POSTGRES")
        cls.ecs = Daemon("--store", url, settings={"sim.shutdown_s": "0.05"})
        os.environ["ECSD_POSTGRES"] = cls.server.url

    def stop_with(self, cut):
        i = self.running_instance()
        cuts, log = self.proxy.cuts, len(self.ecs.log_text())
        self.proxy.cut = cut
        reply = self.ecs.v3("StopInstance", {"InstanceId": i})
        self.assertEqual(self.proxy.cuts, cuts + 1)
        return i, reply, self.ecs.log_text()[log:]

    def test_it_had_committed(self):
        i, reply, log = self.stop_with("after")
        self.assertEqual(reply.status, 200, reply.body)
        self.assertIn("outcome=committed", log)
        self.await_status(i, "Stopped", seconds=20)

    def test_it_had_not(self):
        i, reply, log = self.stop_with("before")
        self.assertEqual(reply.status, 503, reply.body)
        self.assertIn('outcome="rolled back"', log)
        self.assertEqual(self.status_of(i), "Running")
        self.assertEqual(self.ecs.v3("StopInstance", {"InstanceId": i}).status, 200)
        self.await_status(i, "Stopped", seconds=20)

    def test_another_daemon_is_refused(self):
        url = self.ecs.options[self.ecs.options.index("--store") + 1]
        os.environ.pop("ECSD_POSTGRES")
        try:
            with self.assertRaises(RuntimeError) as refused:
                Daemon("--store", url)
        finally:
            os.environ["ECSD_POSTGRES"] = self.server.url
        self.assertIn("in use by another ecsd", str(refused.exception))


class Standby(EcsTest):
    """A primary and one that follows it at each commit: two hosts in one URL."""

    @classmethod
    def setUpClass(cls):
        cls.primary, cls.standby = pair(cls.addClassCleanup)
        until(cls(), cls.primary.is_followed, 30)
        hosts = urllib.parse.quote(f"{cls.primary.folder},{cls.standby.folder}", "")
        cls.ecs = Daemon("--store", f"postgresql://ecsd@/postgres?host={hosts}", settings={"sim.shutdown_s": "0.2"})

    @classmethod
    def tearDownClass(cls):
        cls.ecs.close()

    def test_the_primary_is_lost_under_load(self):
        ids = [self.running_instance() for _ in range(12)]
        acknowledged, lost = set(), threading.Event()

        def stop(instance_id):
            while self.ecs.v3("StopInstance", {"InstanceId": instance_id}).status == 503:  # as its SDK would, it tries again
                lost.wait(0.2)
            acknowledged.add(instance_id)

        threads = [threading.Thread(target=stop, args=(i,)) for i in ids]
        for thread in threads[:6]:
            thread.start()
        self.primary.stop("immediate")
        before = set(acknowledged)
        for thread in threads[6:]:
            thread.start()
        self.standby.promote()
        for thread in threads:
            thread.join(60 * SLOW)
        self.assertEqual(acknowledged, set(ids), "who kept trying got through")
        self.assertEqual(self.standby.sql("SELECT pg_is_in_recovery()"), "f")
        for i in before:
            self.assertIn(self.status_of(i), ("Stopping", "Stopped"), "acknowledged by the one that was lost")
        for i in ids:
            self.await_status(i, "Stopped", seconds=30)


if __name__ == "__main__":
    unittest.main()
