import { defaultAudioConstraints, GatewayClient, rawAudioConstraints, type Call } from '../sdk';
import { ActiveCallView } from './active-call';
import { DialerView } from './dialer';
import { announce, byId, setText } from './dom';
import { IncomingView } from './incoming';
import { MicrophoneView } from './microphone';
import { OtherCallsView } from './other-calls';
import { SignInView } from './sign-in';
import { Sounds } from './sounds';
import { workerClock } from './timers';
import { connectionText, endText, errorText, registrationText, warningText } from './words';

/** The handle for the browser's console and for tests. */
interface SoftphoneHandle {
  readonly client: GatewayClient;
  /** The call that the page shows large, if any. */
  readonly call: Call | undefined;
  readonly calls: readonly Call[];
  /** Set this to a stream of your own to speak with something else than the microphone. */
  mediaStream: MediaStream | undefined;
  /** Loudness of both directions now: root mean square, 0 to 1. */
  levels(): { incoming: number; outgoing: number };
}

declare global {
  interface Window {
    softphone: SoftphoneHandle;
  }
}

const query = new URLSearchParams(location.search);
const transport = query.get('transport');
const client = new GatewayClient({
  urls: gateways(query.get('gateways')),
  clock: workerClock(import.meta.url),
  transport: transport === 'websocket' || transport === 'polling' ? transport : 'auto',
  audio: query.get('audioProcessing') === 'off' ? rawAudioConstraints : defaultAudioConstraints,
  rtcConfiguration: query.get('relay') === 'only' ? { iceTransportPolicy: 'relay' } : {},
  getUserMedia: async (constraints) => {
    // A clone, because the end of a call stops its tracks.
    if (handle.mediaStream) return handle.mediaStream.clone();
    if (!isSecureContext) throw Object.assign(new Error(), { name: 'SecurityError' });
    return navigator.mediaDevices.getUserMedia(constraints);
  },
});

/** From `?gateways=`, in order. Only on the page's own host: a link must not be able to send a password elsewhere. */
function gateways(list: string | null): string[] {
  const urls = list?.split(',') ?? [];
  return urls.filter((url) => URL.canParse(url) && new URL(url).hostname === location.hostname);
}

const sounds = new Sounds();
const notice = byId('notice');
const connection = byId('connection');
const activeCall = new ActiveCallView(sounds);
const signIn = new SignInView(client, sounds);
const dialer = new DialerView(sounds, place);
const incoming = new IncomingView(client, (call) => void answer(call));
const otherCalls = new OtherCallsView(switchTo);
const microphone = new MicrophoneView(client);
let current: Call | undefined;
/** What was last said about a gateway that takes no new calls. */
let leaving = '';

const handle: SoftphoneHandle = {
  client,
  get call() {
    return current;
  },
  get calls() {
    return client.calls;
  },
  mediaStream: undefined,
  levels: () => activeCall.levels(),
};
window.softphone = handle;

function say(text: string, bad = false): void {
  setText(notice, text);
  notice.classList.toggle('error', bad);
}

function place(number: string): void {
  say('');
  current = client.call(number);
  watch(current);
  render();
  activeCall.focus();
}

async function answer(call: Call): Promise<void> {
  say('');
  const before = current;
  try {
    await call.answer();
  } catch (error) {
    // It rings on, so that it can be answered once the microphone is there.
    current = before?.state === 'ended' ? undefined : before;
    render();
    say(errorText(error), true);
  }
}

async function switchTo(call: Call): Promise<void> {
  current = call;
  render();
  await call.resume();
}

function watch(call: Call): void {
  call.on('ended', (end) => {
    const { text, bad } = endText(call, end);
    say(text, bad);
    if (call !== current) return;
    // A call that waits on hold comes into view, but it is for the user to take it up again.
    current = client.calls.find((other) => other.state !== 'incoming');
    render();
    if (current) activeCall.focus();
    else dialer.focus();
  });
  call.on('warning', ({ reason }) => {
    if (call === current) say(warningText(reason));
  });
  call.on('change', () => {
    if (call.state === 'connecting' && current !== call) {
      current = call;
      activeCall.focus();
    }
  });
}

function render(): void {
  const signedIn = client.state === 'signedIn' || client.state === 'reconnecting';
  connection.dataset['state'] = client.draining ? 'draining' : client.state;
  connection.dataset['transport'] = client.transport ?? '';
  setText(connection, connectionText(client.state, client.transport));
  byId('sign-in').hidden = signedIn;
  byId('phone').hidden = !signedIn;
  setText(byId('identity'), `${client.displayName || client.user || ''}`);
  activeCall.show(current);
  dialer.show(current, client.state === 'signedIn');
  incoming.show(client.calls);
  otherCalls.show(client.calls.filter((call) => call !== current && call.state === 'answered'));
  sounds.play(soundFor(client.calls));
  const ringing = client.calls.find((call) => call.state === 'incoming');
  if (ringing) document.title = `${ringing.remoteParty} is calling`;
  else document.title = current ? `${current.remoteParty} \u2013 Softphone` : 'Softphone';
}

function soundFor(calls: readonly Call[]): 'ring' | 'ringBack' | undefined {
  if (current?.state === 'ringing') return 'ringBack';
  const inCall = calls.some((call) => call.state !== 'incoming');
  // Somebody who is talking sees the banner; ringing into their ear would only disturb.
  return !inCall && calls.some((call) => call.state === 'incoming') ? 'ring' : undefined;
}

client.on('state', (state) => {
  if (state === 'signedIn' || state === 'reconnecting') announce(connectionText(state, client.transport));
  if (state === 'signedIn') void microphone.refresh();
  // At another gateway it isn't true any more.
  if (state === 'signedIn' && !client.draining && notice.textContent === leaving) say('');
  render();
});
client.on('calls', render);
client.on('incoming', (call) => {
  watch(call);
  render();
});
client.on('warning', ({ reason, text }) => say(registrationText(reason, text)));
client.on('draining', ({ text }) => {
  leaving = text;
  say(text);
});
client.on('signedOut', ({ reason, text }) => {
  current = undefined;
  signIn.signedOut(reason === 'signed_out' ? '' : text);
  render();
});
byId('sign-out').addEventListener('click', () => void client.signOut());
window.addEventListener('pagehide', (event) => {
  if (!event.persisted) void client.signOut();
});

render();
signIn.start((demo) => dialer.setDemo(demo));
