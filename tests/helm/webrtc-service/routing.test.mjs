// Which colour users come to, and how they stay with a pod.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RELEASE } from '../lib/helm.mjs';
import { names, object } from '../lib/objects.mjs';
import { chart as webphone } from '../webphone/chart.mjs';
import { chart, COLOURS, step } from './chart.mjs';

test('the cutover sends users to its colour and testers to the other', async () => {
  for (const [active, other] of [COLOURS, [...COLOURS].reverse()]) {
    const routed = { 'webrtc.example.com': `webrtc-gateway-service-${active}`, 'webrtc-test.example.com': `webrtc-gateway-service-${other}` };
    const ingress = object(await chart.render(step(['cutover', active])), 'Ingress', 'webrtc-ingress-int');
    assert.deepEqual(Object.fromEntries(ingress.spec.rules.map(({ host, http }) => [host, http.paths[0].backend.service.name])), routed);
    const routes = (await chart.render({ ...step(['cutover', active]), 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }], sessionPersistence: true } })).filter(({ kind }) => kind === 'HTTPRoute');
    assert.deepEqual(Object.fromEntries(routes.map(({ spec }) => [spec.hostnames[0], spec.rules[0].backendRefs[0].name])), routed);
    assert.deepEqual(names(routes), ['HTTPRoute/webrtc', 'HTTPRoute/webrtc-test']);
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
    // Of the same kind too: an ingress that keeps users with their pod by a cookie has to see the pods behind it.
    assert.deepEqual(spec, object(await chart.render(step(['infra', active])), 'Service', `${name}-${active}`).spec);
  }
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
