# SPDX-License-Identifier: Apache-2.0
"""What holds for every action alike: which names there are, and which of two faults is told (the order of the gateway's checks)."""

import base64
import hashlib
import hmac
import json
import re
import unittest
import uuid

import client
import coverage
import facts
import test_model
import world
from harness import now_text, quote

USED = uuid.uuid4().hex  # a nonce that the key has used
POLICY = json.dumps({"Version": "1", "Statement": [{"Effect": "Deny", "Action": "ecs:*", "Resource": "*"}]})
HEADERS = {"Action": "x-acs-action", "Version": "x-acs-version", "Timestamp": "x-acs-date", "SignatureNonce": "x-acs-signature-nonce",
           "SecurityToken": "x-acs-security-token"}
ABSENT = object()

# In the order in which they are told: (C name of the error, what the call has instead). A name that stands in two rows can't be
# wrong in both ways at once.
FAULTS = [
    ("E_UNSUPPORTED_HTTP_METHOD", {"method": "PUT"}),
    ("E_PRODUCT_NOT_FOUND", {"Version": "2000-01-01"}),
    ("E_MISSING_VERSION", {"Version": ABSENT}),
    ("E_MISSING_ACTION", {"Action": ABSENT}),
    ("E_INVALID_ACTION_NOT_FOUND", {"Action": "Nonsense"}),
    ("E_MISSING_ACCESS_KEY_ID", {"AccessKeyId": ABSENT}),
    ("E_MISSING_SIGNATURE", {"Signature": ABSENT}),
    ("E_MISSING_SIGNATURE_NONCE", {"SignatureNonce": ABSENT}),
    ("E_MISSING_TIMESTAMP", {"Timestamp": ABSENT}),
    ("E_ACCESS_KEY_NOT_FOUND", {"AccessKeyId": "nobody"}),
    ("E_ACCESS_KEY_INACTIVE", {"AccessKeyId": "disabled"}),
    ("E_TIMESTAMP_FORMAT", {"Timestamp": "yesterday"}),
    ("E_TIMESTAMP_EXPIRED", {"Timestamp": now_text(-5000)}),
    ("E_NONCE_USED", {"SignatureNonce": USED}),
    ("E_FORMAT", {"Format": "YAML"}),
    ("E_SIGNATURE_METHOD", {"SignatureMethod": "HMAC-MD5"}),
    ("E_SIGNATURE_VERSION", {"SignatureVersion": "2.0"}),
    ("E_SIGNATURE", {"Signature": "wrong"}),
    ("E_TOKEN_MALFORMED", {"SecurityToken": "a b"}),
    ("E_TOKEN_MISMATCH", {"SecurityToken": "abc"}),
    ("E_UNSUPPORTED_OPERATION", {"Action": "CopyImage"}),
    ("E_MISSING_PARAMETER", {"InstanceId": ABSENT}),
    ("E_INVALID_PARAMETER", {"ForceStop": "maybe"}),
    ("E_FORBIDDEN_RAM", {"AccessKeyId": "denied"}),
    ("E_INSTANCE_NOT_FOUND", {}),
]


class Calls(test_model.Speaker):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.secrets = {cls.ecs.key_id: cls.ecs.secret, "nobody": "none", ABSENT: "none"}
        cls.keys = {}
        for name in ("disabled", "denied"):
            made = json.loads(cls.ecs.ctl("key", "create", cls.names["account"], *([f"policy={POLICY}"] if name == "denied" else []),
                                          "--json"))["Key"]
            cls.keys[name] = made["AccessKeyId"]
            cls.secrets[made["AccessKeyId"]] = made["Secret"]
        cls.ecs.ctl("key", "disable", cls.keys["disabled"])

    def base(self):
        """A call that is right but for its instance, which is nobody's."""
        return {"method": "POST", "Action": "StopInstance", "Version": "2014-05-26", "AccessKeyId": self.ecs.key_id, "Signature": "right",
                "SignatureNonce": uuid.uuid4().hex, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "Timestamp": now_text(),
                "Format": "JSON", "InstanceId": world.NOBODY}

    def changed(self, **changes):
        """The base with changes; keys by the name that they have here."""
        call = {**self.base(), **changes}
        call["AccessKeyId"] = self.keys.get(call["AccessKeyId"], call["AccessKeyId"])
        return call

    def v1(self, call):
        """As a form-less POST."""
        secret = self.secrets[call["AccessKeyId"]]
        params = {name: value for name, value in call.items() if name not in ("method", "Signature") and value is not ABSENT}
        canonical = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(params.items()))
        text = f"{call['method']}&%2F&{quote(canonical)}"
        right = base64.b64encode(hmac.digest((secret + "&").encode(), text.encode(), "sha1")).decode()
        if call["Signature"] is not ABSENT:
            params["Signature"] = right if call["Signature"] == "right" else "wrong"
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in params.items())
        return f"{call['method']} /?{query} HTTP/1.1\r\nHost: {self.signer.host}\r\nContent-Length: 0\r\n\r\n".encode()

    def v3(self, call):
        """Common parameters in headers, the others in the query."""
        secret = self.secrets[call["AccessKeyId"]]
        headers = {HEADERS[name]: value for name, value in call.items() if name in HEADERS and value is not ABSENT}
        headers["host"] = self.signer.host
        params = {name: value for name, value in call.items() if name in ("InstanceId", "ForceStop", "Format") and value is not ABSENT}
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(params.items()))
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"{call['method']}\n/\n{query}\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        right = hmac.digest(secret.encode(), text.encode(), "sha256").hex()
        fields = [f"SignedHeaders={names}"]
        if call["AccessKeyId"] is not ABSENT:
            fields.append(f"Credential={call['AccessKeyId']}")
        if call["Signature"] is not ABSENT:
            fields.append(f"Signature={right if call['Signature'] == 'right' else 'wrong'}")
        scheme = "ACS3-HMAC-SHA256" if call["SignatureMethod"] == "HMAC-SHA1" else "ACS3-HMAC-MD5"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (f"{call['method']} /?{query} HTTP/1.1\r\n{head}Authorization: {scheme} {','.join(fields)}\r\n"
                f"Content-Length: 0\r\n\r\n").encode()

    def row(self, name, version):
        """The error of a row of FAULTS."""
        name = f"E_SIGNATURE_{version.upper()}" if name == "E_SIGNATURE" else name
        return self.facts.rows[name]

    def test_of_two_faults_the_earlier_is_told(self):
        for version in ("v1", "v3"):
            for key in (self.ecs.key_id, "denied"):  # nonces are a key's own
                self.network.exchange([getattr(self, version)(self.changed(SignatureNonce=USED, AccessKeyId=key))])
            jobs = []
            faults = [fault for fault in FAULTS if version == "v1" or "SignatureVersion" not in fault[1]]
            for at, (first, change) in enumerate(faults):
                for second, more in faults[at:]:
                    if first == second or not set(change) & set(more):
                        jobs.append((first, second, getattr(self, version)(self.changed(**{**more, **change}))))
            answers = self.network.exchange([request for _, _, request in jobs])
            for (first, second, request), (head, body) in zip(jobs, answers):
                with self.subTest(version=version, first=first, second=second):
                    row = self.row(first, version)
                    # Which format it has depends on the fault: both are read.
                    code, message = (re.search(rb'"%s":"([^"]*)"|<%s>([^<]*)' % (name, name), body) for name in (b"Code", b"Message"))
                    got = (int(head[9:12]), (code[1] or code[2]).decode()) if code else head
                    self.assertEqual(got, (row.status, row.code), request)
                    coverage.note("", row.status, row.code, (message[1] or message[2]).decode())
            print(f"{len(jobs):8d}  pairs of faults, {version}")

    def answers(self, calls):
        """(call, status, code) of (name, action, version)s, by V3 in both formats."""
        ways = [client.Way("v3", "POST", "query", format) for format in ("JSON", "XML")]
        jobs = [(action, version, way) for action, version in calls for way in ways]
        replies = self.network.exchange([self.signer.bytes_of(action, version, [], way) for action, version, way in jobs])
        for (action, version, way), (head, body) in zip(jobs, replies):
            status, code, message, _ = self.checker.check({"key": action, "action": action, "reply": {}}, way.format, head, body)
            coverage.note(action, status, code, message)
            yield action, status, code, message

    def test_known_actions(self):
        """Every action of ECS that isn't built says so; a name that is none is not found."""
        built = {action["action"] for action in self.facts.actions if action["product"] == "Ecs"}
        row = self.facts.rows["E_UNSUPPORTED_OPERATION"]
        known = [(name, "2014-05-26") for name in self.facts.known if name not in built]
        for action, status, code, message in self.answers(known):
            self.assertEqual((status, code, message), (row.status, row.code, row.text(action)))
        row = self.facts.rows["E_INVALID_ACTION_NOT_FOUND"]
        wrong = [(change(name), "2014-05-26") for name in sorted(built) for change in (str.lower, str.upper, lambda n: n + "s2", lambda n: n[:-1])]
        for action, status, code, message in self.answers([call for call in wrong if call[0] not in self.facts.known]):
            self.assertEqual((status, code, message), (row.status, row.code, row.message), action)
        print(f"{2 * len(known):8d}  calls of actions that are known, {2 * len(wrong)} of names that are none")

    def test_the_operators_actions_are_not_on_the_network(self):
        names = [action["action"] for action in self.facts.actions if action["product"] == "Admin" and action["action"] not in self.facts.known]
        for version, row in (("admin", "E_PRODUCT_NOT_FOUND"), ("2014-05-26", "E_INVALID_ACTION_NOT_FOUND")):
            row = self.facts.rows[row]
            for action, status, code, _ in self.answers([(name, version) for name in names]):
                self.assertEqual((status, code), (row.status, row.code), action)

    def test_pages_name_what_their_parameters_give(self):
        common = {"MissingParameter", "InvalidParameter", "UnsupportedParameter"}
        for action in self.facts.actions:
            codes = {self.facts.rows[name].code for name in facts.parameter_errors(action["fields"])}
            self.assertEqual(codes - set(action["errors"]) - common, set(), action["key"])


if __name__ == "__main__":
    unittest.main()
