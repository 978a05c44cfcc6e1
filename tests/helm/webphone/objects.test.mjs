// What a release brings, and that Kubernetes takes it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { RELEASE } from '../lib/helm.mjs';
import { isCustom } from '../lib/custom-kinds.mjs';
import { problems, VERSIONS } from '../lib/kubernetes.mjs';
import { container, names, object } from '../lib/objects.mjs';
import { root } from '../lib/paths.mjs';
import { each } from '../lib/queue.mjs';
import { merge, nested } from '../lib/values.mjs';
import { chart } from './chart.mjs';

const EVERYTHING = {
  image: { tag: '1.2.3', imagePullSecrets: ['registry'] },
  ingress: {
    ingressClassName: 'nginx',
    annotations: { 'nginx.ingress.kubernetes.io/affinity': 'cookie' },
    tls: [{ hosts: ['webphone.example.com'], secretName: 'webphone-tls' }],
  },
  resources: { limits: { cpu: '500m', memory: '1024Mi' } },
  podAnnotations: { owner: '1051' },
  nodeSelector: { pool: 'general' },
  tolerations: [{ key: 'pool', operator: 'Exists', effect: 'NoSchedule' }],
  affinity: {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [{
        weight: 100,
        podAffinityTerm: { topologyKey: 'topology.kubernetes.io/zone', labelSelector: { matchLabels: { 'app.kubernetes.io/name': 'webphone' } } },
      }],
    },
  },
  priorityClassName: 'high',
  dnsPolicy: 'ClusterFirst',
  dnsConfig: { options: [{ name: 'ndots', value: '3' }] },
  autoscaling: { enabled: true, targetMemoryUtilizationPercentage: 70 },
  monitoring: { enabled: true },
};

const selects = (selector, labels) => Object.entries(selector).every(([name, value]) => labels[name] === value);

test('a release brings these objects, named after it', async () => {
  const [all, fewest] = [['ConfigMap/X', 'Deployment/X', 'Ingress/X', 'Ingress/X-signalling', 'Service/X'], ['ConfigMap/X', 'Deployment/X']];
  const named = (list, release) => list.map((name) => name.replace('X', release));
  assert.deepEqual(names(await chart.render()), named(all, RELEASE));
  assert.deepEqual(names(await chart.render({}, { release: 'other' })), named(all, 'other'));
  assert.deepEqual(names(await chart.render({ 'service.enabled': false, 'ingress.enabled': false })), named(fewest, RELEASE));
});

test('Kubernetes from 1.28 on takes every object', async () => {
  const rendered = await each(VERSIONS, async (version) => {
    const kubernetes = `${version}.0`;
    return [...await chart.render({}, { kubernetes }), ...await chart.render(EVERYTHING, { kubernetes })];
  });
  for (const objects of rendered) assert.deepEqual(objects.filter(isCustom).map(({ kind }) => kind), ['PodMonitor']);
  assert.deepEqual(await problems(Object.fromEntries(VERSIONS.map((version, index) => [version, rendered[index]]))), []);
});

test('the linter finds nothing to complain about', async () => {
  const { status, stdout, stderr } = await chart.lint(merge(chart.needed, nested(EVERYTHING)));
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

test('Service and Ingress lead to the pods, and signalling to the gateways', async () => {
  const objects = await chart.render();
  const deployment = object(objects, 'Deployment', RELEASE);
  const service = object(objects, 'Service', RELEASE);
  assert.deepEqual(service.spec.selector, deployment.spec.selector.matchLabels);
  assert.ok(selects(service.spec.selector, deployment.spec.template.metadata.labels));
  const [port, ...others] = service.spec.ports;
  assert.deepEqual(others, []);
  assert.equal(port.targetPort, container(deployment).ports[0].name);
  const page = { '/': { name: RELEASE, port: { name: port.name } } };
  const gateways = (name) => ({ name, port: { number: 80 } });
  assert.deepEqual(routed(objects), { ...page, '/v1': gateways('gateways') });
  // Two colours: who is signed in stays at one of them.
  const [blue, green] = ['blue', 'green'].map((colour) => gateways(`webrtc-gateway-service-${colour}`));
  for (const active of [blue, green, gateways('webrtc-gateway-service')]) {
    assert.deepEqual(routed(await chart.render({ 'webphone.webrtcService': active.name })), { ...page, '/v1': active, '/blue/v1': blue, '/green/v1': green });
  }
  const other = gateways('sip-blue');
  assert.deepEqual(routed(await chart.render({ 'webphone.webrtcService': other.name })), { ...page, '/v1': other });
});

/** The Service by path. */
function routed(objects) {
  const paths = objects.filter(({ kind }) => kind === 'Ingress').flatMap(({ spec }) => spec.rules[0].http.paths);
  return Object.fromEntries(paths.map(({ path: prefix, backend }) => [prefix, backend.service]));
}

test('signalling has the cookie that browsers want, the page has none, and polls may wait', async () => {
  const objects = await chart.render();
  const annotations = (name) => object(objects, 'Ingress', name).metadata.annotations;
  const signalling = annotations(`${RELEASE}-signalling`);
  const nginx = (name) => signalling[`nginx.ingress.kubernetes.io/${name}`];
  assert.deepEqual(['affinity', 'affinity-mode', 'session-cookie-path', 'session-cookie-secure', 'session-cookie-samesite'].map(nginx), ['cookie', 'persistent', '/', 'true', 'None']);
  assert.notEqual(nginx('session-cookie-name'), 'WSGROUTEID', 'the gateway sets that one itself');
  for (const timeout of [nginx('proxy-read-timeout'), nginx('proxy-send-timeout'), signalling['haproxy.router.openshift.io/timeout']]) assert.ok(parseInt(timeout, 10) > 30, timeout);
  // Two that write one cookie undo each other's work.
  assert.deepEqual(Object.keys(annotations(RELEASE)).filter((name) => /affinity|cookie/.test(name)), []);
  assert.equal(annotations(RELEASE)['nginx.ingress.kubernetes.io/proxy-read-timeout'], nginx('proxy-read-timeout'));
});

test('a cookie names the same gateway at the Service without a colour and at those with one', async () => {
  const MODE = 'nginx.ingress.kubernetes.io/affinity-mode';
  const mode = async (webrtcService, annotations = {}) => {
    const objects = await chart.render({ 'webphone.webrtcService': webrtcService, 'ingress.annotations': annotations });
    return object(objects, 'Ingress', `${RELEASE}-signalling`).metadata.annotations[MODE];
  };
  // The keys of all modes but this are salted with the name of the Service.
  assert.equal(await mode('webrtc-gateway-service'), 'balanced');
  assert.equal(await mode('webrtc-gateway-service', { [MODE]: 'persistent' }), 'balanced');
  for (const colour of ['blue', 'green']) assert.equal(await mode(`webrtc-gateway-service-${colour}`), 'persistent');
});

test('metrics are scraped at the port that the pods have for them, without names of gateways', async () => {
  const objects = await chart.render({ 'monitoring.enabled': true });
  const deployment = object(objects, 'Deployment', RELEASE);
  const { selector, podMetricsEndpoints: [endpoint] } = object(objects, 'PodMonitor', RELEASE).spec;
  const { containerPort } = container(deployment).ports.find(({ name }) => name === endpoint.port);
  assert.match(object(objects, 'ConfigMap', RELEASE).data['gateway.toml'], new RegExp(`\\[metrics\\]\nlisten = "0\\.0\\.0\\.0:${containerPort}"`));
  assert.ok(selects(selector.matchLabels, deployment.spec.template.metadata.labels));
  assert.deepEqual(endpoint.metricRelabelings, [{ sourceLabels: ['__name__'], regex: 'wrtc_.*', action: 'drop' }]);
});

test('the pods may do nothing', async () => {
  const deployment = object(await chart.render(), 'Deployment', RELEASE);
  const pod = deployment.spec.template.spec;
  assert.equal(pod.automountServiceAccountToken, false);
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.deepEqual(container(deployment).securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
});

test('a pod waits until balancers know that it goes, where Kubernetes can wait', async () => {
  for (const [kubernetes, wait] of [['1.28.0', undefined], ['1.30.0', 5]]) {
    const deployment = object(await chart.render({}, { kubernetes }), 'Deployment', RELEASE);
    assert.equal(container(deployment).lifecycle?.preStop.sleep.seconds, wait);
  }
});

test('the version is the project’s', async () => {
  const [, version] = readFileSync(path.join(root, 'Cargo.toml'), 'utf8').match(/\[workspace\.package\][^[]*?\nversion = "(.*)"/);
  assert.ok(container(object(await chart.render(), 'Deployment', RELEASE)).image.endsWith(`:${version}`));
});

test('another configuration brings other pods, and nothing else does', async () => {
  const checksum = async (options) => object(await chart.render(options), 'Deployment', RELEASE).spec.template.metadata.annotations['checksum/config'];
  const [plain, monitored, more, annotated] = await Promise.all([{}, { 'monitoring.enabled': true }, { replicaCount: 2 }, { podAnnotations: { owner: '1051' } }].map(checksum));
  assert.match(plain, /^[0-9a-f]{64}$/);
  assert.notEqual(monitored, plain);
  assert.equal(more, plain);
  assert.equal(annotated, plain);
});
