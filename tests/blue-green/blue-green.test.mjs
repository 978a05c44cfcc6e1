// Two colours behind nginx, as docs/operations.md rehearses it: what live-colour refuses, then a cutover during calls, a
// rollback, and the end of the old colour. And a cutover behind an ingress, which knows less.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

import { chromium } from '../real-peers/lib/chromium.mjs';
import { withTimeout } from '../real-peers/lib/process.mjs';
import { callToSipp, goesOn, hangUp } from '../real-peers/lib/sipp-call.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { Agent } from './lib/agent.mjs';
import { INGRESS, rig, SAMPLE } from './lib/rig.mjs';

const USERS = Object.fromEntries(['ann', 'bob', 'cid', 'dora', 'eve'].map((name) => [name, `secret-${name}`]));
const PROMPT_MS = 10_000;

const stage = () => once('stage', () => rig(USERS, SAMPLE));

/** Runs live-colour and expects it to go well. */
async function switched(...words) {
  return switchedAt(await stage(), ...words);
}

async function switchedAt({ liveColour }, ...words) {
  const { code, output } = await liveColour(...words);
  assert.equal(code, 0, output);
  return output;
}

/** Runs live-colour and expects that it refuses, with these words, and that nothing changes. */
async function refused(said, ...words) {
  const { file, liveColour, colour } = await stage();
  const before = [readFileSync(file('live.conf'), 'utf8'), await colour('live'), await colour('test')];
  const { code, output } = await liveColour(...words);
  assert.match(output, said);
  assert.notEqual(code, 0);
  assert.deepEqual([readFileSync(file('live.conf'), 'utf8'), await colour('live'), await colour('test')], before);
}

/** Changes a file for as long as the action takes. */
async function whileFileIs(name, change, action) {
  const { file } = await stage();
  const before = readFileSync(file(name), 'utf8');
  writeFileSync(file(name), change(before));
  await action();
  writeFileSync(file(name), before);
}

/** Both sides hear each other, what the page says about the call arrives, and so does what it is told. */
async function allWell(...calls) {
  await Promise.all(calls.map((call) => Promise.all([goesOn(call), digitsArrive(call)])));
}

async function digitsArrive(call) {
  call.digits = `${call.digits ?? ''}5`;
  await call.page.type('5');
  assert.equal(await call.media.waitForDigits(call.digits), call.digits);
  call.media.sendDigits('5');
  assert.equal(await call.page.hears(call.digits), call.digits);
}

/** Somebody whose WebSocket broke is signed in where they were. */
const isBack = (agent) => agent.phone.wait('to be back', PROMPT_MS, async () => (await agent.states()).join() === 'reconnecting,signedIn');

/** Ends nginx's workers, and their connections. One that has no WebSocket left ends by itself. */
function killAll(workers) {
  for (const pid of workers) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

const gone = (exited) => withTimeout('a program that drains to end', PROMPT_MS, exited).then(({ code }) => assert.equal(code, 0));

check('live-colour refuses what would go wrong, and changes nothing', async () => {
  const { gateways } = await stage();
  const [green, blue] = [gateways.green2, gateways.blue1].map(({ url }) => new URL(url).host);
  await refused(/no colour grene/, 'cutover', 'grene');
  await refused(/^usage:/, 'cutover');
  await refused(/^usage:/, 'cutover', 'green', '--froce');
  await refused(/^usage:/, 'rollback', 'blue');
  await refused(/no cutover to take back/, 'rollback');
  await whileFileIs('green.conf', (text) => text.replaceAll(green, '127.0.0.1:1'), () => refused(/127\.0\.0\.1:1 does not answer/, 'cutover', 'green'));
  await whileFileIs('green.conf', (text) => text.replaceAll(green, blue), () => refused(/is not green: .*"path":"blue"/, 'cutover', 'green'));
  await whileFileIs('green.conf', () => '', () => refused(/green\.conf names no gateway/, 'cutover', 'green'));
  await whileFileIs('green.conf', (text) => `${text}nonsense;\n`, () => refused(/unknown directive "nonsense"[^]*blue is live/, 'cutover', 'green'));
  assert.match(await switched('cutover', 'blue'), /blue is live already/);
});

check('a cutover during calls, a rollback, and the end of the old colour: nobody sees an error', async (_, use) => {
  const { turn, gateways, colour, turnUrls, liveColour, workers } = await stage();
  const urls = { blue: turn.blue.url('udp'), green: turn.green.url('udp') };
  const browser = await once('chromium', async () => chromium({ trusted: (await stage()).certificate }));
  const agent = async (user, transport) => use(Agent.signedIn(browser, await stage(), user, USERS[user], transport));

  // Blue is live, green is tried out by the test name; each hands out its own TURN server.
  assert.deepEqual([await colour('live'), await colour('test')], ['blue', 'green']);
  assert.deepEqual([await turnUrls('live', 'eve'), await turnUrls('test', 'eve')], [[urls.blue], [urls.green]]);
  const ann = await agent('ann', 'websocket');
  const bob = await agent('bob', 'polling');
  const cid = await agent('cid', 'websocket'); // without a call
  const dora = await agent('dora', 'websocket');
  await dora.signOut();
  const agents = [ann, bob, cid, dora];
  for (const each of agents) assert.equal(await each.colour(), 'blue');
  const [anns, bobs] = await Promise.all([ann, bob].map(({ phone }) => callToSipp(use, phone)));
  assert.deepEqual([await ann.turnUrl(), await bob.turnUrl()], [urls.blue, urls.blue]);

  const oldWorkers = workers();
  assert.match(await switched('cutover', 'green'), /^green is live/);
  assert.deepEqual([await colour('live'), await colour('test')], ['green', 'blue']);

  // Who was there stays, calls go on, also when a connection breaks.
  await allWell(anns, bobs);
  killAll(oldWorkers);
  await Promise.all([ann, cid].map(isBack));
  await allWell(anns, bobs);
  assert.deepEqual(await Promise.all([ann, bob, cid].map((each) => each.colour())), ['blue', 'blue', 'blue']);

  // New sign-ins and their calls are green's, also in a browser that was at blue.
  await dora.signIn();
  assert.equal(await dora.colour(), 'green');
  const doras = await callToSipp(use, dora.phone);
  assert.equal(await dora.turnUrl(), urls.green);
  assert.deepEqual(await turnUrls('live', 'eve'), [urls.green]);

  // Back and forth again: it is the same for green's users.
  assert.match(await switched('rollback'), /^blue is live/);
  assert.deepEqual([await colour('live'), await colour('test')], ['blue', 'green']);
  assert.deepEqual(await turnUrls('live', 'eve'), [urls.blue]);
  await allWell(anns, bobs, doras);
  await refused(/no cutover to take back/, 'rollback');
  await switched('cutover', 'green');
  await hangUp(bobs);
  assert.equal(await bob.colour(), 'blue');

  // Blue drains: who has no call moves at once, the others after it.
  for (const node of ['blue1', 'blue2']) gateways[node].signal('SIGTERM');
  await Promise.all([bob, cid].map((each) => each.movesTo('green')));
  // What the gateway that they left said of itself is gone; that a call has ended may still stand there.
  for (const each of [bob, cid]) assert.doesNotMatch(await each.notice(), /out of service/);
  await allWell(anns, doras);
  await refused(/is not ready: .*"state":"draining"/, 'rollback');
  await hangUp(anns);
  await ann.movesTo('green');
  await Promise.all([gateways.blue1, gateways.blue2].map(({ exited }) => gone(exited)));
  turn.blue.signal('SIGTERM');
  await gone(turn.blue.exited);

  // All is green's now.
  await allWell(doras);
  await hangUp(doras);
  const calls = await Promise.all(agents.map(({ phone }) => callToSipp(use, phone)));
  assert.deepEqual(await Promise.all(agents.map((each) => each.turnUrl())), Array(4).fill(urls.green));
  await Promise.all(calls.map(hangUp));
  for (const each of agents) assert.deepEqual(await each.complaints(), [], each.user);

  // There is nothing to go back to, unless one insists.
  await refused(/does not answer/, 'rollback');
  await refused(/does not answer/, 'cutover', 'blue');
  assert.match(await switched('cutover', 'blue', '--force'), /^blue is live[^]*does not answer/);
  await switched('rollback');
  assert.equal(await colour('live'), 'green');
  assert.equal((await liveColour('cutover', 'green')).output, 'green is live already.\n');
});

check('an ingress, which knows names and paths alone: calls over either transport go on through a cutover', async (_, use) => {
  const ingress = await use(rig(USERS, INGRESS));
  const { gateways, colour, workers } = ingress;
  const browser = await use(chromium({ trusted: ingress.certificate }));
  const agent = (user, transport) => use(Agent.signedIn(browser, ingress, user, USERS[user], transport));
  const agents = [await agent('ann', 'websocket'), await agent('bob', 'polling')];
  const [ann, bob] = agents;
  const [anns, bobs] = await Promise.all(agents.map(({ phone }) => callToSipp(use, phone)));

  const oldWorkers = workers();
  await switchedAt(ingress, 'cutover', 'green');
  assert.deepEqual([await colour('live'), await colour('test')], ['green', 'blue']);
  killAll(oldWorkers);
  await isBack(ann);
  await allWell(anns, bobs);
  assert.deepEqual(await Promise.all(agents.map((each) => each.colour())), ['blue', 'blue']);

  // When blue drains, each signs in at green: who has no call at once, the other after it.
  await hangUp(anns);
  gateways.blue1.signal('SIGTERM');
  await ann.movesTo('green');
  await allWell(bobs);
  await hangUp(bobs);
  await bob.movesTo('green');
  await gone(gateways.blue1.exited);
  const calls = await Promise.all(agents.map(({ phone }) => callToSipp(use, phone)));
  await allWell(...calls);
  await Promise.all(calls.map(hangUp));
  for (const each of agents) assert.deepEqual(await each.complaints(), [], each.user);
});
