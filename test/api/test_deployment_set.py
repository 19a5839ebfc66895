# SPDX-License-Identifier: Apache-2.0
"""Deployment sets: their pages, and that no two members of one are ever at one host, over a real socket and several hosts."""

import concurrent.futures
import json
import signal
import unittest

from harness import IMAGE, REGION, EcsTest, until

ZONE, OTHER_ZONE = "cn-hangzhou-h", "cn-hangzhou-i"
HOSTS = 4
LAUNCH = {"RegionId": REGION, "ImageId": IMAGE, "InstanceType": "ecs.g6.large", "ZoneId": ZONE}
NO_STOCK = "The requested resource is sold out in the specified zone; try other types of resources or other regions and zones."


class Sets(EcsTest):
    """Four hosts in one zone: host-1 of the fresh folder, which has one in every zone, and three more."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for n in range(2, HOSTS + 1):
            cls.ecs.ctl("host", "add", f"rack-{n}", f"zone={ZONE}", "vcpus=64", "memory=256")

    def make(self, **params):
        return self.call("CreateDeploymentSet", RegionId=REGION, **params)["DeploymentSetId"]

    def sets(self, *ids, **params):
        if ids:
            params["DeploymentSetIds"] = json.dumps(ids)
        return self.call("DescribeDeploymentSets", RegionId=REGION, **params)["DeploymentSets"]["DeploymentSet"]

    def launch(self, set_id, amount=1, **params):
        """Ids of new instances, as the reply has them."""
        return self.call("RunInstances", **LAUNCH, DeploymentSetId=set_id, Amount=amount, **params)["InstanceIdSets"]["InstanceIdSet"]

    def host_of(self, instance_id):
        return json.loads(self.ecs.ctl("instance", "show", instance_id, "--json"))["HostId"]

    def hosts_of(self, *instance_ids):
        return [self.host_of(i) for i in instance_ids]

    def assert_apart(self, *instance_ids):
        hosts = self.hosts_of(*instance_ids)
        self.assertEqual(len(set(hosts)), len(instance_ids), hosts)

    def used(self):
        return {h["HostId"]: h["UsedVcpus"] for h in json.loads(self.ecs.ctl("host", "list", "--json"))["Hosts"]["Host"]}

    def gone(self, *instance_ids):
        for i in instance_ids:
            until(self, lambda i=i: self.status_of(i) in ("Running", "Stopped"))  # no state in between can be deleted
            self.call("DeleteInstance", InstanceId=i, Force=True, ForceStop=True)
        for i in instance_ids:
            self.await_status(i, None)

    def delete(self, set_id):
        self.assertEqual(set(self.call("DeleteDeploymentSet", RegionId=REGION, DeploymentSetId=set_id)), {"RequestId"})


class Pages(Sets):
    def test_what_terraform_sends_and_reads(self):
        set_id = self.make(DeploymentSetName="tf-set", Description="for the database", Domain="Default", Granularity="Host",
                           Strategy="Availability", OnUnableToRedeployFailedInstance="CancelMembershipAndStart", ClientToken="one")
        again = self.make(DeploymentSetName="tf-set", Description="for the database", Domain="Default", Granularity="Host",
                          Strategy="Availability", OnUnableToRedeployFailedInstance="CancelMembershipAndStart", ClientToken="one")
        self.assertEqual(again, set_id)
        self.assertRegex(set_id, "^ds-[0-9a-z]{20}$")
        [row] = self.sets(set_id)
        zones = row.pop("Capacities")["Capacity"]
        self.assertRegex(row.pop("CreationTime"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertIsInstance(row.pop("AccountId"), int)
        self.assertEqual(row, {
            "DeploymentSetId": set_id, "DeploymentSetName": "tf-set", "DeploymentSetDescription": "for the database",
            "Strategy": "Availability", "DeploymentStrategy": "Availability", "Domain": "default", "Granularity": "host",
            "InstanceAmount": 0, "InstanceIds": {"InstanceId": []}})
        known = self.call("DescribeZones", RegionId=REGION)["Zones"]["Zone"]
        self.assertEqual(sorted(z["ZoneId"] for z in zones), sorted(z["ZoneId"] for z in known))
        self.assertEqual({(z["UsedAmount"], z["AvailableAmount"]) for z in zones}, {(0, 20)})
        self.call("ModifyDeploymentSetAttribute", RegionId=REGION, DeploymentSetId=set_id, DeploymentSetName="tf-other")
        [row] = self.sets(set_id)
        self.assertEqual((row["DeploymentSetName"], row["DeploymentSetDescription"]), ("tf-other", "for the database"))
        self.call("ModifyDeploymentSetAttribute", RegionId=REGION, DeploymentSetId=set_id, Description="of another")
        [row] = self.sets(set_id)
        self.assertEqual((row["DeploymentSetName"], row["DeploymentSetDescription"]), ("tf-other", "of another"))
        self.delete(set_id)
        self.assertEqual(self.sets(set_id), [])

    def test_refusals(self):
        set_id = self.make()
        self.addCleanup(self.delete, set_id)
        malformed = "Specified deployment set name is not valid."
        for params, code, message in (
                ({"DeploymentSetName": "9"}, "InvalidDeploymentSetName.Malformed", malformed),
                ({"DeploymentSetName": "http://x"}, "InvalidDeploymentSetName.Malformed", malformed),
                ({"Description": "x"}, "InvalidDescription.Malformed", "The specified parameter Description is not valid."),
                ({"Strategy": "Loose"}, "InvalidParameter.Strategy", "The specified parameter Strategy is not valid"),
                ({"Domain": "Region"}, "InvalidParameter.Domain", "The specified parameter Domain is not valid."),
                ({"Granularity": "Rack"}, "InvalidParameter.granularity", "The specified parameter Granularity is not valid."),
                ({"GroupCount": 8, "Strategy": "AvailabilityGroup"}, "InvalidParameter", 'The specified parameter "GroupCount" is not valid.'),
                ({"OnUnableToRedeployFailedInstance": "Hope"}, "InvalidParameter", None),
                ({"RegionId": ""}, "MissingParameter",
                 'The input parameter "RegionId" that is mandatory for processing this request is not supplied.')):
            self.refuses("CreateDeploymentSet", code, 400, message, **{"RegionId": REGION, **params})
        self.refuses("ModifyDeploymentSetAttribute", "InvalidDeploymentSetName.Malformed", 400, malformed, RegionId=REGION,
                     DeploymentSetId=set_id, DeploymentSetName="-")
        self.refuses("ModifyDeploymentSetAttribute", "InvalidDescription.Malformed", 400, RegionId=REGION, DeploymentSetId=set_id,
                     Description="https://x")
        absent = "The specified DeploymentSetId does not exist."
        self.refuses("ModifyDeploymentSetAttribute", "InvalidDeploymentSetId.NotFound", 400, absent, RegionId=REGION, DeploymentSetId="ds-none")
        self.refuses("DeleteDeploymentSet", "InvalidDeploymentSetId.NotFound", 404, absent, RegionId=REGION, DeploymentSetId="ds-none")
        self.refuses("DeleteDeploymentSet", "InvalidDeploymentSetId.NotFound", 404, absent, RegionId="cn-shanghai", DeploymentSetId=set_id)
        self.refuses("DeleteDeploymentSet", "MissingParameter", 400, RegionId=REGION)
        self.refuses("DescribeDeploymentSets", "InvalidDeploymentSetIds.TooManyInput", 403, "The parameter DeploymentSets size should less than 100.",
                     RegionId=REGION, DeploymentSetIds=json.dumps([f"ds-{n}" for n in range(101)]))
        for page in ({"PageSize": 51}, {"PageSize": 0}, {"PageNumber": 0}):
            self.refuses("DescribeDeploymentSets", "InvalidParameter", 400, RegionId=REGION, **page)
        self.refuses("RunInstances", "DeploymentSet.NotFound", 404, "The specified deployment set does not exist.", **LAUNCH,
                     DeploymentSetId="ds-none")
        self.refuses("CreateInstance", "InvalidDeploymentSetId.NotFound", 404, absent, **LAUNCH, DeploymentSetId="ds-none")

    def test_pages_and_filters(self):
        made = [self.make(DeploymentSetName=f"page-{n % 2}", Strategy="LowLatency") for n in range(5)]
        for set_id in made:
            self.addCleanup(self.delete, set_id)
        ask = {"Strategy": "LowLatency", "PageSize": 2}
        pages = [self.call("DescribeDeploymentSets", RegionId=REGION, PageNumber=n, **ask) for n in (1, 2, 3, 4)]
        self.assertEqual([(p["PageNumber"], p["PageSize"], p["TotalCount"], p["RegionId"]) for p in pages],
                         [(n, 2, 5, REGION) for n in (1, 2, 3, 4)])
        seen = [row["DeploymentSetId"] for p in pages for row in p["DeploymentSets"]["DeploymentSet"]]
        self.assertEqual(seen, made[::-1])
        self.assertEqual([row["DeploymentSetId"] for row in self.sets(DeploymentSetName="page-1")], [made[3], made[1]])
        self.assertEqual(len(self.sets(made[0], made[4], "ds-none")), 2)
        self.assertEqual(self.sets(made[0], Strategy="Availability"), [])
        self.assertEqual(self.call("DescribeDeploymentSets", RegionId=REGION, DeploymentSetIds="[]")["TotalCount"], 0)
        self.assertEqual(self.call("DescribeDeploymentSets", RegionId="cn-shanghai")["TotalCount"], 0)

    def test_another_account_sees_none_of_it(self):
        set_id = self.make()
        self.addCleanup(self.delete, set_id)
        key = json.loads(self.ecs.ctl("account", "create", "other-sets", "--json"))["Key"]
        theirs = {"key": key["AccessKeyId"], "secret": key["Secret"]}
        self.assertEqual(self.ecs.v3("DescribeDeploymentSets", {"RegionId": REGION}, **theirs).json["TotalCount"], 0)
        for action, code in (("DeleteDeploymentSet", "InvalidDeploymentSetId.NotFound"),
                             ("ModifyDeploymentSetAttribute", "InvalidDeploymentSetId.NotFound")):
            self.assertEqual(self.ecs.v3(action, {"RegionId": REGION, "DeploymentSetId": set_id}, **theirs).code, code)
        self.assertEqual(self.ecs.v3("RunInstances", {**LAUNCH, "DeploymentSetId": set_id}, **theirs).code, "DeploymentSet.NotFound")

    def test_every_family_may_be_in_one(self):
        families = self.call("DescribeInstanceTypeFamilies", RegionId=REGION)["InstanceTypeFamilies"]["InstanceTypeFamily"]
        text = self.call("DescribeDeploymentSetSupportedInstanceTypeFamily", RegionId=REGION, Strategy="Availability")
        self.assertEqual(text["InstanceTypeFamilies"].split(","), sorted(f["InstanceTypeFamilyId"] for f in families))


class Spread(Sets):
    def test_each_at_its_own_host_and_no_more_than_hosts(self):
        set_id, before = self.make(), self.used()
        ids = self.launch(set_id, HOSTS)
        self.assert_apart(*ids)
        full = self.used()
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, NO_STOCK, **LAUNCH, DeploymentSetId=set_id)
        self.refuses("CreateInstance", "OperationDenied.NoStock", 403, NO_STOCK, **LAUNCH, DeploymentSetId=set_id)
        self.refuses("RunInstances", "DryRunOperation", 400, **LAUNCH, DryRun=True)
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, **LAUNCH, DeploymentSetId=set_id, DryRun=True)
        self.assertEqual(self.used(), full)
        [row] = self.sets(set_id)
        self.assertEqual((row["InstanceAmount"], sorted(row["InstanceIds"]["InstanceId"])), (HOSTS, sorted(ids)))
        here = next(z for z in row["Capacities"]["Capacity"] if z["ZoneId"] == ZONE)
        self.assertEqual((here["UsedAmount"], here["AvailableAmount"]), (HOSTS, 20 - HOSTS))
        self.assertEqual({self.instance(i)["DeploymentSetId"] for i in ids}, {set_id})
        self.refuses("DeleteDeploymentSet", "DependencyViolation.NotEmpty", 403, "There are still instance(s) in the specified DeploymentSetId.",
                     RegionId=REGION, DeploymentSetId=set_id)
        free = self.run_instance(ZoneId=ZONE)  # in no set, bound by none
        self.assertEqual(self.instance(free)["DeploymentSetId"], "")
        self.assertNotIn("DeploymentSetGroupNo", self.instance(free))
        self.gone(free, *ids)
        self.delete(set_id)
        self.assertEqual(self.used(), before)

    def test_as_many_as_there_are_hosts(self):
        set_id = self.make()
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, NO_STOCK, **LAUNCH, DeploymentSetId=set_id, Amount=HOSTS + 1)
        self.assertEqual(self.sets(set_id)[0]["InstanceAmount"], 0)
        self.refuses("RunInstances", "QuotaExceed.DeploymentSetInstanceQuotaFull", 403, "instance quota in one deployment set exceeded.",
                     **LAUNCH, DeploymentSetId=set_id, Amount=21)
        ids = self.launch(set_id, 30, MinAmount=1)
        self.assertEqual(len(ids), HOSTS)
        self.assert_apart(*ids)
        self.gone(*ids)
        self.delete(set_id)

    def test_many_calls_at_once(self):
        """Twelve clients, three sets: each set gets as many as there are hosts, each at its own."""
        sets = [self.make() for _ in range(3)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(lambda n: self.ecs.v3("RunInstances", {**LAUNCH, "DeploymentSetId": sets[n % 3]}), range(36)))
        self.assertEqual({(r.status, r.code) for r in replies}, {(200, None), (403, "OperationDenied.NoStock")})
        for n, set_id in enumerate(sets):
            told = [i for r in replies[n::3] if r.status == 200 for i in r.json["InstanceIdSets"]["InstanceIdSet"]]
            self.assertEqual(len(told), HOSTS)
            self.assertEqual(sorted(self.sets(set_id)[0]["InstanceIds"]["InstanceId"]), sorted(told))
            self.assert_apart(*told)
        for set_id in sets:
            self.gone(*self.sets(set_id)[0]["InstanceIds"]["InstanceId"])
            self.delete(set_id)

    def test_a_restart_keeps_it(self):
        set_id = self.make(DeploymentSetName="kept", Description="over kill")
        ids = self.launch(set_id, HOSTS - 1)
        before, hosts = self.sets(set_id), self.hosts_of(*ids)
        self.ecs.restart(signal.SIGKILL)
        self.assertEqual((self.sets(set_id), self.hosts_of(*ids)), (before, hosts))
        [last] = self.launch(set_id)
        self.assert_apart(last, *ids)
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, **LAUNCH, DeploymentSetId=set_id)
        self.gone(last, *ids)
        self.delete(set_id)

    def test_stopped_members(self):
        """One that keeps charging keeps its place; one that doesn't gives it to others, and finds another, or none."""
        set_id = self.make()
        keeps, gives, *others = self.launch(set_id, HOSTS)
        for i in (keeps, gives, *others):
            self.await_status(i, "Running")
        place = self.host_of(keeps)
        self.call("StopInstance", InstanceId=keeps)
        self.call("StopInstance", InstanceId=gives, StoppedMode="StopCharging")
        self.await_status(keeps, "Stopped")
        self.await_status(gives, "Stopped")
        [new] = self.launch(set_id)
        self.assert_apart(keeps, new, *others)
        until(self, lambda: self.ecs.v3("StartInstance", {"InstanceId": gives}).code == "OperationDenied.NoStock")
        self.assertEqual((self.status_of(gives), self.sets(set_id)[0]["InstanceAmount"]), ("Stopped", HOSTS + 1))
        self.call("StartInstance", InstanceId=keeps)
        self.assertEqual(self.host_of(keeps), place)
        self.await_status(keeps, "Running")
        self.gone(others[0])
        self.call("StartInstance", InstanceId=gives)
        self.await_status(gives, "Running")
        self.assert_apart(keeps, gives, new, *others[1:])
        self.gone(keeps, gives, new, *others[1:])
        self.delete(set_id)

    def test_redeploy(self):
        """To a host of no other member; without one it stays, unless its host is being drained and the set lets it go."""
        for failure in ("KeepStopped", "CancelMembershipAndStart"):
            set_id = self.make(OnUnableToRedeployFailedInstance=failure)
            ids = self.launch(set_id, HOSTS - 1)
            for i in ids:
                self.await_status(i, "Running")
            was = self.host_of(ids[0])
            self.redeploy(ids[0])
            self.assertNotEqual(self.host_of(ids[0]), was)
            self.assert_apart(*ids)
            ids += self.launch(set_id)
            self.await_status(ids[-1], "Running")
            was = self.host_of(ids[0])
            self.redeploy(ids[0])
            self.assertEqual((self.host_of(ids[0]), self.instance(ids[0])["DeploymentSetId"]), (was, set_id))
            self.ecs.ctl("host", "set", was, "state=draining")
            self.redeploy(ids[0])
            moved = failure == "CancelMembershipAndStart"
            self.assertEqual((self.host_of(ids[0]) != was, self.instance(ids[0])["DeploymentSetId"]), (moved, "" if moved else set_id))
            self.assertEqual("left its deployment set" in self.ecs.ctl("event", "list", ids[0]), moved)
            self.ecs.ctl("host", "set", was, "state=up")
            self.gone(*ids)
            self.delete(set_id)

    def redeploy(self, instance_id):
        self.call("RedeployInstance", InstanceId=instance_id)
        self.await_status(instance_id, "Running")

    def test_a_zone_is_chosen_that_has_a_host(self):
        """Nobody names a zone: as long as one has a host that no member is at, there is one more."""
        set_id = self.make()
        zones = len(self.sets(set_id)[0]["Capacities"]["Capacity"])
        anywhere = {k: v for k, v in LAUNCH.items() if k != "ZoneId"}
        ids = [self.call("RunInstances", **anywhere, DeploymentSetId=set_id)["InstanceIdSets"]["InstanceIdSet"][0]
               for _ in range(HOSTS - 1 + zones)]
        self.assert_apart(*ids)
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, **anywhere, DeploymentSetId=set_id)
        self.gone(*ids)
        self.delete(set_id)

    def test_groups(self):
        """Those of one group may share a host, those of two never; the emptiest group is the default."""
        set_id = self.make(Strategy="AvailabilityGroup", GroupCount=2)
        self.assertEqual(self.sets(set_id)[0]["GroupCount"], 2)
        ids = self.launch(set_id, 6) + self.launch(set_id, 2, DeploymentSetGroupNo=2)
        groups = [self.instance(i)["DeploymentSetGroupNo"] for i in ids]
        self.assertEqual(groups, [1, 2, 1, 2, 1, 2, 2, 2])
        hosts = {g: {self.host_of(i) for i, k in zip(ids, groups) if k == g} for g in (1, 2)}
        self.assertEqual(hosts[1] & hosts[2], set())
        self.refuses("RunInstances", "InvalidParameter", 400, 'The specified parameter "DeploymentSetGroupNo" is not valid.', **LAUNCH,
                     DeploymentSetId=set_id, DeploymentSetGroupNo=3)
        here = next(z for z in self.sets(set_id)[0]["Capacities"]["Capacity"] if z["ZoneId"] == ZONE)
        self.assertEqual((here["UsedAmount"], here["AvailableAmount"]), (8, 32))
        self.gone(*ids)
        self.delete(set_id)

    def test_low_latency_is_one_zone(self):
        set_id = self.make(Strategy="LowLatency")
        ids = self.launch(set_id, 6)
        self.refuses("RunInstances", "OperationDenied.NoStock", 403, **{**LAUNCH, "ZoneId": OTHER_ZONE}, DeploymentSetId=set_id)
        self.gone(*ids)
        self.delete(set_id)

    def put(self, instance_id, status=200, **params):
        return self.call("ModifyInstanceDeployment", status=status, RegionId=REGION, InstanceId=instance_id, **params)

    def test_in_and_out_of_a_set(self):
        """Where it is: a host that has a member takes no second one, and nothing is moved for it."""
        set_id, other = self.make(), self.make()
        [member] = self.launch(set_id)
        near, free = self.running_instance(ZoneId=ZONE), self.running_instance(ZoneId=ZONE)
        self.await_status(member, "Running")
        self.redeploy(free)
        self.assertEqual(self.hosts_of(member, near), ["host-1"] * 2)  # the largest
        self.assertNotEqual(self.host_of(free), "host-1")
        self.put(free, DeploymentSetId=set_id)
        self.assertEqual(self.instance(free)["DeploymentSetId"], set_id)
        self.refuses_put(free, "DeploymentSet.InvalidId", 400, "The specified Deployment Set id doesn't exist.", DeploymentSetId="ds-none")
        self.refuses_put(free, "MissingParameter", 400)
        self.refuses_put("i-none", "InvalidInstanceId.NotFound", 404, DeploymentSetId=set_id)
        self.refuses_put(free, "InvalidDedicatedHostId.NotFound", 404, DedicatedHostId="dh-1")
        self.refuses_put(free, "DeploymentSet.ModificationFailed", 403, RemoveFromDeploymentSet=True, DeploymentSetId=other)
        self.put(free, RemoveFromDeploymentSet=True, DeploymentSetId=set_id)
        self.assertEqual(self.instance(free)["DeploymentSetId"], "")
        for force in (False, True):
            self.refuses_put(near, "DeploymentSet.ModificationFailed", 403, "The modification of deployment set is currently impossible.",
                             DeploymentSetId=set_id, Force=force)
        self.call("StopInstance", InstanceId=near, StoppedMode="StopCharging")
        self.refuses_put(near, "IncorrectInstanceStatus", 403, DeploymentSetId=set_id)
        self.await_status(near, "Stopped")
        self.put(near, DeploymentSetId=set_id)
        until(self, lambda: self.ecs.v3("StartInstance", {"InstanceId": near}).status == 200)
        self.assert_apart(member, near)
        self.gone(member, near, free)
        self.delete(set_id)
        self.delete(other)

    def refuses_put(self, instance_id, code, status, message=None, **params):
        self.refuses("ModifyInstanceDeployment", code, status, message, RegionId=REGION, InstanceId=instance_id, **params)

    def test_the_limit_of_a_set(self):
        set_id = self.make(Strategy="LowLatency")
        ids = self.launch(set_id, 20)
        self.refuses("RunInstances", "QuotaExceed.DeploymentSetInstanceQuotaFull", 403, **LAUNCH, DeploymentSetId=set_id)
        late = self.running_instance(ZoneId=ZONE)
        self.refuses_put(late, "DeploymentSet.InstanceLimitExceeded", 403,
                         "The number of instances on the specified Deployment Set has reached the limit.", DeploymentSetId=set_id)
        self.gone(late, ids[0])
        self.gone(*self.launch(set_id), *ids[1:])
        self.delete(set_id)


if __name__ == "__main__":
    unittest.main()
