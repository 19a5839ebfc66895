# SPDX-License-Identifier: Apache-2.0
"""Bytes that are meant to hurt: shapes by which a request is smuggled past a proxy, peers that are slow, silent or gone, TLS.

The measure of the first part: however the bytes are cut or dressed, nothing that stands in a body is ever answered as a request,
and after anything that two readers could understand differently the connection ends.
"""

import json
import pathlib
import re
import select
import socket
import ssl
import struct
import time
import unittest
import urllib.parse
import uuid
import warnings

from harness import SLOW, Daemon, now_text, sign_v1
from test_http import reply_of

HOST = b"Host: a\r\n"
ASK = b"GET /?Action=DescribeRegions&Version=2014-05-26&Format=JSON HTTP/1.1\r\n"
GOOD = ASK + HOST + b"\r\n"
LAST = ASK + HOST + b"Connection: close\r\n\r\n"
SMUGGLED = b"GET /?Action=DescribeZones&Version=2014-05-26&Format=JSON HTTP/1.1\r\nHost: smuggled\r\n\r\n"
POST = b"POST /?Action=DescribeRegions&Version=2014-05-26&Format=JSON HTTP/1.1\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def statuses(data):
    """Of all replies in it. A reply is found by its status line and the length that it says."""
    found = []
    while data:
        status, headers, body = reply_of(data)
        found.append(status)
        if status == 100:
            data = body
        else:
            data = body[int(headers["content-length"]):]
    return found


def reset(s):
    """Ends a connection with RST, not FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class TortureTest(unittest.TestCase):
    settings = {"http.header_deadline_s": 2, "http.body_deadline_s": 2, "http.write_deadline_s": 2}
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(*cls.options, settings=cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.d.close()

    def tearDown(self):
        self.assertIsNone(self.d.process.poll(), "it lives")
        self.assertEqual(self.d.v3("DescribeRegions").status, 200, "and serves")

    def connect(self, port=None, **options):
        s = socket.create_connection((self.d.host, port or self.d.port), 20 * SLOW)
        self.addCleanup(s.close)
        for name, value in options.items():
            s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        return s

    def read_all(self, s):
        """Until the peer ends it."""
        data = b""
        try:
            while chunk := s.recv(1 << 16):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def says(self, data, *expected):
        """These statuses, in this order, and then the end of the connection."""
        with self.subTest(data=data[:300]):
            s = self.connect()
            s.sendall(data)
            got = self.read_all(s)
            self.assertEqual(statuses(got), list(expected), got[:2000])
            self.assertNotIn(b"smuggled", got)

    def cut_off(self, data):
        """Refused with 400, whatever follows is not answered, and the connection ends."""
        self.says(data + GOOD, 400)


class Framing(TortureTest):
    def test_content_length_and_transfer_encoding(self):
        chunked = b"Transfer-Encoding: chunked\r\n"
        for headers in (b"Content-Length: 5\r\n" + chunked, chunked + b"Content-Length: 5\r\n", chunked + b"content-length: 0\r\n",
                        chunked + chunked, b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding: identity, chunked\r\n",
                        b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
                        b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding:\r\n", b"Transfer-Encoding: ,chunked\r\n",
                        b"Transfer-Encoding: chunked,\r\n", b"Transfer-Encoding: \"chunked\"\r\n", b"Transfer-Encoding: chunked;a=b\r\n",
                        b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: chunked\x0b\r\n", b"Transfer-Encoding: chunked\x00\r\n",
                        b"Transfer-Encoding: chunked\x85\r\n", b"Transfer-Encoding: c\xc5\xbfhunked\r\n", b"Transfer-Encoding: cow\r\n",
                        b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding\t: chunked\r\n", b" Transfer-Encoding: chunked\r\n",
                        b"X: y\r\n\tTransfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n chunked\r\n",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", b"\x00Transfer-Encoding: chunked\r\n",
                        b"X: y\rTransfer-Encoding: chunked\r\n", b"X: y\nTransfer-Encoding: chunked\r\n",
                        b"Transfer-Encoding: chunked\r\r\n", b"Transfer-Encoding\r\n: chunked\r\n"):
            self.cut_off(POST + HOST + headers + b"\r\n0\r\n\r\n" + SMUGGLED)

    def test_content_lengths(self):
        size = b"%d" % len(SMUGGLED)
        for value in (b"+" + size, b"-" + size, size + b" 0", size + b", " + size, size + b"," + size, b"0x10", b"1e2", size + b";", b"",
                      b" ", b"\"%s\"" % size, size + b"\x00", size + b"\x0b", b"\xd9\xa3", b"9" * 19, b"1" * 100, size + b".0", b"0,5",
                      b"18446744073709551616"):
            self.cut_off(POST + HOST + b"Content-Length: " + value + b"\r\n\r\n" + SMUGGLED)
        for headers in (b"Content-Length: 0\r\nContent-Length: " + size + b"\r\n", b"Content-Length: " + size + b"\r\nContent-Length: 0\r\n",
                        b"Content-Length: " + size + b"\r\ncontent-length: " + size + b"\r\n", b"Content-Length : " + size + b"\r\n",
                        b"Content-Length\x00: 5\r\n", b"Content-Length: 0\r\n Content-Length: 5\r\n", b"X: y\rContent-Length: 5\r\n"):
            self.cut_off(POST + HOST + headers + b"\r\n" + SMUGGLED)

    def test_a_body_is_no_request(self):
        """Whatever the method, the length counts; what follows it is the next request."""
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        for method in (b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE", b"PUT"):
            line = POST.replace(b"POST", method)
            for framing, body in ((b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED), (b"Transfer-Encoding:\tchunked \r\n", chunk),
                                  (b"Content-Length: %018d\r\n" % len(SMUGGLED), SMUGGLED), (b"TRANSFER-ENCODING:CHUNKED\r\n", chunk)):
                with self.subTest(method=method, framing=framing):
                    s = self.connect()
                    s.sendall(line + HOST + framing + b"\r\n" + body + LAST)
                    got = self.read_all(s)
                    self.assertEqual(got.count(b"HTTP/1.1 "), 2, got[:2000])
                    self.assertTrue(got.endswith(b"}"), got[-300:])
                    self.assertNotIn(b"smuggled", got)

    def test_names_that_only_look_like_it(self):
        """Other headers: their body is the next request, and none."""
        for header in (b"Transfer_Encoding: chunked\r\n", b"X-Transfer-Encoding: chunked\r\n", b"Content_Length: 5\r\n",
                       b"TransferEncoding: chunked\r\n"):
            self.says(POST + HOST + header + b"\r\n5\r\nhello\r\n0\r\n\r\n" + GOOD, 400, 400)

    def test_chunks(self):
        head = POST + HOST + FORM + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        for body in (b"0\r\n\r\n", b"000\r\n\r\n", b"5\r\na=b&c\r\n0\r\n\r\n", b"5;ext\r\na=b&c\r\n0\r\n\r\n", b"1\r\na\r\n1\r\n=\r\n0\r\n\r\n",
                     b"5;name=\"quo;ted\"\r\na=b&c\r\n0;last\r\nTrailer: x\r\nx-acs-action: StopInstance\r\n\r\n",
                     b"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: smuggled\r\n\r\n", b"A\r\n0123456789\r\n0\r\n\r\n",
                     b"a\r\n0123456789\r\n0\r\n\r\n"):
            with self.subTest(body=body):
                data = self.d.raw(head + body)
                self.assertEqual(json.loads(reply_of(data)[2])["Code"], "MissingAccessKeyId", data)
                self.assertNotIn(b"smuggled", data)

    def test_bad_chunks(self):
        head = POST + HOST + FORM + b"Transfer-Encoding: chunked\r\n\r\n"
        for body in (b"5\na=b&c\r\n0\r\n\r\n", b"5\r\na=b&c\n0\r\n\r\n", b"5\r\na=b&cX\r\n0\r\n\r\n", b"5\r\na=b\r\n0\r\n\r\n", b"0x5\r\na=b&c\r\n0\r\n\r\n",
                     b"+5\r\na=b&c\r\n0\r\n\r\n", b"-5\r\na=b&c\r\n0\r\n\r\n", b" 5\r\na=b&c\r\n0\r\n\r\n", b"5 \r\na=b&c\r\n0\r\n\r\n",
                     b"5\t;a\r\na=b&c\r\n0\r\n\r\n", b"\r\na=b&c\r\n0\r\n\r\n", b";5\r\na\r\n0\r\n\r\n", b"5;a\nb\r\na=b&c\r\n0\r\n\r\n",
                     b"5;a\rb\r\na=b&c\r\n0\r\n\r\n", b"5\r\r\na=b&c\r\n0\r\n\r\n", b"fffffffffffffffff\r\na", b"10000000000000005\r\na=b&c\r\n0\r\n\r\n",
                     b"0\r\nTrailer: a\nb: c\r\n\r\n", b"0\r\nTrailer: a\rb\r\n\r\n", b"0\r\n\n", b"0\n\r\n", b"G\r\n", b"5,5\r\na=b&c\r\n0\r\n\r\n",
                     b"1_0\r\n0123456789012345\r\n0\r\n\r\n"):
            self.cut_off(head + body + SMUGGLED)

    def test_chunk_lines_have_an_end(self):
        """Zeros before a size, extensions and trailers without end are an attack, long before a deadline."""
        head = POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        for flood in (b"0" * 20000, b"1;" + b"a" * 20000, b"0\r\n" + b"Trailer: a\r\n" * 2000, b"1;aaaaaaaa\r\na\r\n" * 3000):
            with self.subTest(flood=flood[:20]):
                self.assertEqual(statuses(self.d.raw(head + flood)), [400])


class Lines(TortureTest):
    def test_request_lines(self):
        for line in (b"GET /\r\n", b"GET  / HTTP/1.1\r\n", b"GET /  HTTP/1.1\r\n", b"GET\t/\tHTTP/1.1\r\n", b" GET / HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n",
                     b"GET / http/1.1\r\n", b"GET / HTTP/ 1.1\r\n", b"GET / HTTP/1.10\r\n", b"GET / HTTP\r\n",
                     b"GET /\x00 HTTP/1.1\r\n", b"G\x00T / HTTP/1.1\r\n", b"GET /\x7f HTTP/1.1\r\n", b"GET /\r HTTP/1.1\r\n", b"GET / HTTP/1.1\r\r\n",
                     b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\x0b\r\n", b"GET /a b HTTP/1.1\r\n", b"G@T / HTTP/1.1\r\n", b"G\xc3\x8bT / HTTP/1.1\r\n",
                     b"A" * 40 + b" / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"\r\x00\r\n", b"/ HTTP/1.1\r\n", b"GET\r\n"):
            self.cut_off(line + HOST + b"\r\n")

    def test_versions(self):
        for version, status in ((b"HTTP/2.0", 505), (b"HTTP/1.2", 505), (b"HTTP/0.9", 505), (b"HTTP/3.0", 505), (b"HTTP/9.9", 505), (b"HTTP/1,1", 505)):
            self.says(b"GET / " + version + b"\r\n" + HOST + b"\r\n" + GOOD, status)
        self.says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + GOOD, 505)
        self.says(b"GET /\r\n\r\n" + GOOD, 400)  # HTTP/0.9

    def test_http_1_0(self):
        old = ASK.replace(b"1.1\r", b"1.0\r")
        self.says(old + b"\r\n" + GOOD, 400)  # no Host is needed; the connection ends
        self.says(old + b"Connection: keep-alive\r\n\r\n" + LAST, 400, 400)
        self.cut_off(old.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        data = self.d.raw(old.replace(b"GET", b"POST") + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\na=b")
        self.assertEqual(statuses(data), [400], "no 100 for HTTP/1.0")

    def test_headers(self):
        for header in (b"A b: c\r\n", b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b"A\r\n", b": b\r\n", b"A:b\rc\r\n", b"A:b\nc: d\r\n", b"A:\x00\r\n",
                       b"A:\x01\r\n", b"A:\x7f\r\n", b"A\xe9: b\r\n", b"A(b): c\r\n", b"A\t: c\r\n", b"\xef\xbb\xbfA: b\r\n", b"A: b\n", b"\rA: b\r\n",
                       b"A[]: b\r\n", b"\"A\": b\r\n", b"{: b\r\n"):
            self.cut_off(ASK + HOST + header + b"\r\n")
        self.cut_off(ASK + b" " + HOST + b"\r\n")
        self.cut_off(ASK + HOST + b"\n")
        self.says(ASK + HOST + b"A: \xe9\xff\r\nB:\t c \t\r\nC:\r\n!#$%&'*+-.^_`|~: d\r\nConnection: close\r\n\r\n", 400)

    def test_hosts(self):
        for hosts in (b"", HOST + HOST, b"Host:\r\n", b"Host: \t\r\n", HOST + b"host: b\r\n"):
            self.cut_off(ASK + hosts + b"\r\n")
        for host in (b"a<b>&\"c", b"\xff\xfe", b"a/b", b"a b", b"[::1]:80", b"a" * 5000, b"]]>", b"\\u0000\"}"):
            for format in (b"JSON", b"XML"):
                with self.subTest(host=host, format=format):
                    data = self.d.raw(ASK.replace(b"JSON", format) + b"Host: " + host + b"\r\nConnection: close\r\n\r\n")
                    status, _, body = reply_of(data)
                    self.assertEqual(status, 400)
                    if format == b"JSON":
                        self.assertIn(json.loads(body)["Code"], ("MissingAccessKeyId", "InvalidRequest"))
                    else:
                        self.assertTrue(re.fullmatch(rb"(?s)<\?xml [^>]*\?><Error>(<(\w+)>[^<]*</\2>)+</Error>", body), body)

    def test_many_headers(self):
        few = b"".join(b"X-%d: a\r\n" % n for n in range(120))
        self.says(ASK + HOST + few + b"Connection: close\r\n\r\n", 400)  # served: no key was given
        for number in (128, 1000, 8000):
            self.says(ASK + HOST + b"".join(b"X: a\r\n" for n in range(number)) + b"\r\n" + GOOD, 431)
        self.says(ASK + HOST + b"a: \r\n" * 20000, 431)  # no end in sight

    def test_huge(self):
        for piece, status in ((b"GET /" + b"a" * (1 << 20), 414), (b"a" * (1 << 20), 414), (ASK + HOST + b"A: " + b"b" * (1 << 20), 431),
                              (ASK + HOST + b"b" * (1 << 20), 431)):
            self.says(piece, status)

    def test_targets(self):
        for line, code in ((b"GET *", "InvalidApi.NotFound"), (b"CONNECT ecs.aliyuncs.com:443", "UnsupportedHTTPMethod"),
                           (b"GET ecs.aliyuncs.com:443", "InvalidApi.NotFound"), (b"GET //", "InvalidApi.NotFound"),
                           (b"GET /../?Action=DescribeRegions&Version=2014-05-26", "InvalidApi.NotFound"),
                           (b"GET /%2f?Action=DescribeRegions&Version=2014-05-26", "InvalidApi.NotFound"),
                           (b"GET http://a@b/?Action=DescribeRegions&Version=2014-05-26", "MissingAccessKeyId"),
                           (b"GET ftp://a/?Action=DescribeRegions&Version=2014-05-26", "InvalidApi.NotFound")):
            with self.subTest(line=line):
                data = self.d.raw(line + b" HTTP/1.1\r\nHost: ecs.aliyuncs.com\r\nAccept: application/json\r\nx-acs-version: 2014-05-26\r\n"
                                  b"Connection: close\r\n\r\n")
                self.assertEqual(json.loads(reply_of(data)[2])["Code"], code, data)
        data = self.d.raw(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        self.assertEqual(statuses(data), [200])

    def test_an_absolute_target_goes_before_the_host(self):
        """RFC 9112 3.2.2: else a proxy that reads the target and a server that reads Host serve different names."""
        data = self.d.raw(b"GET http://sts.aliyuncs.com/?Action=X&Format=JSON HTTP/1.1\r\nHost: ecs.aliyuncs.com\r\nConnection: close\r\n\r\n")
        self.assertEqual(json.loads(reply_of(data)[2])["HostId"], "sts.aliyuncs.com")

    def test_close_is_the_last_word(self):
        """RFC 9112 9.3: where close is among the options, the connection ends."""
        for header in (b"Connection: close, keep-alive\r\n", b"Connection: close\r\nConnection: keep-alive\r\n", b"Connection: Keep-Alive, CLOSE\r\n",
                       b"Connection: close,\r\n", b"Connection: x ,\tclose\r\n"):
            self.says(ASK + HOST + header + b"\r\n" + GOOD, 400)

    def test_expect(self):
        head = POST + HOST + FORM + b"Expect: 100-continue\r\nConnection: close\r\n"
        s = self.connect()
        s.sendall(head + b"Content-Length: 3\r\n\r\n")
        self.assertEqual(s.recv(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b"a=b")
        self.assertEqual(statuses(self.read_all(s)), [400])
        s = self.connect()
        s.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(s.recv(25), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b"3\r\na=b\r\n0\r\n\r\n")
        self.assertEqual(statuses(self.read_all(s)), [400])
        self.says(head + b"Content-Length: 3\r\n\r\na=b", 400)  # who doesn't wait needs no leave
        self.says(head + b"Content-Length: 0\r\n\r\n", 400)
        self.says(head + b"Content-Length: 99999999\r\n\r\n", 413)
        self.cut_off(head + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\na=b")

    def test_pipelines_end_at_the_first_bad_one(self):
        bad = (b"GET / HTTP/1.1\r\n\r\n", ASK + HOST + b"A : b\r\n\r\n", POST + HOST + b"Content-Length: x\r\n\r\n", b"\x00\x00\x00\x00\r\n\r\n")
        for one in bad:
            for before in (0, 1, 30):
                data = GOOD * before + one
                with self.subTest(one=one, before=before):
                    s = self.connect()
                    s.sendall(data + SMUGGLED * 3)
                    got = self.read_all(s)
                    self.assertEqual(got.count(b"HTTP/1.1 400"), before + 1, got[-1000:])
                    self.assertEqual(got.count(b"Connection: close"), 1)
                    self.assertNotIn(b"smuggled", got)

    def test_every_cut(self):
        """The same bytes, whole and in two pieces, cut anywhere: the same answers."""
        data = POST + HOST + FORM + b"Transfer-Encoding: chunked\r\n\r\n5;e\r\na=b&c\r\n0\r\nT: u\r\n\r\n" + LAST
        for cut in range(1, len(data)):
            s = self.connect()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(data[:cut])
            s.sendall(data[cut:])
            self.assertEqual(statuses(self.read_all(s)), [400, 400], cut)
            s.close()

    def test_the_operators_socket_reads_as_strictly(self):
        for data in (POST + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, b"GET / HTTP/1.1\r\n\r\n" + GOOD):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20 * SLOW)
                s.connect(str(self.d.data / "admin.sock"))
                s.sendall(data)
                self.assertEqual(statuses(self.read_all(s)), [400])


class Peers(TortureTest):
    def signed(self, action, **params):
        """A request whose reply is not an error."""
        every = {"Action": action, "Version": "2014-05-26", "Format": "JSON", "AccessKeyId": self.d.key_id, "SignatureVersion": "1.0",
                 "SignatureMethod": "HMAC-SHA1", "SignatureNonce": uuid.uuid4().hex, "Timestamp": now_text(), **params}
        every["Signature"] = sign_v1("GET", every, self.d.secret)
        return f"GET /?{urllib.parse.urlencode(every)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()

    def read_reply(self, s, step):
        """One reply, `step` bytes at a time."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += s.recv(step)
        status, headers, body = reply_of(data)
        pieces, left = [body], int(headers["content-length"]) - len(body)
        while left > 0:
            pieces.append(s.recv(step))
            left -= len(pieces[-1])
        return status, b"".join(pieces)

    def test_a_small_window(self):
        """A large reply comes whole through a receiver with little room."""
        s = self.connect(SO_RCVBUF=4096)
        s.sendall(self.signed("DescribeInstanceTypes"))
        status, body = self.read_reply(s, 1500)
        self.assertEqual(status, 200)
        self.assertGreater(len(body), 200_000)
        self.assertGreater(len(json.loads(body)["InstanceTypes"]["InstanceType"]), 100)

    def test_who_never_reads_is_cut(self):
        """Replies are not piled up for it, and others are served meanwhile."""
        crowd = [self.connect(SO_RCVBUF=4096) for _ in range(10)]
        for s in crowd:
            s.sendall(b"".join([self.signed("DescribeInstanceTypes") for _ in range(30)]))
        self.assertEqual(self.d.v3("DescribeRegions").status, 200)
        waiter = select.poll()
        for s in crowd:
            waiter.register(s, select.POLLHUP | select.POLLERR)
        end, cut = time.monotonic() + 20 * SLOW, set()
        while len(cut) < len(crowd):
            self.assertLess(time.monotonic(), end, f"{len(cut)} of {len(crowd)} were cut")
            cut |= {fd for fd, _ in waiter.poll(1000)}
            for fd in cut:
                waiter.modify(fd, 0)
        status = pathlib.Path(f"/proc/{self.d.process.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]), 500_000)

    def test_gone_in_the_middle(self):
        """RST at any point of a request, or while its reply is made."""
        write = self.signed("StopInstance", InstanceId="i-none")
        big = self.signed("DescribeInstanceTypes")
        for data in (b"", b"G", ASK, ASK + HOST, POST + HOST + b"Content-Length: 10\r\n\r\n", POST + HOST + b"Content-Length: 10\r\n\r\nhello",
                     POST + HOST + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc", POST + HOST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
                     GOOD, GOOD * 50, write, big, big + GOOD * 10, ASK + b"\r\n"):
            for _ in range(5):
                s = self.connect()
                s.sendall(data)
                reset(s)
        for _ in range(50):
            s = self.connect()
            s.sendall(self.signed("StopInstance", InstanceId="i-none"))
            reset(s)

    def test_half_closed(self):
        """What is complete is answered; what is not ends at once, and not at a deadline."""
        for data, count in ((GOOD, 1), (GOOD * 20, 20), (GOOD + ASK, 1), (ASK + HOST, 0), (POST + HOST + b"Content-Length: 9\r\n\r\nab", 0),
                            (POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 0), (b"", 0), (self.signed("DescribeInstanceTypes"), 1)):
            with self.subTest(data=data[:100]):
                s = self.connect()
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(self.read_all(s).count(b"HTTP/1.1 "), count)

    def drip(self, head, byte):
        """Sends a byte after a byte until it is ended; the seconds that took."""
        s = self.connect()
        start = time.monotonic()
        s.sendall(head)
        s.settimeout(0.05)
        while time.monotonic() - start < 20 * SLOW:
            try:
                s.sendall(byte)
                if s.recv(4096) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        return time.monotonic() - start

    def test_a_byte_a_moment(self):
        """Each phase has one deadline (2 s here), whatever trickles in."""
        for head, byte in ((b"", b"\r\n"), (b"", b"G"), (GOOD, b"\r\n"), (ASK + HOST, b"A: b\r\n"), (POST + HOST + b"Content-Length: 9999\r\n\r\n", b"a"),
                           (POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
                           (POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
                           (POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"T: u\r\n"),
                           (POST + HOST + b"Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n", b"a")):
            with self.subTest(head=head[:60], byte=byte):
                self.assertLess(self.drip(head, byte), 12 * SLOW)

    def test_refused_in_the_middle_of_a_large_body(self):
        """The sender that goes on sending reads why it was refused, and no reset."""
        s = self.connect()
        s.sendall(POST + HOST + b"Content-Length: 99999999\r\n\r\n")
        sent = 0
        while sent < 4 << 20:
            sent += s.send(b"a" * 65536)
        self.assertEqual(statuses(s.recv(1 << 16)), [413])


class Tls(TortureTest):
    options = ("--listen-tls", "127.0.0.1:0")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = urllib.parse.urlparse((cls.d.data / "endpoint-tls").read_text().strip()).port
        cls.context = cls.trusting()

    @classmethod
    def trusting(cls):
        return ssl.create_default_context(cafile=str(cls.d.data / "tls.crt"))

    def wrapped(self, context=None):
        s = (context or self.context).wrap_socket(self.connect(self.port), server_hostname="localhost")
        self.addCleanup(s.close)
        return s

    def read_tls(self, s):
        data = b""
        try:
            while chunk := s.recv(1 << 16):
                data += chunk
        except (ssl.SSLEOFError, ConnectionResetError):
            pass
        return data

    def test_versions(self):
        for version, works in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False),
                               (ssl.TLSVersion.TLSv1, False)):
            with self.subTest(version=version):
                context = self.trusting()
                context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    context.minimum_version = context.maximum_version = version
                if works:
                    s = self.wrapped(context)
                    s.sendall(LAST)
                    self.assertEqual(statuses(self.read_tls(s)), [400])
                else:
                    self.assertRaises((ssl.SSLError, ConnectionResetError), self.wrapped, context)

    def test_no_tls_on_a_tls_port_and_the_other_way_round(self):
        for data in (GOOD, b"\x00" * 100, b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"a" * 70000, b"\x80\x2e\x01\x00\x02"):
            with self.subTest(data=data[:20]):
                s = self.connect(self.port)
                s.sendall(data)
                self.assertNotIn(b"HTTP/", self.read_all(s))
        client = self.context.wrap_bio(ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname="localhost")
        self.assertRaises(ssl.SSLWantReadError, client.do_handshake)
        s = self.connect()
        s.sendall(out.read() + b"\r\n")
        s.shutdown(socket.SHUT_WR)
        self.assertIn(self.read_all(s)[:12], (b"HTTP/1.1 400", b""))

    def test_a_handshake_that_stalls_is_cut(self):
        client = self.context.wrap_bio(ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname="localhost")
        self.assertRaises(ssl.SSLWantReadError, client.do_handshake)
        hello = out.read()
        for data in (b"", hello[:1], hello[:-1], hello):
            with self.subTest(size=len(data)):
                s = self.connect(self.port)
                s.sendall(data)
                start = time.monotonic()
                self.read_all(s)
                self.assertLess(time.monotonic() - start, 12 * SLOW)

    def test_gone_in_the_middle(self):
        client = self.context.wrap_bio(ssl.MemoryBIO(), out := ssl.MemoryBIO(), server_hostname="localhost")
        self.assertRaises(ssl.SSLWantReadError, client.do_handshake)
        hello = out.read()
        for data in (b"", hello[:3], hello[:50], hello):
            for _ in range(5):
                s = self.connect(self.port)
                s.sendall(data)
                reset(s)
        for data in (b"", ASK, GOOD, GOOD * 20, POST + HOST + b"Content-Length: 9\r\n\r\na"):
            s = self.wrapped()
            s.sendall(data)
            plain = socket.socket(fileno=s.detach())
            reset(plain)

    def test_a_byte_a_record(self):
        s = self.wrapped()
        for n in range(len(LAST)):
            s.sendall(LAST[n:n + 1])
        self.assertEqual(statuses(self.read_tls(s)), [400])

    def test_a_hello_in_pieces(self):
        """The handshake byte by byte, then a request."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        s = self.connect(self.port)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done = False
        while not done:
            try:
                client.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            for byte in outgoing.read():
                s.sendall(bytes([byte]))
            if not done:
                incoming.write(s.recv(4096))
        client.write(LAST)
        s.sendall(outgoing.read())
        incoming.write(self.read_all(s))
        self.assertEqual(statuses(client.read(1 << 16)), [400])

    def test_smuggling_is_no_easier_here(self):
        for data, expected in ((GOOD * 30 + LAST, [400] * 31), (GOOD + b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED, [400, 400]),
                               (POST + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [400]),
                               (POST + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED + LAST, [400, 400])):
            with self.subTest(data=data[:100]):
                s = self.wrapped()
                s.sendall(data)
                got = self.read_tls(s)
                self.assertEqual(statuses(got), expected)
                self.assertNotIn(b"smuggled", got)

    def test_a_large_reply(self):
        """A message that is larger than the socket's buffers, read in small pieces."""
        target = "/?Action=DescribeRegions&Version=2014-05-26&Format=JSON&AccessKeyId=%s&Signature=x&SignatureNonce=%s&Timestamp=%s&Long=%s" % (
            self.d.key_id, uuid.uuid4().hex, urllib.parse.quote(now_text()), "%20" * 40000)
        s = self.wrapped()
        s.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: s.recv(700), b""))
        self.assertEqual(json.loads(reply_of(data)[2])["Code"], "SignatureDoesNotMatch")
        self.assertGreater(len(data), 200_000)


if __name__ == "__main__":
    unittest.main()
