// The gateway under test: the real binary, on free ports, with a configuration made for the test.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { program } from './paths.mjs';
import { freePort, freePorts } from './ports.mjs';
import { ChildProcess, temporaryFolder, until } from './process.mjs';

export const USERS = { 1001: 'demo-1001', 1002: 'demo-1002' };

/** What TOML calls a value; enough for strings, numbers, truth and arrays of them. */
const toml = (value) => (Array.isArray(value) ? `[${value.map(toml).join(', ')}]` : JSON.stringify(value));
const table = (name, entries) =>
  [name, ...Object.entries(entries).filter(([, value]) => value !== undefined).map(([key, value]) => `${key} = ${toml(value)}`), ''].join('\n');

export function configuration({
  node = 'node1',
  colour,
  colourPath,
  http,
  origins = [],
  balancers,
  metrics,
  sip,
  rtp,
  addresses = ['127.0.0.1'],
  trusted = [],
  routes = [],
  proxy,
  media = {},
  turn,
  tls,
  limits = {},
  users = USERS,
}) {
  return [
    table('', { node, colour }),
    table('[http]', { listen: `127.0.0.1:${http}`, allowed_origins: origins, trusted_proxies: balancers, colour_path: colourPath }),
    table('[metrics]', { listen: `127.0.0.1:${metrics}` }),
    table('[sip]', { listen: addresses.map((address) => `${address}:${sip}`), trusted: ['127.0.0.0/8', ...trusted] }),
    ...routes.map((route) => table('[[sip.routes]]', route)),
    ...(proxy ? [table('[sip.proxy]', proxy)] : []),
    table('[media]', { webrtc_port: 0, rtp_port_low: rtp, rtp_port_high: rtp + 199, ...media }),
    table('[turn]', turn),
    ...(tls ? [table('[turn.tls]', tls)] : []),
    table('[demo]', { test_numbers: true }),
    table('[limits]', limits),
    ...Object.entries(users).map(([name, password]) =>
      table('[[users]]', { name, password, display_name: `Demo ${name}`, ...(proxy ? { sip_user: name, sip_password: password } : {}) }),
    ),
  ].join('\n');
}

/**
 * Starts it and waits until it is ready. `node`, `colour`: its names; `colourPath`: whether signalling is under the colour as well; `balancers`: where they are; `users`: passwords by name; `routes`: `{ numbers, target, tcp }`; `proxy`: `{ target, tcp, domain }`;
 * `addresses`: where SIP listens; `trusted`: further networks that may call; `media`, `limits`: settings of those tables; `turn`:
 * settings made from the port that its TURN server is on, `tls`: the files of that server's certificate.
 */
export async function gateway({ node, colour, colourPath, balancers, users, routes = [], proxy, addresses = ['127.0.0.1'], trusted = [], media = {}, limits = {}, turn = () => ({}), tls } = {}) {
  const binary = program('webrtc-sip-gateway', process.env.GATEWAY);
  const http = await freePort();
  const metrics = await freePort();
  const sip = await freePort();
  const turnPort = await freePort();
  const rtp = await freePorts(200);
  const turnSettings = { listen: [`127.0.0.1:${turnPort}`], ...turn(turnPort) };
  const file = path.join(temporaryFolder('gateway'), 'gateway.toml');
  writeFileSync(file, configuration({ node, colour, colourPath, balancers, users, http, metrics, sip, rtp, addresses, trusted, routes, proxy, media, turn: turnSettings, tls, limits }));
  const child = new ChildProcess('gateway', binary, ['--config', file], { env: { WSG_LOG__LEVEL: process.env.GATEWAY_LOG ?? 'info', WSG_SHUTDOWN__UNREADY_SECONDS: '0' } });
  const url = `http://127.0.0.1:${http}`;
  const get = (where) => fetch(`${url}${where}`, { signal: AbortSignal.timeout(2_000) });
  await until('the gateway to be ready', 15_000, async () => {
    if (child.result) throw new Error(`the gateway ended:\n${child.tail()}`);
    return get('/ready').then((response) => response.status === 200, () => false);
  });
  return {
    url,
    get,
    sip: `127.0.0.1:${sip}`,
    sipPort: sip,
    metricsAddress: `127.0.0.1:${metrics}`,
    pid: child.child.pid,
    log: () => child.output,
    tail: () => child.tail(),
    running: () => !child.result,
    /** The metrics page as text. */
    metrics: async () => (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(),
    signal: (name) => process.kill(child.child.pid, name),
    exited: child.exited,
    stop: () => child.stop('SIGKILL'),
  };
}
