# SPDX-License-Identifier: Apache-2.0
"""The contract with callers: forms of requests, signatures, replay, the order and the texts of errors, who may do what."""

import base64
import hashlib
import hmac
import http.client
import json
import re
import signal
import time
import urllib.parse
import uuid

from harness import REGION, EcsTest, now_text, quote, sign_v1

ECS = "2014-05-26"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
V1_MISMATCH = "Specified signature is not matched with our calculation. server string to sign is:"


class GatewayTest(EcsTest):
    def common(self, action="DescribeRegions", **changes):
        """Common parameters of V1; None takes one away."""
        params = {"Action": action, "Version": ECS, "AccessKeyId": self.ecs.key_id, "SignatureVersion": "1.0", "Format": "JSON",
                  "SignatureMethod": "HMAC-SHA1", "SignatureNonce": uuid.uuid4().hex, "Timestamp": now_text(), **changes}
        return {k: v for k, v in params.items() if v is not None}

    def signed(self, params, method="GET", secret=None, digest="sha1"):
        return {**params, "Signature": sign_v1(method, params, secret or self.ecs.secret, digest)}

    def get(self, params, headers=None):
        return self.ecs.send("GET", "/?" + urllib.parse.urlencode(params), headers)

    def assert_error(self, reply, status, code, message=None):
        self.assertEqual((reply.status, reply.code), (status, code), reply)
        if message is not None:
            self.assertEqual(reply.json["Message"], message)
        self.assertEqual(reply.headers["x-acs-request-id"], reply.json["RequestId"])
        self.assertEqual(list(reply.json)[:5], ["RequestId", "HostId", "Code", "Message", "Recommend"])
        return reply

    def assert_ok(self, reply):
        self.assertEqual(reply.status, 200, reply)
        return reply

    def new_key(self, policy=None, account=None):
        account = account or json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        words = ["policy=" + json.dumps(policy)] if policy else []
        key = json.loads(self.ecs.ctl("key", "create", account, *words, "--json"))
        return key["AccessKeyId"], key["AccessKeySecret"]


class Forms(GatewayTest):
    def test_v1(self):
        for options in ({}, {"digest": "sha256"}, {"method": "POST"}, {"form": True}, {"form_params": {"RegionId": REGION}},
                        {"form": True, "digest": "sha256"}):
            with self.subTest(**options):
                self.assertTrue(self.assert_ok(self.ecs.v1("DescribeRegions", **options)).json["Regions"]["Region"])

    def test_v1_parameters_in_query_and_form_are_one_set(self):
        reply = self.ecs.v1("DescribeInstances", {"RegionId": REGION}, form_params={"PageSize": 7, "InstanceIds": "[]"})
        self.assertEqual(self.assert_ok(reply).json["PageSize"], 7)

    def test_v1_without_what_the_table_calls_optional(self):
        self.assert_ok(self.get(self.signed(self.common(SignatureMethod=None, SignatureVersion=None))))
        self.assert_ok(self.get(self.signed(self.common(SignatureType="", SecurityToken=""))))

    def test_v1_stamp_with_a_fraction(self):
        self.assert_ok(self.get(self.signed(self.common(Timestamp=now_text().replace("Z", ".312Z")))))

    def test_v1_empty_values_may_be_left_out_of_the_signature(self):
        params = self.common()
        params["Signature"] = sign_v1("GET", params, self.ecs.secret)
        self.assert_ok(self.get({**params, "Extra": ""}))
        params = self.common()
        params["Signature"] = sign_v1("GET", params, self.ecs.secret)
        self.assert_error(self.get({**params, "Extra": "x"}), 400, "SignatureDoesNotMatch")

    def test_v1_name_in_query_and_form(self):
        for wins in ("form", "query"):
            params = self.common("DescribeInstances", RegionId=REGION)
            values = {"query": "11", "form": "12"}
            signature = sign_v1("POST", {**params, "PageSize": values[wins]}, self.ecs.secret)
            query = {**params, "PageSize": "11", "Signature": signature}
            reply = self.ecs.send("POST", "/?" + urllib.parse.urlencode(query), FORM, b"PageSize=12")
            self.assertEqual(self.assert_ok(reply).json["PageSize"], int(values[wins]))

    def test_v1_doubled_name_never_means_what_was_not_signed(self):
        for target in ("{}&PageSize=99", "PageSize=99&{}", "{}&pagesize=99", "pageSize=99&{}"):
            params = self.signed(self.common("DescribeInstances", RegionId=REGION, PageSize="11"))
            reply = self.ecs.send("GET", "/?" + target.format(urllib.parse.urlencode(params)))
            self.assertTrue(reply.code == "SignatureDoesNotMatch" or reply.json["PageSize"] == 11, reply)

    def test_v1_other_bodies_are_not_read(self):
        params = self.signed(self.common("DescribeInstances", RegionId=REGION), "POST")
        reply = self.ecs.send("POST", "/?" + urllib.parse.urlencode(params), {"Content-Type": "application/json"},
                              b'{"PageSize":99}')
        self.assertEqual(self.assert_ok(reply).json["PageSize"], 10)

    def test_v1_parameter_beats_header(self):
        params = self.signed(self.common("DescribeRegions"))
        reply = self.get(params, {"x-acs-action": "describeZones", "x-acs-version": "2016-04-28"})
        self.assertIn("Regions", self.assert_ok(reply).json)

    def test_v1_action_from_header(self):
        params = self.signed(self.common(None, Version=None))
        self.assert_ok(self.get(params, {"x-acs-action": "DescribeRegions", "x-acs-version": ECS}))

    def test_v1_chunked_form(self):
        text = urllib.parse.urlencode(self.signed(self.common(), "POST")).encode()
        reply = self.ecs.send("POST", "/", FORM, iter([text[:5], text[5:50], text[50:]]))
        self.assert_ok(reply)

    def test_v3(self):
        for method in ("GET", "POST"):
            self.assert_ok(self.ecs.v3("DescribeRegions", method=method))
        body = b"RegionId=cn-hangzhou&PageSize=13&InstanceName=a+b%2Bc"
        for sent in (body, body.replace(b"+", b"%20")):
            reply = self.ecs.v3("DescribeInstances", {"DryRun": False}, body=sent,
                                headers={"content-type": "application/x-www-form-urlencoded"})
            self.assertEqual(self.assert_ok(reply).json["PageSize"], 13)

    def test_v3_json_body(self):
        body = json.dumps({"RegionId": REGION, "PageSize": 14, "DryRun": False, "Tag": [{"Key": "a", "Value": "b"}],
                           "Nothing": None}).encode()
        reply = self.ecs.v3("DescribeInstances", body=body, headers={"content-type": "application/json; charset=utf-8"})
        self.assertEqual(self.assert_ok(reply).json["PageSize"], 14)
        body = json.dumps({"RegionId": REGION, "Tag": [{"Key": "", "Value": "b"}]}).encode()
        reply = self.ecs.v3("DescribeInstances", body=body, headers={"content-type": "application/json"})
        self.assert_error(reply, 400, "InvalidTag.Mismatch")

    def test_v3_bodies_that_are_not_what_they_say(self):
        for body, status in ((b"[1]", 400), (b"{", 400), (b'{"a":1,"a":2}', 400), (b'{"a":"\xff"}', 400), (b'{"a":"\\u0000"}', 400),
                             (b"RegionId=cn-hangzhou", 400), (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 413),
                             (b'{"a":[' + b"1," * 9000 + b"1]}", 413), (b"   ", 200)):
            with self.subTest(body=body[:20]):
                reply = self.ecs.v3("DescribeRegions", body=body, headers={"content-type": "application/json"})
                self.assertEqual(reply.status, status, reply)
                self.assertIn("RequestId", reply.json)

    def test_v3_body_changed_after_signing(self):
        headers = {"content-type": "application/x-www-form-urlencoded",
                   "x-acs-content-sha256": hashlib.sha256(b"PageSize=1").hexdigest()}
        self.assert_error(self.ecs.v3("DescribeRegions", body=b"PageSize=2", headers=headers), 400, "SignatureDoesNotMatch")

    def v3_by_hand(self, action="DescribeRegions", drop=(), order=("Credential", "SignedHeaders", "Signature"), extra=None, gap=",",
                   query="", raw_query=None, unsigned=None):
        headers = {"host": f"{self.ecs.host}:{self.ecs.port}", "x-acs-action": action, "x-acs-version": ECS, "x-acs-date": now_text(),
                   "x-acs-signature-nonce": uuid.uuid4().hex, "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(), **(extra or {})}
        names = sorted(n for n in headers if n not in drop)
        canonical = "\n".join(["POST", "/", query] + [f"{n}:{headers[n].strip()}" for n in names] +
                              ["", ";".join(names), headers["x-acs-content-sha256"]])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        parts = {"Credential": self.ecs.key_id, "SignedHeaders": ";".join(names),
                 "Signature": hmac.new(self.ecs.secret.encode(), text.encode(), "sha256").hexdigest()}
        headers["authorization"] = "ACS3-HMAC-SHA256 " + gap.join(f"{k}={parts[k]}" for k in order)
        return self.ecs.send("POST", "/?" + (query if raw_query is None else raw_query), {**headers, **(unsigned or {})})

    def test_v3_authorization_as_sdks_write_it(self):
        self.assert_ok(self.v3_by_hand())
        self.assert_ok(self.v3_by_hand(order=("Credential", "Signature", "SignedHeaders")))
        self.assert_ok(self.v3_by_hand(gap=", "))
        self.assert_ok(self.v3_by_hand(drop=("host",)))
        self.assert_ok(self.v3_by_hand(extra={"accept": "application/json", "user-agent": "a b/1", "x-acs-custom": " two  words "}))

    def test_v3_query_as_clients_encode_it(self):
        query = "InstanceName=a%20b%2Bc%2Ad~e%21f%27g%28h%29i%E4%B8%AD&RegionId=cn-hangzhou"
        for raw in (query, query.replace("%20", "+"), "RegionId=cn-hangzhou&InstanceName=a+b%2bc*d~e!f'g(h)i%e4%b8%ad"):
            with self.subTest(raw=raw):
                self.assert_ok(self.v3_by_hand("DescribeInstances", query=query, raw_query=raw))
        for name in ("Tag%2E1%2EKey", "M.%233%23key"):
            raw = urllib.parse.unquote(name).replace("#", "%23")
            self.assert_ok(self.v3_by_hand("DescribeRegions", query=urllib.parse.unquote(name) + "=1", raw_query=raw + "=1"))

    def test_v3_what_decides_has_to_be_signed(self):
        for name in ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"):
            self.assert_error(self.v3_by_hand(drop=(name,)), 400, "SignatureDoesNotMatch")
        self.assert_error(self.v3_by_hand(unsigned={"host": "ecs.aliyuncs.com"}), 400, "SignatureDoesNotMatch")
        self.assert_error(self.v3_by_hand(query="A=1", raw_query="A=2"), 400, "SignatureDoesNotMatch")

    def test_absolute_target(self):
        text = urllib.parse.urlencode(self.signed(self.common()))
        for target in (f"http://ecs-cn-hangzhou.aliyuncs.com/?{text}", f"http://ecs-cn-hangzhou.aliyuncs.com?{text}"):
            data = self.ecs.raw(f"GET {target} HTTP/1.1\r\nHost: ecs-cn-hangzhou.aliyuncs.com\r\nConnection: close\r\n\r\n".encode())
            self.assertTrue(data.startswith(b"HTTP/1.1 200" if target.count("/?") else b"HTTP/1.1 400"), data[:300])
        self.assertIn(b"SignatureNonceUsed", data, "the second was read the same way")
        target = "?" + urllib.parse.urlencode(self.signed(self.common()))
        data = self.ecs.raw(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        self.assertTrue(data.startswith(b"HTTP/1.1 200"), data[:300])

    def test_request_line_of_128_kib(self):
        params = self.common(UserData="")
        room = 128 * 1024 - len("GET /? HTTP/1.1") - 2
        params["UserData"] = "a" * (room - len(urllib.parse.urlencode(self.signed(params))) - 20)
        text = urllib.parse.urlencode(self.signed(params))
        self.assertGreater(len(text), 128 * 1024 - 60)
        self.assert_ok(self.ecs.send("GET", "/?" + text))

    def test_words_of_clients(self):
        """Booleans of Python, lower-case names of old Node, empty values."""
        reply = self.ecs.v1("DescribeInstances", {"RegionId": REGION, "DryRun": "True"})
        self.assert_error(reply, 400, "DryRunOperation")
        self.assert_error(self.ecs.v1("DescribeInstances", {"regionId": REGION, "dryRun": "TRUE"}), 400, "DryRunOperation")
        self.assert_error(self.ecs.v1("DescribeInstances", {"RegionId": REGION, "DryRun": "yes"}), 400, "InvalidParameter",
                          'The specified parameter "DryRun" is not valid.')
        self.assert_ok(self.ecs.v1("DescribeInstances", {"RegionId": REGION, "DryRun": "", "Status": "", "PageSize": "",
                                                         "InstanceIds": "", "Nonsense": "1"}))
        self.assert_error(self.ecs.v1("DescribeInstances", {"RegionId": ""}), 400, "MissingParameter",
                          'The input parameter "RegionId" that is mandatory for processing this request is not supplied.')

    def test_numbers_sort_as_numbers(self):
        ids = [self.run_instance() for _ in range(3)]
        named = dict(zip(("InstanceId.10", "InstanceId.9", "InstanceId.100"), ids))
        reply = self.assert_ok(self.ecs.v3("DescribeInstanceStatus", {"RegionId": REGION, **named})).json
        self.assertEqual([row["InstanceId"] for row in reply["InstanceStatuses"]["InstanceStatus"]], [ids[1], ids[0], ids[2]])


class Replies(GatewayTest):
    def test_headers(self):
        reply = self.assert_ok(self.ecs.v3("DescribeRegions"))
        self.assertEqual(reply.headers["content-type"], "application/json;charset=utf-8")
        self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
        self.assertRegex(reply.headers["x-acs-request-id"], r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$")
        self.assertRegex(reply.headers["x-acs-trace-id"], r"^[0-9a-f]{32}$")
        self.assertEqual((reply.headers["access-control-allow-origin"], reply.headers["access-control-expose-headers"]), ("*", "*"))
        self.assertNotIn("content-encoding", reply.headers)
        self.assertEqual(reply.json["RequestId"], reply.headers["x-acs-request-id"])
        self.assertFalse({"Code", "code", "Message", "Success"} & set(reply.json))
        self.assertNotIn(b"\n", reply.body)
        self.assertNotIn(b"null", reply.body)

    def test_format_v1(self):
        for given, xml in ((None, True), ("XML", True), ("xml", True), ("JSON", False), ("json", False), ("Json", False)):
            reply = self.assert_ok(self.ecs.v1("DescribeRegions", format=given))
            kind = "text/xml;charset=utf-8" if xml else "application/json;charset=utf-8"
            self.assertEqual(reply.headers["content-type"], kind)
            if xml:
                self.assertTrue(reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?><DescribeRegionsResponse><RequestId>'))

    def test_format_v3(self):
        for accept, xml in (("application/json", False), ("application/xml", True), ("text/xml", True), ("*/*", False)):
            reply = self.ecs.v3("DescribeRegions", headers={"accept": accept})
            self.assertEqual(self.assert_ok(reply).headers["content-type"].startswith("text/xml"), xml, accept)
        self.assertEqual(self.ecs.v3("DescribeRegions", {"Format": "XML"}).xml.tag, "DescribeRegionsResponse")
        self.assertIn("Regions", self.ecs.v3("DescribeRegions", {"Format": "json"}, headers={"accept": "text/xml"}).json)

    def test_xml_error(self):
        reply = self.ecs.v1("DescribeInstances", {"RegionId": "<&>"}, format=None)
        self.assertEqual((reply.status, reply.headers["content-type"]), (404, "text/xml;charset=utf-8"))
        self.assertEqual((reply.xml.tag, [e.tag for e in reply.xml][:4]), ("Error", ["RequestId", "HostId", "Code", "Message"]))
        self.assertEqual(reply.xml.findtext("HostId"), self.ecs.host)

    def test_an_error_has_the_format_that_was_asked_for_however_broken_the_rest(self):
        for bad in ("A=%ff", "A=%00", "%ff=1", "&".join(f"P{n}=1" for n in range(2100))):
            for where in ("Format=JSON&" + bad, bad + "&Format=JSON", bad + "&format=json"):
                with self.subTest(where=where[:40]):
                    for method, target, headers, body in (("GET", "/?" + where, {}, b""), ("POST", "/", FORM, where.encode())):
                        reply = self.ecs.send(method, target, headers, body)
                        self.assertGreaterEqual(reply.status, 400)
                        self.assertTrue(reply.json["Code"], reply)
            self.assertEqual(self.ecs.send("GET", "/?AccessKeyId=a&" + bad).xml.tag, "Error")
            for accept, xml in (("text/xml", True), ("application/json", False), ("*/*", False)):
                reply = self.ecs.send("GET", "/?" + bad, {"x-acs-action": "DescribeRegions", "accept": accept})
                self.assertEqual(reply.headers["content-type"].startswith("text/xml"), xml, (bad[:40], accept))
        self.assertIn("Code", self.ecs.send("PUT", "/?Format=JSON").json)
        self.assertEqual(self.ecs.send("PUT", "/?Format=XML", {"accept": "application/json"}).xml.tag, "Error")

    def test_host_id_is_the_name_that_was_called(self):
        for host, expected in (("ecs.aliyuncs.com:8080", "ecs.aliyuncs.com"), ("ecs.aliyuncs.com", "ecs.aliyuncs.com")):
            self.assertEqual(self.get(self.common(), {"Host": host}).json["HostId"], expected)

    def test_options(self):
        for target in ("/", "/?Action=StopInstance", "*"):
            reply = self.ecs.send("OPTIONS", target, {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                                                      "Access-Control-Request-Headers": "authorization,x-acs-action"})
            self.assertIn(reply.status, (200, 204))
            self.assertEqual(reply.headers["access-control-allow-origin"], "*")
            self.assertEqual(reply.headers["access-control-max-age"], "172800")
            for method in ("GET", "POST", "OPTIONS"):
                self.assertIn(method, reply.headers["access-control-allow-methods"])
            allowed = [name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")]
            for name in ("authorization", "content-type", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce",
                         "x-acs-content-sha256", "x-acs-security-token"):
                self.assertIn(name, allowed)


class Errors(GatewayTest):
    def test_order_v1(self):
        """Everything is wrong; each step mends what the error named, and meets the next one."""
        key, _ = self.new_key()
        self.ecs.ctl("key", "disable", key)
        used = self.signed(self.common(SignatureNonce="used-" + uuid.uuid4().hex))
        self.assert_ok(self.get(used))
        params = {"Format": "YAML", "SignatureMethod": "ROT13", "RegionId": ""}
        host = {"Host": "example.com", "accept": "application/json"}
        method = "PUT"

        def expect(status, code, message):
            reply = self.ecs.send(method, "/?" + urllib.parse.urlencode(params), host)
            self.assert_error(reply, status, code, message)

        expect(403, "UnsupportedHTTPMethod", "This HTTP method is not supported.")
        method = "GET"
        params["AccessKeyId"] = ""
        expect(400, "MissingVersion", "Version is mandatory for this action.")
        params["Version"] = "2011-11-11"
        expect(404, "InvalidProduct.NotFound", "Cannot find product according to your specified domain.")
        host["Host"] = "ecs-cn-hangzhou.aliyuncs.com"
        expect(400, "InvalidVersion", "Specified parameter Version is not valid.")
        params["Version"] = ECS
        expect(400, "MissingAction", "Action is mandatory for this action.")
        params["Action"] = "StopTheWorld"
        expect(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
        params["Action"] = "DescribeSnapshots"
        expect(400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")
        params["AccessKeyId"] = "LTAInobody"
        expect(400, "MissingSignature", "Signature is mandatory for this action.")
        params["Signature"] = "AAAA"
        expect(400, "MissingSignatureNonce", "SignatureNonce is mandatory for this action.")
        params["SignatureNonce"] = used["SignatureNonce"]
        expect(400, "MissingTimestamp", "Timestamp is mandatory for this action.")
        params["Timestamp"] = "yesterday"
        expect(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        params["AccessKeyId"] = key
        expect(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
        params["AccessKeyId"] = self.ecs.key_id
        expect(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
        params["Timestamp"] = "2018-01-01T12:00:00Z"
        expect(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        params["Timestamp"] = now_text()
        expect(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        params["SignatureNonce"] = uuid.uuid4().hex
        expect(400, "InvalidParameter.Format", "Specified parameter format is not valid.")
        params["Format"] = "JSON"
        expect(400, "InvalidSignatureMethod", "Specified signature method is not valid.")
        params["SignatureMethod"] = "HMAC-SHA1"
        unsigned = {k: v for k, v in params.items() if k != "Signature"}
        canonical = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(unsigned.items()))
        expect(400, "SignatureDoesNotMatch", V1_MISMATCH + "GET&%2F&" + quote(canonical))
        params = self.signed(unsigned)
        expect(403, "UnsupportedOperation", "The specified action DescribeSnapshots is not supported.")
        params = self.signed({**unsigned, "Action": "DescribeInstances", "SignatureNonce": uuid.uuid4().hex, "PageSize": "x"})
        expect(400, "MissingParameter", 'The input parameter "RegionId" that is mandatory for processing this request is not supplied.')
        params = self.signed({**unsigned, "Action": "DescribeInstances", "SignatureNonce": uuid.uuid4().hex, "PageSize": "x",
                              "RegionId": "cn-nowhere"})
        expect(400, "InvalidParameter", 'The specified parameter "PageSize" is not valid.')
        params = self.signed({**unsigned, "Action": "DescribeInstances", "SignatureNonce": uuid.uuid4().hex, "RegionId": "cn-nowhere"})
        expect(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")

    def test_order_v3(self):
        authorization = "ACS4-HMAC-SHA256 Credential=,SignedHeaders=host,Signature="
        headers = {"Host": "example.com", "accept": "application/json", "authorization": authorization}

        def expect(status, code, **more):
            headers.update({k.replace("_", "-"): v for k, v in more.items()})
            self.assert_error(self.ecs.send("POST", "/?RegionId=", headers), status, code)

        expect(400, "MissingVersion")
        expect(404, "InvalidProduct.NotFound", x_acs_version="2011-11-11")
        expect(400, "InvalidVersion", Host="ecs-vpc.cn-hangzhou.aliyuncs.com")
        expect(400, "MissingAction", x_acs_version=ECS)
        expect(404, "InvalidAction.NotFound", x_acs_action="describeinstances")
        expect(400, "MissingAccessKeyId", x_acs_action="DescribeInstances")
        expect(400, "MissingSignature", authorization="ACS4-HMAC-SHA256 Credential=LTAInobody,SignedHeaders=host,Signature=")
        expect(400, "MissingSignatureNonce", authorization="ACS4-HMAC-SHA256 Credential=LTAInobody,SignedHeaders=host,Signature=00")
        expect(400, "MissingTimestamp", x_acs_signature_nonce=uuid.uuid4().hex)
        expect(404, "InvalidAccessKeyId.NotFound", x_acs_date="now")
        expect(400, "InvalidTimeStamp.Format", authorization=f"ACS4-HMAC-SHA256 Credential={self.ecs.key_id},Signature=00")
        expect(400, "InvalidTimeStamp.Expired", x_acs_date="2100-01-01T00:00:00Z")
        expect(400, "InvalidSignatureMethod", x_acs_date=now_text())
        for kind in ("ACS3-HMAC-SM3", "ACS3-RSA-SHA256"):
            expect(400, "InvalidSignatureMethod", authorization=f"{kind} Credential={self.ecs.key_id},Signature=00")
        expect(400, "SignatureDoesNotMatch", authorization=f"ACS3-HMAC-SHA256 Credential={self.ecs.key_id},Signature=00")

    def test_v3_mismatch_tells_what_was_hashed(self):
        nonce, date = uuid.uuid4().hex, now_text()
        reply = self.ecs.v3("DescribeRegions", {"A": "b c"}, secret="wrong", nonce=nonce, date=date)
        empty = hashlib.sha256(b"").hexdigest()
        names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
        canonical = (f"POST\n/\nA=b%20c\nhost:{self.ecs.host}:{self.ecs.port}\nx-acs-action:DescribeRegions\n"
                     f"x-acs-content-sha256:{empty}\nx-acs-date:{date}\nx-acs-signature-nonce:{nonce}\nx-acs-version:{ECS}\n\n"
                     f"{names}\n{empty}")
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        self.assert_error(reply, 400, "SignatureDoesNotMatch",
                          "Specified signature does not match our calculation. server StringToSign is "
                          f"[ACS3-HMAC-SHA256\n{digest}] server CanonicalRequest is [{canonical}]")

    def test_v1_mismatch_of_method(self):
        params = self.signed(self.common(), "GET")
        reply = self.ecs.send("POST", "/?" + urllib.parse.urlencode(params), FORM)
        self.assert_error(reply, 400, "SignatureDoesNotMatch")
        self.assertEqual(len(reply.json["Message"].split(":")), 2, "old SDKs split at the colon")

    def test_a_refused_signature_does_not_use_the_nonce_up(self):
        params = self.common()
        self.assert_error(self.get({**params, "Signature": "AAAA"}), 400, "SignatureDoesNotMatch")
        self.assert_ok(self.get(self.signed(params)))

    def test_nobody(self):
        for target in ("/?Action=DescribeRegions&Version=2014-05-26&Format=JSON",
                       "/?Action=DescribeRegions&Version=2014-05-26&Format=JSON&SignatureType=BEARERTOKEN&BearerToken=abc"):
            self.assert_error(self.ecs.send("GET", target), 400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")
        reply = self.ecs.send("POST", "/?SignatureType=BEARERTOKEN", {"x-acs-action": "DescribeRegions", "x-acs-version": ECS,
                                                                      "x-acs-bearer-token": "abc"})
        self.assert_error(reply, 400, "MissingAccessKeyId")

    def test_actions_that_are_not_here(self):
        for action in ("DescribeSnapshots", "DescribeVSwitches"):
            self.assert_error(self.ecs.v3(action), 403, "UnsupportedOperation", f"The specified action {action} is not supported.")
        self.assert_error(self.ecs.v3("DescribeVpcs", version="2016-04-28"), 403, "UnsupportedOperation")
        for action in ("StopTheWorld", "stopinstance", "Stop<Instance>", "ListHosts", ""):
            reply = self.ecs.v3(action)
            self.assertIn(reply.code, ("InvalidAction.NotFound", "MissingAction"))
        self.assert_error(self.ecs.v3("GetCallerIdentity"), 404, "InvalidAction.NotFound")
        self.assert_error(self.ecs.v3("StopInstance", version="2015-04-01"), 404, "InvalidAction.NotFound")

    def test_operator_actions_are_not_for_the_network(self):
        for action in ("ListHosts", "CreateKey", "ShowOptions"):
            for version in ("admin", ECS, "2015-04-01"):
                for headers in ({}, {"host": "admin.example"}):
                    reply = self.ecs.v3(action, version=version, headers=headers)
                    self.assertIn(reply.code, ("InvalidProduct.NotFound", "InvalidAction.NotFound", "InvalidVersion"), reply)

    def test_path(self):
        self.assert_error(self.ecs.send("GET", "/api?Action=DescribeRegions&Version=2014-05-26&Format=JSON"), 404, "InvalidApi.NotFound")

    def test_texts_that_are_none(self):
        for bad in ("%ff", "a%00b", "%ed%a0%80", "%c0%af", "%f4%90%80%80"):
            params = self.common("DescribeInstances", RegionId=REGION)
            reply = self.ecs.send("GET", "/?" + urllib.parse.urlencode(params) + "&InstanceName=" + bad)
            self.assert_error(reply, 400, "InvalidParameter", 'The specified parameter "InstanceName" is not valid.')
            reply = self.ecs.send("POST", "/?" + urllib.parse.urlencode(params), FORM, ("InstanceName=" + bad).encode())
            self.assert_error(reply, 400, "InvalidParameter", 'The specified parameter "InstanceName" is not valid.')

    def test_how_many_parameters(self):
        for count, code in ((2000, 200), (2100, 413)):
            params = {f"P{n}": "1" for n in range(count)}
            reply = self.ecs.v3("DescribeRegions", params)
            self.assertEqual(reply.status, code, reply)
        params = self.common()
        params.update({f"P{n}": "1" for n in range(2049 - len(params) - 2)})
        self.assert_ok(self.get(self.signed(params)))
        params["P-one-more"] = "1"
        self.assert_error(self.get(self.signed({**params, "SignatureNonce": uuid.uuid4().hex})), 413, "RequestEntityTooLarge")

    def test_nonsense_never_stops_the_server(self):
        for target in ("/?" + "&" * 5000, "/?=&==&===", "/?%", "/?%4", "/?a=%&b=%4&c=%zz", "/?" + "a.1." * 60 + "=1", "/?#", "/?a#b=c",
                       "/" + "?" * 100, "//", "/?Tag.99999999999999999999.Key=1", "/?Action=" + "A" * 5000):
            with self.subTest(target=target[:30]):
                self.assertIn(self.ecs.send("GET", target).status, (400, 404, 413))
        self.assert_ok(self.ecs.v3("DescribeRegions"))

    def test_awkward_lists(self):
        for name in ("InstanceId.0", "InstanceId.01", "InstanceId.-1", "InstanceId.99999999999999999999", "InstanceId.1.2", "InstanceId.",
                     "InstanceId.#3#key"):
            reply = self.ecs.v3("DescribeInstanceStatus", {"RegionId": REGION, name: "i-none"})
            self.assertIn(reply.status, (200, 400), reply)


class Replay(GatewayTest):
    def test_read_and_write(self):
        i = self.running_instance()
        for action, params in (("DescribeRegions", {}), ("RebootInstance", {"InstanceId": i}), ("StopInstance", {"InstanceId": "i-no"})):
            v1 = self.signed(self.common(action, **params))
            v3 = {"nonce": uuid.uuid4().hex, "date": now_text()}
            first = self.get(v1)
            self.assertNotEqual(first.code, "SignatureNonceUsed")
            self.assert_error(self.get(v1), 400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self.assertNotEqual(self.ecs.v3(action, params, **v3).code, "SignatureNonceUsed")
            self.assert_error(self.ecs.v3(action, params, **v3), 400, "SignatureNonceUsed")
            self.await_status(i, "Running")

    def test_other_key_same_nonce(self):
        nonce = uuid.uuid4().hex
        key, secret = self.new_key()
        self.assert_ok(self.ecs.v3("DescribeRegions", nonce=nonce))
        self.assert_ok(self.ecs.v3("DescribeRegions", nonce=nonce, key=key, secret=secret))

    def test_writes_across_a_crash(self):
        i = self.stopped_instance()
        calls = [self.signed(self.common("StartInstance", InstanceId=i)), self.signed(self.common("StartInstance", InstanceId="i-none"))]
        self.assert_ok(self.get(calls[0]))
        self.assert_error(self.get(calls[1]), 404, "InvalidInstanceId.NotFound")
        self.await_status(i, "Running")
        self.ecs.restart(signal.SIGKILL)
        for call in calls:
            self.assert_error(self.get(call), 400, "SignatureNonceUsed")
        self.ecs.restart(signal.SIGTERM)
        for call in calls:
            self.assert_error(self.get(call), 400, "SignatureNonceUsed")

    def test_window(self):
        for offset, code in ((-880, None), (880, None), (-920, "InvalidTimeStamp.Expired"), (920, "InvalidTimeStamp.Expired"),
                             (-8 * 3600, "InvalidTimeStamp.Expired")):
            for reply in (self.ecs.v3("DescribeRegions", date=now_text(offset)), self.get(self.signed(self.common(Timestamp=now_text(offset))))):
                self.assertEqual(reply.json.get("Code"), code, offset)

    def test_stamps_that_are_none(self):
        for text in ("2018-01-01 12:00:00", "2018-01-01T12:00:00+08:00", "2018-02-30T12:00:00Z", "2018-01-01T24:00:00Z", "1514808000", "Z"):
            self.assert_error(self.ecs.v3("DescribeRegions", date=text), 400, "InvalidTimeStamp.Format")


class Keys(GatewayTest):
    def test_disabled_enabled_deleted(self):
        key, secret = self.new_key()
        self.assert_ok(self.ecs.v3("DescribeRegions", key=key, secret=secret))
        self.ecs.ctl("key", "disable", key)
        self.assert_error(self.ecs.v3("DescribeRegions", key=key, secret=secret), 400, "InvalidAccessKeyId.Inactive")
        self.assert_error(self.ecs.v1("DescribeRegions", key=key, secret="wrong"), 400, "InvalidAccessKeyId.Inactive")
        self.ecs.ctl("key", "enable", key)
        self.assert_ok(self.ecs.v3("DescribeRegions", key=key, secret=secret))
        self.ecs.ctl("key", "delete", key)
        self.assert_error(self.ecs.v3("DescribeRegions", key=key, secret=secret), 404, "InvalidAccessKeyId.NotFound")

    def test_plain_key_with_a_token(self):
        self.assert_error(self.ecs.v3("DescribeRegions", key=self.ecs.key_id, token="CAISabc"), 400,
                          "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
        self.assert_error(self.ecs.v1("DescribeRegions", SecurityToken="a b"), 400, "InvalidSecurityToken.Malformed",
                          "Specified SecurityToken is malformed.")


class Policies(GatewayTest):
    def test_one_action_only(self):
        i = self.running_instance()
        key, secret = self.new_key({"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["ecs:StopInstance", "ecs:Describe*"],
                                                                  "Resource": "*"}]})
        reply = self.ecs.v3("DeleteInstance", {"InstanceId": i}, key=key, secret=secret)
        self.assert_error(reply, 403, "Forbidden.RAM",
                          "User not authorized to operate on the specified resource, or this API doesn't support RAM.")
        detail = reply.json["AccessDeniedDetail"]
        self.assertIsInstance(detail, dict)
        self.assertEqual({k: detail[k] for k in ("AuthAction", "AuthPrincipalType", "PolicyType", "NoPermissionType")},
                         {"AuthAction": "ecs:DeleteInstance", "AuthPrincipalType": "SubUser",
                          "PolicyType": "AccountLevelIdentityBasedPolicy", "NoPermissionType": "ImplicitDeny"})
        self.assertTrue(all(isinstance(value, str) for value in detail.values()), detail)
        xml = self.ecs.v1("DeleteInstance", {"InstanceId": i}, key=key, secret=secret, format=None).xml
        self.assertEqual(xml.findtext("AccessDeniedDetail/AuthAction"), "ecs:DeleteInstance")
        self.assert_ok(self.ecs.v3("DescribeInstances", {"RegionId": REGION}, key=key, secret=secret))
        self.assert_ok(self.ecs.v3("StopInstance", {"InstanceId": i}, key=key, secret=secret))

    def test_one_instance_only_and_deny_wins(self):
        i, j = self.running_instance(), self.running_instance()
        allow = {"Effect": "Allow", "Action": "ecs:*", "Resource": f"acs:ecs:*:*:instance/{i}"}
        deny = {"Effect": "Deny", "Action": "ecs:DeleteInstance", "Resource": "*"}
        key, secret = self.new_key({"Version": "1", "Statement": [allow, deny]})
        who = {"key": key, "secret": secret}
        self.assert_error(self.ecs.v3("StopInstance", {"InstanceId": j}, **who), 403, "Forbidden.RAM")
        batch = {"RegionId": REGION, "InstanceId.1": i, "InstanceId.2": j}
        self.assert_error(self.ecs.v3("StopInstances", batch, **who), 403, "Forbidden.RAM")
        for name in ("InstanceId.1", "instanceid.01", "INSTANCEID.1"):
            self.assert_error(self.ecs.v3("StopInstances", {"RegionId": REGION, name: j}, **who), 403, "Forbidden.RAM")
        for name in ("instanceId", "INSTANCEID"):
            self.assert_error(self.ecs.v3("StopInstance", {name: j}, **who), 403, "Forbidden.RAM")
        self.assertEqual((self.status_of(i), self.status_of(j)), ("Running", "Running"))
        self.assert_ok(self.ecs.v3("StopInstance", {"InstanceId": i}, **who))
        reply = self.ecs.v3("DeleteInstance", {"InstanceId": i}, **who)
        self.assertEqual(self.assert_error(reply, 403, "Forbidden.RAM").json["AccessDeniedDetail"]["NoPermissionType"], "ExplicitDeny")

    def test_deny_can_not_be_dodged(self):
        """Everything but one instance is allowed: no spelling of its id gets through."""
        i = self.running_instance()
        deny = {"Effect": "Deny", "Action": "ecs:*", "Resource": f"acs:ecs:*:*:*/{i}"}
        key, secret = self.new_key({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, deny]})
        for action, name, more in (("StopInstances", "InstanceId", {}), ("RebootInstances", "InstanceId", {}),
                                   ("DeleteInstances", "InstanceId", {"Force": True}), ("DescribeInstanceStatus", "InstanceId", {}),
                                   ("TagResources", "ResourceId", {"ResourceType": "instance", "Tag.1.Key": "a", "Tag.1.Value": "b"}),
                                   ("UntagResources", "ResourceId", {"ResourceType": "Instance", "All": True})):
            for params in ({name: json.dumps([i])}, {name: f' ["{i}"]'}, {name: json.dumps(["i-other", i])}, {name + ".1": i},
                           {name.lower() + ".5": i}, {name + ".1": "i-other", name + ".2": i}, {name: "i-other", name + ".1": i},
                           {name: "[]", name + ".1": i}, {name + ".0": i}, {name + ".007": i}):
                with self.subTest(action=action, **params):
                    reply = self.ecs.v3(action, {"RegionId": REGION, **more, **params}, key=key, secret=secret)
                    if action != "DescribeInstanceStatus":  # asked for none, it shows all
                        self.assertNotEqual(reply.status, 200, reply)
                    elif not params.get(name, "").startswith(" "):
                        self.assertNotIn(i.encode(), reply.body)
                    row = self.instance(i)
                    self.assertEqual((row["Status"], row["Tags"]["Tag"]), ("Running", []))

    def test_which_id_is_judged_is_which_id_is_used(self):
        """Spellings of one name, lists as JSON text: no way around the policy."""
        i, j = self.running_instance(), self.running_instance()
        key, secret = self.new_key({"Statement": [{"Effect": "Allow", "Action": "ecs:*", "Resource": f"acs:ecs:*:*:instance/{i}"}]})
        tries = ({"InstanceId": i, "instanceId": j}, {"instanceId": i, "InstanceId": j}, {"INSTANCEID": i, "instanceid": j})
        for params in tries:
            self.ecs.v3("StopInstance", params, key=key, secret=secret)
            self.assertEqual(self.status_of(j), "Running", params)
        lists = ({"InstanceId.1": i, "instanceid.1": j}, {"InstanceId": json.dumps([j])}, {"InstanceId": i, "InstanceId.1": j},
                 {"InstanceId": json.dumps([j]), "InstanceId.1": ""}, {"InstanceId.1": "", "InstanceId.2": j}, {"InstanceId.1.x": i, "InstanceId.1": j})
        for params in lists:
            self.ecs.v3("StopInstances", {"RegionId": REGION, **params}, key=key, secret=secret)
            self.assertEqual(self.status_of(j), "Running", params)


class Throttled(GatewayTest):
    settings = {"gateway.throttle": "true", "gateway.throttle_rate": "1", "gateway.throttle_burst": "3"}

    def test_throttling(self):
        replies = [self.ecs.v3("DescribeRegions") for _ in range(8)]
        refused = [r for r in replies if r.status != 200]
        self.assertTrue(3 <= len(replies) - len(refused) <= 6, replies)
        for reply in refused:
            self.assert_error(reply, 400, "Throttling", "Request was denied due to request throttling.")
            self.assertTrue(1 <= int(reply.headers["x-acs-retry-after"]) <= 1001)
        for reply in replies:
            self.assertEqual("x-acs-retry-after" in reply.headers, reply.status != 200)
        self.assert_ok(self.ecs.v3("DescribeZones", {"RegionId": REGION}))
        time.sleep(int(refused[-1].headers["x-acs-retry-after"]) / 1000)
        self.assert_ok(self.ecs.v3("DescribeRegions"))

    def test_who_can_not_sign_uses_nothing_up(self):
        for _ in range(10):
            self.assert_error(self.ecs.v3("DescribeInstanceTypeFamilies", {"RegionId": REGION}, secret="wrong"), 400, "SignatureDoesNotMatch")
        self.assert_ok(self.ecs.v3("DescribeInstanceTypeFamilies", {"RegionId": REGION}))


class Log(GatewayTest):
    settings = {"log.level": "debug", "log.calls": "all"}

    def test_secrets_stay_out(self):
        password, user_data, action = "Sesame-Open-1x", base64.b64encode(b"#!/bin/sh\necho hidden-words").decode(), "Evil\nline=1"
        i = self.running_instance(Password=password, UserData=user_data)
        account = self.call_v3("GetCallerIdentity", "2015-04-01")["AccountId"]
        role = self.call_v3("AssumeRole", "2015-04-01", RoleArn=f"acs:ram::{account}:role/r", RoleSessionName="session")["Credentials"]
        replies = [self.ecs.v3("DescribeRegions", secret="wrong"), self.ecs.v1("DescribeRegions"), self.ecs.v1(action),
                   self.ecs.v3("ModifyInstanceAttribute", {"InstanceId": i, "Password": password + "2"}),
                   self.ecs.v3("DescribeRegions", key=role["AccessKeyId"], secret=role["AccessKeySecret"], token=role["SecurityToken"]),
                   self.ecs.v3("DescribeRegions", key=role["AccessKeyId"], secret=role["AccessKeySecret"], token="CAISnot-this-one")]
        _, other = self.new_key()
        log = self.ecs.log_text()
        self.assertIn("action=DescribeRegions", log)
        for reply in replies:
            self.assertIn(reply.headers["x-acs-request-id"], log)
        for word in (self.ecs.secret, other, password, user_data, "hidden-words", role["AccessKeySecret"], role["SecurityToken"],
                     "CAISnot-this-one", "Signature=", "SignatureNonce", "Authorization"):
            self.assertNotIn(word, log)
        for line in log.splitlines():
            self.assertRegex(line, r"^(<\d>)?ts=", "one line each")
        self.assertEqual(re.findall(r"(?i)(password|secret|token)=\S+", log), [])

    def call_v3(self, action, version, **params):
        reply = self.ecs.v3(action, params, version=version)
        self.assertEqual(reply.status, 200, reply)
        return reply.json


class Connections(GatewayTest):
    def test_many_calls_over_one_connection(self):
        connection = http.client.HTTPConnection(self.ecs.host, self.ecs.port, timeout=20)
        try:
            for n in range(20):
                params = self.common() if n % 3 else self.common(Version="1")
                connection.request("GET", "/?" + urllib.parse.urlencode(self.signed(params)))
                reply = connection.getresponse()
                body = json.loads(reply.read())
                self.assertEqual(reply.status, 200 if n % 3 else 404)
                self.assertTrue(body["RequestId"])
        finally:
            connection.close()
