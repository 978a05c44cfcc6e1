// A page calls a SIP phone. Pairs are chosen so that each value of each choice is there: browser, link, SIP transport, codec.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { freePort, freePorts } from './lib/ports.mjs';
import { sleep } from './lib/process.mjs';
import { RtpEndpoint } from './lib/rtp.mjs';
import { answering, sipp } from './lib/sipp.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };
const RING_SECONDS = 5;
const PHONE = { udp: '3001', tcp: '3002' }; // numbers of the SIP phone

/** A gateway that knows the way to SIPp, on a port for each transport. */
async function routed() {
  const ports = { udp: await freePort(), tcp: await freePort() };
  const routes = Object.entries(PHONE).map(([transport, number]) => ({
    numbers: [number],
    target: `127.0.0.1:${ports[transport]}`,
    tcp: transport === 'tcp',
  }));
  const started = await gateway({ routes, limits: { ring_seconds: RING_SECONDS } });
  return { ...started, ports };
}
const theGateway = () => once('gateway', routed);

/** SIPp as the called phone. */
async function called(use, scenario, transport, keys = {}) {
  const { ports } = await theGateway();
  return use(sipp(answering(scenario), { transport, port: ports[transport], keys }));
}

for (const { browser, link, transport, codec } of [
  { browser: 'chromium', link: 'websocket', transport: 'udp', codec: 'PCMU' },
  { browser: 'firefox', link: 'polling', transport: 'tcp', codec: 'PCMA' },
]) {
  check(`${browser} (${link}) calls SIPp (${transport}, ${codec}): speech and digits both ways`, async (test, use) => {
    const started = await once(browser, browsers[browser]);
    const reference = (await yardstick(started))[codec.toLowerCase()];
    const rtp = await freePorts(2);
    const media = await use(RtpEndpoint.open(rtp, { codec }));
    const phone = await called(use, { codec }, transport, { rtp_port: rtp });
    const page = await use(Softphone.open(started, await theGateway(), { transport: link }));
    await page.dial(PHONE[transport]);
    await page.state('answered');
    await media.waitForAudio();

    await assertHears(test, reference, { [browser]: () => page.record(), SIPp: () => media.record() });
    await page.type('159#');
    assert.equal(await media.waitForDigits('159#'), '159#');
    media.sendDigits('260*');
    assert.equal(await page.hears('260*'), '260*');

    await page.click('hangup');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'local']);
    await phone.finish(10_000);
    assert.ok(media.digits.every((digit) => digit.milliseconds >= 40), JSON.stringify(media.digits));
  });
}

for (const transport of ['udp', 'tcp']) {
  check(`the phone hangs up (${transport})`, async (_, use) => {
    const rtp = await freePorts(2);
    await use(RtpEndpoint.open(rtp));
    const phone = await called(use, { end: 'bye', talkMs: 1_500 }, transport, { rtp_port: rtp });
    const page = await use(Softphone.open(await once('firefox', firefox), await theGateway()));
    await page.dial(PHONE[transport]);
    await page.state('answered');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'remote']);
    await phone.finish(10_000);
  });
}

check('sip:user@host:port goes there without a route', async (_, use) => {
  const rtp = await freePorts(2);
  const media = await use(RtpEndpoint.open(rtp));
  const phone = await use(sipp(answering(), { keys: { rtp_port: rtp } }));
  const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
  await page.dial(phone.uri('somebody'));
  await page.state('answered');
  await media.waitForAudio();
  await page.click('hangup');
  await phone.finish(10_000);
  assert.match(phone.messages(), /INVITE sip:somebody@/);
});

for (const [status, reason] of [
  ['486 Busy Here', 'busy'],
  ['603 Decline', 'rejected'],
  ['404 Not Found', 'not_found'],
  ['480 Temporarily Unavailable', 'no_answer'],
]) {
  check(`the phone says ${status}`, async (_, use) => {
    const phone = await called(use, { end: status }, 'udp');
    const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
    await page.dial(PHONE.udp);
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.sipStatus, ended.by], [reason, Number(status.slice(0, 3)), 'remote']);
    await phone.finish(10_000);
  });
}

for (const transport of ['udp', 'tcp']) {
  check(`the page cancels while it rings (${transport})`, async (_, use) => {
    const phone = await called(use, { end: 'ring' }, transport);
    const page = await use(Softphone.open(await once('firefox', firefox), await theGateway(), { transport: 'polling' }));
    await page.dial(PHONE[transport]);
    await page.state('ringing');
    await sleep(300);
    await page.click('hangup');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['cancelled', 'local']);
    await phone.finish(10_000);
  });
}

check('a phone that nobody answers is given up', async (_, use) => {
  const phone = await called(use, { end: 'ring' }, 'udp');
  const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
  await page.dial(PHONE.udp);
  await page.state('ringing');
  const ended = await page.ended((RING_SECONDS + 5) * 1000);
  assert.equal(ended.reason, 'no_answer');
  await phone.finish(10_000);
});

check('nobody listens at the far end', async (_, use) => {
  const page = await use(Softphone.open(await once('chromium', chromium), await theGateway()));
  await page.dial(PHONE.tcp);
  const ended = await page.ended(15_000);
  assert.equal(ended.reason, 'unreachable');
});
