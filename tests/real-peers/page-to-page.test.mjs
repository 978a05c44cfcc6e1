// Two pages call each other through the gateway.
import assert from 'node:assert/strict';

import { chromium } from './lib/chromium.mjs';
import { assertHears, yardstick } from './lib/expect.mjs';
import { firefox } from './lib/firefox.mjs';
import { gateway } from './lib/gateway.mjs';
import { Softphone } from './lib/softphone.mjs';
import { check, once } from './lib/suite.mjs';

const browsers = { chromium, firefox };

for (const { from, to, links, hangsUp } of [
  { from: 'chromium', to: 'firefox', links: ['websocket', 'polling'], hangsUp: 'caller' },
  { from: 'firefox', to: 'chromium', links: ['websocket', 'polling'], hangsUp: 'callee' },
]) {
  check(`${from} (${links[0]}) calls ${to} (${links[1]}): speech both ways, the ${hangsUp} hangs up`, async (test, use) => {
    const [one, other] = [await once(from, browsers[from]), await once(to, browsers[to])];
    const references = [(await yardstick(one, other)).opus, (await yardstick(other, one)).opus];
    const server = await once('gateway', gateway);
    const caller = await use(Softphone.open(one, server, { user: '1001', transport: links[0] }));
    const callee = await use(Softphone.open(other, server, { user: '1002', transport: links[1] }));
    await caller.dial('1002');
    assert.match(await callee.ringing(), /1001/);
    await caller.state('ringing');
    await callee.click('answer');
    await Promise.all([caller.state('answered'), callee.state('answered')]);
    // One yardstick for both directions: the lower one.
    await assertHears(test, Math.min(...references), { [from]: () => caller.record(), [to]: () => callee.record() });

    const [hanging, waiting] = hangsUp === 'caller' ? [caller, callee] : [callee, caller];
    await hanging.click('hangup');
    assert.equal((await hanging.ended()).by, 'local');
    const ended = await waiting.ended();
    assert.deepEqual([ended.reason, ended.by], ['hangup', 'remote']);
  });
}

check('a user who is not signed in cannot be called', async (_, use) => {
  const caller = await use(Softphone.open(await once('chromium', chromium), await once('gateway', gateway)));
  await caller.dial('1002');
  const ended = await caller.ended();
  assert.ok(['no_answer', 'not_found', 'unroutable', 'unreachable'].includes(ended.reason), JSON.stringify(ended));
});
