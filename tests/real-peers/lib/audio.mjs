// The speech that goes through the calls, and the scores of what arrives.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { harness, python, root, target } from './paths.mjs';
import { run, temporaryFolder } from './process.mjs';
import { law, readWav, writeWav } from './wav.mjs';

const GAP_SECONDS = 1;
const UTTERANCE_SECONDS = 5;
/** Loops of speech and a gap: recording this long always has one whole utterance, and mostly two. */
export const RECORD_MS = 2 * (UTTERANCE_SECONDS + GAP_SECONDS) * 1000 + 500;

let made;

/**
 * The speech: `{ utterance, loop, loop8k }`, WAV files. `utterance` is what recordings are compared with; `loop` (48 kHz) and
 * `loop8k` have a gap behind it and are played over and over.
 */
export function speech() {
  made ??= make();
  return made;
}

async function make() {
  const shared = path.resolve(root, '../shared/testdata/audio/human16.48.wav');
  const human = existsSync(shared);
  if (!human && process.env.CI) throw new Error('no shared test data');
  const folder = path.join(target, 'real-peers-speech', human ? 'human' : 'espeak');
  mkdirSync(folder, { recursive: true });
  const files = { utterance: 'utterance.wav', loop: 'loop48k.wav', loop8k: 'loop8k.wav' };
  for (const name of Object.keys(files)) files[name] = path.join(folder, files[name]);
  if (existsSync(files.loop8k)) return files;

  const source = human ? shared : path.join(folder, 'espeak.wav');
  if (!human) {
    const text = 'The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. Rice is often served in round bowls.';
    await run('espeak-ng', ['-w', source, '-s', '150', text]);
  }
  const speechAt = (rate, file) =>
    run('sox', [source, '-b', '16', '-c', '1', file, 'silence', '1', '0.05', '1%', 'trim', '0', `${UTTERANCE_SECONDS}`, 'rate', `${rate}`, 'norm', '-6']);
  const gap = (from, to) => run('sox', [from, to, 'pad', '0', `${GAP_SECONDS}`]);
  await speechAt(48_000, files.utterance);
  await gap(files.utterance, files.loop);
  const low = path.join(folder, 'utterance8k.wav');
  await speechAt(8_000, low);
  await gap(low, files.loop8k);
  return files;
}

/** `{ pesq, worst, utterances, seconds, rms }` of a recording of the looped speech. */
export async function score(recording) {
  const { utterance } = await speech();
  return JSON.parse(await run(python, [path.join(harness, 'lib/score.py'), utterance, recording]));
}

/** The same recording after a trip through G.711: what a SIP leg does to it at best. */
export async function throughG711(recording, codec = 'PCMU') {
  const folder = temporaryFolder('g711');
  const low = path.join(folder, 'low.wav');
  await run('sox', ['-G', recording, '-r', '8000', '-c', '1', '-b', '16', low]);
  const { samples } = readWav(low);
  const { encode, decode } = law[codec];
  const file = path.join(folder, 'coded.wav');
  writeWav(file, Int16Array.from(samples, (sample) => decode(encode(sample))), 8000);
  return file;
}
