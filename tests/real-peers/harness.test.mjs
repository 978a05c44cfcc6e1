// The harness itself: what the other tests rely on, without a gateway.
import assert from 'node:assert/strict';
import path from 'node:path';

import { speech } from './lib/audio.mjs';
import { baresip } from './lib/baresip.mjs';
import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { kamailio } from './lib/kamailio.mjs';
import { namespace } from './lib/netns.mjs';
import { harness, python } from './lib/paths.mjs';
import { freePort, freePorts } from './lib/ports.mjs';
import { run, until } from './lib/process.mjs';
import { RtpEndpoint } from './lib/rtp.mjs';
import { answering, calling, registering, sipp } from './lib/sipp.mjs';
import { check, once } from './lib/suite.mjs';
import { law } from './lib/wav.mjs';

/** PESQ of speech that went through G.711 and nothing else. */
const UNHARMED = 4.5;

check('the speech score tells good from bad', async () => {
  const { utterance } = await speech();
  await run(python, [path.join(harness, 'lib/score.py'), '--self-test', utterance]);
});

check('G.711 comes back within its step', () => {
  for (const { encode, decode, silence } of Object.values(law)) {
    for (let sample = -32_000; sample <= 32_000; sample += 7) {
      const error = Math.abs(decode(encode(sample)) - sample);
      assert.ok(error <= Math.max(16, Math.abs(sample) / 16), `${sample} is off by ${error}`);
    }
    assert.ok(Math.abs(decode(silence)) <= 8);
  }
});

check('a direct call between the browsers is the yardstick', async (test) => {
  const [one, other] = await Promise.all([once('chromium', chromium), once('firefox', firefox)]);
  test.diagnostic(`Chromium to Firefox: ${JSON.stringify(await yardstick(one, other))}`);
  test.diagnostic(`Firefox to Chromium: ${JSON.stringify(await yardstick(other, one))}`);
});

for (const transport of ['udp', 'tcp']) {
  for (const [caller, callee] of [
    [{ end: 'bye' }, { end: 'await-bye' }],
    [{ end: 'await-bye' }, { end: 'bye' }],
    [{ end: 'cancel' }, { end: 'ring' }],
    [{ end: 486 }, { end: '486 Busy Here' }],
  ]) {
    check(`SIPp calls SIPp over ${transport}: ${caller.end}, ${callee.end}`, async (_, use) => {
      const called = await use(sipp(answering(callee), { transport, timeoutMs: 10_000 }));
      const calls = await use(sipp(calling(caller), { remote: `127.0.0.1:${called.port}`, transport, timeoutMs: 10_000 }));
      await Promise.all([called.finish(), calls.finish()]);
    });
  }
}

check('baresip and SIPp hear each other, speech and digits', async (test, use) => {
  const net = await use(namespace());
  const phone = await use(baresip(net));
  const port = await freePorts(2);
  const media = await use(RtpEndpoint.open(port, { host: net.host }));
  const keys = { rtp_port: port, number: 'baresip' };
  const caller = await use(sipp(calling({ end: 'await-bye' }), { remote: phone.address, host: net.host, keys }));
  await phone.event('CALL_ESTABLISHED');
  await media.waitForAudio();
  await assertHears(test, UNHARMED, { SIPp: () => media.record(), baresip: () => phone.record() });
  await phone.sendDigits('42*');
  media.sendDigits('73#');
  assert.equal(await media.waitForDigits('42*'), '42*');
  await until("SIPp's digits at baresip", 10_000, () => phone.digits().length >= 3);
  assert.equal(phone.digits(), '73#');
  await phone.hangup();
  await caller.finish();
  await phone.event('CALL_CLOSED');
});

for (const transport of ['udp', 'tcp']) {
  check(`Kamailio takes the right password over ${transport} and puts calls through`, async (_, use) => {
    const proxy = await use(kamailio({ 1001: 'one', 3001: 'three' }));
    const called = await use(sipp(answering(), { port: await freePort(), transport, timeoutMs: 10_000 }));
    const register = (password) =>
      use(
        sipp(registering(), {
          remote: proxy.address,
          transport,
          timeoutMs: 5_000,
          keys: { domain: proxy.domain, own_number: 3001, password, contact: called.contact },
        }),
      );
    await (await register('three')).finish();
    await assert.rejects((await register('wrong')).finish());
    const keys = { domain: proxy.domain, own_number: 1001, password: 'one', number: 3001 };
    const caller = await use(sipp(calling({ end: 'bye', authenticate: true }), { remote: proxy.address, transport, timeoutMs: 10_000, keys }));
    await Promise.all([called.finish(), caller.finish()]);
  });
}
