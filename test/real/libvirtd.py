# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of our own: in a mount namespace where its folders are temporary ones, so that nothing of this computer's is met.

Its QEMUs outlive it, as they do everywhere; who started machines through it ends them (RealDaemon.close).
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from machines import SLOW

FOLDERS = {"etc": "/etc/libvirt", "run": "/run/libvirt", "lib": "/var/lib/libvirt", "log": "/var/log/libvirt",
           "cache": "/var/cache/libvirt"}
DROP_IN = pathlib.Path(__file__).parents[2] / "packaging/libvirtd-notes.conf"
QEMU_CONF = 'stdio_handler = "file"\nuser = "root"\ngroup = "root"\nremember_owner = 0\nlog_timestamp = 0\n'


def missing():
    """Why there can be none here; None: it can."""
    if not shutil.which("libvirtd"):
        return "libvirtd is not installed"
    if os.geteuid() != 0:
        return "a mount namespace for libvirtd needs root"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        return "no mount namespace can be made"
    return None


def before_start():
    """What its unit does first, with our drop-in."""
    return re.search(r"^ExecStartPre=-(.*)$", DROP_IN.read_text(), re.M).group(1)


class Libvirtd:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-lv-"))
        for name in FOLDERS:
            (self.folder / name).mkdir()
        (self.folder / "etc/qemu.conf").write_text(QEMU_CONF)
        (self.folder / "etc/libvirtd.conf").write_text(f'auth_unix_rw = "none"\nunix_sock_dir = "{self.folder}"\n')
        self.socket = self.folder / "libvirt-sock"
        self.url = f"qemu:///system?socket={self.socket}"
        self.log = open(self.folder / "log/stderr", "ab")
        self.made = [place for place in FOLDERS.values() if not os.path.isdir(place)]  # something has to be there to mount on
        for place in self.made:
            os.makedirs(place)
        self.process = None

    def start(self, drop_in=True):
        """Back when it answers: who connects then is served."""
        mounts = [f"mount --bind {self.folder}/{name} {place}" for name, place in FOLDERS.items()]
        first = [f"{{ {before_start()}; true; }}"] if drop_in else []
        script = " && ".join([*mounts, *self.hide_cgroups(), *first, f"exec libvirtd -f {self.folder}/etc/libvirtd.conf"])
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60 * SLOW
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no libvirtd: {(self.folder / 'log/stderr').read_text()[-2000:]}")
            time.sleep(0.01)

    def hide_cgroups(self):
        """libvirt takes the last place where cgroups are mounted, also one of a chroot: in its namespace there are no others."""
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        return [f"umount {place}" for _, place, kind, *_ in mounts
                if kind in ("cgroup", "cgroup2") and not place.startswith("/sys/fs/cgroup")]

    def accepts(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.socket)) == 0

    def signal(self, how):
        self.process.send_signal(how)

    def kill(self):
        """It crashes. A stopped one goes, too."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def note(self, instance_id):
        """Its file of a machine that lives."""
        return self.folder / f"run/qemu/{instance_id}.xml"

    def close(self):
        self.kill()
        self.log.close()
        for place in self.made:
            os.rmdir(place)
        shutil.rmtree(self.folder, ignore_errors=True)
