import type { Clock } from './clock';

/** An interrupted path often comes back by itself within this time. */
const DISCONNECTED_PATIENCE_MS = 2000;
/** A restart that has brought nothing by then is followed by the next. */
const RESTART_TIMEOUT_MS = 8000;
const MAX_RESTARTS = 6;

export type MediaState = 'new' | 'connecting' | 'connected' | 'interrupted';

export interface PeerLinkHost {
  clock: Clock;
  stream(): MediaStream | undefined;
  /** With the relays and credentials that are good now. */
  rtcConfiguration(): RTCConfiguration;
  createPeerConnection(): RTCPeerConnection;
  sendCandidate(candidate: string, mid: string): void;
  /** Sends an offer within the call and gets the answer. */
  update(sdp: string): Promise<string>;
  remoteStream(stream: MediaStream): void;
  media(state: MediaState): void;
}

/** The media path of one call: an RTCPeerConnection, its candidates, and how it is brought back when it is lost. */
export class PeerLink {
  readonly #host: PeerLinkHost;
  #pc: RTCPeerConnection;
  #closed = false;
  #trickling = false;
  #localCandidates: Array<{ candidate: string; mid: string }> = [];
  #restarts = 0;
  #restarting = false;
  #state: MediaState = 'new';
  #queue: Promise<unknown> = Promise.resolve();
  #cancelTimer: () => void = () => {};

  constructor(host: PeerLinkHost) {
    this.#host = host;
    this.#pc = this.#build();
  }

  get peerConnection(): RTCPeerConnection {
    return this.#pc;
  }

  /** An offer that can be sent at once; its candidates follow by `sendCandidate` after `trickle()`. */
  offer(): Promise<string> {
    return this.#serial(() => this.#localOffer(this.#pc, {}));
  }

  acceptAnswer(sdp: string): Promise<void> {
    return this.#serial(() => this.#remote(this.#pc, { type: 'answer', sdp }));
  }

  answerTo(offer: string): Promise<string> {
    return this.#serial(async () => {
      await this.#remote(this.#pc, { type: 'offer', sdp: offer });
      await this.#pc.setLocalDescription(await this.#pc.createAnswer());
      return this.#pc.localDescription?.sdp ?? '';
    });
  }

  /** The gateway now knows the call: candidates may be sent. */
  trickle(): void {
    this.#trickling = true;
    for (const { candidate, mid } of this.#localCandidates.splice(0)) this.#host.sendCandidate(candidate, mid);
  }

  async replaceTrack(stream: MediaStream): Promise<void> {
    const track = stream.getAudioTracks()[0] ?? null;
    await this.#pc.getSenders()[0]?.replaceTrack(track);
  }

  /** Looks for a new path: first by an ICE restart; where that brings nothing, by a new RTCPeerConnection. */
  restart(): Promise<void> {
    // A new reason; what came of earlier attempts says nothing about it.
    this.#restarts = 0;
    return this.#attempt();
  }

  /** The gateway has lost the path. Firefox, for one, doesn't notice when its TCP connection to a relay breaks. */
  lost(): void {
    // Where the browser has noticed, a new path is being looked for.
    if (this.#state !== 'interrupted') void this.#attempt();
  }

  async #attempt(): Promise<void> {
    if (this.#closed || this.#restarting || !this.#trickling) return;
    this.#restarting = true;
    this.#cancelTimer();
    const attempt = this.#restarts++;
    try {
      await this.#serial(() => (attempt % 2 === 0 ? this.#restartIce() : this.#rebuild()));
    } catch (error) {
      console.warn('The media path could not be renewed.', error);
    } finally {
      this.#restarting = false;
    }
    if (!this.#closed && this.#restarts < MAX_RESTARTS) this.#retryUnlessConnected(RESTART_TIMEOUT_MS);
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    this.#pc.close();
  }

  #build(): RTCPeerConnection {
    const pc = this.#host.createPeerConnection();
    pc.onicecandidate = ({ candidate }) => {
      // Firefox marks the end with an empty candidate before the null that everyone sends.
      if (pc !== this.#pc || candidate?.candidate === '') return;
      this.#candidate(candidate?.candidate ?? '', candidate?.sdpMid ?? pc.getTransceivers()[0]?.mid ?? '0');
    };
    pc.ontrack = ({ streams, track }) => this.#host.remoteStream(streams[0] ?? new MediaStream([track]));
    pc.oniceconnectionstatechange = () => {
      if (pc === this.#pc && !this.#closed) this.#iceChanged();
    };
    return pc;
  }

  #addTracks(pc: RTCPeerConnection): void {
    const stream = this.#host.stream();
    if (!stream || pc.getSenders().some((sender) => sender.track)) return;
    for (const track of stream.getAudioTracks().slice(0, 1)) pc.addTrack(track, stream);
  }

  #candidate(candidate: string, mid: string): void {
    if (this.#trickling) this.#host.sendCandidate(candidate, mid);
    else this.#localCandidates.push({ candidate, mid });
  }

  async #localOffer(pc: RTCPeerConnection, options: RTCOfferOptions): Promise<string> {
    this.#addTracks(pc);
    await pc.setLocalDescription(await pc.createOffer(options));
    return pc.localDescription?.sdp ?? '';
  }

  async #remote(pc: RTCPeerConnection, description: RTCSessionDescriptionInit): Promise<void> {
    await pc.setRemoteDescription(description);
    if (description.type === 'offer') this.#addTracks(pc);
  }

  async #restartIce(): Promise<void> {
    const pc = this.#pc;
    // Since the call began, the relays may have become others, or the credentials run out.
    pc.setConfiguration({ ...pc.getConfiguration(), ...this.#host.rtcConfiguration() });
    const offer = await this.#localOffer(pc, { iceRestart: true });
    try {
      await this.#remote(pc, { type: 'answer', sdp: await this.#host.update(offer) });
    } catch (error) {
      if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
      throw error;
    }
  }

  // Firefox sends nothing any more after a restart once ICE has failed; a fresh connection does.
  async #rebuild(): Promise<void> {
    const old = this.#pc;
    const pc = (this.#pc = this.#build());
    try {
      const offer = await this.#localOffer(pc, {});
      await this.#remote(pc, { type: 'answer', sdp: await this.#host.update(offer) });
      old.close();
    } catch (error) {
      pc.close();
      this.#pc = old;
      throw error;
    }
  }

  #iceChanged(): void {
    switch (this.#pc.iceConnectionState) {
      case 'checking':
        if (this.#state === 'new') this.#setState('connecting');
        return;
      case 'connected':
      case 'completed':
        this.#restarts = 0;
        this.#cancelTimer();
        return this.#setState('connected');
      case 'disconnected':
        this.#setState('interrupted');
        return this.#retryUnlessConnected(DISCONNECTED_PATIENCE_MS);
      case 'failed':
        this.#setState('interrupted');
        return void this.#attempt();
    }
  }

  #retryUnlessConnected(afterMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#host.clock.after(afterMs, () => {
      if (!['connected', 'completed'].includes(this.#pc.iceConnectionState)) void this.#attempt();
    });
  }

  #setState(state: MediaState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#host.media(state);
  }

  // Offers and answers must not cross: one negotiation at a time.
  #serial<T>(operation: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(operation);
    this.#queue = run.catch(() => {});
    return run;
  }
}
