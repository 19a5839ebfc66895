# SPDX-License-Identifier: Apache-2.0
"""Runs a program in what a systemd unit takes away, where there is no systemd: `sandbox.py UNIT PROGRAM ARGUMENT…`.

From the unit come the filter of system calls, address families, W^X, namespaces, capabilities and limits; what systemd does
with mounts and users is not tried here. The same list of calls is read from systemd-analyze, the same filter made by
libseccomp, with the same errors.
"""

import ctypes
import errno
import os
import pathlib
import resource
import socket
import subprocess
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = 64
PROT_WRITE, PROT_EXEC = 2, 4
CLONE_NAMESPACES = 0x7E020080  # cgroup, uts, ipc, user, pid, net, time
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7


def settings(path, section="Service"):
    """[(name, value)] of a section, in order."""
    found, here = [], None
    for line in pathlib.Path(path).read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            here = line.strip("[]")
        elif here == section and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found.append((name, value))
    return found


def calls_of(word):
    """System calls of a name or a @set."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], check=True, capture_output=True,
                          text=True).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(calls_of(other) for other in words))


def allowed_calls(unit):
    """What SystemCallFilter= leaves; the first line allows, and @default always is."""
    allowed = calls_of("@default")
    for name, value in settings(unit):
        if name == "SystemCallFilter":
            take_away = value.startswith("~")
            words = set().union(*(calls_of(word) for word in value.lstrip("~").split()))
            allowed = allowed - words if take_away else allowed | words
    return allowed


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """What is not allowed fails with EPERM."""

    def __init__(self):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ERRNO | errno.EPERM))

    def rule(self, action, name, *comparisons):
        """A name that this machine doesn't have is no call that could be made."""
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (Comparison * len(comparisons))(*comparisons)
        code = self.lib.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(comparisons), array)
        if code < 0:
            raise OSError(-code, f"seccomp rule of {name}")

    def load(self):
        """From here on."""
        code = self.lib.seccomp_load(self.context)
        if code < 0:
            raise OSError(-code, "seccomp_load")


def make_filter(unit):
    """The filter of the unit."""
    words, allowed, made = dict(settings(unit)), allowed_calls(unit), Filter()
    if words.get("RestrictAddressFamilies"):
        allowed.discard("socket")
        for family in words["RestrictAddressFamilies"].split():
            made.rule(ALLOW, "socket", Comparison(0, EQUAL, getattr(socket, family), 0))
    if words.get("MemoryDenyWriteExecute") == "yes":
        allowed -= {"mmap", "mprotect", "pkey_mprotect", "shmat"}
        made.rule(ALLOW, "mprotect", Comparison(2, MASKED_EQUAL, PROT_EXEC, 0))
        for bit in (PROT_WRITE, PROT_EXEC):
            made.rule(ALLOW, "mmap", Comparison(2, MASKED_EQUAL, bit, 0))
    if words.get("RestrictNamespaces") == "yes":
        allowed -= {"unshare", "setns", "clone", "clone3"}
        made.rule(ALLOW, "clone", Comparison(0, MASKED_EQUAL, CLONE_NAMESPACES, 0))
        made.rule(ERRNO | errno.ENOSYS, "clone3")
    for name in sorted(allowed):
        made.rule(ALLOW, name)
    return made


def drop_capabilities():
    """CapabilityBoundingSet= and AmbientCapabilities= that are empty."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main():
    """Gives up, then becomes the program."""
    unit, program = sys.argv[1], sys.argv[2:]
    words = dict(settings(unit))
    made = make_filter(unit)
    os.umask(int(words["UMask"], 8))
    for name, limit in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE)):
        value = min(int(words[name]), resource.getrlimit(limit)[1]) if resource.getrlimit(limit)[1] >= 0 else int(words[name])
        resource.setrlimit(limit, (value, value))
    if words["CapabilityBoundingSet"] == "":
        drop_capabilities()
    made.load()
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
