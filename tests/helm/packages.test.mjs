// What Debian's packages are made of is there.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { python, root } from './lib/paths.mjs';
import { run } from './lib/process.mjs';

const READ_TOML = 'import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)';

for (const which of ['gateway', 'turn']) {
  test(`every file of the package webrtc-sip-${which} is there`, async () => {
    const crate = path.join(root, `${which}-bin`);
    const { stdout, stderr, status } = await run(python, ['-c', READ_TOML], { input: readFileSync(path.join(crate, 'Cargo.toml'), 'utf8') });
    assert.equal(status, 0, stderr);
    const { name, assets, 'license-file': [license], 'conf-files': settings, 'maintainer-scripts': scripts, 'systemd-units': { 'unit-scripts': units } } = JSON.parse(stdout).package.metadata.deb;
    const shipped = assets.map(([file]) => file).filter((file) => file !== `target/release/${name}`);
    assert.equal(shipped.length, assets.length - 1, 'the program is one of them');
    const named = [...shipped, license, `${scripts}${name}.postinst`, `${units}${name}.service`];
    assert.deepEqual(named.filter((file) => !existsSync(path.join(crate, file))), []);
    const installed = assets.map(([file, folder]) => `/${folder}${path.basename(file)}`);
    assert.deepEqual(settings.filter((file) => !installed.includes(file)), []);
  });
}
