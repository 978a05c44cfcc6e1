// Two colours behind nginx, as docs/operations.md rehearses it: what live-colour refuses, then a cutover during calls, a
// rollback, and the end of the old colour.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

import { chromium } from '../real-peers/lib/chromium.mjs';
import { withTimeout } from '../real-peers/lib/process.mjs';
import { callToSipp, goesOn, hangUp } from '../real-peers/lib/sipp-call.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { Agent } from './lib/agent.mjs';
import { rig } from './lib/rig.mjs';

const USERS = Object.fromEntries(['ann', 'bob', 'cid', 'dora', 'eve'].map((name) => [name, `secret-${name}`]));
const PROMPT_MS = 10_000;

const stage = () => once('stage', () => rig(USERS));

/** Runs live-colour and expects it to go well. */
async function switched(...words) {
  const { code, output } = await (await stage()).liveColour(...words);
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

/** What is asked while a file is another one. */
async function with_(name, change, action) {
  const { file } = await stage();
  const before = readFileSync(file(name), 'utf8');
  writeFileSync(file(name), change(before));
  await action();
  writeFileSync(file(name), before);
}

/** What the page says about the call arrives, and so does what it is told. */
async function obeys(call) {
  call.digits = `${call.digits ?? ''}5`;
  await call.page.type('5');
  assert.equal(await call.media.waitForDigits(call.digits), call.digits);
  call.media.sendDigits('5');
  assert.equal(await call.page.hears(call.digits), call.digits);
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
  await with_('green.conf', (text) => text.replaceAll(green, '127.0.0.1:1'), () => refused(/127\.0\.0\.1:1 does not answer/, 'cutover', 'green'));
  await with_('green.conf', (text) => text.replaceAll(green, blue), () => refused(/is not green: .*"path":"blue"/, 'cutover', 'green'));
  await with_('green.conf', () => '', () => refused(/green\.conf names no gateway/, 'cutover', 'green'));
  await with_('green.conf', (text) => `${text}nonsense;\n`, () => refused(/unknown directive "nonsense"[^]*blue is live/, 'cutover', 'green'));
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
  for (const call of [anns, bobs]) {
    await goesOn(call);
    await obeys(call);
  }
  for (const pid of oldWorkers) process.kill(pid, 'SIGKILL');
  for (const each of [ann, cid]) {
    await each.phone.wait('to be back', PROMPT_MS, async () => (await each.states()).join() === 'reconnecting,signedIn');
  }
  for (const call of [anns, bobs]) {
    await obeys(call);
    await goesOn(call);
  }
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
  for (const call of [anns, bobs, doras]) {
    await obeys(call);
    await goesOn(call);
  }
  await refused(/no cutover to take back/, 'rollback');
  await switched('cutover', 'green');
  await hangUp(bobs);
  assert.equal(await bob.colour(), 'blue');

  // Blue drains: who has no call moves at once, the others after it.
  for (const node of ['blue1', 'blue2']) gateways[node].signal('SIGTERM');
  await Promise.all([bob, cid].map((each) => each.movesTo('green')));
  await goesOn(anns);
  await obeys(anns);
  await refused(/is not ready: .*"state":"draining"/, 'rollback');
  await hangUp(anns);
  await ann.movesTo('green');
  await Promise.all([gateways.blue1, gateways.blue2].map(({ exited }) => gone(exited)));
  turn.blue.signal('SIGTERM');
  await gone(turn.blue.exited);

  // All is green's now.
  await obeys(doras);
  await hangUp(doras);
  for (const each of agents) {
    const call = await callToSipp(use, each.phone);
    assert.equal(await each.turnUrl(), urls.green);
    await hangUp(call);
  }
  for (const each of agents) assert.deepEqual(await each.complaints(), [], each.user);

  // There is nothing to go back to, unless one insists.
  await refused(/does not answer/, 'rollback');
  await refused(/does not answer/, 'cutover', 'blue');
  assert.match(await switched('cutover', 'blue', '--force'), /^blue is live[^]*does not answer/);
  await switched('rollback');
  assert.equal(await colour('live'), 'green');
  assert.equal((await liveColour('cutover', 'green')).output, 'green is live already.\n');
});
