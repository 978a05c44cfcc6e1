// Every type and colour: what a release brings, and that Kubernetes takes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isCustom } from '../lib/custom-kinds.mjs';
import { problems, VERSIONS } from '../lib/kubernetes.mjs';
import { container, names, object } from '../lib/objects.mjs';
import { each } from '../lib/queue.mjs';
import { chart, COLOURS, step, STEPS } from './chart.mjs';

/** Everything that can be switched on. */
const FULL = {
  'monitoring.enabled': true,
  'monitoring.dashboards': true,
  'monitoring.prometheusMetrics': true,
  'monitoring.prometheusAlerts': true,
  'image.initContainerImage': 'busybox',
  'image.imagePullSecrets': ['registry'],
  'gateway.budget.minAvailable': '50%',
  'coturn.budget.minAvailable': 1,
  'coturn.tlsSecret': 'turn-tls',
  'coturn.lbIpBlue': '192.0.2.1',
  'gateway.secrets': { type: 'csi', csi: { turn: 'webrtc-turn' } },
  'gateway.voiceSipProxy': 'proxy.voice.svc:5080;transport=tcp',
  'gateway.esServer': 'https://elasticsearch.logging.svc:9200',
  'gateway.esSecret': 'elasticsearch',
  'deployment.ingress.tls': { secretName: 'webrtc-tls' },
  ...Object.fromEntries(['gateway', 'coturn'].flatMap((component) => [
    [`${component}.logPath`, '/mnt/log/webrtc'],
    [`${component}.logPvc`, { pvcName: `${component}-pvc`, volumeName: `${component}-volume`, storageClassName: 'slow', capacity: '5Gi', volumeSpec: { nfs: { server: '192.0.2.7', path: '/logs' } } }],
  ])),
};
const VARIANTS = [{}, FULL, { 'deployment.hpa': true, 'gateway.media.reach': 'hostPorts' }, { 'deployment.keda': true, 'gateway.media.reach': 'hostNetwork', 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }] } }];

const title = (colour) => colour[0].toUpperCase() + colour.slice(1);

test('each step brings what the guide says, by the names that it says', async () => {
  const brought = async (type, colour, options = {}) => names(await chart.render({ ...step([type, colour]), ...options }));
  assert.deepEqual(await brought('infra', ''), ['Secret/webrtc-turn-secret']);
  assert.deepEqual(await brought('infra', '', FULL), [
    'ConfigMap/webrtc-dashboard-gateway',
    'ConfigMap/webrtc-dashboard-turn',
    'PersistentVolume/coturn-volume',
    'PersistentVolume/gateway-volume',
    'PersistentVolumeClaim/coturn-pvc',
    'PersistentVolumeClaim/gateway-pvc',
    'PodMonitor/webrtc-coturn',
    'PodMonitor/webrtc-gateway',
    'PrometheusRule/webrtc-alerts',
  ]);
  for (const colour of COLOURS) {
    const infra = [`NetworkPolicy/webrtc-coturn-${colour}`, `NetworkPolicy/webrtc-gateway-${colour}`, `Service/webrtc-coturn-service-${colour}`, `Service/webrtc-gateway-service-${colour}`];
    const coturn = [`Deployment/webrtc-coturn-${colour}`, `Secret/webrtc-coturn-config-${colour}`];
    const gateway = [`Deployment/webrtc-gateway-${colour}`, `Secret/webrtc-gateway-config-${colour}`];
    const cutover = ['Ingress/webrtc-ingress-int', 'Service/webrtc-gateway-service'];
    assert.deepEqual(await brought('infra', colour), infra);
    assert.deepEqual(await brought('coturn', colour), coturn);
    assert.deepEqual(await brought('gateway', colour), gateway);
    assert.deepEqual(await brought('cutover', colour), cutover);
    const everything = [...infra, ...coturn, ...gateway, ...cutover, 'Secret/webrtc-turn-secret'].sort();
    assert.deepEqual(await brought('all', colour), everything);
    // Browsers that reach nodes need no TURN server, unless they are told of one.
    const [onNodes, untold] = [{ 'gateway.media.reach': 'hostPorts' }, { [`gateway.turnExternalUri${title(colour)}`]: '' }];
    assert.deepEqual(await brought('all', colour, onNodes), everything);
    assert.deepEqual(await brought('all', colour, { ...onNodes, ...untold, 'image.coturn': '' }), everything.filter((name) => !name.includes('coturn')));
    for (const file of [{ 'gateway.config.turn': { urls: ['turn:turn.example.com'], secret: 's' } }, { 'gateway.configSecret': 'mine' }]) {
      const released = await brought('all', colour, { ...onNodes, ...untold, ...file });
      assert.ok(released.includes(`Deployment/webrtc-coturn-${colour}`), JSON.stringify(file));
    }
    assert.deepEqual(await brought('infra', colour, { ...onNodes, ...untold }), infra);
  }
});

test('Kubernetes from 1.28 on takes every object of every step', async () => {
  const jobs = VERSIONS.flatMap((kubernetes) => {
    // Between two versions only what depends on the version can differ: the deployments.
    const steps = kubernetes === VERSIONS[0] || kubernetes === VERSIONS.at(-1) ? STEPS : [['all', 'blue']];
    return steps.flatMap((one) => VARIANTS.map((variant) => ({ kubernetes, options: { ...variant, ...step(one) } })));
  });
  const rendered = await each(jobs, ({ kubernetes, options }) => chart.render(options, { kubernetes: `${kubernetes}.0` }));
  const byVersion = Object.fromEntries(VERSIONS.map((version) => [version, jobs.flatMap((job, index) => (job.kubernetes === version ? rendered[index] : []))]));
  const { kinds, custom } = {
    kinds: new Set(rendered.flat().filter((one) => !isCustom(one)).map((one) => one.kind)),
    custom: new Set(rendered.flat().filter(isCustom).map((one) => one.kind)),
  };
  assert.deepEqual([...kinds].sort(), ['ConfigMap', 'Deployment', 'HorizontalPodAutoscaler', 'Ingress', 'NetworkPolicy', 'PersistentVolume', 'PersistentVolumeClaim', 'PodDisruptionBudget', 'Secret', 'Service']);
  assert.deepEqual([...custom].sort(), ['HTTPRoute', 'PodMonitor', 'PrometheusRule', 'ScaledObject']);
  assert.deepEqual(await problems(byVersion), []);
});

test('the schemas notice what is wrong', async () => {
  const [deployment] = (await chart.render(step(['gateway', 'blue']))).filter((one) => one.kind === 'Deployment');
  const broken = structuredClone(deployment);
  container(broken).ports[0].containerPort = 'eighty';
  const unknown = structuredClone(deployment);
  unknown.spec.template.spec.hostNetwrok = true;
  const said = await problems({ 1.37: [broken, unknown] });
  assert.equal(said.length, 2, said.join('\n'));
  assert.match(said.join('\n'), /containerPort.*\n.*hostNetwrok/);
});

test('keys and types that custom kinds don’t have are noticed', async () => {
  const objects = await chart.render({ 'deployment.keda': true, 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }] }, monitoring: { enabled: true, prometheusMetrics: true, prometheusAlerts: true } });
  const specs = Object.fromEntries(objects.filter(isCustom).map(({ kind, metadata, spec }) => [`${kind}/${metadata.name}`, spec]));
  specs['ScaledObject/webrtc-gateway-blue'].triggers[0].metadata.threshold = 71;
  specs['PodMonitor/webrtc-gateway'].podMetricEndpoints = [];
  specs['PrometheusRule/webrtc-alerts'].groups[0].rules[0].label = {};
  specs['HTTPRoute/webrtc'].rules[0].timeouts = '0s';
  assert.deepEqual((await problems({ 1.37: objects })).sort(), [
    'HTTPRoute/webrtc: spec.rules.0.timeouts: "0s" is of another type',
    'PodMonitor/webrtc-gateway: spec.podMetricEndpoints: no such key',
    'PrometheusRule/webrtc-alerts: spec.groups.0.rules.0.label: no such key',
    'ScaledObject/webrtc-gateway-blue: spec.triggers.0.metadata.threshold: 71 is of another type',
  ]);
});

test('every step passes the linter', async () => {
  for (const { stdout, stderr, status } of await each(STEPS, ([type, color]) => chart.lint({ ...chart.needed, deployment: { ...chart.needed.deployment, type, color } }))) {
    assert.equal(status, 0, stdout + stderr);
  }
  const { status, stdout } = await chart.lint({});
  assert.equal(status, 0, stdout);
});

test('a release can be rendered without a cluster: Helm 3.10 then takes Kubernetes 1.25 for granted', async () => {
  assert.ok((await chart.render({}, { kubernetes: '1.25.0' })).length > 0);
});

test('names are the same in every object that refers to them', async () => {
  for (const colour of COLOURS) {
    const objects = await chart.render({ ...FULL, ...step(['all', colour]) });
    for (const component of ['gateway', 'coturn']) {
      const deployment = object(objects, 'Deployment', `webrtc-${component}-${colour}`);
      const labels = deployment.spec.template.metadata.labels;
      const selected = (selector) => Object.entries(selector).every(([name, value]) => labels[name] === value);
      assert.ok(selected(deployment.spec.selector.matchLabels));
      assert.ok(selected(object(objects, 'Service', `webrtc-${component}-service-${colour}`).spec.selector));
      assert.ok(selected(object(objects, 'PodDisruptionBudget', `webrtc-${component}-${colour}`).spec.selector.matchLabels));
      assert.ok(selected(object(objects, 'NetworkPolicy', `webrtc-${component}-${colour}`).spec.podSelector.matchLabels));
      assert.ok(selected(object(objects, 'PodMonitor', `webrtc-${component}`).spec.selector.matchLabels));
      assert.ok(container(deployment).ports.some(({ name }) => name === 'metrics'));
      const volumes = deployment.spec.template.spec.volumes.map(({ name }) => name);
      for (const { name } of container(deployment).volumeMounts) assert.ok(volumes.includes(name), name);
    }
    const [rule] = object(objects, 'Ingress', 'webrtc-ingress-int').spec.rules;
    const { service } = rule.http.paths[0].backend;
    const { ports } = object(objects, 'Service', service.name).spec;
    assert.ok(ports.map(({ name }) => name).includes(service.port.name));
    // Who names the Service without a colour comes to the same pods, at the same ports.
    assert.deepEqual(object(objects, 'Service', 'webrtc-gateway-service').spec, object(objects, 'Service', service.name).spec);
  }
});

test('labels of the operator’s are everywhere, once, in place of the chart’s', async () => {
  const chosen = { team: 'voice', 'app.kubernetes.io/part-of': 'calls', grafana_dashboard: 'yes' };
  const ofAlerts = { team: 'duty', severity: 'page', service: 'voice' };
  const labels = { 'labels.common': chosen, 'labels.gateway': chosen, 'labels.coturn': chosen, 'labels.alerts': ofAlerts };
  // The release has a name that YAML would take for a number.
  const objects = await chart.render({ ...FULL, ...step(['all', 'blue']), 'deployment.keda': true, ...labels }, { release: '1e3' });
  const pods = objects.filter(({ kind }) => kind === 'Deployment').map(({ spec }) => spec.template);
  assert.equal(pods.length, 2);
  for (const { kind, metadata } of [...objects, ...pods]) {
    const expected = { ...chosen, ...(kind === 'PrometheusRule' ? ofAlerts : {}), service: 'webrtc', 'app.kubernetes.io/instance': '1e3' };
    assert.deepEqual(metadata.labels, { ...metadata.labels, ...expected });
  }
  const alerts = object(objects, 'PrometheusRule', 'webrtc-alerts').spec.groups.flatMap(({ rules }) => rules);
  for (const alert of alerts) assert.deepEqual(alert.labels, ofAlerts);
  assert.deepEqual(await problems({ [VERSIONS.at(-1)]: objects }), []);
});
