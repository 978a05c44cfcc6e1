// baresip on a machine of its own: its SIP, its RTP, its G.711.
import assert from 'node:assert/strict';

import { baresip } from './lib/baresip.mjs';
import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { namespace } from './lib/netns.mjs';
import { until } from './lib/process.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };
const PHONE = '3001';
const machine = () => once('namespace', namespace);

/** A gateway that baresip's machine can reach, and that knows its number. */
const theGateway = () =>
  once('gateway', async () => {
    const { host, address } = await machine();
    const routes = [{ numbers: [PHONE], target: `${address}:5060`, tcp: false }];
    return gateway({ addresses: [host], trusted: [`${address}/32`], routes });
  });

for (const { browser, link, direction, transport, codec } of [
  { browser: 'chromium', link: 'websocket', direction: 'out', transport: 'udp', codec: 'PCMA' },
  { browser: 'firefox', link: 'polling', direction: 'in', transport: 'tcp', codec: 'PCMU' },
]) {
  const title = direction === 'out' ? `${browser} calls baresip` : `baresip calls ${browser}`;
  check(`${title} (${link}, ${transport}, ${codec}): speech and digits both ways`, async (test, use) => {
    const started = await once(browser, browsers[browser]);
    const reference = (await yardstick(started))[codec.toLowerCase()];
    const server = await theGateway();
    const net = await machine();
    const phone = await use(baresip(net, { user: PHONE, codec, transport }));
    const page = await use(Softphone.open(started, server, { transport: link }));
    if (direction === 'out') {
      await page.dial(PHONE);
    } else {
      await phone.dial(`sip:1001@${net.host}:${server.sipPort};transport=${transport}`);
      assert.match(await page.ringing(), new RegExp(PHONE));
      await page.click('answer');
    }
    await page.state('answered');
    await phone.event('CALL_ESTABLISHED');

    await assertHears(test, reference, { [browser]: () => page.record(), baresip: () => phone.record() });
    await page.type('147*');
    await until("the page's digits at baresip", 10_000, () => phone.digits().length >= 4);
    assert.equal(phone.digits(), '147*');
    await phone.sendDigits('258#');
    assert.equal(await page.hears('258#'), '258#');

    if (direction === 'out') await phone.hangup();
    else await page.click('hangup');
    const ended = await page.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', direction === 'out' ? 'remote' : 'local']);
    await phone.event('CALL_CLOSED');
  });
}
