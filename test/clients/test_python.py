# SPDX-License-Identifier: Apache-2.0
"""The official Python SDKs and libcloud, unmodified, against ecsd."""

import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from harness import IMAGE, REGION, SLOW, EcsTest  # noqa: E402

from alibabacloud_ecs20140526 import models  # noqa: E402
from alibabacloud_ecs20140526.client import Client  # noqa: E402
from alibabacloud_tea_openapi.models import Config  # noqa: E402
from aliyunsdkcore.acs_exception.exceptions import ServerException  # noqa: E402
from aliyunsdkcore.client import AcsClient  # noqa: E402
from aliyunsdkcore.request import CommonRequest  # noqa: E402
from aliyunsdkecs.request.v20140526 import DescribeInstancesRequest, StopInstanceRequest, StopInstancesRequest  # noqa: E402

SET_ZONE = "cn-hangzhou-h"


def until(probe, wanted, seconds=15):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        got = probe()
        if got == wanted:
            return
        time.sleep(0.02)
    raise AssertionError(f"{got}, not {wanted}")


class CurrentSdk(EcsTest):
    """alibabacloud_ecs20140526: ACS3-HMAC-SHA256."""

    def setUp(self):
        self.client = Client(Config(access_key_id=self.ecs.key_id, access_key_secret=self.ecs.secret, protocol="http",
                                    endpoint=f"{self.ecs.host}:{self.ecs.port}", region_id=REGION))

    def run_one(self, **more):
        request = models.RunInstancesRequest(region_id=REGION, image_id=IMAGE, instance_type="ecs.g6.large", amount=1, **more)
        return self.client.run_instances(request).body.instance_id_sets.instance_id_set[0]

    def status(self, instance_id):
        request = models.DescribeInstanceStatusRequest(region_id=REGION, instance_id=[instance_id])
        found = self.client.describe_instance_status(request).body.instance_statuses.instance_status
        return found[0].status if found else None

    def test_run_stop_start_delete(self):
        i = self.run_one(instance_name="web-1", description="héllo *wörld* &+%", tag=[models.RunInstancesRequestTag(key="k 1", value="v/1+2")])
        until(lambda: self.status(i), "Running")
        stopped = self.client.stop_instance(models.StopInstanceRequest(instance_id=i, force_stop=False))
        self.assertEqual(stopped.status_code, 200)
        self.assertRegex(stopped.body.request_id, "^[0-9A-F-]{36}$")
        until(lambda: self.status(i), "Stopped")
        with self.assertRaises(Exception) as caught:
            self.client.stop_instance(models.StopInstanceRequest(instance_id=i))
        self.assertEqual(caught.exception.code, "IncorrectInstanceStatus")
        described = self.client.describe_instances(models.DescribeInstancesRequest(
            region_id=REGION, instance_ids=json.dumps([i]), tag=[models.DescribeInstancesRequestTag(key="k 1")])).body
        self.assertEqual(described.total_count, 1)
        found = described.instances.instance[0]
        self.assertEqual((found.description, found.status, found.stopped_mode), ("héllo *wörld* &+%", "Stopped", "KeepCharging"))
        self.assertEqual((found.cpu, found.memory, found.tags.tag[0].tag_value), (2, 8192, "v/1+2"))
        self.client.start_instance(models.StartInstanceRequest(instance_id=i))
        until(lambda: self.status(i), "Running")
        self.client.delete_instance(models.DeleteInstanceRequest(instance_id=i, force=True))
        until(lambda: self.status(i), None)

    def test_batch_stop(self):
        ids = [self.run_one() for _ in range(3)]
        for i in ids:
            until(lambda: self.status(i), "Running")
        reply = self.client.stop_instances(models.StopInstancesRequest(region_id=REGION, instance_id=ids)).body
        self.assertEqual([(r.instance_id, r.code, r.current_status) for r in reply.instance_responses.instance_response],
                         [(i, "200", "Stopping") for i in ids])
        for i in ids:
            until(lambda: self.status(i), "Stopped")

    def test_catalogue(self):
        regions = self.client.describe_regions(models.DescribeRegionsRequest()).body.regions.region
        self.assertIn(REGION, [r.region_id for r in regions])
        zones = self.client.describe_zones(models.DescribeZonesRequest(region_id=REGION)).body.zones.zone
        self.assertTrue(zones)
        images = self.client.describe_images(models.DescribeImagesRequest(region_id=REGION)).body.images.image
        self.assertIn(IMAGE, [image.image_id for image in images])
        types, token = set(), None
        while True:
            page = self.client.describe_instance_types(models.DescribeInstanceTypesRequest(max_results=100, next_token=token)).body
            types.update(t.instance_type_id for t in page.instance_types.instance_type)
            token = page.next_token
            if not token:
                break
        self.assertEqual(len(types), 517)

    def test_deployment_set(self):
        self.ecs.ctl("host", "add", "rack-2", f"zone={SET_ZONE}", "vcpus=64", "memory=256")
        made = self.client.create_deployment_set(models.CreateDeploymentSetRequest(
            region_id=REGION, deployment_set_name="db", strategy="Availability", client_token="one")).body.deployment_set_id
        members = [self.run_one(deployment_set_id=made, zone_id=SET_ZONE) for _ in range(2)]
        with self.assertRaises(Exception) as caught:  # two hosts, three members
            self.run_one(deployment_set_id=made, zone_id=SET_ZONE)
        self.assertEqual(caught.exception.code, "OperationDenied.NoStock")
        [row] = self.client.describe_deployment_sets(models.DescribeDeploymentSetsRequest(
            region_id=REGION, deployment_set_ids=json.dumps([made]))).body.deployment_sets.deployment_set
        self.assertEqual((row.deployment_set_name, row.instance_amount), ("db", 2))
        self.assertEqual(sorted(row.instance_ids.instance_id), sorted(members))
        described = self.client.describe_instances(models.DescribeInstancesRequest(
            region_id=REGION, instance_ids=json.dumps(members))).body.instances.instance
        self.assertEqual([i.deployment_set_id for i in described], [made, made])
        for i in members:
            until(lambda: self.status(i), "Running")
            self.client.delete_instance(models.DeleteInstanceRequest(instance_id=i, force=True))
            until(lambda: self.status(i), None)
        self.client.delete_deployment_set(models.DeleteDeploymentSetRequest(region_id=REGION, deployment_set_id=made))

    def test_wrong_secret(self):
        self.client = Client(Config(access_key_id=self.ecs.key_id, access_key_secret="wrong", protocol="http",
                                    endpoint=f"{self.ecs.host}:{self.ecs.port}", region_id=REGION))
        with self.assertRaises(Exception) as caught:
            self.client.describe_regions(models.DescribeRegionsRequest())
        self.assertEqual(caught.exception.code, "SignatureDoesNotMatch")


class CoreSdk(EcsTest):
    """aliyun-python-sdk-core: signature version 1.0."""

    def setUp(self):
        self.client = AcsClient(self.ecs.key_id, self.ecs.secret, REGION)

    def send(self, request):
        request.set_endpoint(f"{self.ecs.host}:{self.ecs.port}")
        request.set_protocol_type("http")
        request.set_accept_format("json")
        return json.loads(self.client.do_action_with_exception(request))

    def test_stop_and_its_error(self):
        i = self.running_instance()
        request = StopInstanceRequest.StopInstanceRequest()
        request.set_InstanceId(i)
        request.set_ForceStop(True)
        self.assertIn("RequestId", self.send(request))
        self.await_status(i, "Stopped")
        request = StopInstanceRequest.StopInstanceRequest()
        request.set_InstanceId(i)
        with self.assertRaises(ServerException) as caught:
            self.send(request)
        self.assertEqual((caught.exception.error_code, caught.exception.http_status), ("IncorrectInstanceStatus", 403))

    def test_batch_and_describe(self):
        ids = [self.running_instance() for _ in range(2)]
        request = StopInstancesRequest.StopInstancesRequest()
        request.set_InstanceIds(ids)
        self.assertEqual(len(self.send(request)["InstanceResponses"]["InstanceResponse"]), 2)
        request = DescribeInstancesRequest.DescribeInstancesRequest()
        request.set_InstanceIds(json.dumps(ids))
        self.assertEqual(self.send(request)["TotalCount"], 2)

    def test_common_request_by_get_and_post(self):
        for method in ("GET", "POST"):
            request = CommonRequest(domain=f"{self.ecs.host}:{self.ecs.port}", version="2014-05-26", action_name="DescribeRegions")
            request.set_protocol_type("http")
            request.set_method(method)
            request.set_accept_format("json")
            self.assertTrue(json.loads(self.client.do_action_with_exception(request))["Regions"]["Region"])

    def test_wrong_secret(self):
        self.client = AcsClient(self.ecs.key_id, "wrong", REGION)
        with self.assertRaises(ServerException) as caught:
            self.send(DescribeInstancesRequest.DescribeInstancesRequest())
        # The SDK's own word for a SignatureDoesNotMatch whose string to sign equals its own: only the secret is wrong.
        self.assertEqual(caught.exception.error_code, "InvalidAccessKeySecret")


class Libcloud(EcsTest):
    """apache-libcloud: signature version 1.0, XML."""

    def setUp(self):
        from libcloud.compute.drivers.ecs import ECSDriver
        ECSDriver.connectionCls.host = self.ecs.host
        self.driver = ECSDriver(self.ecs.key_id, self.ecs.secret, region=REGION, secure=False, host=self.ecs.host,
                                port=self.ecs.port)

    def test_list_and_stop(self):
        i = self.running_instance()
        node = next(n for n in self.driver.list_nodes() if n.id == i)
        self.assertEqual(node.state, "running")
        self.assertTrue(self.driver.stop_node(node))
        self.assertEqual(self.status_of(i), "Stopped")

    def test_catalogue(self):
        self.assertTrue(self.driver.list_sizes())
        self.assertTrue(self.driver.list_images())
        self.assertTrue(self.driver.list_locations())


if __name__ == "__main__":
    unittest.main()
