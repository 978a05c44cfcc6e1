// The program with the file that the chart makes for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { localPorts } from '../../real-peers/lib/ports.mjs';
import { RELEASE } from '../lib/helm.mjs';
import { container, object } from '../lib/objects.mjs';
import { ask, command, GATEWAY, start } from '../lib/program.mjs';
import { chart } from './chart.mjs';

/** The release's Deployment, and the program as its pod would run it. */
async function pod(options) {
  const objects = await chart.render(options);
  const deployment = object(objects, 'Deployment', RELEASE);
  return { objects, deployment, program: command(GATEWAY, deployment, { config: object(objects, 'ConfigMap', RELEASE).data }) };
}

test('the program gets the file that the chart makes', async () => {
  const { objects, deployment } = await pod();
  const { args, volumeMounts: [mount] } = container(deployment);
  const [volume] = deployment.spec.template.spec.volumes;
  const { metadata, data } = object(objects, 'ConfigMap', RELEASE);
  assert.deepEqual(args, ['--config', `${mount.mountPath}/${Object.keys(data)[0]}`]);
  assert.equal(volume.name, mount.name);
  assert.equal(volume.configMap.name, metadata.name);
});

test('the program knows every setting in that file', async () => {
  for (const options of [{}, { 'monitoring.enabled': true }]) {
    const { status, stdout, stderr } = await ask((await pod(options)).program, '--check-config');
    assert.equal(status, 0, stdout + stderr);
  }
});

test('nobody can sign in or call at the pods, and nothing but pages is open', async () => {
  const { stdout } = await ask((await pod()).program, '--print-config');
  const sections = Object.fromEntries(stdout.trim().split('\n\n').map((text) => text.split('\n')).map(([head, ...lines]) => [head, lines]));
  assert.match(stdout, /^users = \[\]$/m);
  const expected = {
    limits: ['sign_ins = 0', 'calls = 0'],
    turn: ['listen = []'],
    http: ['trusted_proxies = ["127.0.0.1/32"]'],
    sip: ['listen = ["127.0.0.1:5060"]'],
    media: ['listen = ["127.0.0.1"]'],
    metrics: ['listen = "127.0.0.1:10052"'],
  };
  for (const [name, lines] of Object.entries(expected)) for (const line of lines) assert.ok(sections[`[${name}]`].includes(line), `${name}: ${line} in ${stdout}`);
});

test('the page is served and signing in is refused, where probes and Service ask', async () => {
  const { deployment, program } = await pod();
  const { ports: [port], livenessProbe, readinessProbe } = container(deployment);
  const { stdout } = await ask(program, '--print-config');
  assert.match(stdout, new RegExp(`listen = "0\\.0\\.0\\.0:${port.containerPort}"`));
  for (const probe of [livenessProbe, readinessProbe]) assert.equal(probe.httpGet.port, port.name);

  const [http, metrics, sip] = await localPorts(3);
  Object.assign(program.env, { WSG_HTTP__LISTEN: `127.0.0.1:${http}`, WSG_METRICS__LISTEN: `127.0.0.1:${metrics}`, WSG_SIP__LISTEN: `127.0.0.1:${sip}`, WSG_MEDIA__WEBRTC_PORT: '0' });
  const at = `http://127.0.0.1:${http}`;
  const { stop } = await start(program, `${at}${readinessProbe.httpGet.path}`);
  try {
    assert.equal((await fetch(`${at}${livenessProbe.httpGet.path}`)).status, 200);
    const page = await fetch(`${at}/`);
    assert.match(page.headers.get('content-type'), /^text\/html/);
    assert.match(await page.text(), /<script/);
    const request = { jsonrpc: '2.0', id: 1, method: 'session.signIn', params: { user: '1001', password: 'demo-1001' } };
    const answer = await (await fetch(`${at}/v1/rpc`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) })).json();
    assert.equal(answer.error?.data?.reason, 'too_many', JSON.stringify(answer));
  } finally {
    await stop();
  }
});
