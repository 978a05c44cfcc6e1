// Every type and colour: what a release brings, and that Kubernetes takes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isCustom, problems, VERSIONS } from '../lib/kubernetes.mjs';
import { container, environment, names, object } from '../lib/objects.mjs';
import { each } from '../lib/queue.mjs';
import { chart } from './chart.mjs';

const COLOURS = ['blue', 'green'];
const STEPS = [
  ['infra', ''],
  ...['infra', 'coturn', 'gateway', 'cutover', 'all'].flatMap((type) => COLOURS.map((colour) => [type, colour])),
];
const step = ([type, colour]) => ({ 'deployment.type': type, 'deployment.color': colour });

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
  'deployment.ingress.tls': { secretName: 'webrtc-tls' },
  ...Object.fromEntries(['gateway', 'coturn'].flatMap((component) => [
    [`${component}.logPath`, '/mnt/log/webrtc'],
    [`${component}.logPvc`, { pvcName: `${component}-pvc`, volumeName: `${component}-volume`, storageClassName: 'slow', capacity: '5Gi', volumeSpec: { nfs: { server: '192.0.2.7', path: '/logs' } } }],
  ])),
};
const VARIANTS = [{}, FULL, { 'deployment.hpa': true, 'gateway.media.reach': 'hostPorts' }, { 'deployment.keda': true, 'gateway.media.reach': 'hostNetwork', 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }] } }];

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
    const cutover = ['Ingress/webrtc-ingress-int'];
    assert.deepEqual(await brought('infra', colour), infra);
    assert.deepEqual(await brought('coturn', colour), coturn);
    assert.deepEqual(await brought('gateway', colour), gateway);
    assert.deepEqual(await brought('cutover', colour), cutover);
    assert.deepEqual(await brought('all', colour), [...infra, ...coturn, ...gateway, ...cutover, 'Secret/webrtc-turn-secret'].sort());
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
    const ports = object(objects, 'Service', service.name).spec.ports.map(({ name }) => name);
    assert.ok(ports.includes(service.port.name));
  }
});

test('the two programs share one secret, whichever way it comes', async () => {
  const ways = [
    [{}, 'webrtc-turn-secret'],
    [{ 'gateway.secrets': { type: 'k8s', k8s: { turn: 'mine' } } }, 'mine'],
    [{ 'gateway.secrets': { type: 'csi', csi: { turn: 'class' } } }, 'class'],
    [{ 'gateway.secrets': { type: 'env', env: { turnSecret: 'in clear' } } }, 'in clear'],
    // As the guide's files have it, with nothing of ours.
    [{ 'gateway.secrets': { type: 'k8s', k8s: { gws: 'gws' } } }, 'webrtc-turn-secret'],
    [{ 'gateway.secrets': { type: 'csi', csi: { gws: 'gws' } } }, 'webrtc-turn-secret'],
    [{ 'gateway.secrets': { type: 'env', env: { gwsClient: 'a', gwsSecret: 'b' } } }, 'webrtc-turn-secret'],
  ];
  for (const [options, expected] of ways) {
    const objects = await chart.render({ ...step(['all', 'blue']), ...options });
    const given = ['gateway', 'coturn'].map((component) => {
      const found = environment(object(objects, 'Deployment', `webrtc-${component}-blue`));
      return found[component === 'gateway' ? 'WSG_TURN__SECRET' : 'WST_AUTH__SECRETS'];
    });
    assert.deepEqual(given[0], given[1]);
    const driven = objects.filter(({ spec }) => spec?.template?.spec.volumes.some(({ csi }) => csi));
    assert.equal(driven.length, expected === 'class' ? 2 : 0);
    assert.equal(given[0].secretKeyRef?.name ?? given[0], expected);
    assert.equal(objects.some((one) => one.metadata.name === 'webrtc-turn-secret'), expected === 'webrtc-turn-secret');
  }
});

test('a pod has more time to end than it may take to drain', async () => {
  for (const [kubernetes, waits] of [['1.28.0', false], ['1.30.0', true]]) {
    const objects = await chart.render({ ...step(['all', 'blue']), 'gateway.drainSeconds': 1800, 'coturn.drainSeconds': 7 }, { kubernetes });
    for (const [component, variable, drain] of [['gateway', 'WSG_SHUTDOWN__DRAIN_SECONDS', 1800], ['coturn', 'WST_SHUTDOWN__DRAIN_SECONDS', 7]]) {
      const deployment = object(objects, 'Deployment', `webrtc-${component}-blue`);
      assert.equal(environment(deployment)[variable], String(drain));
      const wait = container(deployment).lifecycle?.preStop.sleep.seconds;
      assert.equal(wait, waits ? 5 : undefined);
      assert.ok(deployment.spec.template.spec.terminationGracePeriodSeconds >= drain + 5 + 10);
    }
  }
});

test('the cutover sends users to its colour and testers to the other', async () => {
  for (const [active, other] of [COLOURS, [...COLOURS].reverse()]) {
    const routed = { 'webrtc.example.com': `webrtc-gateway-service-${active}`, 'webrtc-test.example.com': `webrtc-gateway-service-${other}` };
    const ingress = object(await chart.render(step(['cutover', active])), 'Ingress', 'webrtc-ingress-int');
    assert.deepEqual(Object.fromEntries(ingress.spec.rules.map(({ host, http }) => [host, http.paths[0].backend.service.name])), routed);
    const routes = await chart.render({ ...step(['cutover', active]), 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }], sessionPersistence: true } });
    assert.deepEqual(Object.fromEntries(routes.map(({ spec }) => [spec.hostnames[0], spec.rules[0].backendRefs[0].name])), routed);
    assert.deepEqual(names(routes), ['HTTPRoute/webrtc', 'HTTPRoute/webrtc-test']);
    for (const { spec } of routes) {
      assert.deepEqual(spec.rules[0].timeouts, { request: '0s', backendRequest: '0s' });
      assert.equal(spec.rules[0].sessionPersistence.type, 'Cookie');
    }
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
    assert.deepEqual(names(objects), ['Ingress/webrtc-ingress-int']);
  }
});

test('a TURN secret that is there is kept', async () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'webrtc-turn-secret' }, data: { turnSecret: 'b2xk' } };
  const [fresh, kept] = await Promise.all([[], [secret]].map((there) => chart.install(step(['infra', '']), there)));
  assert.equal(object(kept.objects, 'Secret', 'webrtc-turn-secret').data.turnSecret, 'b2xk');
  assert.match(Buffer.from(object(fresh.objects, 'Secret', 'webrtc-turn-secret').data.turnSecret, 'base64').toString(), /^s[A-Za-z0-9]{40}$/);
});

test('the cookie has the attributes that browsers want, and polls may wait', async () => {
  const [{ metadata }] = await chart.render(step(['cutover', 'blue']));
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

test('media is reached by the TURN server, on the node’s ports, or in its network', async () => {
  const reach = async (way) => {
    const objects = await chart.render({ ...step(['all', 'blue']), 'gateway.media.reach': way, 'gateway.workersCount': 2 });
    const deployment = object(objects, 'Deployment', 'webrtc-gateway-blue');
    const policy = object(objects, 'NetworkPolicy', 'webrtc-gateway-blue').spec.ingress.at(-1);
    const egress = object(objects, 'NetworkPolicy', 'webrtc-coturn-blue').spec.egress[0];
    const media = container(deployment).ports.filter(({ name }) => name.startsWith('media-'));
    return { pod: deployment.spec.template.spec, env: environment(deployment), media, strategy: deployment.spec.strategy.rollingUpdate, policy, egress };
  };
  const [turn, ports, network] = await Promise.all(['turn', 'hostPorts', 'hostNetwork'].map(reach));
  assert.deepEqual(turn.media, [19000, 19001].map((port, index) => ({ name: `media-${index}`, containerPort: port, protocol: 'UDP' })));
  assert.deepEqual(turn.policy.ports, [{ port: 19000, endPort: 19001, protocol: 'UDP' }]);
  assert.equal(turn.policy.from[0].podSelector.matchLabels.servicename, 'webrtc-coturn');
  assert.deepEqual(turn.egress.to.map((peer) => Object.keys(peer)[0]), ['podSelector']);
  assert.equal(turn.env.WSG_MEDIA__ADVERTISED, undefined);
  assert.deepEqual(ports.media.map(({ hostPort }) => hostPort), [19000, 19001]);
  assert.equal(ports.env.WSG_MEDIA__ADVERTISED, '$(HOST_IP)');
  assert.equal(ports.env.HOST_IP.fieldRef.fieldPath, 'status.hostIP');
  assert.equal(ports.policy.from, undefined);
  assert.ok(ports.egress.to.some((peer) => peer.ipBlock?.cidr === '10.0.0.0/8'));
  assert.equal(ports.pod.hostNetwork, undefined);
  assert.equal(network.pod.hostNetwork, true);
  assert.equal(network.pod.dnsPolicy, 'ClusterFirstWithHostNet');
  assert.deepEqual(turn.strategy, { maxSurge: 1, maxUnavailable: 0 });
  for (const { strategy } of [ports, network]) assert.deepEqual(strategy, { maxSurge: 0, maxUnavailable: 1 });
});

test('autoscalers take pods away slowly, and none where sign-ins are unknown', async () => {
  for (const [scaler, kind] of [['deployment.keda', 'ScaledObject'], ['deployment.hpa', 'HorizontalPodAutoscaler']]) {
    const objects = await chart.render({ ...step(['all', 'blue']), [scaler]: true });
    for (const component of ['gateway', 'coturn']) {
      const { spec } = object(objects, kind, `webrtc-${component}-blue`);
      const { scaleDown } = (spec.advanced?.horizontalPodAutoscalerConfig ?? spec).behavior;
      assert.deepEqual(scaleDown, { stabilizationWindowSeconds: 600, policies: [{ type: 'Pods', value: 1, periodSeconds: 300 }] });
      const [prometheus] = (spec.triggers ?? []).filter(({ type }) => type === 'prometheus');
      assert.equal(prometheus?.metadata.ignoreNullValues, scaler === 'deployment.keda' && component === 'gateway' ? 'false' : undefined);
    }
  }
});

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
    [{ 'coturn.logPvc': { pvcName: 'x', volumeSpec: { nfs: {} } } }, 'coturn.logPvc.volumeName'],
    [{ 'deployment.keda': true, 'coturn.resources': null }, 'coturn.resources.requests'],
    [{ 'deployment.hpa': true, 'gateway.resources.requests': null }, 'gateway.resources.requests'],
    [{ 'deployment.hpa': true, 'gateway.replicas': 0 }, 'gateway.replicas'],
    [{ 'deployment.keda': true, 'coturn.replicas': 3, 'coturn.scaling.maxReplicaCount': 2 }, 'coturn.replicas'],
    [{ 'image.webrtc': '' }, 'image.webrtc'],
    [{ 'image.coturn': '' }, 'image.coturn'],
  ];
  for (const [options, named] of cases) {
    const said = await chart.refusal(options);
    assert.ok(said.includes(named), `${named}: ${said}`);
  }
});

test('the notes say what comes next, and what does nothing', async () => {
  const said = Object.fromEntries(await each(STEPS, async (one) => [one.join(' ').trim(), await chart.notes({ ...step(one), 'deployment.forceCutover': true })]));
  assert.match(said.infra, /deployment\.type=infra --set-string deployment\.color=blue/);
  assert.match(said['infra green'], /webrtc-coturn-service-green[^]*gateway\.turnExternalUriGreen[^]*deployment\.type=coturn/);
  assert.match(said['infra green'], /coturn\.lbIpGreen isn't set, so the infrastructure chooses/);
  const addressed = { ...step(['infra', 'blue']), 'coturn.lbIpBlue': '192.0.2.1' };
  assert.doesNotMatch(await chart.notes(addressed), /lbIpBlue/);
  assert.match(await chart.notes({ ...addressed, 'deployment.coturnDeployment': 'internal' }), /coturn\.lbIpBlue isn't asked for/);
  assert.match(said['coturn blue'], /deployment\.type=gateway --set-string deployment\.color=blue webrtc-gateway-blue/);
  assert.match(said['gateway blue'], /deployment\.type=cutover/);
  const [portless, ported] = await each(['voice.example.com;transport=tcp', 'voice.example.com:5080;transport=tcp'], (proxy) => chart.notes({ ...step(['gateway', 'blue']), 'gateway.voiceSipProxy': proxy }));
  assert.match(portless, /voiceSipProxy has no port, so 5060 is taken/);
  assert.doesNotMatch(ported, /voiceSipProxy/);
  assert.match(said['cutover green'], /webrtc\.example\.com\/ping +# "path":"green"/);
  assert.match(said['all blue'], /https:\/\/webrtc\.example\.com\//);
  for (const text of Object.values(said)) assert.doesNotMatch(text, /WARNING|<no value>|%!/);
});
