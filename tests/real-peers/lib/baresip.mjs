// baresip, with a file for its microphone and a file of what it hears, driven over its TCP control port.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { RECORD_MS, speech } from './audio.mjs';
import { firstExisting } from './paths.mjs';
import { ChildProcess, run, sleep, temporaryFolder, until, withTimeout } from './process.mjs';
import { writeWav } from './wav.mjs';

const PORT = 5060;
const CONTROL_PORT = 4444;
const MINUTE_OF_LOOPS = '10';
const WAV_HEADER = 44; // octets before 16-bit samples, 8 kHz

/**
 * Starts baresip inside `namespace` as `sip:USER@ADDRESS`, registered nowhere. `answer`: 'auto' or 'manual'. `codec`: PCMU or PCMA.
 */
export async function baresip(namespace, { user = 'baresip', answer = 'auto', codec = 'PCMU', transport = 'udp' } = {}) {
  const folder = temporaryFolder('baresip');
  const heard = path.join(folder, 'heard');
  mkdirSync(heard);
  const { loop8k } = await speech();
  const microphone = path.join(folder, 'microphone.wav');
  await run('sox', [loop8k, microphone, 'repeat', MINUTE_OF_LOOPS]);
  const modules = firstExisting("baresip's modules", process.env.BARESIP_MODULES, '/usr/lib/baresip/modules', '/usr/lib/x86_64-linux-gnu/baresip/modules');
  writeFileSync(
    path.join(folder, 'config'),
    `poll_method epoll
sip_listen ${namespace.address}:${PORT}
sip_trans_def ${transport}
audio_player aubridge,none
audio_source aufile,${microphone}
audio_alert aubridge,none
audio_channels 1
rtp_ports 20000-20100
rtp_stats no
module_path ${modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module ctrl_tcp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path ${heard}
ctrl_tcp_listen ${namespace.address}:${CONTROL_PORT}
`,
  );
  writeFileSync(path.join(folder, 'accounts'), `<sip:${user}@${namespace.address};transport=${transport}>;regint=0;answermode=${answer};audio_codecs=${codec}/8000/1\n`);
  writeFileSync(path.join(folder, 'contacts'), '');
  const [command, args] = namespace.command('baresip', '-4', '-f', folder);
  const child = new ChildProcess('baresip', command, args);
  let control;
  const phone = {
    events: [],
    digits: () => phone.events.filter((event) => event.type === 'CALL_DTMF_START').map((event) => event.param).join(''),
    address: `${namespace.address}:${PORT}`,
    dial: (uri) => control.send('dial', uri),
    accept: () => control.send('accept'),
    hangup: () => control.send('hangup'),
    sendDigits: async (digits) => {
      for (const digit of digits) await control.send('sndcode', digit);
    },
    /** Waits for an event such as CALL_ESTABLISHED, CALL_CLOSED or REGISTER_OK. */
    event: (type, timeoutMs = 15_000) =>
      until(`baresip's ${type}`, timeoutMs, () => phone.events.find((event) => event.type === type)).catch((error) => {
        throw new Error(`${error.message}\n${JSON.stringify(phone.events)}\n${child.tail()}`);
      }),
    /** Listens for a while and returns what was heard as a WAV file. baresip writes its own as it hears, and ends its header after the call. */
    async record(milliseconds = RECORD_MS) {
      const latest = () => readdirSync(heard).filter((name) => name.endsWith('-dec.wav')).sort().at(-1);
      const name = await until('baresip to record', 10_000, latest);
      const heardSoFar = () => readFileSync(path.join(heard, name)).subarray(WAV_HEADER);
      const begin = heardSoFar().length & ~1;
      await sleep(milliseconds);
      const bytes = heardSoFar().subarray(begin);
      const samples = new Int16Array(bytes.length >> 1).map((_, index) => bytes.readInt16LE(index * 2));
      const file = path.join(temporaryFolder('heard'), 'baresip.wav');
      writeWav(file, samples, 8_000);
      return file;
    },
    tail: () => child.tail(),
    async stop() {
      control?.close();
      await child.stop('SIGKILL');
    },
  };
  try {
    control = await connect(namespace.address, phone.events, child);
  } catch (error) {
    await phone.stop();
    throw error;
  }
  return phone;
}

/** Connects to the control port: JSON in netstrings, answers and events mixed. */
async function connect(host, events, child) {
  const socket = await until('baresip to listen', 10_000, () => {
    if (child.result) throw new Error(`baresip ended:\n${child.tail()}`);
    return new Promise((resolve) => {
      const attempt = net.connect({ host, port: CONTROL_PORT });
      attempt.once('connect', () => resolve(attempt));
      attempt.once('error', () => resolve(undefined));
    });
  });
  const waiting = [];
  let buffered = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    buffered = Buffer.concat([buffered, bytes]);
    for (;;) {
      const colon = buffered.indexOf(':');
      const length = Number(buffered.toString('latin1', 0, Math.max(colon, 0)));
      if (colon < 0 || buffered.length < colon + length + 2) return;
      const message = JSON.parse(buffered.toString('utf8', colon + 1, colon + 1 + length));
      buffered = buffered.subarray(colon + length + 2);
      if (message.event) events.push(message);
      else if (message.response) waiting.shift()?.(message);
    }
  });
  return {
    async send(command, params = '') {
      const text = JSON.stringify({ command, params });
      const answer = new Promise((resolve) => waiting.push(resolve));
      socket.write(`${Buffer.byteLength(text)}:${text},`);
      const message = await withTimeout(`baresip's answer to ${command}`, 5_000, answer);
      if (!message.ok) throw new Error(`baresip refused ${command} ${params}: ${message.data}`);
      return message.data;
    },
    close: () => socket.destroy(),
  };
}
