// A call outlives the gateway it runs on: the second gateway knows only what the first one wrote down.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { freePorts } from './lib/ports.mjs';
import { sleep, until } from './lib/process.mjs';
import { RtpEndpoint } from './lib/rtp.mjs';
import { answering, sipp } from './lib/sipp.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';
import { twoNodes } from './lib/two-nodes.mjs';

const browsers = { chromium, firefox };
/** From the end of the first gateway until both hear each other again. Mostly it is far less. */
const GAP_MS = 3_000;

for (const [browser, transport] of [
  ['chromium', 'websocket'],
  ['firefox', 'websocket'],
  ['chromium', 'polling'],
  ['firefox', 'polling'],
]) {
  check(`${browser} (${transport}): the call goes on at the second gateway`, async (test, use) => {
    const started = await once(browser, browsers[browser]);
    const reference = (await yardstick(started)).pcmu;
    const nodes = await use(twoNodes());
    const rtp = await freePorts(2);
    const media = await use(RtpEndpoint.open(rtp));
    const scenario = answering({ movesTo: nodes.sipPorts[1] });
    const phone = await use(sipp(scenario, { keys: { rtp_port: rtp } }));
    const page = await use(Softphone.open(started, nodes, { transport, gateways: nodes.urls }));
    await page.dial(phone.uri());
    await page.state('answered');
    await media.waitForAudio();
    await sleep(2_500); // into the speech
    await page.page.evaluate(() => window.__probe.watch());

    const { goneAt, doneAt, calls } = await nodes.takeOver();
    assert.equal(calls, 1);
    const heardAgain = () => media.packets.find(({ at }) => at >= doneAt);
    await page.wait('the phone to hear the page again', 20_000, heardAgain);
    const gap = heardAgain().at - goneAt;

    await assertHears(test, reference, { [browser]: () => page.record(), SIPp: () => media.record() });
    const watched = await page.page.evaluate(() => window.__probe.watched());

    const { before, after } = watched;
    const fresh = Object.entries(watched.sources).filter(([source]) => after.ssrcs.includes(source));
    assert.equal(fresh.length, 1, JSON.stringify(watched));
    const [, { packetAt, soundAt }] = fresh[0];
    test.diagnostic(`restored after ${doneAt - goneAt} ms; the phone hears after ${gap} ms, the page after ${packetAt - goneAt} ms (sound ${soundAt - goneAt} ms)`);
    assert.ok(gap < GAP_MS && packetAt - goneAt < GAP_MS, `${gap} ms and ${packetAt - goneAt} ms`);

    assert.equal(await page.page.evaluate(() => window.softphone.client.url), nodes.urls[1]);
    assert.equal((await page.call()).state, 'answered');
    assert.equal(await page.callCount(), 1);
    assert.equal(after.fingerprint, before.fingerprint);
    assert.notEqual(after.ufrag, before.ufrag);
    assert.ok(!after.ssrcs.some((ssrc) => before.ssrcs.includes(ssrc)), JSON.stringify(watched));
    assert.ok(watched.sameConnection && watched.sameDtls, JSON.stringify(watched));
    assert.deepEqual(watched.events.filter(([kind]) => kind !== 'connectionstatechange'), []);

    await page.click('hangup');
    assert.equal((await page.ended()).reason, 'hangup');
    await phone.finish(10_000);
    await until('the second gateway to free everything', 10_000, async () => {
      const metrics = await nodes.metrics();
      return ['wsg_calls 0', 'wsg_rtp_ports_in_use 0'].every((line) => metrics.includes(`\n${line}\n`));
    });
  });
}
