// Every option has its effect; what is misspelt or of another type is refused by name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { read } from '../lib/helm.mjs';
import { object } from '../lib/objects.mjs';
import { assertDefaultsCanGo, closedMaps, failures, illTyped, options, unexplained, withoutRow } from '../lib/option-checks.mjs';
import { each } from '../lib/queue.mjs';
import { merge } from '../lib/values.mjs';
import { chart } from './chart.mjs';
import { ROWS } from './option-table.mjs';

const OPTIONS = options(chart);

test('every option appears where it must, and Kubernetes takes what it brings', async () => {
  assert.deepEqual(await failures(chart, ROWS), []);
});

test('there is a row for every option', () => {
  assert.deepEqual(withoutRow(chart, ROWS), []);
});

test('a misspelt option is refused by name', async () => {
  const places = closedMaps(chart);
  const said = await chart.refusal(Object.fromEntries(places.map((place) => [`${place && `${place}.`}mispelt`, 1])));
  for (const place of places) assert.ok(said.includes(`- ${place || '(root)'}: Additional property mispelt is not allowed`), `${place}: ${said}`);
  assert.ok((await chart.refusal({ 'deployment.ingress.tls': { secertName: 'x' } })).includes('- deployment.ingress.tls: '));
});

test('an option of another type is refused by name', async () => {
  const wrong = illTyped(chart);
  const said = await chart.refusal(wrong);
  for (const option of Object.keys(wrong)) assert.ok(said.includes(`- ${option}: `), `${option}: ${said}`);
  const more = { 'gateway.replicas': '1', 'gateway.workersCount': 1.5, 'coturn.port': 70000, 'gateway.media.rtpPortLow': 1023, 'coturn.relayPortLow': 1023, 'gateway.logPath': 'log', 'gateway.turnExternalUriBlue': 'https://turn.example.com', 'coturn.budget.minAvailable': 'half', 'gateway.voiceSipProxy': 'a;transport=sctp', 'gateway.secrets.env.turnSecret': 'one,two', 'gateway.resources.requests.cpu': '800m', 'gateway.resources.requests.ephemeral-storage': true, 'gateway.resources.limits.cpu': 'two', 'coturn.resources.requests.cpu': -1, 'coturn.resources.limits.memory': '8 Gi', 'coturn.logPvc.capacity': 'fifty', 'deployment.ingress.tls': 'secret', 'monitoring.alertFor': { 'webrtc-gateway-signin': '1m' } };
  const again = await chart.refusal(more);
  // Pods have IPv4 addresses, so they would look for this proxy in vain.
  assert.ok((await chart.refusal({ 'gateway.voiceSipProxy': '[2001:db8::1]:5060' })).includes('- gateway.voiceSipProxy: '));
  for (const option of Object.keys(more)) assert.ok(again.includes(`- ${option}: `), `${option}: ${again}`);
});

test('what is no address or range of addresses is refused by name', async () => {
  const ranges = ['abc', '', '10.0.0.256', '10.0.0', '010.0.0.1', '10.0.0.0/33', '10.0.0.0/', 'fd00:/8', 'fd00::g', 'fd00::/129', '10.0.0.0/8,10.0.0.1'];
  const lists = ['gateway.trustedProxies', 'gateway.sip.trusted', 'coturn.allowPeers'];
  const said = await chart.refusal({ ...Object.fromEntries(lists.map((list) => [list, ranges])), 'coturn.lbIpBlue': 'foo', 'coturn.lbIpGreen': '192.0.2.1/32' });
  for (const option of [...lists.flatMap((list) => ranges.map((_, index) => `${list}.${index}`)), 'coturn.lbIpBlue', 'coturn.lbIpGreen']) {
    assert.ok(said.includes(`- ${option}: Does not match pattern`), `${option}: ${said}`);
  }
});

test('a word that is none of those that there are is refused by name', async () => {
  const wrong = {
    'deployment.type': 'gatway',
    'deployment.color': 'grene',
    'deployment.coturnDeployment': 'extern',
    'deployment.dnsPolicy': 'ClusterLast',
    'image.pullPolicy': 'Sometimes',
    'gateway.media.reach': 'hostPort',
    'gateway.secrets.type': 'file',
    'gateway.esCredentials': 'token',
    'gateway.restartPolicy': 'Never',
    'coturn.restartPolicy': 'OnFailure',
    'coturn.externalTrafficPolicy': 'Global',
    'coturn.sessionAffinity': 'Cookie',
  };
  const said = await chart.refusal({ ...wrong, 'coturn.protocols': ['TCP', 'TLS'] });
  for (const option of [...Object.keys(wrong), 'coturn.protocols.1']) assert.ok(said.includes(`- ${option}: ${option} must be one of the following: `), `${option}: ${said}`);
});

test('a default can be taken away, or that is refused by name', () => assertDefaultsCanGo(chart));

test('what does not fit together is refused by name', async () => {
  const cases = [
    [{ 'deployment.type': 'gateway', 'deployment.color': '' }, 'deployment.color'],
    [{ 'deployment.keda': true, 'deployment.hpa': true }, 'deployment.hpa'],
    [{ 'gateway.turnExternalUriBlue': '' }, 'gateway.turnExternalUriBlue'],
    [{ 'gateway.arguments': ['-logs 5'] }, 'gateway.arguments: "-logs 5"'],
    [{ 'gateway.arguments': ['-codecs pcmu,g722'] }, 'gateway.arguments: codecs towards browser: "g722"'],
    [{ 'gateway.arguments': ['-sip-disallowed-codecs opus,pcmu,pcma'] }, 'gateway.arguments: codecs towards sip: "none"'],
    [{ 'deployment.ingress.domain': '' }, 'deployment.ingress.domain'],
    [{ 'deployment.ingress.className': 'nginx', 'deployment.ingress.annotations': { 'kubernetes.io/ingress.class': 'nginx' } }, 'deployment.ingress.className'],
    [{ 'deployment.gatewayApi.enabled': true }, 'deployment.gatewayApi.parentRefs'],
    [{ 'gateway.config': { node: 'x' }, 'gateway.configSecret': 'y' }, 'gateway.configSecret'],
    [{ 'gateway.media.rtpPortLow': 30000, 'gateway.media.rtpPortHigh': 30000 }, 'gateway.media.rtpPortHigh'],
    [{ 'gateway.media.webrtcPort': 65534 }, 'gateway.media.webrtcPort'],
    [{ 'gateway.media.webrtcPort': 19999, 'gateway.workersCount': 2 }, 'gateway.media.webrtcPort'],
    [{ 'coturn.relayPortHigh': 49151 }, 'coturn.relayPortHigh'],
    [{ 'gateway.logPvc': { pvcName: 'x' } }, 'gateway.logPvc: nothing would be written there'],
    [{ 'deployment.type': 'infra', 'coturn.logPvc': { pvcName: 'x' } }, 'coturn.logPvc: nothing would be written there'],
    [{ 'coturn.logPvc': { pvcName: 'x', volumeSpec: { nfs: {} } } }, 'coturn.logPvc.volumeName'],
    [{ 'coturn.logPvc': { pvcName: 'x', volumespec: { nfs: {} } } }, 'coturn.logPvc.volumeName'],
    [{ 'deployment.keda': true, 'coturn.resources': null }, 'coturn.resources.requests'],
    [{ 'deployment.hpa': true, 'gateway.resources.requests': null }, 'gateway.resources.requests'],
    [{ 'deployment.hpa': true, 'gateway.replicas': 0 }, 'gateway.replicas'],
    [{ 'deployment.keda': true, 'coturn.replicas': 3, 'coturn.scaling.maxReplicaCount': 2 }, 'coturn.replicas'],
    [{ 'gateway.esServer': 'https://es' }, 'gateway.esSecret'],
    [{ 'image.webrtc': '' }, 'image.webrtc'],
    [{ 'image.coturn': '' }, 'image.coturn'],
  ];
  for (const [options, named] of cases) {
    const said = await chart.refusal(options);
    assert.ok(said.includes(named), `${named}: ${said}`);
  }
});

test('arguments of the program are refused by name', async () => {
  const refused = ['--nonsense', '--check-config', '--print-config', '--help', '-h', '--version', '-V', 'health', '-codecs', '-codecs pcmu -logs 5'];
  const files = ['--config', '--config=/mine.toml', '--config /mine.toml'];
  const said = await chart.refusal({ 'gateway.arguments': [...refused, ...files] });
  for (const argument of refused) assert.ok(said.includes(`gateway.arguments: "${argument}": only "-codecs LIST" and "-sip-disallowed-codecs LIST" are understood; settings of webrtc-sip-gateway belong in gateway.config\n`), `${argument}: ${said}`);
  for (const argument of files) assert.ok(said.includes(`gateway.arguments: "${argument}": the chart sets it; the file is gateway.config, or that of gateway.configSecret\n`), `${argument}: ${said}`);
});

test('memory and capacity without a unit, which are bytes, are refused by name', async () => {
  const bare = { 'coturn.resources.requests.memory': 150, 'coturn.resources.limits.memory': '8589934592', 'gateway.resources.limits.memory': '500m', 'gateway.logPvc.capacity': 50, 'coturn.logPvc.capacity': '5e9' };
  const said = await chart.refusal({ ...bare, 'gateway.resources.requests.memory': 150 });
  assert.deepEqual(said.match(/^\S+(?=: \S+ would be bytes)/gm).sort(), Object.keys(bare).sort());
});

test('labels by which objects are found are refused by name', async () => {
  const labels = ['common', 'gateway', 'coturn', 'alerts'].flatMap((map) => ['service', 'servicename', 'color'].map((name) => `labels.${map}.${name}`));
  // Alerts are sent to people by it.
  labels.splice(labels.indexOf('labels.alerts.service'), 1);
  const said = await chart.refusal(Object.fromEntries(labels.map((label) => [label, 'teal'])));
  for (const label of labels) assert.ok(said.includes(`\n${label}: `), `${label}: ${said}`);
});

test('values-template.yaml explains every option, and is a file that works', async () => {
  const template = read(chart.file('values-template.yaml'));
  const has = (option) => option.split('.').reduce((inner, key) => (inner && typeof inner === 'object' && key in inner ? inner[key] : undefined), template) !== undefined;
  assert.deepEqual(OPTIONS.filter(({ option }) => !has(option) && !['deployment.type', 'deployment.color'].includes(option)).map(({ option }) => option), []);
  assert.deepEqual(unexplained(chart), []);
  const { status, stdout, stderr } = await chart.lint(template);
  assert.equal(status, 0, stdout + stderr);
  for (const [type, color] of [['infra', ''], ['infra', 'blue'], ['coturn', 'blue'], ['gateway', 'green'], ['cutover', 'green'], ['all', '']]) {
    assert.ok((await chart.render({ 'deployment.type': type, 'deployment.color': color }, { values: template })).length > 0);
  }
});

test('the README’s first file installs everything, and what it adds to that is taken', async () => {
  const [first, ...additions] = [...chart.file('README.md').matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, text]) => read(text));
  assert.ok(first && additions.length > 0);
  assert.ok((await chart.render({}, { values: first })).length > 0);
  for (const more of additions) assert.ok((await chart.render({}, { values: merge(first, more) })).length > 0);
});

test('a file as operators of the guide have it renders in every step', async () => {
  const values = read(readFileSync(new URL('operator-values.yaml', import.meta.url), 'utf8'));
  const steps = [['infra', ''], ...['infra', 'coturn', 'gateway', 'cutover'].flatMap((type) => ['blue', 'green'].map((color) => [type, color]))];
  const rendered = await each(steps, ([type, color]) => chart.render({ 'deployment.type': type, 'deployment.color': color }, { values }));
  for (const objects of rendered) assert.ok(objects.length > 0);
  for (const component of ['gateway', 'coturn']) {
    const { spec } = object(rendered[0], 'PersistentVolume', `webrtc-${component}-log-volume`);
    assert.equal(spec.nfs.server, '192.0.2.51');
  }
});
