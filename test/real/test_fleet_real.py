# SPDX-License-Identifier: Apache-2.0
"""Twenty machines at once."""

import time
import unittest

from machines import IMAGE, REGION, SMALL, RealTest, script

MACHINES = 20


class Fleet(RealTest):
    settings = {"libvirt.memory_scale": "0.3"}

    def statuses(self):
        found = self.call("DescribeInstanceStatus", RegionId=REGION, PageSize=50)["InstanceStatuses"]["InstanceStatus"]
        return [row["Status"] for row in found]

    def await_all(self, wanted, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if set(self.statuses()) == {wanted}:
                return
            time.sleep(0.1)
        self.fail(f"{self.statuses()}; {self.ecs.ctl('job', 'list')}; log: {self.ecs.log_text()[-1500:]}")

    def test_all_stop(self):
        made = self.call("RunInstances", RegionId=REGION, ImageId=IMAGE, InstanceType=SMALL, Amount=MACHINES,
                         UserData=script())["InstanceIdSets"]["InstanceIdSet"]
        self.assertEqual(len(made), MACHINES)
        self.await_all("Running", 300)
        self.assertEqual(len(self.ecs.qemus()), MACHINES)
        reply = self.call("StopInstances", RegionId=REGION, **{f"InstanceId__{n + 1}": i for n, i in enumerate(made)})
        self.assertEqual({r["Code"] for r in reply["InstanceResponses"]["InstanceResponse"]}, {"200"})
        began = time.monotonic()
        self.await_all("Stopped", 120)
        print(f"{MACHINES} stopped in {time.monotonic() - began:.1f} s", flush=True)
        self.assertEqual(self.ecs.qemus(), {})
        self.assertEqual([i for i in made if "guest: clean" not in self.ecs.console(i)], [])


if __name__ == "__main__":
    unittest.main()
