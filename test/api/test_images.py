# SPDX-License-Identifier: Apache-2.0
"""Images of one's own: a file becomes an image with ecsctl, and is launched, listed and removed like any other."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.parse

from harness import BUILD, IMAGE, REGION, SLOW, EcsTest

GIB = 1 << 30


def qcow2(size, backing=0, crypt=0):
    """An empty image as qemu-img makes one: header of version 3, and its table in the second cluster."""
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, backing, 0, 16, size, crypt, 4, 65536, 131072, 1, 0, 0, 0, 0, 0, 4, 104)
    return head.ljust(3 * 65536, b"\0")


class ImportTest(EcsTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ecsd-files-")
        self.addCleanup(self.folder.cleanup)

    def file(self, name, content):
        path = pathlib.Path(self.folder.name) / name
        path.write_bytes(content)
        return path

    def ctl(self, *words):
        """Exit status, the reply, stderr."""
        done = subprocess.run([str(BUILD / "ecsctl"), "--data", str(self.ecs.data), *map(str, words)], capture_output=True, text=True,
                              timeout=60 * SLOW, cwd=self.folder.name)
        return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout, done.stderr

    def imported(self, *words):
        code, reply, err = self.ctl("image", "import", *words, "--json")
        self.assertEqual((code, err), (0, ""))
        return reply["ImageId"]

    def images(self, **params):
        found = self.call("DescribeImages", RegionId=REGION, PageSize=100, **params)["Images"]["Image"]
        return {image["ImageId"]: image for image in found}

    def files(self, *names):
        return {path.name: path for path in self.ecs.data.joinpath("images", *names).iterdir()}

    def test_from_file_to_instance_and_away(self):
        self.file("my.qcow2", qcow2(3 * GIB))
        image = self.imported("my.qcow2", "name=my-linux", "platform=Debian")  # a path from where the operator stands
        self.assertRegex(image, r"^m-[0-9a-z]{20}$")
        [(name, path)] = self.files(image).items()
        self.assertEqual((name, path.read_bytes()), ("disk", qcow2(3 * GIB)))
        shown = self.images(ImageName="my-*")[image]
        self.assertEqual((shown["Size"], shown["Platform"], shown["OSType"], shown["ImageOwnerAlias"], shown["IsPublic"]),
                         (3, "Debian", "linux", "system", True))
        i = self.running_instance(ImageId=image)
        self.assertEqual((self.instance(i)["ImageId"], self.instance(i)["OSName"]), (image, "Debian"))
        code, _, err = self.ctl("image", "remove", image)
        self.assertEqual(code, 1)
        self.assertRegex(err, f"^ImageInUse: Disk d-[0-9a-z]+ was made of image {image}; delete the instance or the disk first.\n$")
        self.assertIn("disk", self.files(image))
        self.call("DeleteInstance", InstanceId=i, Force=True)
        self.await_status(i, None)
        self.assertEqual(self.ctl("image", "remove", image), (0, "", ""))
        self.assertEqual(self.files(), {})
        self.refuses("RunInstances", "InvalidImageId.NotFound", 404, "The specified ImageId does not exist.", RegionId=REGION,
                     ImageId=image, InstanceType="ecs.g6.large")
        code, _, err = self.ctl("image", "remove", image)
        self.assertEqual((code, err), (1, f"InvalidImageId.NotFound: There is no imported image {image}.\n"))

    def test_a_file_for_an_image_that_clients_name(self):
        before = self.images()[IMAGE]
        self.assertEqual(self.imported(self.file("debian", qcow2(45 * GIB)), f"id={IMAGE}"), IMAGE)
        self.addCleanup(self.ctl, "image", "remove", IMAGE)
        self.assertEqual(self.images()[IMAGE], {**before, "Size": 45, "DiskDeviceMappings": {"DiskDeviceMapping": [
            {**before["DiskDeviceMappings"]["DiskDeviceMapping"][0], "Size": "45"}]}})
        self.refuses("RunInstances", "InvalidSystemDiskSize.LessThanImageSize", 404, RegionId=REGION, ImageId=IMAGE, InstanceType="ecs.g6.large",
                     SystemDisk__Size=44, DryRun=True)
        code, _, err = self.ctl("image", "import", "debian", f"id={IMAGE}")
        self.assertEqual((code, err.split(":")[0]), (1, "InvalidImageId.Duplicate"))
        self.assertIn("disk", self.files(IMAGE))  # the file of the first import

    def test_direct_boot_and_a_private_one(self):
        account = json.loads(self.ecs.ctl("account", "list", "--json"))["Accounts"]["Account"][0]["AccountId"]
        disk, kernel = self.file("rootfs", b"x" * 4096), self.file("vmlinuz", b"kernel")
        image = self.imported(disk, f"kernel={kernel}", "cmdline=root=/dev/vda console=ttyS0", f"account={account}", "format=raw",
                              "cloud-init=false")
        self.assertEqual({name: path.read_bytes() for name, path in self.files(image).items()},
                         {"disk": b"x" * 4096, "kernel": b"kernel", "cmdline": b"root=/dev/vda console=ttyS0"})
        own = self.images(ImageOwnerAlias="self")
        self.assertEqual(set(own), {image})
        self.assertEqual((own[image]["IsPublic"], own[image]["IsSupportCloudinit"], own[image]["Size"], str(own[image]["ImageOwnerId"])),
                         (False, False, 1, account))
        row = [r for r in self.ctl("image", "list", "--json")[1]["Images"]["Image"] if r["ImageId"] == image]
        self.assertEqual([(r["State"], r["Usable"], r["Imported"], r["Format"], r["DirectBoot"]) for r in row],
                         [("ready", True, True, "raw", True)])
        self.assertEqual(self.ctl("image", "remove", image)[0], 0)

    def test_what_is_refused_leaves_nothing(self):
        good = self.file("good", qcow2(GIB))
        for words, code, text in (((self.file("over", qcow2(GIB, backing=512)),), 1, "flatten it"),
                                  ((self.file("locked", qcow2(GIB, crypt=1)),), 1, "encrypted"),
                                  ((self.file("big", qcow2(2049 * GIB)),), 1, "2048 GiB"), ((self.file("none", b""),), 1, "no size"),
                                  ((self.file("x.gz", b"\x1f\x8b" + b"x" * 600),), 1, "format=raw"), (("/nonexistent",), 1, "can't open"),
                                  ((self.folder.name,), 1, "not a file"), ((good, "format=raw"), 1, "is qcow2, not raw"),
                                  ((good, "initrd=x"), 2, "kernel=FILE"), ((good, "kernel=k", "cmdline=a\nb"), 2, "printable ASCII"),
                                  ((good, "kernel=/nonexistent"), 1, "/nonexistent"), ((good, "id=../x"), 1, "ImageId"),
                                  ((good, "name=x"), 1, "InvalidImageName.Malformed"), ((good, "account=1"), 1, "InvalidAccountId.NotFound"),
                                  ((good, "os-type=beos"), 1, "OsType"), ((), 2, "needs FILE")):
            with self.subTest(words=words):
                status, out, err = self.ctl("image", "import", *words)
                self.assertEqual((status, out), (code, ""), err)
                self.assertIn(text, err)
        self.assertEqual([r for r in self.ctl("image", "list", "--json")[1]["Images"]["Image"] if r["Imported"]], [])
        self.assertEqual(self.files() if (self.ecs.data / "images").exists() else {}, {})

    def test_an_import_that_died(self):
        """Half a file and no row; a row and half a file; a file and a row that does not count yet."""
        good = self.file("good", qcow2(GIB))
        for left in ("m-half.partial", "m-whole"):
            folder = self.ecs.data / "images" / left
            folder.mkdir(parents=True)
            (folder / "disk").write_bytes(b"old")
        self.assertNotIn("m-whole", self.images())
        self.assertEqual(self.imported(good, "id=m-whole"), "m-whole")
        self.assertEqual(set(self.files()), {"m-whole"})
        self.assertEqual(self.files("m-whole")["disk"].read_bytes(), qcow2(GIB))
        self.ecs.restart()
        self.assertIn("m-whole", self.images())
        self.assertEqual(self.ctl("image", "remove", "m-whole")[0], 0)

    def admin(self, action, **params):
        """The operator's socket, without ecsctl: a step of it alone."""
        connection = http.client.HTTPConnection("admin")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.ecs.data / "admin.sock"))
        try:
            connection.request("POST", "/", urllib.parse.urlencode({"Action": action, "Version": "admin", **params}),
                               {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def state(self, image):
        found = [r for r in self.ctl("image", "list", "--json")[1]["Images"]["Image"] if r["ImageId"] == image]
        return found and (found[0]["State"], found[0]["Usable"])

    def test_dying_between_any_two_steps(self):
        """What import and remove have done when the power fails counts for nothing, and doing it again goes on from there."""
        good = self.file("good", qcow2(7 * GIB))
        order = {"ImageId": "m-dying", "FileFormat": "raw", "SizeGib": 99}
        self.assertEqual(self.admin("ImportImage", **order)[0], 200)
        for files in (False, True):
            if files:
                (self.ecs.data / "images" / "m-dying").mkdir(parents=True)
                (self.ecs.data / "images" / "m-dying" / "disk").write_bytes(b"whole, but not known to be")
            self.ecs.kill()
            self.ecs.start()
            self.assertEqual(self.state("m-dying"), ("arriving", False))
            self.assertNotIn("m-dying", self.images())
            self.refuses("RunInstances", "InvalidImageId.NotFound", 404, RegionId=REGION, ImageId="m-dying", InstanceType="ecs.g6.large")
        self.assertEqual(self.imported(good, "id=m-dying"), "m-dying")
        self.assertEqual(self.images()["m-dying"]["Size"], 7)
        self.assertEqual(self.files("m-dying")["disk"].read_bytes(), qcow2(7 * GIB))

        self.assertEqual(self.admin("RetireImage", ImageId="m-dying")[0], 200)
        for files in (True, False):
            if not files:
                shutil.rmtree(self.ecs.data / "images" / "m-dying")
            self.ecs.kill()
            self.ecs.start()
            self.assertEqual(self.state("m-dying"), ("leaving", False))
            self.assertNotIn("m-dying", self.images())
            self.assertEqual(self.ctl("image", "import", good, "id=m-dying")[0], 1)
        self.assertEqual(self.ctl("image", "remove", "m-dying"), (0, "", ""))
        self.assertFalse(self.state("m-dying"))
        self.assertEqual(self.imported(good, "id=m-dying"), "m-dying")
        self.assertEqual(self.ctl("image", "remove", "m-dying")[0], 0)

    def test_an_operator_is_killed_while_he_copies(self):
        """Half of a large file, a name that nobody takes for an image, and nothing of it after the next import."""
        with open(pathlib.Path(self.folder.name) / "large", "wb") as large:
            for _ in range(256):
                large.write(os.urandom(1 << 20))
        half = self.ecs.data / "images" / "m-killed.partial" / "disk"
        copying = subprocess.Popen([str(BUILD / "ecsctl"), "--data", str(self.ecs.data), "image", "import", large.name, "id=m-killed"])
        end = time.monotonic() + 30 * SLOW
        while not (half.exists() and half.stat().st_size) and copying.poll() is None and time.monotonic() < end:
            pass
        copying.send_signal(signal.SIGSTOP)
        second = self.ctl("image", "import", self.file("other", qcow2(GIB)))
        copying.kill()
        self.assertEqual(copying.wait(), -signal.SIGKILL)
        self.assertEqual((second[0], "another ecsctl" in second[2]), (1, True), second)
        self.assertEqual(set(self.files()), {"m-killed.partial"})
        self.assertLess(half.stat().st_size, 256 << 20)
        self.assertNotIn("m-killed", self.images())
        self.assertEqual(self.ctl("image", "remove", "m-killed"), (0, "", ""))
        self.assertEqual(self.files(), {})

    def test_without_a_daemon(self):
        good = self.file("good", qcow2(GIB))
        self.ecs.stop()
        try:
            code, _, err = self.ctl("image", "import", good)
            self.assertEqual(code, 3)
            self.assertIn("does not answer", err)
            self.assertEqual(self.files(), {})
        finally:
            self.ecs.start()


if __name__ == "__main__":
    unittest.main()
