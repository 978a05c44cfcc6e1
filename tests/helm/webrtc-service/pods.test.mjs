// What pods are given, how they are reached, and how they end.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RELEASE } from '../lib/helm.mjs';
import { container, environment, names, object } from '../lib/objects.mjs';
import { chart, step } from './chart.mjs';

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
    for (const [component, variable] of [['gateway', 'WSG_TURN__SECRET'], ['coturn', 'WST_AUTH__SECRETS']]) {
      const deployment = object(objects, 'Deployment', `webrtc-${component}-blue`);
      const { secret, csi } = deployment.spec.template.spec.volumes.find(({ name }) => name === 'secrets') ?? {};
      const given = environment(deployment)[variable];
      assert.equal(secret?.secretName ?? csi?.volumeAttributes.secretProviderClass ?? given, expected);
      if (secret || csi) assert.equal(given, 'file:/mnt/secrets/turnSecret');
      assert.equal(Boolean(csi), expected === 'class');
    }
    assert.equal(objects.some((one) => one.metadata.name === 'webrtc-turn-secret'), expected === 'webrtc-turn-secret');
  }
});

test('pods of a component and colour spread over zones and nodes', async () => {
  const objects = await chart.render(step(['all', 'green']));
  for (const component of ['gateway', 'coturn']) {
    const { topologySpreadConstraints } = object(objects, 'Deployment', `webrtc-${component}-green`).spec.template.spec;
    const labelSelector = { matchLabels: { servicename: `webrtc-${component}`, color: 'green' } };
    const expected = ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({ topologyKey, maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway', labelSelector }));
    assert.deepEqual(topologySpreadConstraints, expected);
  }
});

test('a TURN secret that is there is kept', async () => {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'webrtc-turn-secret' }, data: { turnSecret: 'b2xk' } };
  const [fresh, kept] = await Promise.all([[], [secret]].map((there) => chart.install(step(['infra', '']), there)));
  assert.equal(object(kept.objects, 'Secret', 'webrtc-turn-secret').data.turnSecret, 'b2xk');
  assert.match(Buffer.from(object(fresh.objects, 'Secret', 'webrtc-turn-secret').data.turnSecret, 'base64').toString(), /^s[A-Za-z0-9]{40}$/);
  // Pods of one colour have it, while the next one is told another; but one that the release didn't make isn't the release's.
  const ours = { ...secret, metadata: { ...secret.metadata, annotations: { 'meta.helm.sh/release-name': RELEASE } } };
  const others = { ...step(['infra', '']), 'gateway.secrets': { type: 'k8s', k8s: { turn: 'next' } } };
  const [still, never] = await Promise.all([ours, secret].map((one) => chart.install(others, [one])));
  assert.equal(object(still.objects, 'Secret', 'webrtc-turn-secret').data.turnSecret, 'b2xk');
  assert.deepEqual(names(never.objects), []);
});

test('users and maintenance reach pods that run, any other setting takes new ones', async () => {
  const pods = async (config) => object(await chart.render({ ...step(['gateway', 'blue']), 'gateway.config': config }), 'Deployment', 'webrtc-gateway-blue').spec.template;
  const [before, taken, other] = await Promise.all([{ limits: { calls: 5 } }, { limits: { calls: 5 }, maintenance: true, users: [{ name: 'alice', password: 'x' }] }, { limits: { calls: 6 } }].map(pods));
  assert.deepEqual(taken, before);
  assert.notDeepEqual(other, before);
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

test('the time to end has room for what the program is told of not being ready', async () => {
  const shutdowns = [[{}, 3], [{ shutdown: { unready_seconds: 60 } }, 60], [{ shutdown: { unready_seconds: 0 } }, 0], [{ shutdown: { interrupt_drain_seconds: 1 } }, 3]];
  for (const [config, unready] of shutdowns) {
    const objects = await chart.render({ ...step(['all', 'blue']), 'gateway.config': config, 'coturn.config': config });
    for (const component of ['gateway', 'coturn']) {
      const { terminationGracePeriodSeconds } = object(objects, 'Deployment', `webrtc-${component}-blue`).spec.template.spec;
      assert.equal(terminationGracePeriodSeconds, 5 + unready + 600 + 20, `${component} ${JSON.stringify(config)}`);
    }
  }
});

test('a TURN server that drains stays where its clients send', async () => {
  const { readinessProbe } = container(object(await chart.render(step(['coturn', 'blue'])), 'Deployment', 'webrtc-coturn-blue'));
  assert.equal(readinessProbe.httpGet.path, '/isAlive');
});

test('a gateway that hangs is taken out before its clients are back', async () => {
  const { readinessProbe: { periodSeconds, timeoutSeconds, failureThreshold } } = container(object(await chart.render(step(['gateway', 'blue'])), 'Deployment', 'webrtc-gateway-blue'));
  // A page gives a gateway up after 7 s of silence; balancers hear of it a moment later than Kubernetes.
  assert.ok(periodSeconds * failureThreshold + timeoutSeconds <= 5);
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
  // Room for more workers: the policies are of another release than the gateways.
  assert.deepEqual(turn.policy.ports, [{ port: 19000, endPort: 19255, protocol: 'UDP' }]);
  // But not what SIP and RTP have, which others may reach.
  for (const [webrtcPort, endPort] of [[4900, 5059], [19900, 19999], [65500, 65535]]) {
    const policy = object(await chart.render({ ...step(['infra', 'blue']), 'gateway.media': { reach: 'hostPorts', webrtcPort } }), 'NetworkPolicy', 'webrtc-gateway-blue');
    assert.deepEqual(policy.spec.ingress.at(-1).ports, [{ port: webrtcPort, endPort, protocol: 'UDP' }]);
  }
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
