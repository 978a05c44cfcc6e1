// Firefox starts no AudioContext on a machine without a sound card. A private PulseAudio with a null sink is one.
import { existsSync } from 'node:fs';
import path from 'node:path';

import { ChildProcess, temporaryFolder, until } from './process.mjs';

/** Starts it: `{ environment, stop }`, the environment for whoever wants to play to it. */
export async function pulseaudio() {
  const folder = temporaryFolder('pulse');
  const socket = path.join(folder, 'native');
  const server = new ChildProcess(
    'pulseaudio',
    'pulseaudio',
    [
      '-n',
      '--daemonize=no',
      '--exit-idle-time=-1',
      '--disable-shm=yes',
      '--use-pid-file=no',
      '--load=module-null-sink sink_name=null rate=48000',
      `--load=module-native-protocol-unix auth-anonymous=1 socket=${socket}`,
    ],
    { env: { XDG_RUNTIME_DIR: folder, HOME: folder } },
  );
  await until('the sound server', 10_000, () => {
    if (server.result) throw new Error(`pulseaudio ended:\n${server.tail()}`);
    return existsSync(socket);
  });
  return { environment: { PULSE_SERVER: `unix:${socket}` }, stop: () => server.stop() };
}
