// Browsers that nothing but TURN reaches: the gateway's own server, its end during a call, and servers beside the gateway.
import assert from 'node:assert/strict';

import { certificate } from './lib/certificate.mjs';
import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { withTimeout } from './lib/process.mjs';
import { callToSipp, goesOn, hangUp } from './lib/sipp-call.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';
import { SECRET, turnServer } from './lib/turn.mjs';

const launch = { chromium, firefox };
/** What browsers are told, by how they then talk to the server. */
const URLS = {
  udp: (port) => `turn:127.0.0.1:${port}?transport=udp`,
  tcp: (port) => `turn:127.0.0.1:${port}?transport=tcp`,
  tls: (port) => `turns:localhost:${port}?transport=tcp`,
};
/** From the return of the TURN server until both hear each other again. */
const RECOVERY_MS = 45_000;

const trusted = () => once('certificate', async () => ({ ...(await certificate()), stop: async () => {} }));
const theBrowser = (name) => once(name, async () => launch[name]({ trusted: await trusted() }));

/** A call from a page that may only relay: `{ page, phone, media }`. */
async function relayedCall(use, browser, node, { user } = {}) {
  return callToSipp(use, await use(Softphone.open(browser, node, { relay: true, user })));
}

for (const name of Object.keys(launch)) {
  check(`${name} calls SIPp through the gateway's TURN server over UDP, TCP and TLS, also while it drains`, async (test, use) => {
    const browser = await theBrowser(name);
    const reference = (await yardstick(browser)).pcmu;
    const tls = await trusted();
    const calls = {};
    for (const [transport, url] of Object.entries(URLS)) {
      const turn = (port) => ({ listen: [`127.0.0.1:${port}`], urls: [url(port)] });
      const node = await use(gateway({ turn, tls: { certificate: tls.certificate, key: tls.key } }));
      calls[transport] = { node, ...(await relayedCall(use, browser, node)) };
    }
    const listeners = Object.entries(calls).flatMap(([transport, { page, media }]) => [
      [`${name} over ${transport}`, () => page.record()],
      [`SIPp over ${transport}`, () => media.record()],
    ]);
    await assertHears(test, reference, Object.fromEntries(listeners));
    for (const [transport, { page, node }] of Object.entries(calls)) {
      const { local } = await page.page.path();
      assert.deepEqual([local.candidateType, local.relayProtocol], ['relay', transport], JSON.stringify(local));
      node.signal('SIGTERM');
    }
    await Promise.all(Object.values(calls).map(goesOn));
    for (const call of Object.values(calls)) await hangUp(call);
    for (const { node } of Object.values(calls)) assert.equal((await withTimeout('the gateway to end', 10_000, node.exited)).code, 0);
  });
}

for (const [name, transport] of [['chromium', 'udp'], ['firefox', 'tcp']]) {
  check(`${name}: the TURN server is killed and starts anew during a call (${transport})`, async (test, use) => {
    const first = await use(turnServer());
    const turn = () => ({ listen: [], urls: [first.url(transport)], secret: SECRET });
    const node = await use(gateway({ turn }));
    const call = await relayedCall(use, await theBrowser(name), node);
    const { page, media } = call;
    await page.page.evaluate(() => window.__probe.watch());
    const before = await page.page.path();
    assert.equal(before.local.candidateType, 'relay', JSON.stringify(before));
    await first.stop();
    await page.wait('silence', 5_000, () => media.sounds(Date.now() - 500).length === 0);
    const second = await use(turnServer({ port: first.port }));
    const backAt = Date.now();
    const [heardAgain] = await page.wait('the phone to hear the page again', RECOVERY_MS, () => {
      const sounds = media.sounds(backAt);
      return sounds.length > 0 && sounds;
    });
    test.diagnostic(`the phone hears the page again ${heardAgain.at - backAt} ms after the server is back`);
    await goesOn(call);
    const { local } = await page.page.path();
    assert.equal(local.candidateType, 'relay', JSON.stringify(local));
    assert.ok((await second.metric('wst_allocations')) >= 1);
    const watched = await page.page.evaluate(() => window.__probe.watched());
    assert.notEqual(watched.after.ufrag, watched.before.ufrag);
    await hangUp(call);
  });
}

for (const name of Object.keys(launch)) {
  check(`${name}: a TURN server that drains keeps its call, and the next call goes through the other`, async (_, use) => {
    const browser = await theBrowser(name);
    const servers = [await use(turnServer()), await use(turnServer())];
    const turn = () => ({ listen: [], urls: servers.map((server) => server.url('udp')), secret: SECRET });
    const node = await use(gateway({ turn }));
    const call = await relayedCall(use, browser, node);
    const carried = () => Promise.all(servers.map((server) => server.metric('wst_relayed_packets_total')));
    const before = await carried();
    await goesOn(call);
    const after = await carried();
    const busiest = after[0] - before[0] > after[1] - before[1] ? 0 : 1;
    const [draining, other] = [servers[busiest], servers[1 - busiest]];

    draining.signal('SIGTERM');
    const made = await draining.metric('wst_allocations_total');
    const refused = await draining.metric('wst_refused_requests_total');
    await goesOn(call);
    const next = await relayedCall(use, browser, node, { user: '1002' });
    await goesOn(next);
    await goesOn(call);
    assert.equal(await draining.metric('wst_allocations_total'), made);
    assert.ok((await draining.metric('wst_refused_requests_total')) > refused, 'it was asked');
    assert.ok((await other.metric('wst_allocations')) >= 1);
    assert.ok(draining.running());
    await hangUp(call);
    assert.equal((await withTimeout('the drained server to end', 10_000, draining.exited)).code, 0);
    await hangUp(next);
  });
}
