// What deploy/balancers/README.md asks of a balancer, while all gateways are well and while one drains.
import assert from 'node:assert/strict';

import { until, withTimeout } from '../real-peers/lib/process.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { apache, envoy, haproxy, nginx } from './lib/balancers.mjs';
import { Browser } from './lib/browser.mjs';
import { Client } from './lib/client.mjs';
import { rig } from './lib/rig.mjs';

const BALANCERS = [nginx, apache, haproxy, envoy];
const TRANSPORTS = ['websocket', 'polling'];
const NODES = ['gw1', 'gw2', 'gw3'];
const USERS = Object.fromEntries(['idle', 'in-a-call-over-websocket', 'in-a-call-over-polling', 'newcomer', 'poller', 'visitor'].map((name) => [name, `secret-${name}`]));
/** Of the gateway, for an answer to a poll without news. */
const POLL_MS = 25_000;
/** How long a balancer may take to notice that a gateway drains: two intervals between questions for its health. */
const NOTICE_MS = 5_000;
const PROMPT_MS = 5_000;

const started = (balancer) => once(balancer.name, () => rig(balancer, USERS));

/** One request of a browser of its own: `{ status, result, node }`, the gateway that answered. */
async function rpc(url, method, params = {}, { node, token } = {}) {
  const browser = new Browser(node);
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const { status, text } = await browser.fetch(`${url}/v1/rpc`, { method: 'POST', headers, body });
  const { result } = JSON.parse(await text());
  browser.close();
  return { status, result, node: browser.node };
}

const signIn = (url, user, options) => rpc(url, 'session.signIn', { user, password: USERS[user] }, options);
const several = (count, action) => Promise.all(Array.from({ length: count }, action));

for (const balancer of BALANCERS) {
  check(`${balancer.name}: the page`, async () => {
    const { url } = await started(balancer);
    const browser = new Browser();
    const { status, text } = await browser.fetch(`${url}/`);
    assert.equal(status, 200);
    assert.match(await text(), /<title>Softphone<\/title>/);
    browser.close();
  });

  check(`${balancer.name}: who has no cookie goes to any gateway, who has one to its own`, async (test, use) => {
    const { url } = await started(balancer);
    const nodes = await several(40, async () => (await rpc(url, 'session.heartbeat')).node);
    assert.deepEqual([...new Set(nodes)].sort(), NODES);
    for (const node of NODES) {
      const again = await several(10, async () => (await rpc(url, 'session.heartbeat', {}, { node })).node);
      assert.deepEqual([...new Set(again)], [node]);
      const client = await use(signedIn(url, 'visitor', 'websocket', node));
      assert.equal(client.node, node);
      await client.sdk.signOut();
    }
  });

  check(`${balancer.name}: who has a token is always understood`, async () => {
    const { url } = await started(balancer);
    const { result, node } = await signIn(url, 'visitor');
    const { token } = result;
    const answers = await several(20, () => rpc(url, 'session.heartbeat', {}, { node, token }));
    assert.deepEqual(answers.filter((answer) => answer.result === undefined || answer.node !== node), []);
  });
}

check('long polls are waited for', async (test) => {
  await Promise.all(
    BALANCERS.map(async (balancer) => {
      const { url } = await started(balancer);
      const browser = new Browser('gw2');
      const { result } = await signIn(url, 'poller', { node: 'gw2' });
      const begin = performance.now();
      const { status, text } = await browser.fetch(`${url}/v1/events?after=0`, { headers: { Authorization: `Bearer ${result.token}` } });
      assert.deepEqual([status, JSON.parse(await text())], [200, { events: [] }]);
      const waited = performance.now() - begin;
      test.diagnostic(`${balancer.name}: ${waited.toFixed()} ms`);
      assert.ok(waited > POLL_MS - 1_000, `${waited} ms`);
      browser.close();
    }),
  );
});

for (const balancer of BALANCERS) {
  check(`${balancer.name}: a gateway that drains keeps its calls and gets nobody new`, async (test, use) => {
    const { url, gateways } = await started(balancer);
    const idle = await use(signedIn(url, 'idle', 'websocket', 'gw1'));
    const busy = [];
    for (const transport of TRANSPORTS) busy.push(await use(signedIn(url, `in-a-call-over-${transport}`, transport, 'gw1')));
    assert.deepEqual([idle, ...busy].map(({ node }) => node), ['gw1', 'gw1', 'gw1']);
    const calls = await Promise.all(busy.map((client) => client.calls('echo')));
    gateways.gw1.signal('SIGTERM');

    // Told to go, the SDK comes back until it is taken elsewhere.
    await until('the idle one to be elsewhere', NOTICE_MS, () => idle.node && idle.node !== 'gw1');
    for (const transport of TRANSPORTS) {
      const newcomer = await use(signedIn(url, 'newcomer', transport, 'gw1'));
      assert.notEqual(newcomer.node, 'gw1');
      await newcomer.sdk.signOut();
    }
    await Promise.all(calls.map((call) => call.dtmf('1')));
    assert.deepEqual(busy.map(({ history }) => history.length), [2, 2], 'connected once, and still there');

    // A WebSocket that breaks comes back to its call.
    const [overWebsocket] = busy;
    overWebsocket.browser.cut();
    await until('it to be back', PROMPT_MS, () => overWebsocket.history.length >= 4);
    assert.deepEqual([overWebsocket.node, overWebsocket.history.length], ['gw1', 4], JSON.stringify(overWebsocket.history));
    await calls[0].dtmf('2');
    assert.equal(calls[0].state, 'answered');

    await Promise.all(calls.map((call) => call.hangup()));
    await until('those whose call is over to be elsewhere', PROMPT_MS, () => busy.every(({ node }) => node && node !== 'gw1'));
    await withTimeout('gw1 to end', PROMPT_MS, gateways.gw1.exited);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const { result, node } = await signIn(url, 'visitor', { node: 'gw1' });
      assert.ok(result);
      assert.notEqual(node, 'gw1');
    }
  });
}

async function signedIn(url, user, transport, node) {
  const client = new Client(user, url, transport, node);
  await client.sdk.signIn(user, USERS[user]).catch(async (error) => {
    await client.stop();
    throw error;
  });
  return client;
}
