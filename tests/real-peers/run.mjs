// Runs the test files one after the other, each in a process of its own: `node run.mjs [PART OF A FILE NAME]...`
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FILE_TIMEOUT_MS = 8 * 60_000;
const folder = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.test.mjs') && (wanted.length === 0 || wanted.some((part) => name.includes(part))));
if (files.length === 0) {
  console.error(`no test file is called like ${wanted.join(', ')}`);
  process.exit(1);
}

const runFolder = mkdtempSync(path.join(tmpdir(), 'real-peers-run-'));
process.on('exit', () => rmSync(runFolder, { recursive: true, force: true }));

// Whoever stops us stops the test file too, which then stops what it started.
let running;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    running?.kill('SIGTERM');
    process.exit(130);
  });
}

const total = { pass: 0, fail: 0, cancelled: 0 };
for (const file of files.sort()) {
  console.log(`\n${file}`);
  const { output, status } = await runFile(path.join(folder, file));
  const counts = { pass: 0, fail: 0, cancelled: 0 };
  for (const [, name, number] of output.matchAll(/^\S+ (pass|fail|cancelled) (\d+)$/gm)) counts[name] += Number(number);
  if (status !== 0 && counts.fail + counts.cancelled === 0) counts.fail = 1;
  for (const name of Object.keys(total)) total[name] += counts[name];
}
console.log('');
for (const [name, number] of Object.entries(total)) console.log(`# ${name} ${number}`);
process.exit(total.fail + total.cancelled === 0 ? 0 : 1);

/** Its lines go to the screen as they come, but not its counts: ours stand at the end. */
function runFile(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--test', '--test-reporter=spec', file], {
      env: { ...process.env, RUN_FOLDER: runFolder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const timer = setTimeout(() => {
      console.log(`${file} takes longer than ${FILE_TIMEOUT_MS} ms`);
      child.kill('SIGTERM');
    }, FILE_TIMEOUT_MS);
    running = child;
    let output = '';
    let shown = 0;
    child.stdout.on('data', (bytes) => {
      output += bytes;
      const whole = output.lastIndexOf('\n') + 1;
      const lines = output.slice(shown, whole).split('\n');
      process.stdout.write(lines.filter((line) => !/^\S+ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(line)).join('\n'));
      shown = whole;
    });
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ output, status });
    });
  });
}
