#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the guest's files out of what build.sh has laid out; the same input gives the same bytes.

  pack.py initrd TREE INITRD           an uncompressed cpio of the folder, owned by root, all of one time
  pack.py describe MADE SIZE DEB…      guest.json, on standard output
"""

import json
import pathlib
import re
import stat
import sys
import urllib.parse


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """One member of a "newc" archive."""
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def tree_entries(tree):
    """(name, mode, data) of all below, each folder before what is in it."""
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if path.is_symlink():
            yield name, stat.S_IFLNK | 0o777, str(path.readlink()).encode()
        elif path.is_dir():
            yield name, stat.S_IFDIR | 0o755, b""
        else:
            yield name, stat.S_IFREG | (0o755 if path.stat().st_mode & 0o100 else 0o644), path.read_bytes()


def make_initrd(source, target):
    """The kernel opens /dev/console before init can mount devtmpfs, so the archive brings one."""
    with open(target, "wb") as stream:
        number = 0
        for number, (name, mode, data) in enumerate(tree_entries(pathlib.Path(source)), 1):
            stream.write(cpio_entry(number, name, mode, data))
        stream.write(cpio_entry(number + 1, "dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
        stream.write(cpio_entry(0, "TRAILER!!!", 0))


def describe(made, size, debs):
    """What the image is, for whoever registers it, and of which packages it was made."""
    packages = {}
    for deb in debs:
        name, version, _ = pathlib.Path(urllib.parse.unquote(deb)).name.split("_")
        packages[name] = version
    amount, unit = re.fullmatch(r"(\d+)([MG])", size).groups()
    files = {path.name: path.stat().st_size for path in sorted(pathlib.Path(made).iterdir())}
    guest = {"name": "ecsd-guest", "kernel": "vmlinuz", "initrd": "initrd", "cmdline": "cmdline", "disk": "disk.qcow2",
             "disk_virtual_bytes": int(amount) << {"M": 20, "G": 30}[unit], "file_bytes": files,
             "packages": dict(sorted(packages.items()))}
    print(json.dumps(guest, indent=2))


def main():
    """One verb a call."""
    match sys.argv[1:]:
        case ["initrd", source, target]:
            make_initrd(source, target)
        case ["describe", made, size, *debs]:
            describe(made, size, debs)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
