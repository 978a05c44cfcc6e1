// The programs themselves, with what the chart renders for them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { object } from '../lib/objects.mjs';
import { run, temporaryFolder } from '../lib/process.mjs';
import { ask, command, freePorts, GATEWAY, start, TURN } from '../lib/program.mjs';
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
  return command(component === 'gateway' ? GATEWAY : TURN, deployment, { ...stringData, ...files });
}

async function certificate() {
  const folder = temporaryFolder();
  const [key, crt] = ['tls.key', 'tls.crt'].map((name) => path.join(folder, name));
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=turn', '-keyout', key, '-out', crt]);
  assert.equal(made.status, 0, made.stderr);
  return { 'tls/tls.key': readFileSync(key, 'utf8'), 'tls/tls.crt': readFileSync(crt, 'utf8') };
}

test('the programs take their configuration, whatever is set', async () => {
  const files = await certificate();
  const variants = [
    {},
    { 'gateway.media.reach': 'hostPorts', 'coturn.tlsSecret': 'turn-tls', 'gateway.enableTranscoding': false },
    { 'gateway.media.reach': 'hostNetwork', 'gateway.turnExternalUriBlue': '' },
    { 'gateway.voiceSipProxy': 'proxy.voice.svc:5080;transport=tcp', 'gateway.sip.trusted': ['10.1.0.0/16', '10.2.0.1'], 'gateway.allowedOrigins': ['https://crm.example.com', 'https://b.example.com'] },
    { 'gateway.arguments': ['-codecs pcmu,pcma,opus=120', '-sip-disallowed-codecs opus,telephone-event'] },
    { 'gateway.esServer': 'elasticsearch.logging.svc:9200', 'gateway.esQueueMegabytes': 64 },
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

test('what is said in the values is what the programs read', async () => {
  const objects = await chart.render({
    ...ALL, ...SMALL, 'gateway.workersCount': 2, 'gateway.voiceSipProxy': 'proxy.voice.svc:5080;transport=tcp', 'gateway.media.reach': 'hostPorts',
  });
  const [gateway, turn] = await Promise.all(['gateway', 'coturn'].map(async (component) => (await ask(pod(objects, component), '--print-config')).stdout));
  for (const line of [
    'node = "webrtc-pod-1"', 'colour = "blue"', 'target = "proxy.voice.svc:5080"', 'tcp = true', 'domain = "proxy.voice.svc"', 'workers = 2',
    'listen = ["127.0.0.1:5060"]', 'advertised = ["192.0.2.10"]', 'calls = 20', 'drain_seconds = 600', 'name = "alice"',
    'urls = ["turn:turn-blue.example.com:443?transport=udp", "turn:turn-blue.example.com:443?transport=tcp"]',
  ]) assert.ok(gateway.split('\n').includes(line), `${line} in ${gateway}`);
  assert.match(gateway, /\[turn\]\nlisten = \[\]/);
  for (const line of ['listen = ["127.0.0.1:3478"]', 'realm = "example.com"', 'secrets = ["***"]', 'port_low = 50000', 'deny_peers = ["0.0.0.0/0", "::/0"]', 'peer_connections = 0', 'relay_sockets = 20']) {
    assert.ok(turn.split('\n').includes(line), `${line} in ${turn}`);
  }
});

/** Both, running as they would in pods, but for their ports. */
async function running(options = {}) {
  const objects = await chart.render({ ...ALL, ...SMALL, ...options });
  const [http, metrics, sip, turn, admin] = await freePorts(5);
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
  return { http: `http://127.0.0.1:${http}`, stop, said: () => started.map((one) => one.said()) };
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

test('logs are in files where logPath is a folder, in one for each pod', async () => {
  const folder = temporaryFolder();
  const { stop, said } = await running({ 'gateway.logPath': folder, 'coturn.logPath': folder });
  await stop();
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.log')).sort();
  // A TURN server is named after its machine, which in a pod is the pod.
  assert.deepEqual(files, ['webrtc-pod-1/webrtc-sip-gateway.log', `${hostname()}/webrtc-sip-turn.log`].sort());
  for (const file of files) {
    const lines = readFileSync(path.join(folder, file), 'utf8').trim().split('\n');
    assert.ok(lines.length > 0);
    for (const line of lines) assert.equal(typeof JSON.parse(line), 'object');
  }
  assert.deepEqual(said(), ['', '']);
});
