#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command beside a PostgreSQL server of its own, whose connection string is in ECSD_POSTGRES.

    test/postgres/server.py build/test_store_postgres

The server listens on a socket in a temporary folder and nowhere else, and ends with the command. It does not run as root: started by
root it is the user postgres, whom Debian's package makes.
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

BINARIES = pathlib.Path("/usr/lib/postgresql/15/bin")


def as_user():
    """Whom the server runs as: (words before each of its commands, number of the user)."""
    if os.geteuid() != 0:
        return [], os.geteuid()
    user = pwd.getpwnam("postgres")
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"], user.pw_uid


class Server:
    """A cluster in a temporary folder; a copy of another one follows it."""

    def __init__(self, copy_of=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ecsd-pg-"))
        self.prefix, uid = as_user()
        os.chown(self.folder, uid, -1)
        self.data = self.folder / "data"
        self.options = ""
        if copy_of:
            self.run("pg_basebackup", "--dbname", copy_of.url, "--pgdata", self.data, "--write-recovery-conf", "--no-sync",
                     "--checkpoint=fast")
        else:
            self.run("initdb", "--pgdata", self.data, "--encoding=UTF8", "--no-locale", "--auth=trust", "--username=ecsd", "--no-sync")
        self.url = f"host={self.folder} user=ecsd dbname=postgres"

    def run(self, program, *words):
        """One of PostgreSQL's own; what it says is said when it fails."""
        done = subprocess.run([*self.prefix, BINARIES / program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd="/", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}")

    def start(self):
        """Back when it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c max_connections=200 {self.options}"
        self.run("pg_ctl", "start", "--wait", "--pgdata", self.data, "--log", self.folder / "log", "--options", options)

    def stop(self, how="fast"):
        """Back when it has ended."""
        self.run("pg_ctl", "stop", "--wait", "--pgdata", self.data, "--mode", how)

    def promote(self):
        """Back when it takes writes."""
        self.run("pg_ctl", "promote", "--wait", "--pgdata", self.data)

    def is_followed(self):
        return self.sql("SELECT sync_state FROM pg_stat_replication") == "sync"

    def sql(self, text):
        """What psql prints of it."""
        return subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", self.url, "-c", text], check=True, capture_output=True,
                              text=True).stdout.strip()

    def close(self):
        """Nothing is left of it."""
        try:
            self.stop("immediate")
        except RuntimeError:
            pass  # it has ended already
        shutil.rmtree(self.folder)


def pair(add_cleanup):
    """A primary and one that follows it at each commit, once `is_followed` says so."""
    primary = Server()
    add_cleanup(primary.close)
    primary.options = "-c synchronous_standby_names=*"
    primary.start()
    standby = Server(copy_of=primary)
    add_cleanup(standby.close)
    standby.start()
    return primary, standby


def main():
    if not (BINARIES / "initdb").exists():
        sys.exit("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    server = Server()
    try:
        server.start()
        return subprocess.run(sys.argv[1:], env=dict(os.environ, ECSD_POSTGRES=server.url), check=False).returncode
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
