// TURN servers as processes of their own: the real `webrtc-sip-turn`, on free ports.
import { program } from './paths.mjs';
import { freePort } from './ports.mjs';
import { ChildProcess, until } from './process.mjs';

export const SECRET = 'real-peers';

/**
 * Starts one and waits until it is ready. `port`: where it listens; any when it isn't said. `peers`: who may be reached; the
 * gateway's media may be at any of this machine's addresses, so it is everybody when it isn't said.
 */
export async function turnServer({ port, peers = '0.0.0.0/0' } = {}) {
  const binary = program('webrtc-sip-turn', process.env.TURN);
  port ??= await freePort();
  const http = await freePort();
  const args = ['--listen', `127.0.0.1:${port}`, '--realm', 'real-peers', '--secret', SECRET, '--allow-peer', peers, '--workers', '1'];
  const child = new ChildProcess('TURN server', binary, args, { env: { WST_HTTP__LISTEN: `127.0.0.1:${http}`, WST_SHUTDOWN__UNREADY_SECONDS: '0' } });
  const get = (where) => fetch(`http://127.0.0.1:${http}${where}`, { signal: AbortSignal.timeout(2_000) });
  await until('the TURN server to be ready', 15_000, async () => {
    if (child.result) throw new Error(`the TURN server ended:\n${child.tail()}`);
    return get('/ready').then((response) => response.status === 200, () => false);
  });
  return {
    port,
    metricsAddress: `127.0.0.1:${http}`,
    pid: child.child.pid,
    url: (transport) => `turn:127.0.0.1:${port}?transport=${transport}`,
    /** The sum of a metric's samples. */
    async metric(name) {
      const page = await (await get('/metrics')).text();
      const samples = page.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
      if (samples.length === 0) throw new Error(`there is no ${name}`);
      return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    signal: (name) => process.kill(child.child.pid, name),
    running: () => !child.result,
    exited: child.exited,
    tail: () => child.tail(),
    stop: () => child.stop('SIGKILL'),
  };
}
