// Bundles test/*.test.ts and runs them with Node's own test runner.
import { spawn } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = 'node_modules/.cache/test';
const names = (await readdir(`${root}/test`)).filter((name) => name.endsWith('.test.ts')).sort();
await rm(`${root}/${out}`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: ['node18'],
  sourcemap: 'inline',
  entryPoints: names.map((name) => `test/${name}`),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  logLevel: 'warning',
});
const files = names.map((name) => `${out}/${name.replace(/\.ts$/, '.mjs')}`);
const run = spawn(process.execPath, ['--enable-source-maps', '--test', ...files], { cwd: root, stdio: 'inherit' });
run.on('exit', (code) => process.exit(code ?? 1));
