# SPDX-License-Identifier: Apache-2.0
"""What the journal of simulated hosts says of the machines that lived there; node_machines (machines.c) reads it."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
from harness import BUILD, SLOW  # noqa: E402

PROGRAM = BUILD / "node_machines"
PREFIXES = int(os.environ.get("ECSD_NODES_PREFIXES", "2000"))


class History:
    """`twice`: instances that had two live machines at some time; `machines`: those that there are at the end."""

    def __init__(self, journal, hosts, prefixes=PREFIXES):
        with tempfile.TemporaryDirectory(prefix="ecsd-machines-") as scratch:
            done = subprocess.run([str(PROGRAM), str(journal), scratch, str(prefixes), *hosts], capture_output=True, text=True,
                                  timeout=60 * SLOW)
        if done.returncode != 0:
            raise RuntimeError(f"node_machines: {done.stderr}")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.sum = rows.pop()
        self.twice = [row for row in rows if "Twice" in row]
        self.machines = [row for row in rows if "Machine" in row]

    def living(self):
        """Instance → the host where it lives."""
        return {row["Machine"]: row["HostId"] for row in self.machines if row["Lives"]}
