import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { duration, endText, errorText, qualityText, registrationText } from '../src/page/words';
import { GatewayError, type Call, type CallEnd } from '../src/sdk';
import { Microphone } from '../src/sdk/media';
import { QualityMeter } from '../src/sdk/quality';

test('durations read like a clock', () => {
  assert.deepEqual([0, 999, 65_000, 3_605_000].map(duration), ['0:00', '0:00', '1:05', '1:00:05']);
});

test('loss is what was lost since the last look', () => {
  const meter = new QualityMeter();
  const report = (packetsReceived: number, packetsLost: number) =>
    new Map<string, unknown>([
      ['in', { id: 'in', type: 'inbound-rtp', kind: 'audio', packetsReceived, packetsLost, jitter: 0.004, codecId: 'c' }],
      ['out', { id: 'out', type: 'outbound-rtp', kind: 'audio', packetsSent: 7 }],
      ['pair', { id: 'pair', type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.03 }],
      ['c', { id: 'c', type: 'codec', mimeType: 'audio/opus' }],
    ]);
  assert.equal(meter.update(report(90, 10)).lossPercent, 10);
  const next = meter.update(report(189, 11));
  assert.deepEqual(
    [next.lossPercent, next.jitterMs, next.roundTripMs, next.codec, next.packetsSent],
    [1, 4, 30, 'opus', 7],
  );
  assert.equal(meter.update(report(189, 11)).lossPercent, undefined);
});

test('the quality line takes the worse of both directions and names both codecs', () => {
  const measured = { roundTripMs: 31.6, lossPercent: 0, jitterMs: 2, codec: 'opus', packetsSent: 1, packetsReceived: 1, packetsLost: 0 };
  const stats = { lossPercent: 2, jitterMs: 1, codec: 'opus', farCodec: 'PCMA', transcoding: true };
  assert.deepEqual(qualityText(measured, stats), {
    grade: 'fair',
    text: 'Fair: 32 ms round trip, 2.0 % loss, 2 ms jitter, opus \u2194 PCMA',
  });
  assert.deepEqual(qualityText(undefined, undefined), { grade: 'unknown', text: '' });
});

const GENERIC = errorText(new GatewayError(-32000, 'failure', ''));

/** The stable words in a part of the protocol's document. */
function documented(from: string, to: string): string[] {
  const text = readFileSync('../docs/signaling.md', 'utf8');
  const part = text.slice(text.indexOf(from), text.indexOf(to, text.indexOf(from)));
  return [...part.matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? '');
}

test('every documented error has a text of its own for people', () => {
  const rows = documented('| reason | when |', 'A call that fails');
  // Candidates fail unseen; that there is no way to a number is said of the call.
  const elsewhere = ['bad_candidate', 'unroutable'];
  const reasons = rows.filter((reason) => (reason.includes('_') && !elsewhere.includes(reason)) || reason === 'unavailable');
  assert.ok(reasons.length >= 17, `${reasons.length}`);
  for (const reason of reasons) {
    const text = errorText(new GatewayError(-32000, reason, ''));
    assert.ok(text.length > 15 && text.endsWith('.'), `${reason}: ${text}`);
    assert.notEqual(text, GENERIC, reason);
  }
});

test('a call that the gateway refuses ends in words of the page', () => {
  const call = { parties: {}, remoteParty: '1002', direction: 'outgoing' } as unknown as Call;
  const told = (reason: string) => endText(call, { reason, text: 'Words of the gateway.', by: 'gateway' });
  for (const reason of ['bad_number', 'unsupported_scheme', 'no_common_codec', 'not_signed_in', 'too_many', 'unavailable']) {
    assert.deepEqual(told(reason), { text: errorText(new GatewayError(-32000, reason, '')), bad: true }, reason);
  }
  assert.equal(told('unroutable').text, '1002 cannot be reached: not signed in, or no such number.');
  // What has the name of an error of the link says something else of a call.
  for (const reason of ['unreachable', 'failure']) assert.equal(told(reason).text, 'Words of the gateway.', reason);
});

test('every documented end of a call is told', () => {
  const reasons = documented('`call.ended` reasons:', '## An example');
  assert.ok(reasons.length >= 16, `${reasons.length}`);
  const call = { parties: {}, remoteParty: '1002', direction: 'outgoing' } as unknown as Call;
  for (const reason of reasons.filter((reason) => reason !== 'call')) {
    for (const by of ['local', 'remote', 'gateway'] as const) {
      const end: CallEnd = { reason, text: `The gateway's words for ${reason}.`, by };
      const { text } = endText(call, end);
      assert.ok(text.length > 10 && text.endsWith('.'), `${reason}: ${text}`);
    }
  }
  assert.equal(registrationText('registration_restored', 'x'), '');
  assert.ok(registrationText('registration_failed', '').endsWith('.'));
});

test('every way in which a browser refuses the microphone has a text', async () => {
  const names = ['NotAllowedError', 'SecurityError', 'NotFoundError', 'OverconstrainedError', 'NotReadableError', 'AbortError'];
  const texts = await Promise.all(
    [...names, 'TypeError', 'InvalidStateError'].map(async (name) => {
      const microphone = new Microphone({}, () => Promise.reject(Object.assign(new Error('internal words'), { name })));
      return errorText(await microphone.acquire().catch((error: unknown) => error));
    }),
  );
  for (const text of texts) assert.ok(text.length > 15 && text !== GENERIC && !text.includes('internal'), text);
  assert.equal(new Set(texts).size, 4);
});
