// Every option has its effect; what is misspelt, of another type or called otherwise is refused by name.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read } from '../lib/helm.mjs';
import { closedMaps, failures, illTyped, withoutRow } from '../lib/options.mjs';
import { chart } from './chart.mjs';
import { ROWS } from './option-table.mjs';

/** Called otherwise here, so they are always refused. */
const OTHERWISE = {
  'ingress.hosts': [{ host: 'webphone.example.com', paths: [{ path: '/' }] }],
  serviceAccount: { create: false, name: 'default' },
  rbac: { create: false },
};

test('every option appears where it must', async () => {
  assert.deepEqual(await failures(chart, ROWS), []);
});

test('there is a row for every option', () => {
  assert.deepEqual(withoutRow(chart, ROWS).sort(), Object.keys(OTHERWISE).sort());
});

test('what is mandatory is asked for by name', async () => {
  const said = await chart.refusal({}, { values: {} });
  for (const option of ['image.repository', 'ingress.host', 'webphone.webrtcService']) assert.ok(said.includes(`\n${option}: `), said);
});

test('options that are called otherwise are refused with advice', async () => {
  const said = await chart.refusal(OTHERWISE);
  for (const option of Object.keys(OTHERWISE)) assert.match(said, new RegExp(`^${option}: \\w+`, 'm'));
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
    podAnnotations: { port: 10052 },
    serviceAccountName: '',
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

test('what does not fit together is refused by name', async () => {
  const cases = [
    [{ 'service.enabled': false }, 'service.enabled'],
    [{ autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 2 } }, 'autoscaling.maxReplicas'],
    [{ autoscaling: { enabled: true, targetCPUUtilizationPercentage: null } }, 'targetCPUUtilizationPercentage'],
  ];
  for (const [options, named] of cases) assert.ok((await chart.refusal(options)).includes(named), named);
});

test('values-template.yaml explains every option and changes none', () => {
  const text = chart.file('values-template.yaml');
  const defaults = read(chart.file('values.yaml'));
  assert.deepEqual(read(text), defaults);
  const count = (value) => (value && typeof value === 'object' && Object.keys(value).length > 0 ? Object.values(value).reduce((sum, inner) => sum + count(inner), 0) : 1);
  assert.ok(text.split('\n').filter((line) => line.includes('#')).length > count(defaults), 'hardly anything is explained');
});
