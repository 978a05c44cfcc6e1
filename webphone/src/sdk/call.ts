import type { Clock } from './clock';
import { Emitter } from './emitter';
import { GatewayError, LinkError, reasonOf } from './errors';
import { PeerLink, type MediaState } from './peer-link';
import type { CallEnd, GatewayStats, HeldBy, Method, Methods, RejectReason } from './protocol';
import { QualityMeter, type CallQuality } from './quality';

const QUALITY_EVERY_MS = 2000;

export type CallState =
  | 'calling'
  | 'ringing'
  | 'earlyMedia'
  | 'incoming'
  | 'connecting'
  | 'answered'
  | 'ended';

export interface CallEvents {
  /** Anything a page shows may have changed: state, hold, mute, codec, media. */
  change: Call;
  /** The far side's sound. */
  remoteStream: MediaStream;
  /** Measured by the browser, every 2 s. */
  quality: CallQuality;
  /** Measured by the gateway, every 5 s. */
  stats: GatewayStats;
  /** A key that the far side pressed. */
  dtmf: { digit: string; durationMs: number };
  warning: { reason: string };
  ended: CallEnd;
}

/** What a call needs from the client it belongs to. */
export interface CallHost {
  readonly clock: Clock;
  request<M extends Method>(
    method: M,
    params: Methods[M]['params'],
    options?: { repeat?: boolean; timeoutMs?: number },
  ): Promise<Methods[M]['result']>;
  rtcConfiguration(): RTCConfiguration;
  createPeerConnection(): RTCPeerConnection;
  acquireMicrophone(fresh?: boolean): Promise<MediaStream>;
  releaseMicrophone(stream: MediaStream): void;
  /** Puts every other call on hold. */
  makeActive(call: Call): Promise<void>;
  created(call: Call): void;
  ended(call: Call): void;
}

export interface CallParties {
  from: string;
  to: string;
  displayName: string;
}

/** One call, in either direction. Made by `GatewayClient.call` or announced by its `incoming` event. */
export class Call extends Emitter<CallEvents> {
  readonly direction: 'outgoing' | 'incoming';
  readonly parties: CallParties;
  readonly #host: CallHost;
  readonly #meter = new QualityMeter();
  #offer: string | undefined;
  #id: string | undefined;
  #state: CallState;
  #muted = false;
  #held: Record<HeldBy, boolean> = { local: false, remote: false };
  #media: MediaState = 'new';
  #codec: string | undefined;
  #stats: GatewayStats | undefined;
  #quality: CallQuality | undefined;
  #answeredAt: number | undefined;
  #end: CallEnd | undefined;
  #localStream: MediaStream | undefined;
  #remoteStream: MediaStream | undefined;
  #link: PeerLink | undefined;
  #cancelQuality: () => void = () => {};

  /** Use `GatewayClient.call`; this is for the client itself. */
  constructor(
    host: CallHost,
    direction: 'outgoing' | 'incoming',
    parties: CallParties,
    incoming?: { id: string; offer: string },
  ) {
    super();
    this.#host = host;
    this.direction = direction;
    this.parties = parties;
    this.#id = incoming?.id;
    this.#offer = incoming?.offer;
    this.#state = incoming ? 'incoming' : 'calling';
  }

  /** The gateway's name for this call; unknown until it has answered `call.create`. */
  get id(): string | undefined {
    return this.#id;
  }
  get state(): CallState {
    return this.#state;
  }
  get muted(): boolean {
    return this.#muted;
  }
  /** Whether this side, and whether the far side, holds the call. */
  get held(): Readonly<Record<HeldBy, boolean>> {
    return this.#held;
  }
  /** How the media path is doing. */
  get media(): MediaState {
    return this.#media;
  }
  get codec(): string | undefined {
    return this.#quality?.codec ?? this.#codec;
  }
  get stats(): GatewayStats | undefined {
    return this.#stats;
  }
  get quality(): CallQuality | undefined {
    return this.#quality;
  }
  get end(): CallEnd | undefined {
    return this.#end;
  }
  get localStream(): MediaStream | undefined {
    return this.#localStream;
  }
  get remoteStream(): MediaStream | undefined {
    return this.#remoteStream;
  }
  get peerConnection(): RTCPeerConnection | undefined {
    return this.#link?.peerConnection;
  }
  /** The number or name of the far side. */
  get remoteParty(): string {
    return this.direction === 'outgoing' ? this.parties.to : this.parties.from;
  }
  /** How long the call has been answered. */
  get durationMs(): number {
    return this.#end?.durationMs ?? (this.#answeredAt === undefined ? 0 : this.#host.clock.now() - this.#answeredAt);
  }

  /** Calls the far side; for the client. Failures end the call, they are not thrown. */
  async start(): Promise<void> {
    try {
      await this.#host.makeActive(this);
      if (!(await this.#takeMicrophone())) return;
      const link = this.#openLink();
      const sdp = await link.offer();
      if (this.#isOver()) return;
      const created = await this.#host.request('call.create', { to: this.parties.to, sdp });
      this.#id = created.callId;
      if (this.#isOver()) return this.#tellGateway('call.hangup');
      this.#host.created(this);
      link.trickle();
      await link.acceptAnswer(created.sdp);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes an incoming call; every other call goes on hold. Throws if there is no microphone: the call rings on. */
  async answer(): Promise<void> {
    const offer = this.#offer;
    const id = this.#id;
    if (this.#state !== 'incoming' || offer === undefined || id === undefined) return;
    this.#setState('connecting');
    try {
      if (!(await this.#takeMicrophone())) return;
    } catch (error) {
      if (!this.#isOver()) this.#setState('incoming');
      throw error;
    }
    try {
      await this.#host.makeActive(this);
      const link = this.#openLink();
      const sdp = await link.answerTo(offer);
      if (this.#isOver()) return;
      await this.#host.request('call.answer', { callId: id, sdp }, { repeat: true });
      link.trickle();
      this.#answered();
    } catch (error) {
      // The answer may have arrived just before the link broke; sent again, it comes too late and does no harm.
      if (error instanceof GatewayError && error.reason === 'wrong_state') return this.#answered();
      this.#fail(error);
    }
  }

  /** Turns an incoming call down. */
  async reject(reason: RejectReason = 'declined'): Promise<void> {
    if (this.#state !== 'incoming' || this.#id === undefined) return;
    const callId = this.#id;
    this.#finish({ reason: 'rejected', text: 'You declined the call.', by: 'local' });
    await this.#quietly(this.#host.request('call.reject', { callId, reason }, { repeat: true }));
  }

  /** Ends the call, in whatever state it is. */
  async hangup(): Promise<void> {
    if (this.#isOver()) return;
    if (this.#state === 'incoming') return this.reject();
    const reason = this.#answeredAt === undefined ? 'cancelled' : 'hangup';
    const text = reason === 'hangup' ? 'You ended the call.' : 'You cancelled the call.';
    this.#finish({ reason, text, by: 'local' });
    if (this.#id !== undefined) await this.#tellGateway('call.hangup');
  }

  /** The far side hears silence; the call goes on. */
  mute(muted: boolean): void {
    this.#muted = muted;
    this.#applyMicrophone();
    this.#changed();
  }

  async hold(): Promise<void> {
    await this.#setHold(true);
  }

  async resume(): Promise<void> {
    if (this.#isOver() || !this.#held.local) return;
    await this.#host.makeActive(this);
    await this.#setHold(false);
  }

  /** Sends keys `0-9 * # A-D`. */
  async dtmf(digits: string, options: { durationMs?: number; gapMs?: number } = {}): Promise<void> {
    const callId = this.#id;
    if (this.#isOver() || callId === undefined) return;
    await this.#host.request('call.dtmf', { callId, digits: digits.toUpperCase(), ...options });
  }

  /** Changes to the microphone that the client now prefers, within the call. */
  async renewMicrophone(): Promise<void> {
    const before = this.#localStream;
    if (this.#isOver() || !before || !this.#link) return;
    const stream = await this.#host.acquireMicrophone(true);
    if (this.#isOver()) return this.#host.releaseMicrophone(stream);
    this.#localStream = stream;
    this.#applyMicrophone();
    await this.#link.replaceTrack(stream);
    this.#host.releaseMicrophone(before);
    this.#changed();
  }

  /** Asks for a new media path (ICE restart). The SDK does so by itself when the path is lost. */
  async restartIce(): Promise<void> {
    await this.#link?.restart();
  }

  /** A notification about this call; for the client. */
  handle(method: string, params: Record<string, unknown>): void {
    if (this.#isOver()) return;
    if (typeof params['codec'] === 'string') this.#codec = params['codec'];
    switch (method) {
      case 'call.ringing':
        if (this.#state === 'calling') this.#setState('ringing');
        return;
      case 'call.earlyMedia':
        if (this.#state === 'calling' || this.#state === 'ringing') this.#setState('earlyMedia');
        return;
      case 'call.answered':
        return this.#answered();
      case 'call.held':
      case 'call.resumed':
        this.#held = { ...this.#held, [params['by'] === 'local' ? 'local' : 'remote']: method === 'call.held' };
        this.#applyMicrophone();
        return this.#changed();
      case 'call.dtmf':
        return this.emit('dtmf', { digit: String(params['digit']), durationMs: Number(params['durationMs'] ?? 0) });
      case 'call.stats':
        this.#stats = params as GatewayStats;
        this.emit('stats', this.#stats);
        return this.#changed();
      case 'call.warning':
        if (params['reason'] === 'media_disconnected' && params['side'] === 'local') this.#link?.lost();
        return this.emit('warning', { reason: String(params['reason']) });
      case 'call.ended':
        return this.#finish({
          ...(params as unknown as CallEnd),
          text: String(params['text'] || 'The call has ended.'),
        });
    }
  }

  /** The link to the gateway is back, perhaps over another network: so must be the media. For the client. */
  linkResumed(): void {
    if (this.#id !== undefined) void this.#link?.restart();
  }

  /** Ends the call on this side alone, when the gateway no longer has it. For the client. */
  abandon(end: CallEnd): void {
    this.#finish(end);
  }

  // A method, so that a check after an `await` isn't narrowed away by one before it.
  #isOver(): boolean {
    return this.#state === 'ended';
  }

  async #takeMicrophone(): Promise<boolean> {
    const stream = await this.#host.acquireMicrophone();
    if (this.#isOver()) {
      this.#host.releaseMicrophone(stream);
      return false;
    }
    this.#localStream = stream;
    this.#applyMicrophone();
    return true;
  }

  #openLink(): PeerLink {
    const link = new PeerLink({
      clock: this.#host.clock,
      stream: () => this.#localStream,
      rtcConfiguration: () => this.#host.rtcConfiguration(),
      createPeerConnection: () => this.#host.createPeerConnection(),
      sendCandidate: (candidate, mid) => {
        if (this.#id === undefined) return;
        const params = { callId: this.#id, candidate, mid };
        void this.#quietly(this.#host.request('call.candidate', params, { repeat: true }));
      },
      update: async (sdp) => {
        const { sdp: answer } = await this.#host.request('call.update', { callId: this.#id ?? '', sdp });
        return answer;
      },
      remoteStream: (stream) => {
        this.#remoteStream = stream;
        this.emit('remoteStream', stream);
        this.#changed();
      },
      media: (state) => {
        this.#media = state;
        this.#changed();
      },
    });
    this.#link = link;
    return link;
  }

  #answered(): void {
    if (this.#isOver() || this.#state === 'answered') return;
    this.#answeredAt = this.#host.clock.now();
    this.#setState('answered');
    this.#measure();
  }

  #measure(): void {
    this.#cancelQuality = this.#host.clock.after(QUALITY_EVERY_MS, () => {
      const report = this.peerConnection?.getStats();
      void report?.then((stats) => {
        if (this.#isOver()) return;
        this.#quality = this.#meter.update(stats as unknown as Iterable<[string, unknown]>);
        this.emit('quality', this.#quality);
      }, () => {});
      this.#measure();
    });
  }

  async #setHold(held: boolean): Promise<void> {
    const callId = this.#id;
    if (this.#state !== 'answered' || callId === undefined || this.#held.local === held) return;
    await this.#host.request(held ? 'call.hold' : 'call.resume', { callId }, { repeat: true });
    this.#held = { ...this.#held, local: held };
    this.#applyMicrophone();
    this.#changed();
  }

  #applyMicrophone(): void {
    const enabled = !this.#muted && !this.#held.local;
    for (const track of this.#localStream?.getAudioTracks() ?? []) track.enabled = enabled;
  }

  #setState(state: CallState): void {
    this.#state = state;
    this.#changed();
  }

  #changed(): void {
    this.emit('change', this);
  }

  async #tellGateway(method: 'call.hangup'): Promise<void> {
    if (this.#id !== undefined) await this.#quietly(this.#host.request(method, { callId: this.#id }, { repeat: true }));
  }

  /** For requests whose failure changes nothing: the call is over, or the candidate one of many. */
  async #quietly(request: Promise<unknown>): Promise<void> {
    await request.catch(() => {});
  }

  #fail(error: unknown): void {
    if (this.#isOver()) return;
    const text = error instanceof Error ? error.message : String(error);
    const sipStatus = error instanceof GatewayError ? error.sipStatus : undefined;
    const by = error instanceof GatewayError ? 'gateway' : 'local';
    const gatewayMayHaveIt = !(error instanceof LinkError) && this.#id !== undefined;
    const end: CallEnd = { reason: reasonOf(error), text, by };
    this.#finish(sipStatus === undefined ? end : { ...end, sipStatus });
    if (gatewayMayHaveIt) void this.#tellGateway('call.hangup');
  }

  #finish(end: CallEnd): void {
    if (this.#isOver()) return;
    this.#end = { durationMs: Math.round(this.durationMs), ...end };
    this.#cancelQuality();
    this.#link?.close();
    if (this.#localStream) this.#host.releaseMicrophone(this.#localStream);
    this.#setState('ended');
    this.#host.ended(this);
    this.emit('ended', this.#end);
  }
}
