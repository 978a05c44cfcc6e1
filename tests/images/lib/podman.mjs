// Images in a storage of their own, and programs in containers that look like programs.
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { root, target } from '../../real-peers/lib/paths.mjs';
import { ChildProcess, run, temporaryFolder } from '../../real-peers/lib/process.mjs';

const storage = temporaryFolder('images');
writeFileSync(
  path.join(storage, 'storage.conf'),
  `[storage]\ndriver = "vfs"\ngraphroot = "${storage}/graph"\nrunroot = "${storage}/run"\n`,
);
process.env.CONTAINERS_STORAGE_CONF = path.join(storage, 'storage.conf');

export const PODMAN = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs'];
export const VERSION = 'test';
/** Of no user, as OpenShift gives them. */
const USER = '1000670000:0';
/** What a container gets where its limits can't be raised. */
export const ULIMITS = { nofile: 1024, nproc: 1024 };
export const LIMITS = {
  WSG_LIMITS__CALLS: 50,
  WSG_HTTP__MAX_CONNECTIONS: 100,
  WSG_SIP__MAX_TCP_CONNECTIONS: 50,
  WST_LIMITS__RELAY_SOCKETS: 100,
  WST_LIMITS__CONNECTIONS: 100,
  WSG_SHUTDOWN__UNREADY_SECONDS: 0,
  WST_SHUTDOWN__UNREADY_SECONDS: 0,
};

export const imageOf = (which) => `localhost/webrtc-sip-${which}:${VERSION}`;
export const podman = (...args) => run('podman', [...PODMAN, ...args], { timeoutMs: 60_000 });

/** Builds both; what the script prints. */
export function build() {
  const env = { PROGRAMS: path.join(target, 'checked'), VERSION };
  return run(path.join(root, 'scripts/images.sh'), [], { env, timeoutMs: 180_000 });
}

/** The image's id and size in octets. */
export async function inspect(which) {
  const [image] = JSON.parse(await podman('image', 'inspect', imageOf(which)));
  return { id: image.Id, size: image.Size };
}

/**
 * A file that runs `webrtc-sip-WHICH` in a container called `name`, with whatever arguments; a settings' file is handed in. `options`:
 * further ones of `podman run`.
 */
export function containerProgram(which, name, options = []) {
  const file = path.join(storage, name);
  const inside = `/etc/webrtc-sip-${which}.toml`;
  const settings = Object.entries(LIMITS).map(([key, value]) => `--env ${key}=${value}`);
  const ulimits = Object.entries(ULIMITS).map(([key, value]) => `--ulimit ${key}=${value}:${value}`);
  writeFileSync(
    file,
    `#!/bin/sh
if [ "$1" = --config ]; then
  volume="--volume $2:${inside}:ro"
  shift 2
  set -- --config ${inside} "$@"
fi
exec podman ${PODMAN.join(' ')} run --rm --name ${name} --network host --read-only --cap-drop all --security-opt no-new-privileges \\
  --user ${USER} ${ulimits.join(' ')} ${settings.join(' ')} --env WSG_LOG__LEVEL --env WST_HTTP__LISTEN ${options.join(' ')} $volume ${imageOf(which)} "$@"
`,
  );
  chmodSync(file, 0o755);
  return file;
}

/** Ends a container as Kubernetes does: a signal, then time. */
export function stop(name, seconds) {
  return new ChildProcess('podman stop', 'podman', [...PODMAN, 'stop', '--time', String(seconds), name]);
}

/** Runs a program of ours in a running container; `{ code, signal }`. */
export function exec(name, ...command) {
  return new ChildProcess('podman exec', 'podman', [...PODMAN, 'exec', name, ...command]).exited;
}

/** Removes containers that a test left. */
export const removeAll = () => podman('rm', '--all', '--force', '--time', '0');
