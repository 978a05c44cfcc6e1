// The gateway behind a SIP proxy: it registers its users there with digest authentication, and calls go and come through it.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway, USERS } from './lib/gateway.mjs';
import { kamailio } from './lib/kamailio.mjs';
import { freePorts } from './lib/ports.mjs';
import { RtpEndpoint } from './lib/rtp.mjs';
import { answering, calling, registering, sipp } from './lib/sipp.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };
const PHONE = { own_number: '3001', password: 'desk-3001' };

const proxy = () => once('kamailio', () => kamailio({ ...USERS, [PHONE.own_number]: PHONE.password }));
const theGateway = (transport) =>
  once(`gateway ${transport}`, async () => {
    const { address, domain } = await proxy();
    return gateway({ proxy: { target: address, tcp: transport === 'tcp', domain } });
  });

for (const { browser, transport } of [
  { browser: 'chromium', transport: 'udp' },
  { browser: 'firefox', transport: 'tcp' },
]) {
  check(`${browser} calls a phone through Kamailio (${transport})`, async (test, use) => {
    const started = await once(browser, browsers[browser]);
    const reference = (await yardstick(started)).pcmu;
    const { address, domain, registered } = await proxy();
    const rtp = await freePorts(2);
    const media = await use(RtpEndpoint.open(rtp));
    const phone = await use(sipp(answering(), { transport, keys: { rtp_port: rtp } }));
    const register = await use(sipp(registering(), { remote: address, transport, keys: { ...PHONE, domain, contact: phone.contact } }));
    await register.finish(10_000);
    const page = await use(Softphone.open(started, await theGateway(transport)));
    await registered('1001');
    await page.dial(PHONE.own_number);
    await page.state('answered');
    await media.waitForAudio();
    await assertHears(test, reference, { [browser]: () => page.record(), SIPp: () => media.record() });
    await page.click('hangup');
    assert.equal((await page.ended()).reason, 'hangup');
    await phone.finish(10_000);
  });

  check(`a phone calls ${browser} through Kamailio (${transport})`, async (_, use) => {
    const { address, domain, registered } = await proxy();
    const page = await use(Softphone.open(await once(browser, browsers[browser]), await theGateway(transport), { transport: 'polling' }));
    await registered('1001');
    const rtp = await freePorts(2);
    const media = await use(RtpEndpoint.open(rtp));
    const phone = await use(
      sipp(calling({ end: 'bye', talkMs: 2_500, authenticate: true }), {
        remote: address,
        transport,
        keys: { ...PHONE, domain, number: '1001', rtp_port: rtp },
      }),
    );
    assert.match(await page.ringing(), /3001|SIPp/);
    await page.click('answer');
    await page.state('answered');
    await media.waitForAudio();
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'remote']);
    await phone.finish(10_000);
  });
}

check('signing out takes the registration back', async (_, use) => {
  const { address, domain, registered, unregistered } = await proxy();
  const page = await use(Softphone.open(await once('chromium', chromium), await theGateway('udp')));
  await registered('1001');
  await page.click('sign-out');
  await unregistered('1001');
  const keys = { ...PHONE, domain, number: '1001' };
  const phone = await use(sipp(calling({ end: 404, authenticate: true }), { remote: address, keys }));
  await phone.finish(10_000);
});
