// Gateways and a TURN server of each colour, and nginx in front of them.
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { nginx } from '../../balancers/lib/balancers.mjs';
import { start } from '../../balancers/lib/start.mjs';
import { gateway } from '../../real-peers/lib/gateway.mjs';
import { root } from '../../real-peers/lib/paths.mjs';
import { freePort } from '../../real-peers/lib/ports.mjs';
import { ChildProcess, run, until, withTimeout } from '../../real-peers/lib/process.mjs';
import { SECRET, turnServer } from '../../real-peers/lib/turn.mjs';

/** Browsers know by themselves that these are this machine. */
const NAMES = { live: 'webrtc.localhost', test: 'webrtc-test.localhost' };
const sample = (name) => path.join(root, 'deploy/balancers/blue-green', name);
const SWITCH = ['live.conf', 'live-colour'].map(sample);

/** The sample of deploy/balancers: `addresses` by node, as its `samples` have them. */
export const SAMPLE = {
  samples: [...SWITCH, ...['nginx.conf', 'blue.conf', 'green.conf'].map(sample)],
  addresses: { blue1: '10.0.0.11:8080', blue2: '10.0.0.12:8080', green1: '10.0.0.21:8080', green2: '10.0.0.22:8080' },
};
/** The Ingress of the chart, with a gateway of each colour. */
export const INGRESS = {
  samples: [...SWITCH, ...['nginx.conf', 'blue.conf', 'green.conf'].map((name) => path.join(root, 'tests/blue-green/ingress', name))],
  addresses: { blue1: '10.0.0.11:8080', green1: '10.0.0.21:8080' },
  colourPath: true,
};

/** Starts it all. `users`: passwords by name. `turn`: by colour; `gateways`: by node. */
export async function rig(users, { samples, addresses, colourPath }) {
  // As the guide has it: media at one address, which is the only one that the TURN servers of the same machine reach.
  const peers = '127.0.0.1/32';
  const media = { listen: ['127.0.0.1'] };
  const turn = { blue: await turnServer({ peers }), green: await turnServer({ peers }) };
  const gateways = {};
  for (const node of Object.keys(addresses)) {
    const colour = node.slice(0, -1);
    const settings = () => ({ listen: [], urls: [turn[colour].url('udp')], secret: SECRET });
    gateways[node] = await gateway({ node, colour, colourPath, users, balancers: ['127.0.0.1'], media, turn: settings });
  }
  const places = { 'webrtc.example.com': NAMES.live, 'webrtc-test.example.com': NAMES.test, '127.0.0.1:8081': `127.0.0.1:${await freePort()}` };
  for (const [node, address] of Object.entries(addresses)) places[address] = new URL(gateways[node].url).host;
  const balancer = await start(nginx, { samples, places });

  /** The processes of nginx that carry connections. */
  const workers = () => readFileSync(`/proc/${balancer.pid}/task/${balancer.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const url = (name) => `https://${NAMES[name]}:${balancer.port}`;
  const curl = (name, where, ...args) => run('curl', ['-sk', '--resolve', `${NAMES[name]}:${balancer.port}:127.0.0.1`, `${url(name)}${where}`, ...args]);
  return {
    turn,
    gateways,
    url,
    certificate: balancer.certificate,
    file: (name) => path.join(balancer.folder, name),
    tail: balancer.tail,
    /** Runs the script `live-colour` with these words: `{ code, output }`. */
    async liveColour(...words) {
      const before = workers();
      const env = { NGINX_FOLDER: balancer.folder, NGINX_COMMAND: balancer.command.join(' ') };
      const child = new ChildProcess('live-colour', path.join(balancer.folder, 'live-colour'), words, { env });
      const { code } = await withTimeout('live-colour', 30_000, child.exited);
      // Where nginx has new processes, those from before take no further connection.
      if (workers().some((pid) => !before.includes(pid))) await until('the old nginx to be closed', 5_000, () => before.every(closed));
      return { code, output: child.output };
    },
    /** The colour behind a name, `live` or `test`; none where no gateway is there. */
    colour: async (name) => (await curl(name, '/ping')).match(/"path":"(\w+)"/)?.[1],
    /** Signs in without a browser: the TURN addresses that are handed out. */
    async turnUrls(name, user) {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.signIn', params: { user, password: users[user] } });
      const { result } = JSON.parse(await curl(name, '/v1/rpc', '-H', 'Content-Type: application/json', '-d', body));
      return result.iceServers.flatMap(({ urls }) => urls);
    },
    workers,
    async stop() {
      await balancer.stop();
      for (const each of [...Object.values(gateways), ...Object.values(turn)]) await each.stop();
    },
  };
}

/** Whether a process of nginx has ended, or only ends what it has. */
function closed(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('shutting down');
  } catch {
    return true;
  }
}
