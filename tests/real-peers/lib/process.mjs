// Child processes that never outlive their test, and conditions that never wait for ever.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** With the places of servers, where not every user's shell looks. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

const alive = new Set();
const temporary = new Set();

function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal); // the whole process group: browsers have many processes
  } catch {
    // gone already
  }
}

// The last resort, when a test run ends without its clean-up: nothing stays behind.
process.on('exit', () => {
  for (const child of alive) killGroup(child, 'SIGKILL');
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

/** A folder that is removed when the process ends, unless KEEP_FILES is set. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(path.join(tmpdir(), `real-peers-${name}-`));
  if (!process.env.KEEP_FILES) temporary.add(folder);
  return folder;
}

export class ChildProcess {
  /** Starts `command`. `options`: cwd, env, stdin (boolean). Output is kept in `output`. */
  constructor(name, command, args, options = {}) {
    this.name = name;
    this.output = '';
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, PATH, ...options.env },
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: true,
    });
    alive.add(this.child);
    const keep = (bytes) => {
      this.output = (this.output + bytes).slice(-400_000);
      if (process.env.VERBOSE) process.stderr.write(`[${name}] ${bytes}`);
    };
    this.child.stdout.on('data', keep);
    this.child.stderr.on('data', keep);
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.output += `\n${error.message}`;
        resolve({ code: null, signal: null, error });
      });
      this.child.on('close', (code, signal) => resolve({ code, signal }));
    }).then((result) => {
      alive.delete(this.child);
      this.result = result;
      return result;
    });
  }

  /** Waits until the output has `pattern`, and returns the match. */
  async waitForOutput(pattern, timeoutMs = 10_000) {
    return until(`${this.name} to say ${pattern}`, timeoutMs, () => {
      const match = this.output.match(pattern);
      if (!match && this.result) throw new Error(`${this.name} ended (${describe(this.result)}):\n${this.tail()}`);
      return match;
    }).catch((error) => {
      throw new Error(`${error.message}\n${this.tail()}`);
    });
  }

  /** Waits for the end, and fails unless it ended with `code`. */
  async finish(timeoutMs = 30_000, code = 0) {
    const result = await withTimeout(`${this.name} to end`, timeoutMs, this.exited).catch((error) => {
      throw new Error(`${error.message}\n${this.tail()}`);
    });
    if (result.code !== code) throw new Error(`${this.name} ended with ${describe(result)}, not ${code}:\n${this.tail()}`);
    return this.output;
  }

  /** Asks it to end, then makes it. Safe to call twice. */
  async stop(signal = 'SIGTERM', graceMs = 3_000) {
    if (!this.result) {
      killGroup(this.child, signal);
      await withTimeout('end', graceMs, this.exited).catch(() => {});
    }
    killGroup(this.child, 'SIGKILL');
    await withTimeout(`${this.name} to die`, 5_000, this.exited);
  }

  tail(lines = 40) {
    return this.output.split('\n').slice(-lines).join('\n');
  }
}

function describe({ code, signal, error }) {
  return error ? error.message : signal ? `signal ${signal}` : `status ${code}`;
}

/** Runs a command to its end and returns its output; fails on any status but 0. */
export async function run(command, args, options = {}) {
  return new ChildProcess(path.basename(command), command, args, options).finish(options.timeoutMs ?? 30_000);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Rejects when `promise` takes longer. */
export async function withTimeout(what, timeoutMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Polls `condition` (may be async) until it returns something truthy, and returns that. */
export async function until(what, timeoutMs, condition, everyMs = 50) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(everyMs);
  }
}
