// Every option has its effect; what is misspelt or of another type is refused by name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { read, RELEASE } from '../lib/helm.mjs';
import { object } from '../lib/objects.mjs';
import { assertDefaultsCanGo, closedMaps, failures, illTyped, unexplained, withoutRow } from '../lib/option-checks.mjs';
import { chart } from './chart.mjs';
import { ROWS } from './option-table.mjs';

test('every option appears where it must, and Kubernetes takes what it brings', async () => {
  assert.deepEqual(await failures(chart, ROWS), []);
});

test('there is a row for every option', () => {
  assert.deepEqual(withoutRow(chart, ROWS), []);
});

test('what is mandatory is asked for by name', async () => {
  const said = await chart.refusal({}, { values: {} });
  for (const option of ['image.repository', 'ingress.host', 'webphone.webrtcService']) assert.ok(said.includes(`\n${option}: `), said);
});

test('a file as operators of the guide have it renders, with the image and the gateways’ Service in it', async () => {
  const values = read(readFileSync(new URL('operator-values.yaml', import.meta.url), 'utf8'));
  const said = await chart.refusal({}, { values });
  assert.match(said, /^webphone\.webrtcService: name the Service/m);
  assert.equal(said.trim().split('\n').filter((line) => /^[a-zA-Z.]+: /.test(line)).length, 2, said); // Helm's own line is the other
  const objects = await chart.render({ 'webphone.webrtcService': 'gateways' }, { values });
  const [page, signalling] = ['', '-signalling'].map((suffix) => object(objects, 'Ingress', `${RELEASE}${suffix}`));
  for (const { spec } of [page, signalling]) assert.deepEqual(spec.rules.map(({ host }) => host), ['webphone.apps.example.com']);
  assert.equal(signalling.metadata.annotations['nginx.ingress.kubernetes.io/session-cookie-path'], '/; Secure');
});

test('the gateways are named by their Service, not by an address', async () => {
  for (const name of ['https://webrtc.example.com', 'webrtc.example.com', 'Gateways', '-gateways', 'a'.repeat(64)]) {
    assert.ok((await chart.refusal({ 'webphone.webrtcService': name })).includes('webphone.webrtcService: name the Service'), name);
  }
});

test('a misspelt option is refused by name', async () => {
  const places = closedMaps(chart);
  assert.ok(places.length > 8);
  const said = await chart.refusal(Object.fromEntries(places.map((place) => [`${place && `${place}.`}mispelt`, 1])));
  for (const place of places) assert.ok(said.includes(`- ${place || '(root)'}: Additional property mispelt is not allowed`), `${place}: ${said}`);
});

test('an option of another type, or of another range, is refused by name', async () => {
  const ranges = {
    'image.tag': 1.0,
    'image.pullPolicy': 'Sometimes',
    replicaCount: 'three',
    'webphone.webrtcServicePort': 'http',
    'service.type': 'Cluster',
    'service.port': 70000,
    'ingress.host': 'https://webphone.example.com',
    'ingress.annotations': { a: true },
    'resources.requests': '50m',
    'resources.limits.cpu': 'half',
    podAnnotations: { port: 10052 },
    serviceAccountName: '',
    'ingress.hosts': [{ host: 'webphone.example.com', paths: [{ path: '/phone' }] }],
    dnsPolicy: 'ClusterLast',
    'dnsConfig.options': [{ name: 'ndots', value: 3 }],
    'autoscaling.minReplicas': 0,
    'autoscaling.targetCPUUtilizationPercentage': '80%',
    'autoscaling.targetMemoryUtilizationPercentage': 0,
    'monitoring.scrapeInterval': 30,
  };
  for (const wrong of [illTyped(chart), ranges]) {
    const said = await chart.refusal(wrong);
    for (const option of Object.keys(wrong)) assert.match(said, new RegExp(`^- ${option}\\b`, 'm'));
  }
});

test('a default can be taken away, or that is refused by name', () => assertDefaultsCanGo(chart));

test('what does not fit together is refused by name', async () => {
  const cases = [
    [{ 'service.enabled': false }, 'service.enabled'],
    [{ 'serviceAccount.create': true }, 'serviceAccount.create'],
    [{ 'ingress.ingressClassName': 'nginx', 'ingress.annotations': { 'kubernetes.io/ingress.class': 'nginx' } }, 'ingress.ingressClassName'],
    [{ autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 2 } }, 'autoscaling.maxReplicas'],
    [{ autoscaling: { enabled: true, targetCPUUtilizationPercentage: null } }, 'targetCPUUtilizationPercentage'],
    [{ 'autoscaling.enabled': true, resources: null }, '\nresources.requests.cpu: '],
    [{ autoscaling: { enabled: true, targetMemoryUtilizationPercentage: 70 }, resources: { requests: { memory: null }, limits: null } }, '\nresources.requests.memory: '],
  ];
  for (const [options, named] of cases) assert.ok((await chart.refusal(options)).includes(named), named);
});

test('memory without a unit, which is bytes, is refused by name', async () => {
  const bare = { 'resources.requests.memory': 128, 'resources.limits.memory': '1024' };
  const said = await chart.refusal(bare);
  for (const option of Object.keys(bare)) assert.match(said, new RegExp(`^${option}: \\d+ would be bytes`, 'm'));
});

test('values-template.yaml explains every option and changes none', () => {
  assert.deepEqual(read(chart.file('values-template.yaml')), read(chart.file('values.yaml')));
  assert.deepEqual(unexplained(chart), []);
});
