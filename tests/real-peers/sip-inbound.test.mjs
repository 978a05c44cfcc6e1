// A SIP phone calls a page.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { freePorts } from './lib/ports.mjs';
import { RtpEndpoint } from './lib/rtp.mjs';
import { calling, sipp } from './lib/sipp.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };
const theGateway = () => once('gateway', gateway);

/** SIPp as the calling phone. */
async function caller(use, scenario, { transport = 'udp', number = '1001', keys = {} } = {}) {
  const { sip } = await theGateway();
  return use(sipp(calling(scenario), { remote: sip, transport, keys: { number, own_number: '2001', ...keys } }));
}

for (const { browser, link, transport, codec } of [
  { browser: 'chromium', link: 'polling', transport: 'tcp', codec: 'PCMA' },
  { browser: 'firefox', link: 'websocket', transport: 'udp', codec: 'PCMU' },
]) {
  check(`SIPp (${transport}, ${codec}) calls ${browser} (${link}): speech and digits both ways`, async (test, use) => {
    const started = await once(browser, browsers[browser]);
    const reference = (await yardstick(started))[codec.toLowerCase()];
    const rtp = await freePorts(2);
    const media = await use(RtpEndpoint.open(rtp, { codec }));
    const page = await use(Softphone.open(started, await theGateway(), { transport: link }));
    const phone = await caller(use, { codec }, { transport, keys: { rtp_port: rtp } });
    assert.match(await page.ringing(), /2001|SIPp/);
    await page.click('answer');
    await page.state('answered');
    await media.waitForAudio();

    await assertHears(test, reference, { [browser]: () => page.record(), SIPp: () => media.record() });
    await page.type('0*8');
    assert.equal(await media.waitForDigits('0*8'), '0*8');
    media.sendDigits('37#');
    assert.equal(await page.hears('37#'), '37#');

    await page.click('hangup');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'local']);
    await phone.finish(10_000);
  });
}

for (const transport of ['udp', 'tcp']) {
  check(`the phone hangs up (${transport})`, async (_, use) => {
    const rtp = await freePorts(2);
    await use(RtpEndpoint.open(rtp));
    const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
    const phone = await caller(use, { end: 'bye', talkMs: 1_500 }, { transport, keys: { rtp_port: rtp } });
    await page.ringing();
    await page.click('answer');
    await page.state('answered');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'remote']);
    await phone.finish(10_000);
  });
}

check('the page declines', async (_, use) => {
  const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
  const phone = await caller(use, { end: 603 });
  await page.ringing();
  await page.click('reject');
  await phone.finish(10_000);
});

for (const transport of ['udp', 'tcp']) {
  check(`the phone gives up before the answer (${transport})`, async (_, use) => {
    const page = await use(Softphone.open(await once('firefox', firefox), await theGateway(), { transport: 'polling' }));
    const phone = await caller(use, { end: 'cancel' }, { transport });
    await page.ringing();
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['cancelled', 'remote']);
    await phone.finish(10_000);
  });
}

for (const [what, number] of [
  ['a number that does not exist', '7777'],
  ['a user who is not signed in', '1002'],
]) {
  // Whether there is such a user isn't the gateway's to know.
  check(`${what} is unavailable`, async (_, use) => {
    await (await caller(use, { end: 480 }, { number })).finish(10_000);
  });
}
