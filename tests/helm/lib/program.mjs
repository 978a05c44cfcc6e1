// Our programs, started as a rendered Deployment says, on this machine's addresses and free ports.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { container } from './objects.mjs';
import { program } from './paths.mjs';
import { run, temporaryFolder } from './process.mjs';

export const GATEWAY = { name: 'webrtc-sip-gateway', named: process.env.GATEWAY };
export const TURN = { name: 'webrtc-sip-turn', named: process.env.TURN };

const FIELDS = { 'metadata.name': 'webrtc-pod-1', 'status.podIP': '127.0.0.1', 'status.hostIP': '192.0.2.10' };
/** What every Secret holds. */
export const SECRET = 'what both programs know';
const START_TIMEOUT_MS = 10_000;
// No balancer has to notice its end.
const END_AT_ONCE = { WSG_SHUTDOWN__UNREADY_SECONDS: '0', WST_SHUTDOWN__UNREADY_SECONDS: '0' };

/** Command, arguments and environment of a Deployment's container; `volumes` are files by the volumes that it has mounted, and `folders` where they are. */
export function command({ name, named }, deployment, volumes) {
  const { args, env = [], volumeMounts } = container(deployment);
  const mounts = volumeMounts.filter((mount) => volumes[mount.name]);
  const folders = Object.fromEntries(mounts.map((mount) => [mount.name, written(volumes[mount.name])]));
  const here = (text) => mounts.reduce((told, mount) => told.replace(mount.mountPath, folders[mount.name]), text);
  const variables = {};
  for (const { name: variable, value, valueFrom } of env) {
    const given = value ?? FIELDS[valueFrom.fieldRef?.fieldPath] ?? (valueFrom.secretKeyRef && SECRET);
    variables[variable] = here(given.replace(/\$\((\w+)\)/g, (all, other) => variables[other] ?? all));
  }
  return { binary: program(name, named), args: args.map(here), env: variables, folders };
}

/** A folder with these files. */
function written(files) {
  const folder = temporaryFolder();
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  return folder;
}

/** What the program says of its configuration: `option` is --check-config or --print-config. */
export function ask({ binary, args, env }, option) {
  return run(binary, [...args, option], { env });
}

/** Starts it and waits until `url` answers 200; `stop` ends it. */
export async function start({ binary, args, env }, url) {
  const child = spawn(binary, args, { env: { ...process.env, ...env, ...END_AT_ONCE }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    process.removeListener('exit', kill);
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await fetch(url).then(({ status }) => status === 200, () => false))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      kill();
      throw new Error(`${binary} isn't ready: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { stop, said: () => said };
}
