import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, qualityText } from '../src/page/words';
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
