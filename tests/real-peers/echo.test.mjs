// Browsers and the gateway's own test numbers: no SIP phone but the built-in one.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { sleep } from './lib/process.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };

for (const browser of ['chromium', 'firefox']) {
  for (const transport of ['websocket', 'polling']) {
    check(`${browser} over ${transport} hears itself at echo`, async (test, use) => {
      const started = await once(browser, browsers[browser]);
      const reference = await yardstick(started);
      const phone = await use(Softphone.open(started, await once('gateway', gateway), { transport }));
      assert.equal(await phone.transport(), transport);
      await phone.dial('echo');
      await phone.state('answered');
      await assertHears(test, reference.echo, { [browser]: () => phone.record() });
      assert.match((await phone.page.statistics()).codec, /opus/i);
      await phone.click('hangup');
      const end = await phone.ended();
      assert.equal(end.reason, 'hangup');
      assert.equal(end.by, 'local');
    });
  }
}

for (const browser of ['chromium', 'firefox']) {
  check(`${browser}: ICE restarts in quick succession leave nobody silent`, async (_, use) => {
    const phone = await use(Softphone.open(await once(browser, browsers[browser]), await once('gateway', gateway)));
    await phone.dial('echo');
    await phone.state('answered');
    await phone.page.evaluate(async () => {
      window.__probe.watch();
      for (let restart = 0; restart < 3; restart += 1) await window.softphone.calls[0].restartIce();
    });
    await sleep(1_000); // the old path may carry a little more
    const before = await phone.page.statistics();
    await sleep(2_000);
    const after = await phone.page.statistics();
    assert.ok(after.received > before.received + 80, JSON.stringify({ before, after }));
    const watched = await phone.page.evaluate(() => window.__probe.watched());
    assert.notEqual(watched.after.ufrag, watched.before.ufrag);
    assert.ok(watched.sameConnection && watched.sameDtls, JSON.stringify(watched));
  });
}

check('a wrong password is refused in words', async (_, use) => {
  const phone = await use(Softphone.open(await once('chromium', chromium), await once('gateway', gateway), { user: null }));
  await phone.fill('user', '1001');
  await phone.fill('password', 'wrong');
  await phone.click('sign-in-button');
  const words = await phone.wait('an error', 10_000, () => phone.text('sign-in-error'));
  assert.match(words, /password/i);
});

check('busy is busy', async (_, use) => {
  const phone = await use(Softphone.open(await once('chromium', chromium), await once('gateway', gateway)));
  await phone.dial('busy');
  const end = await phone.ended();
  assert.equal(end.reason, 'busy');
  assert.equal(end.sipStatus, 486);
});

check('nobody rings until the caller gives up', async (_, use) => {
  const phone = await use(Softphone.open(await once('firefox', firefox), await once('gateway', gateway), { transport: 'polling' }));
  await phone.dial('nobody');
  await phone.state('ringing');
  await sleep(500);
  await phone.click('hangup');
  assert.equal((await phone.ended()).reason, 'cancelled');
});

check('a number that nothing takes has no route', async (_, use) => {
  const phone = await use(Softphone.open(await once('chromium', chromium), await once('gateway', gateway)));
  await phone.dial('5551234');
  const end = await phone.ended();
  assert.ok(['unroutable', 'not_found'].includes(end.reason), JSON.stringify(end));
});
