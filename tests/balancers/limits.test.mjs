// Whether the samples for nginx allow the open files that their connections take.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { root } from '../real-peers/lib/paths.mjs';

/** Listening sockets, logs and the like. */
const OTHER_FILES = 100;

for (const sample of ['nginx.conf', 'blue-green/nginx.conf']) {
  test(`${sample}: each worker may open a file for each connection, and all processors work`, () => {
    const text = readFileSync(path.join(root, 'deploy/balancers', sample), 'utf8');
    const setting = (name) => text.match(new RegExp(`^ *${name} (\\w+);`, 'm'))?.[1];
    assert.ok(Number(setting('worker_rlimit_nofile')) >= Number(setting('worker_connections')) + OTHER_FILES);
    assert.equal(setting('worker_processes'), 'auto');
  });
}
