// Three gateways, and a balancer with its sample configuration in front of them.
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { certificate } from '../../real-peers/lib/certificate.mjs';
import { gateway } from '../../real-peers/lib/gateway.mjs';
import { root } from '../../real-peers/lib/paths.mjs';
import { freePort } from '../../real-peers/lib/ports.mjs';
import { ChildProcess, run, temporaryFolder, until } from '../../real-peers/lib/process.mjs';

const NODES = ['gw1', 'gw2', 'gw3'];

/** Starts it all. `users`: passwords by name. `url`: the balancer's; `gateways`: by the names that the sample gives them. */
export async function rig(balancer, users) {
  const gateways = {};
  for (const node of NODES) gateways[node] = await gateway({ node, users, balancers: ['127.0.0.1'] });
  const folder = temporaryFolder('balancer');
  const { certificate: crt, key } = await certificate();
  writeFileSync(path.join(folder, 'webrtc.pem'), readFileSync(crt, 'utf8') + readFileSync(key, 'utf8'));
  const places = {
    '/etc/nginx/webrtc.crt': crt,
    '/etc/nginx/webrtc.key': key,
    '/etc/apache2/webrtc.crt': crt,
    '/etc/apache2/webrtc.key': key,
    '/etc/haproxy/webrtc.pem': path.join(folder, 'webrtc.pem'),
  };
  NODES.forEach((node, index) => (places[`10.0.0.1${index + 1}:8080`] = new URL(gateways[node].url).host));
  let sample = readFileSync(path.join(root, 'deploy/balancers', balancer.sample), 'utf8');
  for (const [inSample, here] of Object.entries(places)) sample = sample.replaceAll(inSample, here);

  const port = await freePort();
  const file = path.join(folder, balancer.sample);
  writeFileSync(file, balancer.adapt(sample, folder, `127.0.0.1:${port}`));
  const [command, ...args] = balancer.command(file, folder);
  await run(command, [...args, ...balancer.check]);
  const child = new ChildProcess(balancer.name, command, args);
  await until(`${balancer.name} to listen`, 10_000, () => {
    if (child.result) throw new Error(`${balancer.name} ended:\n${child.tail()}`);
    return takesConnections(port);
  });
  return {
    url: `https://127.0.0.1:${port}`,
    gateways,
    tail: () => child.tail(),
    async stop() {
      await child.stop();
      for (const node of NODES) await gateways[node].stop();
    },
  };
}

function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
