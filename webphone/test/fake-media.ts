// Just enough of WebRTC for the SDK's own decisions.
type Handler = ((event: never) => void) | null;

export class FakeTrack {
  readonly kind = 'audio';
  enabled = true;
  stopped = false;
  stop(): void {
    this.stopped = true;
  }
}

export class FakeStream {
  readonly tracks = [new FakeTrack()];
  getTracks(): FakeTrack[] {
    return this.tracks;
  }
  getAudioTracks(): FakeTrack[] {
    return this.tracks;
  }
  get active(): boolean {
    return this.tracks.some(({ stopped }) => !stopped);
  }
  clone(): FakeStream {
    return new FakeStream();
  }
}

export class FakePeerConnection {
  configuration: RTCConfiguration;
  readonly offers: RTCOfferOptions[] = [];
  readonly senders: Array<{ track: FakeTrack | null }> = [];
  localDescription: { type: string; sdp: string } | null = null;
  remoteDescription: { type: string; sdp: string } | null = null;
  signalingState = 'stable';
  iceConnectionState = 'new';
  closed = false;
  onicecandidate: Handler = null;
  ontrack: Handler = null;
  oniceconnectionstatechange: Handler = null;

  constructor(configuration: RTCConfiguration) {
    this.configuration = configuration;
  }

  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration): void {
    this.configuration = configuration;
  }
  async createOffer(options: RTCOfferOptions): Promise<unknown> {
    this.offers.push(options);
    return { type: 'offer', sdp: `offer ${this.offers.length}` };
  }
  async createAnswer(): Promise<unknown> {
    return { type: 'answer', sdp: 'answer' };
  }
  async setLocalDescription(description: { type: string; sdp: string }): Promise<void> {
    this.signalingState = description.type === 'offer' ? 'have-local-offer' : 'stable';
    if (description.type !== 'rollback') this.localDescription = description;
  }
  async setRemoteDescription(description: { type: string; sdp: string }): Promise<void> {
    this.signalingState = description.type === 'offer' ? 'have-remote-offer' : 'stable';
    this.remoteDescription = description;
  }
  addTrack(track: FakeTrack): void {
    this.senders.push({ track });
  }
  getSenders(): Array<{ track: FakeTrack | null }> {
    return this.senders;
  }
  getTransceivers(): Array<{ mid: string }> {
    return [{ mid: '0' }];
  }
  async getStats(): Promise<Map<string, unknown>> {
    return new Map();
  }
  close(): void {
    this.closed = true;
  }

  /** The browser has found a candidate; null when it has found all. */
  gather(candidate: string | null): void {
    this.onicecandidate?.({ candidate: candidate === null ? null : { candidate, sdpMid: '0' } } as never);
  }
  ice(state: string): void {
    this.iceConnectionState = state;
    this.oniceconnectionstatechange?.({} as never);
  }
}
