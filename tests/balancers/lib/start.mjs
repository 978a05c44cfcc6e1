// A balancer with a sample of deploy/balancers.
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { certificate } from '../../real-peers/lib/certificate.mjs';
import { root } from '../../real-peers/lib/paths.mjs';
import { freePort } from '../../real-peers/lib/ports.mjs';
import { ChildProcess, run, temporaryFolder, until } from '../../real-peers/lib/process.mjs';

/**
 * Starts it on a free `port`. `samples`: the files, by name or by path, side by side in its `folder` then; `places`: what is elsewhere here, by what
 * the samples say. `certificate`: the one that it shows, its own unless one is given; `command`: how it was started.
 */
export async function start(balancer, { samples, places, certificate: given }) {
  const folder = temporaryFolder('balancer');
  const shown = given ?? (await certificate());
  writeFileSync(path.join(folder, 'webrtc.pem'), readFileSync(shown.certificate, 'utf8') + readFileSync(shown.key, 'utf8'));
  const here = {
    '/etc/nginx/webrtc.crt': shown.certificate,
    '/etc/nginx/webrtc.key': shown.key,
    '/etc/apache2/webrtc.crt': shown.certificate,
    '/etc/apache2/webrtc.key': shown.key,
    '/etc/envoy/webrtc.crt': shown.certificate,
    '/etc/envoy/webrtc.key': shown.key,
    '/etc/haproxy/webrtc.pem': path.join(folder, 'webrtc.pem'),
    ...places,
  };
  const written = balancer.address ?? ((address) => address);
  const port = await freePort();
  for (const sample of samples) {
    const source = path.resolve(root, 'deploy/balancers', sample);
    const file = path.join(folder, path.basename(sample));
    let text = readFileSync(source, 'utf8');
    for (const [inSample, instead] of Object.entries(here)) text = text.replaceAll(written(inSample), written(instead));
    if (path.basename(sample) === balancer.sample) text = balancer.adapt(text, folder, `127.0.0.1:${port}`);
    writeFileSync(file, text);
    chmodSync(file, statSync(source).mode);
  }

  const [command, ...args] = balancer.command(path.join(folder, balancer.sample), folder);
  await run(command, [...args, ...balancer.check]);
  const child = new ChildProcess(balancer.name, command, args);
  await until(`${balancer.name} to listen`, 10_000, () => {
    if (child.result) throw new Error(`${balancer.name} ended:\n${child.tail()}`);
    return takesConnections(port);
  });
  return { port, folder, certificate: shown, command: [command, ...args], pid: child.child.pid, tail: () => child.tail(), stop: () => child.stop() };
}

function takesConnections(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
