// The ways to install without Kubernetes: what Debian's packages are made of is there, and the programs take what compose.yaml
// starts them with.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import YAML from 'yaml';

import { program, python, root } from './lib/paths.mjs';
import { run } from './lib/process.mjs';

const COMPONENTS = { gateway: process.env.GATEWAY, turn: process.env.TURN };
const READ_TOML = 'import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)';

for (const which of Object.keys(COMPONENTS)) {
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

  test(`the container of compose.yaml starts webrtc-sip-${which} as it wants it`, async () => {
    const { services } = YAML.parse(readFileSync(path.join(root, 'deploy/compose/compose.yaml'), 'utf8'), { merge: true });
    const { image, command, volumes: [mount], healthcheck, user, read_only: readOnly } = services[which];
    assert.ok(image.includes(`/webrtc-sip-${which}:`), image);
    assert.deepEqual([user, readOnly], ['500:500', true]);
    const [file, mounted] = mount.split(':');
    assert.equal(file, `./${which}.toml`);
    assert.ok(command.includes(mounted), 'the file that it reads is there');
    const here = (words) => words.map((word) => (word === mounted ? path.join(root, `deploy/systemd/${which}.toml`) : word));
    const ask = (words) => run(program(`webrtc-sip-${which}`, COMPONENTS[which]), words, { env: { WST_AUTH__SECRETS: 'checking' } });
    const checked = await ask([...here(command), '--check-config']);
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    const [kind, binary, ...words] = healthcheck.test;
    assert.deepEqual([kind, binary], ['CMD', `webrtc-sip-${which}`]);
    // Whether one runs here or not: words that it doesn't know have the status 2.
    const health = await ask(here(words));
    assert.ok([0, 1].includes(health.status), health.stderr);
  });
}
