// What a test file shares: browsers and a gateway started once, and everything stopped at its end whatever happened.
import os from 'node:os';
import { after, test } from 'node:test';

/** Time for one test; each wait inside is shorter and says what it waited for. */
const TIMEOUT_MS = 180_000;

// Sound is real time: a compiler running beside the tests must not make the browsers stutter. Takes root, else nothing changes.
try {
  os.setPriority(-15);
} catch {
  // then at the usual priority
}

const cleanups = [];
const shared = new Map();

after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup().catch((error) => console.error(error));
  // A browser's last process may hold a pipe open; the test runner would wait for it for ever.
  setTimeout(() => process.exit(), 3_000).unref();
});

/** Starts something once per file and stops it at the end: `once('gateway', () => gateway())`. */
export function once(name, start) {
  if (!shared.has(name)) {
    shared.set(
      name,
      start().then((thing) => {
        cleanups.push(() => (thing.stop ?? thing.close ?? thing.remove).call(thing));
        return thing;
      }),
    );
  }
  return shared.get(name);
}

/** A test whose helpers are stopped when it ends: `check('name', async (test, use) => { const phone = await use(sipp(...)) })`. */
export function check(name, body) {
  test(name, { timeout: TIMEOUT_MS }, async (context) => {
    const used = [];
    const use = async (promise) => {
      const thing = await promise;
      used.push(thing);
      return thing;
    };
    try {
      await body(context, use);
    } finally {
      for (const thing of used.reverse()) await (thing.stop ?? thing.close ?? thing.remove).call(thing);
    }
  });
}
