// What a recording has to sound like: nearly as good as the same speech after the same codecs without a gateway.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { score, speech, throughG711 } from './audio.mjs';
import { directCall, emptyPage } from './direct.mjs';
import { sleep } from './process.mjs';

const ALLOWED = 0.3; // PESQ below the yardstick
const CALM_IDLE = 0.4;
const CALM_WAIT_MS = 15_000;
const GOOD = 3.8; // what a direct call scores at least on a machine that keeps up
const RUN = process.env.RUN_FOLDER; // set by run.mjs: measured once in a run, not once in a file

/**
 * The yardstick: PESQ of a direct call between two browsers, `opus`; with a pass through G.711 behind it, `pcmu` and
 * `pcma`; and of two passes through Opus with G.711 between them, `echo`.
 */
export async function yardstick(browser, other = browser) {
  const file = RUN && path.join(RUN, `yardstick-${browser.name}-${other.name}.json`);
  if (file && existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  let measured;
  for (let attempt = 1; attempt <= 3 && !(measured?.opus > GOOD); attempt += 1) {
    if (attempt > 1) await calm();
    measured = await measure(browser, other);
  }
  assert.ok(measured.opus > GOOD, `a direct call sounds bad, is the machine busy? ${JSON.stringify(measured)}`);
  if (file) {
    mkdirSync(RUN, { recursive: true });
    writeFileSync(file, JSON.stringify(measured));
  }
  return measured;
}

async function measure(browser, other) {
  const empty = await emptyPage();
  let recording;
  try {
    const [caller, callee] = [await browser.open(empty.url), await other.open(empty.url)];
    await directCall(caller, callee);
    recording = await callee.record();
    await caller.close();
    await callee.close();
  } finally {
    empty.close();
  }
  const [opus, pcmu, pcma, clean] = await Promise.all([
    score(recording),
    throughG711(recording, 'PCMU').then(score),
    throughG711(recording, 'PCMA').then(score),
    speech().then(({ loop }) => score(loop)),
  ]);
  // What one pass through Opus costs, the second one costs again.
  return { opus: opus.pesq, pcmu: pcmu.pesq, pcma: pcma.pesq, echo: pcmu.pesq - (clean.pesq - opus.pesq) };
}

/**
 * Fails unless everybody hears the speech at most 0.3 below `reference`. `listeners`: by name, what records for a while and
 * gives a file, all at the same time. A machine that is busy for a moment makes anything stutter, so whoever heard it badly
 * listens again once it is calm, up to four times in all; what is bad by itself stays bad.
 */
export async function assertHears(test, reference, listeners) {
  const heard = {};
  const bad = () => Object.keys(listeners).filter((name) => !(heard[name]?.pesq >= reference - ALLOWED));
  for (let attempt = 1; attempt <= 4 && bad().length > 0; attempt += 1) {
    if (attempt > 1) await calm();
    await Promise.all(
      bad().map(async (name) => {
        heard[name] = await score(await listeners[name]());
        test.diagnostic(`${name}: PESQ ${heard[name].pesq} (worst ${heard[name].worst}, reference ${reference.toFixed(2)})`);
      }),
    );
  }
  assert.deepEqual(bad(), [], `PESQ below ${reference.toFixed(2)} - ${ALLOWED}: ${JSON.stringify(heard)}`);
}

/** Waits for a second in which the processors had nothing to do for a part of it, but not for long. */
async function calm() {
  const cpuTimes = () => {
    const times = os.cpus().map((cpu) => cpu.times);
    return { idle: times.reduce((sum, { idle }) => sum + idle, 0), all: times.reduce((sum, each) => sum + Object.values(each).reduce((a, b) => a + b), 0) };
  };
  const end = Date.now() + CALM_WAIT_MS;
  for (let before = cpuTimes(); Date.now() < end; ) {
    await sleep(1_000);
    const now = cpuTimes();
    if ((now.idle - before.idle) / (now.all - before.all) > CALM_IDLE) return;
    before = now;
  }
}
