// What Helm says after an installation.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NAMESPACE, RELEASE } from '../lib/helm.mjs';
import { chart } from './chart.mjs';

test('the notes say where the page is and where signalling goes', async () => {
  const said = await chart.notes({ 'ingress.tls': [{ hosts: ['webphone.example.com'], secretName: 'tls' }] });
  for (const text of ['https://webphone.example.com/', 'the Service gateways, port 80', `kubectl get pods -n ${NAMESPACE} -l app.kubernetes.io/instance=${RELEASE}`]) assert.ok(said.includes(text), said);
  assert.doesNotMatch(said, /no TLS|<no value>|%!|blue/);
});

test('the notes name the paths of the colours where there are some', async () => {
  const said = await chart.notes({ 'webphone.webrtcService': 'webrtc-gateway-service' });
  for (const colour of ['blue', 'green']) assert.ok(said.includes(`under /${colour}/v1, which goes to the Service webrtc-gateway-service-${colour}.\n`), said);
});

test('the notes warn where there is no TLS', async () => {
  const said = await chart.notes();
  assert.match(said, /http:\/\/webphone\.example\.com\//);
  assert.match(said, /There is no TLS/);
});

test('the notes say what is left to do without an ingress', async () => {
  const said = await chart.notes({ 'ingress.enabled': false });
  assert.match(said, /has to send \/v1 to the gateways/);
  assert.doesNotMatch(said, /webphone\.example\.com/);
});

test('options without effect are named by chart and program, and show no secret', async () => {
  const given = {
    webphone: { ...chart.needed.webphone, cfgService: 'https://gws', authService: 'https://gauth', authRedirectUri: 'https://gauth', webphoneService: 'https://webphone' },
    secrets: { gwsClientId: 'client', env: { gws: 'hush' } },
    k8s: { gws: 'name', gwsSecretPath: 'path' },
  };
  const said = await chart.notes(given);
  for (const option of ['webphone.cfgService', 'webphone.authService', 'webphone.authRedirectUri', 'webphone.webphoneService', 'secrets', 'k8s']) {
    assert.match(said, new RegExp(`^  ${option}: not (supported yet|needed);`, 'm'));
  }
  assert.doesNotMatch(said, /hush/);
  assert.doesNotMatch(await chart.notes(), /do nothing/);
  const [config] = (await chart.render(given)).filter(({ kind }) => kind === 'ConfigMap');
  const named = ['k8s', 'secrets', 'webphone.authRedirectUri', 'webphone.authService', 'webphone.cfgService'];
  assert.ok(config.data['gateway.toml'].includes(`unsupported_options = ${JSON.stringify(named)}\n`));
  assert.doesNotMatch(JSON.stringify(await chart.render(given)), /hush|gauth|https:\/\/gws/);
});
