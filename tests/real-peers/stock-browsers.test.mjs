// Browsers as everybody has them: no loopback candidates, host addresses hidden behind mDNS names.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };

for (const browser of ['chromium', 'firefox']) {
  check(`stock ${browser} calls echo`, async (test, use) => {
    // Two stock browsers on one machine have no path to each other: the yardstick is measured by one that has.
    const measuring = await browsers[browser]();
    const reference = await yardstick(measuring).finally(() => measuring.close());
    const stock = await once(browser, () => browsers[browser]({ stock: true }));
    const phone = await use(Softphone.open(stock, await once('gateway', gateway)));
    await phone.dial('echo');
    await phone.state('answered');
    await assertHears(test, reference.echo, { [browser]: () => phone.record() });
    await phone.click('hangup');
    assert.equal((await phone.ended()).reason, 'hangup');
  });
}
