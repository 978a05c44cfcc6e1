// A user at a browser: the SDK, and what it went through.
import { until } from '../../real-peers/lib/process.mjs';
import { Browser } from './browser.mjs';
import { FakePeerConnection, FakeStream, GatewayClient, PollingTransport, WebSocketTransport } from './sdk.mjs';

const PROMPT_MS = 5_000;

/** What Chromium offers, without the codecs that don't matter here. */
const OFFER = [
  'v=0',
  'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110',
  'c=IN IP4 0.0.0.0',
  'a=rtcp:9 IN IP4 0.0.0.0',
  'a=ice-ufrag:4ZcD',
  'a=ice-pwd:2/1muCWoOi3uLifh0NuRHlAd',
  'a=ice-options:trickle',
  `a=fingerprint:sha-256 ${Array(32).fill('3A').join(':')}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sendrecv',
  'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=rtpmap:110 telephone-event/48000',
  'a=ssrc:1001 cname:browser',
  '',
].join('\r\n');

class PeerConnection extends FakePeerConnection {
  async createOffer() {
    return { type: 'offer', sdp: OFFER };
  }
}

export class Client {
  /** Each state that it was in, when, and at which gateway. */
  history = [];

  /** `node`: where its browser was before. */
  constructor(user, url, transport, node) {
    this.user = user;
    this.browser = new Browser(node);
    this.sdk = new GatewayClient({
      urls: [url],
      transport,
      createTransport: (kind, base) => (kind === 'polling' ? new PollingTransport(base, this.browser.fetch) : new WebSocketTransport(base, this.browser.connect)),
      createPeerConnection: (configuration) => new PeerConnection(configuration),
      getUserMedia: async () => new FakeStream(),
    });
    this.sdk.on('state', (state) => this.history.push({ state, at: performance.now(), node: this.browser.node }));
  }

  /** The gateway where it is signed in; none while it isn't. */
  get node() {
    const last = this.history.at(-1);
    return last?.state === 'signedIn' ? last.node : undefined;
  }

  /** Calls a number and waits until somebody answers. */
  async calls(number) {
    const call = this.sdk.call(number);
    await until(`${this.user}'s call to be answered`, PROMPT_MS, () => {
      if (call.end) throw new Error(`${this.user}'s call ended: ${JSON.stringify(call.end)}`);
      return call.state === 'answered';
    });
    return call;
  }

  async stop() {
    await this.sdk.signOut();
    this.browser.close();
  }
}
