// A little load, without browsers: users who sign in and call the built-in numbers, and clients of the TURN server.
import { freePorts } from '../../real-peers/lib/ports.mjs';
import { ChildProcess, sleep } from '../../real-peers/lib/process.mjs';
import { SECRET } from '../../real-peers/lib/turn.mjs';
import { signIn } from '../lib/client.mjs';

export const USERS = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`user${index + 1}`, `password${index + 1}`]));

const NUMBERS = ['echo', 'tone', 'busy', 'hold-music', 'echo', 'nobody', 'tone', 'elsewhere'];
const HEARTBEAT_MS = 4_000;
const BETWEEN_USERS_MS = 10_000;
const CALL_MS = 12_000;
const PAUSE_MS = 3_000;

/** What a browser would offer. Its media never comes: nobody is at that address. */
const OFFER = [
  'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 0', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sendrecv', 'a=rtcp-mux', 'a=setup:actpass',
  'a=ice-ufrag:picture', 'a=ice-pwd:0123456789abcdef01234567', `a=fingerprint:sha-256 ${Array(32).fill('5A').join(':')}`,
  'a=rtpmap:111 opus/48000/2', 'a=rtpmap:0 PCMU/8000', '',
].join('\r\n');

/** Users sign in one after the other and call until `end` (milliseconds since 1970). Each third one mistypes the password first. */
export function calls(url, end) {
  return Promise.all(Object.entries(USERS).map(async ([name, password], index) => {
    await sleep(index * BETWEEN_USERS_MS);
    if (index % 3 === 2) await signIn(url, name, 'mistyped').catch(() => {});
    const user = await signIn(url, name, password);
    const alive = setInterval(() => user.request('session.heartbeat').catch(() => {}), HEARTBEAT_MS);
    for (let made = index; Date.now() < end; made += 1) {
      const call = await user.request('call.create', { to: NUMBERS[made % NUMBERS.length], sdp: OFFER }).catch(() => undefined);
      await sleep(CALL_MS + (made % 5) * 2_000);
      // It may have ended by itself.
      if (call) await user.request('call.hangup', { callId: call.callId }).catch(() => {});
      await sleep(PAUSE_MS);
    }
    clearInterval(alive);
    await user.request('session.signOut');
  }));
}

/** Clients over UDP all the time, and some over TCP from a third of it on, to an echo and back. */
export async function relayed(turn, milliseconds) {
  const port = await freePorts(2);
  const echo = new ChildProcess('echo', 'turnutils_peer', ['-L', '127.0.0.1', '-p', String(port)]);
  const clients = (flags, count, duration) => new ChildProcess('TURN clients', 'turnutils_uclient', [
    ...flags, '-c', '-m', String(count), '-n', String(Math.round(duration / 40)), '-z', '40', '-l', '160', '-u', 'picture', '-W', SECRET,
    '-e', '127.0.0.1', '-r', String(port), '-p', String(turn.port), '127.0.0.1',
  ]);
  const started = [clients([], 4, milliseconds * 0.9)];
  await sleep(milliseconds / 3);
  started.push(clients(['-t'], 2, milliseconds / 3));
  await sleep((milliseconds * 2) / 3);
  for (const program of [...started, echo]) await program.stop();
}
