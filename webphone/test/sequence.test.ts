import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Sequence } from '../src/sdk/sequence';

test('a missing notification is a gap once; the step of a take-over is none', () => {
  const sequence = new Sequence();
  const verdicts = (...numbers: number[]) => numbers.map((seq) => sequence.accept(seq));
  assert.deepEqual(verdicts(1, 2, 2), ['deliver', 'deliver', 'duplicate']);
  assert.deepEqual(verdicts(4, 4), ['gap', 'deliver']);
  // Written down after number 2, so that the new gateway goes on a little less than 2^20 above what was seen.
  assert.deepEqual(verdicts(2 ** 20 + 3, 5, 2 ** 20 + 4), ['deliver', 'duplicate', 'deliver']);
});
