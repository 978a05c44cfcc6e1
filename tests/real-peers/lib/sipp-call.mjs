// A call from a page to a SIP phone with speech both ways, its going on, and its end.
import assert from 'node:assert/strict';

import { freePorts } from './ports.mjs';
import { RtpEndpoint } from './rtp.mjs';
import { answering, sipp } from './sipp.mjs';

/** Calls SIPp and waits until it hears the page: `{ page, phone, media }`. */
export async function callToSipp(use, page) {
  const rtp = await freePorts(2);
  const media = await use(RtpEndpoint.open(rtp));
  const phone = await use(sipp(answering(), { keys: { rtp_port: rtp } }));
  await page.dial(phone.uri());
  await page.state('answered');
  await media.waitForAudio();
  return { page, phone, media };
}

/** Waits until both sides hear more of each other. */
export async function goesOn({ page, media }) {
  const [since, before] = [Date.now(), await page.page.statistics()];
  await page.wait('both sides to hear each other', 15_000, async () => {
    const { received } = await page.page.statistics();
    return media.sounds(since).length > 30 && received > before.received + 60;
  });
}

export async function hangUp({ page, phone }) {
  await page.click('hangup');
  assert.equal((await page.ended()).reason, 'hangup');
  await phone.finish(10_000);
}
