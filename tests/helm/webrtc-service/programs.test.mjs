// The programs themselves, with what the chart renders for them.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { localPorts } from '../../real-peers/lib/ports.mjs';
import { object } from '../lib/objects.mjs';
import { run, temporaryFolder } from '../lib/process.mjs';
import { ask, command, GATEWAY, SECRET, start, TURN } from '../lib/program.mjs';
import { chart } from './chart.mjs';

const ALL = { 'deployment.type': 'all', 'deployment.color': 'blue' };
/** Few enough for the open files of any machine. */
const SMALL = {
  'gateway.config': { limits: { calls: 20 }, http: { max_connections: 50 }, sip: { max_tcp_connections: 10 }, users: [{ name: 'alice', password: 'secret' }] },
  'coturn.config': { limits: { relay_sockets: 20, connections: 20 } },
  'coturn.relayPortLow': 50000,
};

/** A component's program as its pod would run it. */
function pod(objects, component, files = {}) {
  const { stringData } = object(objects, 'Secret', `webrtc-${component}-config-blue`);
  const deployment = object(objects, 'Deployment', `webrtc-${component}-blue`);
  const volumes = Object.fromEntries(deployment.spec.template.spec.volumes.map((volume) => [volume.name, secretFiles(volume, files)]));
  return command(component === 'gateway' ? GATEWAY : TURN, deployment, { ...volumes, config: { ...stringData, ...files } });
}

/** What a volume brings of a Secret, or of the CSI driver. */
function secretFiles({ secret, csi }, files) {
  if (csi) return { turnSecret: SECRET };
  return secret?.items && Object.fromEntries(secret.items.map(({ key, path }) => [path, files[key] ?? SECRET]));
}

async function certificate() {
  const folder = temporaryFolder();
  const [key, crt] = ['tls.key', 'tls.crt'].map((name) => path.join(folder, name));
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=turn', '-keyout', key, '-out', crt]);
  assert.equal(made.status, 0, made.stderr);
  return { 'tls/tls.key': readFileSync(key, 'utf8'), 'tls/tls.crt': readFileSync(crt, 'utf8'), 'ca.crt': readFileSync(crt, 'utf8') };
}

test('the programs take their configuration, whatever is set', async () => {
  const files = await certificate();
  const ranges = ['10.42.0.7', '0.0.0.0/0', '192.0.2.128/25', '::/0', '::1', 'fd00::/8', '2001:DB8:0:1:2:3:4:5/128', '::ffff:10.1.2.3'];
  const variants = [
    {},
    { 'gateway.trustedProxies': ranges, 'gateway.sip.trusted': ranges, 'coturn.allowPeers': ranges, 'gateway.media': { webrtcPort: 65533, rtpPortLow: 1024, rtpPortHigh: 1200 }, 'coturn.relayPortLow': 1024, 'coturn.relayPortHigh': 1100 },
    { 'gateway.media.reach': 'hostPorts', 'coturn.tlsSecret': 'turn-tls', 'gateway.enableTranscoding': false },
    { 'gateway.voiceSipProxy': 'proxy.voice.svc:5080;transport=tcp', 'gateway.sip.trusted': ['10.1.0.0/16', '10.2.0.1'], 'gateway.allowedOrigins': ['https://crm.example.com', 'https://b.example.com'] },
    { 'gateway.arguments': ['-codecs pcmu,pcma,opus=120', '-sip-disallowed-codecs opus,telephone-event'] },
    { 'gateway.esServer': 'elasticsearch.logging.svc:9200', 'gateway.esQueueMegabytes': 64 },
    { 'gateway.esServer': 'https://elasticsearch.logging.svc:9200', 'gateway.esSecret': 'es' },
    { 'gateway.esServer': 'elasticsearch.logging.svc:9200', 'gateway.esSecret': 'es', 'gateway.esCredentials': 'password' },
    { 'coturn.config': { ...SMALL['coturn.config'], log: { elasticsearch: { url: 'http://elasticsearch.logging.svc:9200', queue_path: temporaryFolder() } } } },
    { 'gateway.secrets': { type: 'csi', csi: { turn: 'class' } } },
    { 'gateway.secrets': { type: 'env', env: { turnSecret: 'in clear' } } },
    { 'gateway.drainSeconds': 0, 'coturn.drainSeconds': 0, 'coturn.allowPeers': ['10.42.0.7'], 'gateway.turnExternalUriBlue': 'turns:turn.example.com:443?transport=tcp,turn:turn.example.com' },
  ];
  for (const variant of variants) {
    const objects = await chart.render({ ...ALL, ...SMALL, ...variant });
    for (const component of ['gateway', 'coturn']) {
      const { status, stdout, stderr } = await ask(pod(objects, component, files), '--check-config');
      assert.equal(status, 0, `${component} with ${JSON.stringify(variant)}: ${stdout}${stderr}`);
    }
  }
});

test('the gateway takes its configuration without a TURN server', async () => {
  const gateway = pod(await chart.render({ ...ALL, ...SMALL, 'gateway.media.reach': 'hostNetwork', 'gateway.turnExternalUriBlue': '' }), 'gateway');
  assert.equal(gateway.env.WSG_TURN__URLS, undefined);
  const { status, stdout, stderr } = await ask(gateway, '--check-config');
  assert.equal(status, 0, `${stdout}${stderr}`);
});

test('what is said in the values is what the programs read', async () => {
  const routes = [{ numbers: ['0110', '112'], target: '192.0.2.20:5060' }, { prefix: '+49', target: '192.0.2.10:5060', tcp: true }];
  const users = [{ name: '0701', password: '4e5', sip_user: '+4930123456', sip_password: 'yes' }];
  const config = { ...SMALL['gateway.config'], sip: { max_tcp_connections: 10, routes }, users };
  const objects = await chart.render({
    ...ALL, ...SMALL, 'gateway.config': config, 'gateway.workersCount': 2, 'gateway.voiceSipProxy': 'proxy.voice.svc:5080;transport=tcp', 'gateway.media.reach': 'hostPorts',
  });
  const programs = ['gateway', 'coturn'].map((component) => pod(objects, component));
  const coloured = pod(await chart.render({ ...SMALL, 'deployment.type': 'gateway', 'deployment.color': 'blue' }), 'gateway');
  assert.match((await ask(coloured, '--print-config')).stdout, /^colour_path = true$/m);
  const [gateway, turn] = await Promise.all(programs.map(async (program) => (await ask(program, '--print-config')).stdout));
  for (const line of [
    'node = "webrtc-pod-1"', 'colour = "blue"', 'target = "proxy.voice.svc:5080"', 'tcp = true', 'domain = "proxy.voice.svc"', 'workers = 2',
    'listen = ["127.0.0.1:5060"]', 'advertised = ["192.0.2.10"]', 'calls = 20', 'drain_seconds = 600',
    'name = "0701"', 'sip_user = "+4930123456"', 'numbers = ["0110", "112"]', 'prefix = "+49"',
    'urls = ["turn:turn-blue.example.com:443?transport=udp", "turn:turn-blue.example.com:443?transport=tcp"]',
    `secret = "file:${programs[0].folders.secrets}/turnSecret"`,
  ]) assert.ok(gateway.split('\n').includes(line), `${line} in ${gateway}`);
  assert.match(gateway, /\[turn\]\nlisten = \[\]/);
  for (const line of ['listen = ["127.0.0.1:3478"]', 'realm = "example.com"', `secrets = ["file:${programs[1].folders.secrets}/turnSecret"]`, 'port_low = 50000', 'deny_peers = ["0.0.0.0/0", "::/0"]', 'peer_connections = 0', 'relay_sockets = 20']) {
    assert.ok(turn.split('\n').includes(line), `${line} in ${turn}`);
  }
});

/** Both, running as they would in pods, but for their ports. */
async function running(options = {}) {
  const objects = await chart.render({ ...ALL, ...SMALL, ...options });
  const [http, metrics, sip, turn, admin] = await localPorts(5);
  const gateway = pod(objects, 'gateway');
  Object.assign(gateway.env, { WSG_HTTP__LISTEN: `127.0.0.1:${http}`, WSG_METRICS__LISTEN: `127.0.0.1:${metrics}`, WSG_SIP__LISTEN: `127.0.0.1:${sip}`, WSG_MEDIA__WEBRTC_PORT: '0' });
  const coturn = pod(objects, 'coturn');
  Object.assign(coturn.env, { WST_LISTEN: `127.0.0.1:${turn}`, WST_HTTP__LISTEN: `127.0.0.1:${admin}` });
  const started = [];
  const stop = () => Promise.all(started.map((one) => one.stop()));
  try {
    started.push(await start(gateway, `http://127.0.0.1:${http}/ready`));
    started.push(await start(coturn, `http://127.0.0.1:${admin}/ready`));
  } catch (error) {
    await stop();
    throw error;
  }
  return { http: `http://127.0.0.1:${http}`, stop, said: () => started.map((one) => one.said()), folders: [gateway, coturn].map((one) => one.folders.secrets) };
}

test('gateway and TURN server start as in pods', async () => {
  const { http, stop, said } = await running();
  try {
    assert.equal((await (await fetch(`${http}/ping`)).json()).path, 'blue');
    const cookie = (await fetch(`${http}/v1/events?after=0`)).headers.get('set-cookie');
    assert.equal(cookie, 'WSGROUTEID=.webrtc-pod-1; Path=/; Secure; SameSite=None; HttpOnly');
    for (const text of said()) for (const line of text.trim().split('\n')) assert.equal(typeof JSON.parse(line), 'object');
  } finally {
    await stop();
  }
});

test('another TURN secret in the mounted file is taken over while the programs run', async () => {
  const { http, stop, said, folders } = await running({ 'gateway.trustedProxies': ['127.0.0.1'] });
  const madeWith = async (secret) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.signIn', params: { user: 'alice', password: 'secret' } });
    const headers = { 'content-type': 'application/json', 'x-forwarded-proto': 'https' };
    const { result, error } = await (await fetch(`${http}/v1/rpc`, { method: 'POST', headers, body })).json();
    assert.ok(result, JSON.stringify(error));
    const [{ username, credential }] = result.iceServers;
    return credential === createHmac('sha1', secret).update(username).digest('base64');
  };
  try {
    assert.ok(await madeWith(SECRET));
    for (const folder of folders) writeFileSync(path.join(folder, 'turnSecret'), 'another');
    const deadline = Date.now() + 15_000;
    while (!said().every((text) => text.includes('configuration reloaded'))) {
      assert.ok(Date.now() < deadline, said().join('\n'));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(await madeWith('another'));
  } finally {
    await stop();
  }
});

test('logs are in files where logPath is a folder, in one for each pod', async () => {
  const folder = temporaryFolder();
  const { stop, said } = await running({ 'gateway.logPath': folder, 'coturn.logPath': folder });
  await stop();
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.log')).sort();
  assert.deepEqual(files, ['webrtc-pod-1/webrtc-sip-gateway.log', 'webrtc-pod-1/webrtc-sip-turn.log']);
  for (const file of files) {
    const lines = readFileSync(path.join(folder, file), 'utf8').trim().split('\n');
    assert.ok(lines.length > 0);
    for (const line of lines) assert.equal(typeof JSON.parse(line), 'object');
  }
  assert.deepEqual(said(), ['', '']);
});
