// What Helm says after an installation.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { each } from '../lib/queue.mjs';
import { chart, step, STEPS } from './chart.mjs';

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
  assert.match(portless, /gateway\.sip\.trusted is empty/);
  const named = [{ 'gateway.sip.trusted': ['10.42.0.0/16'] }, { 'gateway.config': { sip: { trusted: ['10.42.0.0/16'] } } }, { 'gateway.configSecret': 'mine' }];
  const trusting = await each(named, (options) => chart.notes({ ...step(['gateway', 'blue']), 'gateway.voiceSipProxy': 'voice.example.com', ...options }));
  for (const text of [said['gateway blue'], ...trusting]) assert.doesNotMatch(text, /sip\.trusted/);
  assert.match(portless, /voiceSipProxy has no port, so 5060 is taken/);
  assert.doesNotMatch(ported, /has no port/);
  assert.match(said['cutover green'], /webrtc\.example\.com\/ping +# "path":"green"/);
  assert.match(said['all blue'], /https:\/\/webrtc\.example\.com\//);
  assert.match(said['all blue'], /deployment\/webrtc-coturn-blue[^]*turn-blue\.example\.com lead to the balancer of the TURN server/);
  const onNodes = await chart.notes({ ...step(['all', 'blue']), 'gateway.media.reach': 'hostPorts', 'gateway.turnExternalUriBlue': '' });
  assert.match(onNodes, /There is no TURN server, since gateway\.turnExternalUriBlue is empty/);
  assert.doesNotMatch(onNodes, /webrtc-coturn/);
  const routed = (sessionPersistence, more) => chart.notes({ ...step(['all', 'blue']), 'deployment.gatewayApi': { enabled: true, parentRefs: [{ name: 'web' }], sessionPersistence }, ...more });
  assert.match(await routed(false), /WARNING: deployment\.gatewayApi\.sessionPersistence is off/);
  const sticky = await routed(true);
  assert.doesNotMatch(sticky, /WARNING/);
  assert.match(sticky, /a listener with a\ncertificate for webrtc\.example\.com\./);
  assert.match(await routed(true, { 'deployment.ingress.tls': { secretName: 'tls' } }), /WARNING, options that do nothing:\n  deployment\.ingress\.tls: /);
  for (const text of Object.values(said)) assert.doesNotMatch(text, /WARNING|<no value>|%!/);
});
