// Two hundred users are signed in through each balancer, over each link. One gateway is killed, then another one freezes.
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { sleep, until } from '../real-peers/lib/process.mjs';
import { check } from '../real-peers/lib/suite.mjs';
import { apache, envoy, haproxy, nginx } from './lib/balancers.mjs';
import { Client } from './lib/client.mjs';
import { rig } from './lib/rig.mjs';

const COUNT = Number(process.env.CLIENTS ?? 200);
const USERS = Object.fromEntries(Array.from({ length: COUNT }, (_, index) => [`${2001 + index}`, `secret-${index}`]));
/** A heartbeat of everybody, and more. */
const STAY_MS = 5_000;
const FAILURES = [
  { node: 'gw1', signal: 'SIGKILL', limitMs: 2_000 },
  { node: 'gw2', signal: 'SIGSTOP', limitMs: 10_000 },
];
/** How much longer is waited, so that the figure is known. */
const LATE_MS = 15_000;
const CALLS_AT_ONCE = 50;

for (const balancer of [nginx, apache, haproxy, envoy]) {
  for (const transport of ['websocket', 'polling']) {
    check(`${balancer.name}, ${transport}: ${COUNT} users stay where they are, and move when their gateway dies or hangs`, async (test, use) => {
      const started = await use(rig(balancer, USERS));
      const clients = await use(signedIn(started.url, transport));
      const at = (node) => clients.all.filter((client) => client.node === node);
      for (const node of Object.keys(started.gateways)) assert.ok(at(node).length > 0, `nobody is at ${node}`);
      await nobodyMoves(clients.all, started, () => sleep(STAY_MS));

      for (const { node, signal, limitMs } of FAILURES) {
        const concerned = at(node);
        const others = clients.all.filter((client) => !concerned.includes(client));
        const call = await others[0].calls('echo');
        await nobodyMoves(others, started, async () => {
          const longest = await moved(concerned, started, { node, signal, limitMs }, (text) => test.diagnostic(`${balancer.name}, ${transport}, ${text}`));
          await allCall(concerned);
          assert.ok(longest < limitMs, `${longest} ms`);
        });
        assert.equal(call.state, 'answered');
        await call.hangup();
        await allCall(others);
      }
    });
  }
}

async function signedIn(url, transport) {
  const all = Object.keys(USERS).map((user) => new Client(user, url, transport));
  const stop = () => Promise.all(all.map((client) => client.stop()));
  try {
    await Promise.all(all.map((client) => client.sdk.signIn(client.user, USERS[client.user])));
  } catch (error) {
    await stop();
    throw error;
  }
  return { all, stop };
}

/** Fails if one of them loses its link, or its sign-in, meanwhile. */
async function nobodyMoves(clients, { tail }, action) {
  const before = clients.map(({ history }) => history.length);
  await action();
  const disturbed = clients.filter(({ history }, index) => history.length > before[index]).map(({ history }) => history);
  assert.equal(disturbed.length, 0, `some notice: ${JSON.stringify(disturbed.slice(0, 3))}\n${tail()}`);
}

/** Sends the gateway a signal, waits until all of these clients are signed in at another one, and returns how long that took at most. */
async function moved(clients, { gateways, tail }, { node, signal, limitMs }, say) {
  const elsewhere = (client) => client.node && client.node !== node;
  const delay = monitorEventLoopDelay();
  delay.enable();
  const begin = performance.now();
  gateways[node].signal(signal);
  await until('everybody to be signed in elsewhere', limitMs + LATE_MS, () => clients.every(elsewhere)).catch((error) => {
    const left = clients.filter((client) => !elsewhere(client)).map(({ history }) => history);
    throw new Error(`${error.message}: ${left.length} of ${clients.length} aren't, ${JSON.stringify(left[0])}\n${tail()}`);
  });
  const times = clients.map(({ history }) => history.at(-1).at - begin).sort((a, b) => a - b);
  delay.disable();
  const range = `${times[0].toFixed()} to ${times.at(-1).toFixed()} ms`;
  say(`${signal}: ${clients.length} signed in elsewhere after ${range} (this process waited for a processor up to ${(delay.max / 1e6).toFixed()} ms)`);
  return times.at(-1);
}

/** Everybody calls, some at a time: a gateway has ports for a hundred calls. */
async function allCall(clients) {
  for (let first = 0; first < clients.length; first += CALLS_AT_ONCE) {
    const calls = await Promise.all(clients.slice(first, first + CALLS_AT_ONCE).map((client) => client.calls('echo')));
    await Promise.all(calls.map((call) => call.hangup()));
  }
}
