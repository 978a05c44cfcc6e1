// Docker's Compose with our compose.yaml, on an engine that answers as Docker's does: podman's service.
import { chownSync, copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { localPorts } from '../../real-peers/lib/ports.mjs';
import { root } from '../../real-peers/lib/paths.mjs';
import { ChildProcess, run, temporaryFolder, until } from '../../real-peers/lib/process.mjs';
import { LIMITS, PODMAN, ULIMITS, VERSION } from './podman.mjs';

/** The group that compose.yaml lets read the settings. */
const GROUP = 500;
export const SERVICES = ['gateway', 'turn'];
const TIME_MS = 30_000;

const mapValues = (object, change) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
// The limits of this machine, which can't always be raised.
const ours = { environment: mapValues(LIMITS, String), ulimits: mapValues(ULIMITS, (value) => ({ soft: value, hard: value })) };

/** A machine with an engine and a folder as the documentation wants it: compose.yaml and two folders of settings. */
export async function compose() {
  const folder = temporaryFolder('compose');
  const [http, metrics, sip, turn, turnHttp] = await localPorts(5);
  copyFileSync(path.join(root, 'deploy/compose/compose.yaml'), path.join(folder, 'compose.yaml'));
  writeFileSync(path.join(folder, 'here.json'), JSON.stringify({ services: { gateway: ours, turn: ours } }));
  const settings = {
    gateway: `http = { listen = "127.0.0.1:${http}" }
metrics = { listen = "127.0.0.1:${metrics}" }
sip = { listen = ["127.0.0.1:${sip}"] }
media = { listen = ["127.0.0.1"], webrtc_port = 0 }
turn = { listen = [], urls = ["turn:127.0.0.1:${turn}"], secret = "file:/etc/webrtc-sip-gateway/turn-secret" }
`,
    turn: `listen = ["127.0.0.1:${turn}"]
http = { listen = "127.0.0.1:${turnHttp}" }
auth = { realm = "example.com", secrets = ["file:/etc/webrtc-sip-turn/secret"] }
`,
  };
  /** Puts a file there as one moves a new file over an old one. */
  function replace(name, text) {
    const file = path.join(folder, name);
    writeFileSync(`${file}.new`, text, { mode: 0o640 });
    chownSync(`${file}.new`, 0, GROUP);
    renameSync(`${file}.new`, file);
  }
  for (const service of SERVICES) {
    mkdirSync(path.join(folder, service), { mode: 0o750 });
    chownSync(path.join(folder, service), 0, GROUP);
    replace(`${service}/${service}.toml`, settings[service]);
  }
  replace('gateway/turn-secret', 'SHARED');
  replace('turn/secret', 'SHARED');
  const socket = path.join(folder, 'engine.sock');
  const engine = new ChildProcess('engine', 'podman', [...PODMAN, 'system', 'service', '--time', '0', `unix://${socket}`]);
  await until('the engine to listen', TIME_MS, () => existsSync(socket));
  const env = { DOCKER_HOST: `unix://${socket}`, REGISTRY: 'localhost', VERSION, COMPOSE_FILE: 'compose.yaml:here.json' };
  return {
    http: { gateway: `http://127.0.0.1:${http}`, turn: `http://127.0.0.1:${turnHttp}` },
    /** Compose in that folder; what it prints. */
    ask: (...args) => run('docker-compose', args, { cwd: folder, env, timeoutMs: TIME_MS }),
    /** Takes the gateway out of service, by its file. */
    maintain: () => replace('gateway/gateway.toml', `maintenance = true\n${settings.gateway}`),
    stop: () => engine.stop(),
  };
}
