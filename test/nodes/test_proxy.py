# SPDX-License-Identifier: Apache-2.0
"""The proxy is tried alone: between a client and a server that sends back what it gets."""

import pathlib
import select
import socket
import tempfile
import threading
import unittest

from proxy import Proxy

PATIENCE_S = 10


class Echo:
    """At a socket in a folder; each connection has a thread."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.came = threading.Semaphore(0)  # one for each connection that has ended
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                pass
        self.came.release()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Carries(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="ecsd-proxy-")
        self.addCleanup(scratch.cleanup)
        self.echo = Echo(pathlib.Path(scratch.name) / "echo")
        self.addCleanup(self.echo.close)
        self.proxy = Proxy(self.echo.path)
        self.addCleanup(self.proxy.close)

    def connect(self):
        client = socket.create_connection((self.proxy.url_host, self.proxy.port), PATIENCE_S)
        self.addCleanup(client.close)
        return client

    def says(self, client, data):
        client.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = client.recv(65536)
            self.assertTrue(piece, "the end came early")
            got += piece
        self.assertEqual(got, data)

    def assert_reset(self, connected):
        with self.assertRaises(OSError):
            client = connected()  # may fail already
            while client.recv(65536):
                pass
            raise ConnectionResetError  # an end is as good as a reset: it is gone

    def test_what_is_said_comes_back(self):
        client, other = self.connect(), self.connect()
        self.says(client, b"one")
        self.says(other, b"x" * 1_000_000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(1), b"")
        self.assertTrue(self.echo.came.acquire(timeout=PATIENCE_S))
        self.says(other, b"two")

    def test_what_is_held_back_comes_late(self):
        client = self.connect()
        self.says(client, b"before")
        self.proxy.stall()
        client.sendall(b"late")
        new = self.connect()
        new.sendall(b"new")
        self.assertEqual(select.select([client, new], [], [], 0.2)[0], [], "nothing arrives")
        self.proxy.heal()
        self.assertEqual((client.recv(100), new.recv(100)), (b"late", b"new"))

    def test_what_is_cut_is_lost(self):
        client = self.connect()
        self.says(client, b"before")
        self.proxy.stall()
        client.sendall(b"lost")
        self.proxy.cut()
        self.assert_reset(lambda: client)
        self.assertTrue(self.echo.came.acquire(timeout=PATIENCE_S), "the server's end is closed")
        self.assert_reset(self.connect)
        self.proxy.heal()
        self.says(self.connect(), b"after")

    def test_no_thread_is_left(self):
        clients = [self.connect() for _ in range(8)]
        for client in clients:
            self.says(client, b"here")
        before = threading.active_count()
        self.proxy.cut()
        for client in clients:
            self.assert_reset(lambda client=client: client)
            self.assertTrue(self.echo.came.acquire(timeout=PATIENCE_S))
        ended = threading.Event()
        for _ in range(PATIENCE_S * 100):
            if threading.active_count() <= before - 16:
                break
            ended.wait(0.01)
        self.assertLessEqual(threading.active_count(), before - 16)


if __name__ == "__main__":
    unittest.main()
