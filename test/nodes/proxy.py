# SPDX-License-Identifier: Apache-2.0
"""Between one node and the database: what it carries can be held back, to be delivered late, or be cut off."""

import socket
import struct
import threading

PIECE = 65536


class Proxy:
    """Listens on a loopback port; `url_host` and `port` are for the node's URL, `target` is the server's socket."""

    url_host = "127.0.0.1"

    def __init__(self, target):
        self.target = str(target)
        self.flows = threading.Event()  # not set: nothing moves, either way
        self.flows.set()
        self.lock = threading.Lock()
        self.refuses = False
        self.pairs = set()
        self.listener = socket.create_server((self.url_host, 0))
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    # ── what can happen to it ──

    def stall(self):
        """Connections stay, and nothing arrives. What was sent meanwhile arrives after heal(), however late."""
        self.flows.clear()

    def cut(self):
        """All connections are reset, and new ones as soon as they are made; what was on its way is lost."""
        with self.lock:
            self.refuses = True
            pairs = list(self.pairs)
        for pair in pairs:
            pair.reset()
        self.flows.set()  # whoever holds a piece finds that it has nowhere to go

    def heal(self):
        with self.lock:
            self.refuses = False
        self.flows.set()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the acceptor
        self.acceptor.join()
        self.listener.close()
        self.cut()

    # ── threads ──

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return  # closed
            with self.lock:
                refused = self.refuses
                pair = Pair(self, client)
                if not refused:
                    self.pairs.add(pair)
            if refused:
                pair.reset()
            else:
                threading.Thread(target=pair.run, daemon=True).start()


class Pair:
    """A connection of the node, and the one to the server that belongs to it."""

    def __init__(self, proxy, client):
        self.proxy, self.client, self.server = proxy, client, None
        self.lock = threading.Lock()
        self.over = False

    def reset(self):
        """The node's end sees a reset, as when a firewall drops the connection."""
        with self.lock:
            if self.over:
                return
            self.over = True
            for end in filter(None, (self.client, self.server)):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
                except OSError:
                    pass  # the other side was faster
                end.close()
        with self.proxy.lock:
            self.proxy.pairs.discard(self)

    def _connect(self):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.proxy.target)
        except OSError:
            server.close()
            return False
        with self.lock:
            if self.over:
                server.close()
                return False
            self.server = server
        return True

    def run(self):
        self.proxy.flows.wait()
        if self._connect():
            back = threading.Thread(target=self._carry, args=(self.server, self.client), daemon=True)
            back.start()
            self._carry(self.client, self.server)
            back.join()
        self.reset()

    def _carry(self, source, sink):
        try:
            while data := source.recv(PIECE):
                self.proxy.flows.wait()
                if self.over:
                    return
                sink.sendall(data)
            self.proxy.flows.wait()  # a farewell is held back as well
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()
