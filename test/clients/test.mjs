// SPDX-License-Identifier: Apache-2.0
// The official Node SDKs, unmodified, against ecsd.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const require = createRequire(import.meta.url);
const ecs = require('@alicloud/ecs20140526');
const { $OpenApiUtil } = require('@alicloud/openapi-core');
const PopCore = require('@alicloud/pop-core').RPCClient;

const build = process.env.ECSD_BUILD;
const region = 'cn-hangzhou';
const image = 'debian_12_6_x64_20G_alibase_20240711.vhd';
let data, daemon, endpoint, key, secret, current, core;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

before(async () => {
  data = mkdtempSync(join(tmpdir(), 'ecsd-node-'));
  daemon = spawn(join(build, 'ecsd'), ['--data', data, '--listen', '127.0.0.1:0', '--set', 'sim.boot_s=0.02',
    '--set', 'sim.shutdown_s=0.05', '--set', 'log.level=warning'], { stdio: 'inherit' });
  for (let n = 0; n < 500 && !existsSync(join(data, 'endpoint')); n++) await pause(20);
  endpoint = new URL(readFileSync(join(data, 'endpoint'), 'utf8').trim()).host;
  for (const line of readFileSync(join(data, 'credentials'), 'utf8').split('\n')) {
    const [name, value] = line.split('=').map((word) => word.trim());
    if (/id$/i.test(name)) key = value;
    if (/secret$/i.test(name)) secret = value;
  }
  current = new ecs.default(new $OpenApiUtil.Config({ accessKeyId: key, accessKeySecret: secret, endpoint, protocol: 'http', regionId: region }));
  core = new PopCore({ accessKeyId: key, accessKeySecret: secret, endpoint: `http://${endpoint}`, apiVersion: '2014-05-26' });
});

after(async () => {
  daemon.kill('SIGTERM');
  await new Promise((resolve) => daemon.once('exit', resolve));
  rmSync(data, { recursive: true, force: true });
});

async function status(id) {
  const reply = await current.describeInstanceStatus(new ecs.DescribeInstanceStatusRequest({ regionId: region, instanceId: [id] }));
  return reply.body.instanceStatuses.instanceStatus[0]?.status;
}

async function until(id, wanted) {
  for (let n = 0; n < 500; n++) {
    if (await status(id) === wanted) return;
    await pause(20);
  }
  assert.fail(`${id} is ${await status(id)}, not ${wanted}`);
}

async function launch() {
  const reply = await current.runInstances(new ecs.RunInstancesRequest({ regionId: region, imageId: image, instanceType: 'ecs.g6.large',
    instanceName: 'web-1', description: "a b+c*d~e!f'g(h)/=&% 中文😀", tag: [new ecs.RunInstancesRequestTag({ key: 'k 1', value: 'v/1' })] }));
  const id = reply.body.instanceIdSets.instanceIdSet[0];
  await until(id, 'Running');
  return id;
}

test('current SDK: stop', async () => {
  const id = await launch();
  const reply = await current.stopInstance(new ecs.StopInstanceRequest({ instanceId: id, stoppedMode: 'KeepCharging' }));
  assert.equal(reply.statusCode, 200);
  await until(id, 'Stopped');
  await assert.rejects(current.stopInstance(new ecs.StopInstanceRequest({ instanceId: id })), { code: 'IncorrectInstanceStatus' });
  const found = (await current.describeInstances(new ecs.DescribeInstancesRequest({ regionId: region, instanceIds: JSON.stringify([id]) }))).body;
  assert.equal(found.totalCount, 1);
  assert.equal(found.instances.instance[0].description, "a b+c*d~e!f'g(h)/=&% 中文😀");
});

test('current SDK: batch', async () => {
  const ids = [await launch(), await launch()];
  const reply = await current.stopInstances(new ecs.StopInstancesRequest({ regionId: region, instanceId: ids, forceStop: true }));
  assert.deepEqual(reply.body.instanceResponses.instanceResponse.map((item) => [item.instanceId, item.code]), ids.map((id) => [id, '200']));
  for (const id of ids) await until(id, 'Stopped');
});

test('current SDK: unknown instance', async () => {
  await assert.rejects(current.stopInstance(new ecs.StopInstanceRequest({ instanceId: 'blah' })), { code: 'InvalidInstanceId.NotFound' });
});

for (const method of ['GET', 'POST']) {
  test(`pop-core: stop by ${method}`, async () => {
    const id = await launch();
    const reply = await core.request('StopInstance', { InstanceId: id, ForceStop: true }, { method });
    assert.match(reply.RequestId, /^[0-9A-F-]{36}$/);
    await until(id, 'Stopped');
    await assert.rejects(core.request('StopInstance', { InstanceId: id }, { method }), { code: 'IncorrectInstanceStatus' });
  });
}

test('pop-core: awkward characters', async () => {
  const reply = await core.request('DescribeInstances', { RegionId: region, InstanceName: "x y+z*~!'()/=&%中文😀", Tag: [{ Key: 'a b', Value: '' }] });
  assert.deepEqual(reply.Instances.Instance, []);
});
