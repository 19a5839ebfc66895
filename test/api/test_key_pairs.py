# SPDX-License-Identifier: Apache-2.0
"""The pages of key pairs: CreateKeyPair to DeleteKeyPairs, and what instances have of them."""

import base64
import hashlib
import json
import time
import unittest

from harness import REGION, SLOW, EcsTest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
FINGERPRINT = "65962dfce8d5a911640c0fea006e5bbd"


def strings(blob):
    """RFC 4251: strings with their lengths in front."""
    while blob:
        size = int.from_bytes(blob[:4])
        yield blob[4:4 + size]
        blob = blob[4 + size:]


def integers(der):
    """The integers of a DER sequence of nothing else."""
    def item(data):
        size, at = data[1], 2
        if size & 0x80:
            at += size & 0x7f
            size = int.from_bytes(data[2:at])
        return data[0], data[at:at + size], data[at + size:]
    tag, rest, more = item(der)
    assert tag == 0x30 and not more
    while rest:
        tag, value, rest = item(rest)
        assert tag == 2
        yield int.from_bytes(value)


class KeyPairTest(EcsTest):
    def create(self, name, **params):
        """Keys are made ahead: who is too quick is told to come again."""
        end = time.monotonic() + 30 * SLOW
        while True:
            reply = self.ecs.v3("CreateKeyPair", {"RegionId": REGION, "KeyPairName": name,
                                                  **{k.replace("__", "."): v for k, v in params.items()}})
            if reply.status != 503 or time.monotonic() > end:
                self.assertEqual(reply.status, 200, reply)
                return reply.json
            self.assertEqual(reply.code, "ServiceUnavailable")
            time.sleep(0.02)

    def bring(self, name, **params):
        return self.call("ImportKeyPair", RegionId=REGION, KeyPairName=name, PublicKeyBody=KEY, **params)

    def pairs(self, **params):
        return self.call("DescribeKeyPairs", RegionId=REGION, **params)["KeyPairs"]["KeyPair"]

    def delete(self, *names):
        self.assertEqual(set(self.call("DeleteKeyPairs", RegionId=REGION, KeyPairNames=json.dumps(names))), {"RequestId"})

    def test_the_private_key_fits_the_public_one(self):
        body = self.create("made", Tag__1__Key="env")
        self.assertEqual(set(body), {"RequestId", "KeyPairId", "KeyPairName", "KeyPairFingerPrint", "PrivateKeyBody"})
        self.addCleanup(self.delete, "made")
        head, *lines, tail = body["PrivateKeyBody"].splitlines()
        self.assertEqual((head, tail), ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"))
        version, n, e, d, p, q, *_ = integers(base64.b64decode("".join(lines)))
        self.assertEqual((version, e, n.bit_length(), p * q, pow(pow(7, e, n), d, n)), (0, 65537, 2048, n, 7))
        [pair] = self.pairs(KeyPairName="made", IncludePublicKey=True)
        kind, text = pair["PublicKey"].split(" ")
        word, exponent, modulus = strings(base64.b64decode(text))
        self.assertEqual((kind, word, int.from_bytes(exponent), int.from_bytes(modulus)), ("ssh-rsa", b"ssh-rsa", e, n))
        self.assertEqual(body["KeyPairFingerPrint"], hashlib.md5(base64.b64decode(text)).hexdigest())
        self.assertEqual(pair["KeyPairFingerPrint"], body["KeyPairFingerPrint"])
        self.assertEqual(pair["Tags"], {"Tag": [{"TagKey": "env", "TagValue": ""}]})
        self.assertNotIn("PRIVATE", self.ecs.log_text())
        for file in self.ecs.data.glob("ecsd.db*"):
            self.assertNotIn(lines[3].encode(), file.read_bytes())

    def test_many_at_once_are_all_different(self):
        names = [f"burst-{i}" for i in range(6)]
        self.addCleanup(self.delete, *names)
        self.assertEqual(len({self.create(name)["KeyPairFingerPrint"] for name in names}), 6)

    def test_import(self):
        body = self.bring("mine", ResourceGroupId="rg-1")
        self.assertEqual((body["KeyPairName"], body["KeyPairFingerPrint"]), ("mine", FINGERPRINT))
        self.addCleanup(self.delete, "mine")
        [pair] = self.pairs(KeyPairName="mi*", ResourceGroupId="rg-1")
        self.assertEqual(set(pair), {"KeyPairName", "KeyPairFingerPrint", "CreationTime", "ResourceGroupId", "Tags"})
        self.assertRegex(pair["CreationTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\dZ$")
        self.refuses("ImportKeyPair", "KeyPair.AlreadyExist", 400, "The key pair already exist.", RegionId=REGION, KeyPairName="mine",
                     PublicKeyBody=KEY)
        for params, status, code, message in (
                ({"KeyPairName": "9"}, 400, "InvalidKeyPairName.Malformed", "Specified Key Pair name is not valid."),
                ({"PublicKeyBody": "ssh-rsa AAAA"}, 400, "InvalidPublicKeyBody.Malformed", "The PublicKeyBody format is not supported."),
                ({"PublicKeyBody": f"{KEY}\n{KEY}"}, 400, "InvalidPublicKeyBody.Malformed", None),
                ({"Tag__1__Key": "a", "Tag__2__Key": "a"}, 400, "Duplicate.TagKey", None),
                ({"Tag__1__Key": "acs:x"}, 400, "InvalidTagKey.Malformed", None),
                ({"ResourceGroupId": "r" * 65}, 404, "InvalidResourceGroup.NotFound", None),
                ({"RegionId": "x"}, 404, "InvalidRegionId.NotFound", "The specified RegionId does not exist."),
                ({"PublicKeyBody": ""}, 400, "MissingParameter",
                 'The input parameter "PublicKeyBody" that is mandatory for processing this request is not supplied.')):
            with self.subTest(**params):
                self.refuses("ImportKeyPair", code, status, message, **{"RegionId": REGION, "KeyPairName": "other", "PublicKeyBody": KEY,
                                                                        **params})
        self.assertEqual([p["KeyPairName"] for p in self.pairs(KeyPairFingerPrint=FINGERPRINT)], ["mine"])
        for page in ({"PageSize": 51}, {"PageSize": 0}, {"PageNumber": 0}):
            self.refuses("DescribeKeyPairs", "InvalidParameter", 400, f'The specified parameter "{next(iter(page))}" is not valid.',
                         RegionId=REGION, **page)

    def test_terraform_and_packer(self):
        """A pair, an instance with it, another pair instead, and all of it away again."""
        self.bring("first")
        self.bring("second")
        self.refuses("RunInstances", "InvalidKeyPairName.NotFound", 404, "The specified KeyPairName does not exist in our records.",
                     RegionId=REGION, ImageFamily="acs:debian_12_6_x64", InstanceType="ecs.g6.large", KeyPairName="none")
        i = self.running_instance(KeyPairName="first")
        self.assertEqual(self.instance(i)["KeyPairName"], "first")
        self.refuses("DeleteKeyPairs", "InvalidParameter.KeypairAlreadyAttachedInstance", 400, RegionId=REGION,
                     KeyPairNames='["second","first"]')
        body = self.call("AttachKeyPair", RegionId=REGION, KeyPairName="second", InstanceIds=json.dumps([i]))
        self.assertEqual({k: v for k, v in body.items() if k != "RequestId"}, {
            "KeyPairName": "second", "TotalCount": "1", "FailCount": "0",
            "Results": {"Result": [{"InstanceId": i, "Code": "200", "Message": "successful", "Success": "true"}]}})
        self.assertEqual(self.instance(i)["KeyPairName"], "second")
        self.ecs.restart()
        self.assertEqual(self.instance(i)["KeyPairName"], "second")
        body = self.call("DetachKeyPair", RegionId=REGION, KeyPairName="first", InstanceIds=json.dumps([i]))
        self.assertEqual((body["FailCount"], body["Results"]["Result"][0]["Success"]), ("1", "false"))
        body = self.call("DetachKeyPair", RegionId=REGION, KeyPairName="second", InstanceIds=json.dumps([i]))
        self.assertEqual((body["FailCount"], self.instance(i)["KeyPairName"]), ("0", ""))
        self.delete("first", "second", "never-was")
        self.assertEqual(self.pairs(KeyPairName="*s*"), [])

    def test_what_can_have_no_pair(self):
        self.bring("pair")
        linux = self.running_instance()
        windows = self.running_instance(ImageId=self.windows_image(), KeyPairName="ignored-there")
        self.assertEqual(self.instance(windows)["KeyPairName"], "")
        for deed, not_found in (("AttachKeyPair", "The specified KeyPairName does not exist in our records."),
                                ("DetachKeyPair", "The specified KeyPairName does not exist.")):
            for ids, name, status, code, message in (
                    (json.dumps([linux, windows]), "pair", 403, "DependencyViolation.WindowsInstance",
                     "The instance creating is window, cannot use ssh key pair to login"),
                    (json.dumps([linux, "i-none"]), "pair", 400, "InvalidInstanceIds.ValueNotSupported",
                     "The specified parameter InstanceIds is not valid."),
                    ("[]", "pair", 400, "InvalidInstanceIds.ValueNotSupported", None),
                    ("i-1,i-2", "pair", 400, "InvalidInstanceIds.ValueNotSupported", None),
                    (json.dumps(["i-1"] * 51), "pair", 403, "InstanceKeyPairLimitExceeded", None),
                    (json.dumps([linux]), "none", 404, "InvalidKeyPairName.NotFound", not_found)):
                with self.subTest(deed=deed, ids=ids[:40], name=name):
                    self.refuses(deed, code, status, message, RegionId=REGION, KeyPairName=name, InstanceIds=ids)
        self.assertEqual(self.instance(linux)["KeyPairName"], "")
        for names, status, code in (("[]", 400, "InvalidKeyPairNames.ValueNotSupported"), ("pair", 400, "InvalidKeyPairNames.ValueNotSupported"),
                                    (json.dumps(["x"] * 101), 403, "InstanceKeyPairLimitExceeded"), ("", 400, "MissingParameter")):
            self.refuses("DeleteKeyPairs", code, status, RegionId=REGION, KeyPairNames=names)
        self.delete("pair")

    def windows_image(self):
        return self.call("DescribeImages", RegionId=REGION, OSType="windows")["Images"]["Image"][0]["ImageId"]

    def test_policy(self):
        """A key that may do things to one pair only."""
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs:*KeyPair*", "Resource": "acs:ecs:*:*:keypair/theirs"}]}
        key = json.loads(self.ecs.ctl("key", "create", account, "policy=" + json.dumps(policy), "--json"))

        def told(action, **params):
            reply = self.ecs.v3(action, {"RegionId": REGION, **params}, key=key["AccessKeyId"], secret=key["AccessKeySecret"])
            return reply.status
        self.bring("ours")
        self.assertEqual(told("ImportKeyPair", KeyPairName="theirs", PublicKeyBody=KEY), 200)
        self.assertEqual(told("ImportKeyPair", KeyPairName="other", PublicKeyBody=KEY), 403)
        self.assertEqual(told("DeleteKeyPairs", KeyPairNames='["theirs","ours"]'), 403)
        self.assertEqual({p["KeyPairName"] for p in self.pairs()} & {"ours", "theirs", "other"}, {"ours", "theirs"})
        self.assertEqual(told("DeleteKeyPairs", KeyPairNames='["theirs"]'), 200)
        self.delete("ours")

    def test_tags(self):
        """What terraform does with a pair's tags: by the pair's name."""
        self.bring("tagged", Tag__1__Key="a", Tag__1__Value="1")
        self.addCleanup(self.delete, "tagged")
        self.call("TagResources", RegionId=REGION, ResourceType="keypair", ResourceId__1="tagged", Tag__1__Key="b", Tag__1__Value="2")
        shown = self.call("ListTagResources", RegionId=REGION, ResourceType="keypair", ResourceId__1="tagged")["TagResources"]["TagResource"]
        self.assertEqual([(t["ResourceId"], t["ResourceType"], t["TagKey"], t["TagValue"]) for t in shown],
                         [("tagged", "keypair", "a", "1"), ("tagged", "keypair", "b", "2")])
        self.assertEqual([p["KeyPairName"] for p in self.pairs(Tag__1__Key="b", Tag__1__Value="2")], ["tagged"])
        self.call("UntagResources", RegionId=REGION, ResourceType="keypair", ResourceId__1="tagged", TagKey__1="a")
        self.assertEqual(self.pairs(KeyPairName="tagged")[0]["Tags"]["Tag"], [{"TagKey": "b", "TagValue": "2"}])
        self.refuses("TagResources", "InvalidResourceId.NotFound", 404, RegionId=REGION, ResourceType="keypair", ResourceId__1="none",
                     Tag__1__Key="b")


if __name__ == "__main__":
    unittest.main()
