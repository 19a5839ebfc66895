# SPDX-License-Identifier: Apache-2.0
"""Signed requests as bytes, and many of them at once over connections that stay: fast, and nothing but the standard library.

A Call says what is asked; a Way says how (method, place of the parameters, signature, format). `Signer.bytes_of` makes the
request, `Pool.exchange` sends a list of them and gives the replies in order.
"""

import base64
import dataclasses
import datetime
import functools
import hashlib
import hmac
import itertools
import json
import os
import socket

SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
ENCODED = [chr(b) if b in SAFE else f"%{b:02X}" for b in range(256)]
WINDOW_BYTES = 48 * 1024  # sent before the first reply is read: fits the socket's buffers, so nobody waits for the other
WINDOW_CALLS = 16
FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to say the same."""

    auth: str  # v1-sha1, v1-sha256, v3, operator
    method: str
    place: str  # query, form, json; both: a form, and something in the query
    format: str  # JSON, XML

    @property
    def name(self):
        """As it stands in the name of a case."""
        return f"{self.auth}-{self.method.lower()}-{self.place}-{self.format.lower()}"


PLACES = (("GET", "query"), ("POST", "query"), ("POST", "form"))
WAYS = [Way(auth, method, place, format) for auth in ("v1-sha1", "v1-sha256", "v3") for method, place in PLACES
        for format in ("JSON", "XML")] + [Way("v3", "POST", "json", format) for format in ("JSON", "XML")]
OPERATOR_WAYS = [Way("operator", method, place, format) for method, place in (*PLACES, ("POST", "json"))
                 for format in ("JSON", "XML")]


@functools.lru_cache(maxsize=1 << 15)
def encode(value):
    """Percent-encoding of text or bytes."""
    if isinstance(value, str):
        if value.isascii() and value.isalnum():
            return value
        value = value.encode()
    return "".join([ENCODED[b] for b in value])


def encode_again(text):
    """Of what is encoded already."""
    return text.replace("%", "%25").replace("&", "%26").replace("=", "%3D")


def join(pairs):
    """name=value&…, both encoded already."""
    return "&".join([f"{name}={value}" for name, value in pairs])


class Signer:
    """Makes requests of one key. Time and nonce are the caller's only state."""

    def __init__(self, key_id, secret, host):
        self.key_id, self.secret, self.host = key_id, secret.encode(), host
        self.v1_key = self.secret + b"&"
        self.nonces = itertools.count()
        self.nonce_head = os.urandom(8).hex()
        self.now()

    def now(self):
        """Takes the time that requests are signed with; it holds for some minutes."""
        self.stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def bytes_of(self, action, version, pairs, way, extra=()):
        """The whole request. `pairs`: (name, value) as text or bytes, in the order in which they are sent; `extra` goes to the
        query of a request whose form has the others."""
        encoded = [(encode(name), encode(value)) for name, value in pairs]
        extra = [(encode(name), encode(value)) for name, value in extra]
        nonce = f"{self.nonce_head}{next(self.nonces):x}"
        if way.auth == "v3":
            return self.v3(action, version, encoded, pairs, way, nonce, extra)
        if way.auth == "operator":
            return self.operator(action, encoded, pairs, way)
        return self.v1(action, version, encoded, way, nonce, extra)

    def v1(self, action, version, encoded, way, nonce, extra):
        """Signature 1.0. Of a doubled name the first is signed, and a form goes before the query."""
        digest = way.auth.removeprefix("v1-")
        common = [("AccessKeyId", self.key_id), ("Action", action), ("Format", way.format),
                  ("SignatureMethod", f"HMAC-{digest.upper()}"), ("SignatureNonce", nonce), ("SignatureVersion", "1.0"),
                  ("Timestamp", self.stamp.replace(":", "%3A")), ("Version", version)]
        signed = {}
        for name, value in [*encoded, *extra]:
            signed.setdefault(name, value)
        canonical = join(sorted([*common, *signed.items()]))
        text = f"{way.method}&%2F&{encode_again(canonical)}"
        signature = encode(base64.b64encode(hmac.digest(self.v1_key, text.encode(), digest)))
        own = join(encoded)
        common_text = join([*common, ("Signature", signature)])
        every = f"{common_text}&{own}" if own else common_text
        if way.place == "query":
            return self.request(way.method, every, "", [])
        return self.request("POST", join(extra), every, [("content-type", FORM)])

    def v3(self, action, version, encoded, pairs, way, nonce, extra):
        """ACS3-HMAC-SHA256; the format by the Accept header."""
        query, body, type_header = "", "", []
        if way.place == "query":
            query = join(sorted(encoded, key=lambda pair: pair[0]))
        elif way.place in ("form", "both"):
            body, type_header = join(encoded), [("content-type", FORM)]
            query = join(sorted(extra))
        else:
            body, type_header = json.dumps(dict(pairs)), [("content-type", "application/json; charset=utf-8")]
        sha = hashlib.sha256(body.encode()).hexdigest()
        headers = [*type_header, ("host", self.host), ("x-acs-action", action), ("x-acs-content-sha256", sha),
                   ("x-acs-date", self.stamp), ("x-acs-signature-nonce", nonce), ("x-acs-version", version)]
        names = ";".join([name for name, _ in headers])
        lines = "".join([f"{name}:{value}\n" for name, value in headers])
        canonical = f"{way.method}\n/\n{query}\n{lines}\n{names}\n{sha}"
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(self.secret, text.encode(), "sha256").hex()
        headers = [header for header in headers if header[0] != "host"]
        headers += [("accept", "text/xml" if way.format == "XML" else "application/json"),
                    ("authorization", f"ACS3-HMAC-SHA256 Credential={self.key_id},SignedHeaders={names},Signature={signature}")]
        return self.request(way.method, query, body, headers)

    def operator(self, action, encoded, pairs, way):
        """On the operator's socket nothing is signed."""
        head = [("Action", action), ("Format", way.format)]
        if way.place == "query":
            return self.request(way.method, join(head + encoded), "", [])
        if way.place == "form":
            return self.request(way.method, "", join(head + encoded), [("content-type", FORM)])
        return self.request(way.method, join(head), json.dumps(dict(pairs)), [("content-type", "application/json")])

    def request(self, method, query, body, headers):
        """Request line, headers, body."""
        data = body.encode()
        target = f"/?{query}" if query else "/"
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        length = f"content-length: {len(data)}\r\n" if data or method == "POST" else ""
        return f"{method} {target} HTTP/1.1\r\nhost: {self.host}\r\n{lines}{length}\r\n".encode() + data


class Connection:
    """A keep-alive connection that takes replies apart."""

    def __init__(self, address):
        self.address, self.socket = address, None

    def open(self):
        """Connects: when something is to be sent, and not before, because the peer waits for it only so long."""
        self.socket = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        self.socket.settimeout(60)
        self.socket.connect(self.address)
        self.data = b""

    def send(self, data):
        """Opens it first where it isn't."""
        if not self.socket:
            self.open()
        self.socket.sendall(data)

    def close(self):
        """Ends it; the next send opens it again."""
        if self.socket:
            self.socket.close()
        self.socket = None

    def fill(self):
        """More bytes; the peer's end is an error here."""
        more = self.socket.recv(1 << 18)
        if not more:
            raise ConnectionError(f"closed by the peer; what came last: {self.data[-500:]!r}")
        self.data += more

    def reply(self):
        """(head, body) of the next reply."""
        while (end := self.data.find(b"\r\n\r\n")) < 0:
            self.fill()
        head = self.data[:end]
        at = head.find(b"Content-Length: ")
        if at < 0:
            raise ConnectionError(f"a reply without a length: {head!r}")
        length = int(head[at + 16:].split(b"\r\n", 1)[0])
        while len(self.data) < end + 4 + length:
            self.fill()
        body = self.data[end + 4:end + 4 + length]
        self.data = self.data[end + 4 + length:]
        return head, body


class Pool:
    """Some connections to one address."""

    def __init__(self, address, connections=8):
        self.connections = [Connection(address) for _ in range(connections)]

    def close(self):
        """All of them."""
        for connection in self.connections:
            connection.close()

    def exchange(self, requests):
        """Replies in the order of the requests: each connection has up to a window of them on the way. (b"", b"") stands for
        the one that the peer ended its connection at."""
        replies, next_one = [None] * len(requests), 0
        while next_one < len(requests):
            sent = []
            for connection in self.connections:
                numbers, size = [], 0
                while next_one < len(requests) and len(numbers) < WINDOW_CALLS and size < WINDOW_BYTES:
                    numbers.append(next_one)
                    size += len(requests[next_one])
                    next_one += 1
                if numbers:
                    connection.send(b"".join([requests[n] for n in numbers]))
                sent.append((connection, numbers))
            for connection, numbers in sent:
                self.collect(connection, numbers, requests, replies)
        return replies

    @staticmethod
    def collect(connection, numbers, requests, replies):
        """The replies to what was sent; what an ended connection leaves unanswered is sent again on a new one."""
        for at, number in enumerate(numbers):
            try:
                replies[number] = connection.reply()
            except ConnectionError:
                replies[number] = (b"", b"")
                connection.close()
                connection.send(b"".join([requests[n] for n in numbers[at + 1:]]))
