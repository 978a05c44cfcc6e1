// Writes dist/: the softphone page (index.html, app.css, app.js) and the SDK as an ES module (sdk.js).
import { cp, mkdir, rm, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  target: ['es2021'],
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  logLevel: 'warning',
};

await rm(`${root}/dist`, { recursive: true, force: true });
await mkdir(`${root}/dist`, { recursive: true });
await Promise.all([
  build({ ...common, entryPoints: { app: 'src/page/main.ts', sdk: 'src/sdk/index.ts' }, outdir: 'dist' }),
  build({ ...common, entryPoints: ['src/page/app.css'], outdir: 'dist' }),
  ...['index.html', 'icon.svg'].map((file) => cp(`${root}/src/page/${file}`, `${root}/dist/${file}`)),
]);
for (const file of ['index.html', 'icon.svg', 'app.css', 'app.js', 'sdk.js']) {
  const { size } = await stat(`${root}/dist/${file}`);
  console.log(`dist/${file}  ${(size / 1024).toFixed(1)} KiB`);
}
