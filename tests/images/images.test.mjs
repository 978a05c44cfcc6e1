// The images: what is in them, and a call through containers made of them.
import assert from 'node:assert/strict';
import path from 'node:path';

import { chromium } from '../real-peers/lib/chromium.mjs';
import { gateway } from '../real-peers/lib/gateway.mjs';
import { freePort, freePorts } from '../real-peers/lib/ports.mjs';
import { run, temporaryFolder, until, withTimeout } from '../real-peers/lib/process.mjs';
import { RtpEndpoint } from '../real-peers/lib/rtp.mjs';
import { answering, sipp } from '../real-peers/lib/sipp.mjs';
import { Softphone } from '../real-peers/lib/softphone.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { SECRET, turnServer } from '../real-peers/lib/turn.mjs';
import { compose, SERVICES } from './lib/compose.mjs';
import { nameServer } from './lib/dns.mjs';
import { build, containerProgram, exec, imageOf, inspect, podman, removeAll, stop } from './lib/podman.mjs';

const IMAGES = ['gateway', 'turn'];
const MAX_MEGABYTES = 30;
const PHONE = { number: '3001', host: 'phone.test' };
const built = () => once('images', async () => ({ said: await build(), stop: removeAll }));

check('the same programs make the same images, which are small', async (test) => {
  test.diagnostic((await built()).said.trim().replace('\n', ', '));
  const first = await Promise.all(IMAGES.map(inspect));
  await build();
  assert.deepEqual(await Promise.all(IMAGES.map(inspect)), first);
  for (const { size } of first) assert.ok(size < MAX_MEGABYTES * 1e6, `${size}`);
});

check('an image holds a program, what it is linked with, and a list of both', async () => {
  await built();
  for (const which of IMAGES) {
    const folder = temporaryFolder('image');
    await podman('save', '--format', 'oci-dir', '--output', path.join(folder, 'image'), imageOf(which));
    const blobs = (await run('find', [path.join(folder, 'image'), '-type', 'f', '-size', '+1M'])).trim().split('\n');
    assert.equal(blobs.length, 1, 'one layer');
    await run('tar', ['--extract', '--file', blobs[0], '--directory', folder]);
    const files = (await run('find', [folder, '-type', 'f', '-not', '-path', '*/image/*', '-printf', '/%P\n'])).trim().split('\n');
    const ours = [`/usr/bin/webrtc-sip-${which}`, '/etc/nsswitch.conf', '/etc/passwd'];
    const others = files.filter((file) => !ours.includes(file) && !/\/lib[a-z_]+\.so|\/ld-linux|^\/usr\/share\/(sbom|licenses)\//.test(file));
    assert.deepEqual(others, []);
    const list = JSON.parse(await run('cat', [path.join(folder, `usr/share/sbom/webrtc-sip-${which}.cdx.json`)]));
    const names = list.components.map(({ name }) => name);
    for (const name of ['webrtc-sip-core', 'tokio', 'rustls', 'libc6']) assert.ok(names.includes(name), name);
    for (const name of ['proptest', 'libfuzzer-sys']) assert.ok(!names.includes(name), `${name} is for tests`);
    assert.ok(list.components.every(({ version }) => version));
  }
});

check('a page calls a phone through both containers, also while they drain', async (test, use) => {
  await built();
  const names = await use(nameServer(PHONE.host));
  process.env.GATEWAY = containerProgram('gateway', 'image-gateway', ['--dns', names.address]);
  process.env.TURN = containerProgram('turn', 'image-turn');
  const relay = await use(turnServer());
  const port = await freePort();
  const routes = [{ numbers: [PHONE.number], target: `${PHONE.host}:${port}`, tcp: false }];
  const node = await use(gateway({ routes, turn: () => ({ listen: [], urls: [relay.url('udp')], secret: SECRET }) }));
  for (const which of IMAGES) {
    // With settings like those that it was started with.
    const config = which === 'gateway' ? ['--config', '/etc/webrtc-sip-gateway.toml'] : ['--secret', SECRET];
    const { code } = await exec(`image-${which}`, `webrtc-sip-${which}`, ...config, 'health');
    assert.equal(code, 0, which);
    assert.notEqual((await exec(`image-${which}`, '/bin/sh', '-c', 'true')).code, 0, 'there is no shell');
  }

  const rtp = await freePorts(2);
  const media = await use(RtpEndpoint.open(rtp));
  const phone = await use(sipp(answering(), { port, keys: { rtp_port: rtp } }));
  const page = await use(Softphone.open(await once('chromium', chromium), node, { relay: true }));
  await page.dial(PHONE.number);
  await page.state('answered');
  await media.waitForAudio();
  assert.ok(names.asked.has(PHONE.host));
  assert.equal((await page.page.path()).local.candidateType, 'relay');
  assert.ok((await relay.metric('wst_allocations')) >= 1);

  const stopping = [await use(stop('image-gateway', 60)), await use(stop('image-turn', 60))];
  await until('the gateway to drain', 10_000, async () => (await node.get('/ready')).status === 503);
  await until('the TURN server to drain', 10_000, async () => (await fetch(`http://${relay.metricsAddress}/ready`)).status === 503);
  const since = Date.now();
  await until('the phone to hear the page', 10_000, () => media.sounds(since).length > 50);
  await page.click('hangup');
  assert.equal((await page.ended()).reason, 'hangup');
  await phone.finish(10_000);
  for (const one of stopping) await one.finish(15_000);
  for (const { exited } of [node, relay]) assert.equal((await withTimeout('the container to end', 10_000, exited)).code, 0);
});

check('compose.yaml starts both, asks for their health, sees a file that was replaced, and lets them end', async (test, use) => {
  await built();
  const machine = await use(compose());
  for (const service of SERVICES) {
    const said = await machine.ask('run', '--rm', '-T', service, '--config', `/etc/webrtc-sip-${service}/${service}.toml`, '--check-config');
    assert.match(said, /The configuration is good/);
  }
  await machine.ask('up', '--detach');
  const containers = Object.fromEntries(await Promise.all(SERVICES.map(async (service) => [service, (await machine.ask('ps', '--quiet', service)).trim()])));
  for (const service of SERVICES) {
    await until(`the ${service} to be ready`, 10_000, async () => (await fetch(`${machine.http[service]}/ready`).catch(() => null))?.ok);
    await podman('healthcheck', 'run', containers[service]);
  }
  machine.maintain();
  const state = async () => (await (await fetch(`${machine.http.gateway}/ping`)).json()).state;
  await until('the new settings to be seen', 10_000, async () => (await state()) === 'maintenance');
  await machine.ask('stop');
  for (const service of SERVICES) {
    const [{ State, HostConfig, Config }] = JSON.parse(await podman('container', 'inspect', containers[service]));
    assert.deepEqual([State.Status, State.ExitCode, HostConfig.ReadonlyRootfs, Config.User], ['exited', 0, true, '500:500'], service);
    assert.equal(HostConfig.RestartPolicy.Name, 'unless-stopped');
  }
  await machine.ask('down');
});
