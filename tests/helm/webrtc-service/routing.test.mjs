// Which colour users come to, and how they stay with a pod.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RELEASE } from '../lib/helm.mjs';
import { container, names, object } from '../lib/objects.mjs';
import { chart as webphone } from '../webphone/chart.mjs';
import { chart, COLOURS, step } from './chart.mjs';

const GATEWAY_API = { 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }], sessionPersistence: true } };

/** The Service by host and path. */
function routed(objects) {
  const [ingress] = objects.filter(({ kind }) => kind === 'Ingress');
  if (ingress) return Object.fromEntries(ingress.spec.rules.flatMap(({ host, http }) => http.paths.map(({ path, backend }) => [`${host}${path}`, backend.service.name])));
  const rules = objects.filter(({ kind }) => kind === 'HTTPRoute').flatMap(({ spec }) => spec.hostnames.flatMap((host) => spec.rules.map((rule) => [host, rule])));
  return Object.fromEntries(rules.map(([host, { matches, backendRefs }]) => [`${host}${matches[0].path.value}`, backendRefs[0].name]));
}

test('the cutover sends users to its colour and testers to the other, and who is signed in to the colour that they are at', async () => {
  for (const [active, other] of [COLOURS, [...COLOURS].reverse()]) {
    const service = (colour) => `webrtc-gateway-service-${colour}`;
    const expected = { 'webrtc.example.com/': service(active), 'webrtc-test.example.com/': service(other) };
    for (const host of ['webrtc.example.com', 'webrtc-test.example.com']) for (const colour of COLOURS) expected[`${host}/${colour}/v1`] = service(colour);
    assert.deepEqual(routed(await chart.render(step(['cutover', active]))), expected);
    const routes = (await chart.render({ ...step(['cutover', active]), ...GATEWAY_API })).filter(({ kind }) => kind === 'HTTPRoute');
    assert.deepEqual(routed(routes), expected);
    assert.deepEqual(names(routes), ['HTTPRoute/webrtc', 'HTTPRoute/webrtc-blue', 'HTTPRoute/webrtc-green', 'HTTPRoute/webrtc-test']);
    for (const { spec } of routes) {
      assert.deepEqual(spec.rules[0].timeouts, { request: '0s', backendRequest: '0s' });
      assert.equal(spec.rules[0].sessionPersistence.type, 'Cookie');
    }
  }
});

test('the chart webphone names a Service that moves with the cutover and back', async () => {
  const page = await webphone.render({ 'webphone.webrtcService': 'webrtc-gateway-service' });
  const { name, port } = object(page, 'Ingress', `${RELEASE}-signalling`).spec.rules[0].http.paths[0].backend.service;
  for (const active of ['blue', 'green', 'blue']) {
    const { spec } = object(await chart.render(step(['cutover', active])), 'Service', name);
    assert.deepEqual(spec.selector, { servicename: 'webrtc-gateway', color: active });
    assert.ok(spec.ports.some((one) => one.port === port.number));
    // With the same pods behind it: an ingress that goes by a cookie has to find a user's pod under both names.
    assert.deepEqual(spec, object(await chart.render(step(['infra', active])), 'Service', `${name}-${active}`).spec);
  }
});

test('gateways tell their pages of a path where there is a route for it', async () => {
  const told = async (type) => container(object(await chart.render(step([type, 'blue'])), 'Deployment', 'webrtc-gateway-blue')).env.find(({ name }) => name === 'WSG_HTTP__COLOUR_PATH')?.value;
  assert.equal(await told('gateway'), 'true');
  assert.equal(await told('all'), undefined);
  for (const api of [{}, GATEWAY_API]) assert.deepEqual(routed(await chart.render({ ...step(['all', 'blue']), ...api })), { 'webrtc.example.com/': 'webrtc-gateway-service-blue' });
});

test('a colour that isn’t ready is refused, unless forced', async () => {
  const READY = { observedGeneration: 3, availableReplicas: 2, updatedReplicas: 2 };
  const deployment = (component, status) => ({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: `webrtc-${component}-green`, generation: 3 }, spec: { replicas: 2 }, status,
  });
  const [gateway, coturn] = ['gateway', 'coturn'].map((component) => deployment(component, READY));
  const cutover = step(['cutover', 'green']);
  const off = { ...deployment('gateway', { observedGeneration: 3 }), spec: { replicas: 0 } };
  const cases = [
    [[], "webrtc-gateway-green isn't there"],
    [[gateway], "webrtc-coturn-green isn't there"],
    [[coturn, deployment('gateway', {})], 'webrtc-gateway-green has 0 of 2 pods ready'],
    [[coturn, deployment('gateway', { ...READY, availableReplicas: 1 })], 'webrtc-gateway-green has 1 of 2 pods ready'],
    // In the middle of an update the others are of the version before.
    [[coturn, deployment('gateway', { ...READY, updatedReplicas: 1 })], 'webrtc-gateway-green has 1 of 2 pods ready'],
    [[coturn, deployment('gateway', { ...READY, observedGeneration: 2 })], 'webrtc-gateway-green has 0 of 2 pods ready'],
    [[coturn, off], 'webrtc-gateway-green has 0 of 0 pods ready'],
    [[gateway, deployment('coturn', { ...READY, availableReplicas: 0 })], 'webrtc-coturn-green has 0 of 2 pods ready'],
  ];
  for (const [there, why] of cases) {
    const { refused } = await chart.install(cutover, there);
    assert.ok(refused?.includes(`green can't take over:\n`) && refused.includes(`  ${why}\n`), `${why}: ${refused}`);
  }
  const allowed = [[cutover, [gateway, coturn]], [{ ...cutover, 'deployment.forceCutover': true }, []], [{ ...cutover, 'gateway.media.reach': 'hostPorts' }, [gateway]]];
  for (const [options, there] of allowed) {
    const { objects, refused } = await chart.install(options, there);
    assert.ok(objects, refused);
    assert.deepEqual(names(objects), ['Ingress/webrtc-ingress-int', 'Service/webrtc-gateway-service']);
  }
});

test('the README’s commands, followed from nothing, are refused nowhere', async () => {
  const commands = [...chart.file('README.md').matchAll(/^deploy (\S+) (\w+) (\w+|"")/gm)].map(([, release, type, color]) => ({ release, type, color: color.replace('""', '') }));
  const there = [];
  const taken = [];
  for (const { release, type, color } of commands) {
    const { objects, refused } = await chart.install(step([type, color]), there);
    assert.ok(objects, `${release}: ${refused}`);
    there.push(...objects.filter(({ kind }) => kind === 'Deployment').map((one) => ({ ...one, status: { availableReplicas: 1, updatedReplicas: 1 } })));
    if (type === 'cutover') taken.push(color);
  }
  assert.deepEqual(taken, ['blue', 'blue', 'green']);
});

test('the cookie has the attributes that browsers want, and polls may wait', async () => {
  const { metadata } = object(await chart.render(step(['cutover', 'blue'])), 'Ingress', 'webrtc-ingress-int');
  const nginx = (name) => metadata.annotations[`nginx.ingress.kubernetes.io/${name}`];
  assert.equal(nginx('affinity'), 'cookie');
  assert.equal(nginx('affinity-mode'), 'persistent');
  assert.equal(nginx('session-cookie-samesite'), 'None');
  assert.equal(nginx('session-cookie-secure'), 'true');
  assert.equal(nginx('session-cookie-path'), '/');
  assert.notEqual(nginx('session-cookie-name'), 'WSGROUTEID', 'the gateway sets that one itself');
  for (const timeout of [nginx('proxy-read-timeout'), nginx('proxy-send-timeout'), metadata.annotations['haproxy.router.openshift.io/timeout']]) {
    assert.ok(parseInt(timeout, 10) > 30, timeout);
  }
});
