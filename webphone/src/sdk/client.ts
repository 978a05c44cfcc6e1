import { Call, type CallHost } from './call';
import { sleep, systemClock, type Clock } from './clock';
import { Connection } from './connection';
import { Emitter } from './emitter';
import { GatewayError, LinkError } from './errors';
import { defaultAudioConstraints, Microphone, type GetUserMedia } from './media';
import { PollingTransport } from './polling';
import type { CallSummary, Method, Methods, Notification, SignInResult } from './protocol';
import { Sequence } from './sequence';
import { endpoint, type Transport, type TransportFactory, type TransportKind } from './transport';
import { WebSocketTransport } from './websocket';

const OPEN_TIMEOUT_MS = 4000;
const FIRST_ANSWER_TIMEOUT_MS = 8000;
const REQUEST_TIMEOUT_MS = 10_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5000;
/** While there is a call, each second counts: another gateway may have taken it over. */
const RETRY_MAX_IN_CALL_MS = 1000;
/** How long the gateway's word about a call it no longer lists may still be on its way. */
const LATE_END_MS = 2000;
const MAX_EARLY_NOTIFICATIONS = 64;

export type ClientState = 'signedOut' | 'connecting' | 'signedIn' | 'reconnecting';

export interface ClientOptions {
  /** Gateways in order of preference, as base URLs; by default where the page came from. */
  urls?: string[];
  /** `auto` (the default) tries WebSocket first and long polling where that fails. */
  transport?: 'auto' | TransportKind;
  /** Constraints for the microphone; by default echo cancellation, noise suppression and gain control are on. */
  audio?: MediaTrackConstraints;
  /** In place of `navigator.mediaDevices.getUserMedia`, for a sound of your own. */
  getUserMedia?: GetUserMedia;
  /** Added to what the gateway says at sign-in, which has the ICE servers. */
  rtcConfiguration?: RTCConfiguration;
  /** Keep the password in memory and sign in anew when the gateway has forgotten us (default true). */
  signInAgain?: boolean;
  clock?: Clock;
  createTransport?: TransportFactory;
  createPeerConnection?: (configuration: RTCConfiguration) => RTCPeerConnection;
}

export interface SignedOut {
  /** `signed_out`, `displaced`, or the reason of the error that made signing in again pointless. */
  reason: string;
  text: string;
}

export interface ClientEvents {
  state: ClientState;
  /** Somebody calls. */
  incoming: Call;
  /** The list of calls, or something in one of them, has changed. */
  calls: readonly Call[];
  /** This gateway takes no new calls; the client moves on by itself once no call is left. */
  draining: { text: string };
  /** Signed in, but something is amiss, or well again: `registration_failed`, `registration_restored`. */
  warning: { reason: string; text: string };
  signedOut: SignedOut;
}

interface Credentials {
  user: string;
  password: string;
}

/** A sign-in at a gateway, over whatever link works, and its calls. */
export class GatewayClient extends Emitter<ClientEvents> {
  readonly microphone: Microphone;
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #urls: string[];
  readonly #createTransport: TransportFactory;
  readonly #host: CallHost;
  readonly #sequence = new Sequence();
  readonly #calls = new Set<Call>();
  readonly #early = new Map<string, Notification[]>();
  #urlIndex = 0;
  #preferred: TransportKind = 'websocket';
  #state: ClientState = 'signedOut';
  #connection: Connection | undefined;
  #signIn: SignInResult | undefined;
  /** Stays while a new sign-in takes the place of a lost one. */
  #identity: Pick<SignInResult, 'user' | 'displayName'> | undefined;
  #credentials: Credentials | undefined;
  #creating = 0;
  #draining = false;
  /** Goes up with each sign-in and sign-out, so that what belongs to an old one knows that it is over. */
  #epoch = 0;
  #wakeRetry: () => void = () => {};
  #waiting: Array<() => void> = [];

  constructor(options: ClientOptions = {}) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#urls = options.urls?.length ? options.urls : [new URL('./', globalThis.location.href).href];
    this.#createTransport = options.createTransport ?? createTransport;
    this.microphone = new Microphone(options.audio ?? defaultAudioConstraints, options.getUserMedia);
    this.#host = this.#makeHost();
    // A network that comes back is a reason not to wait for the next attempt.
    globalThis.addEventListener?.('online', () => this.#wakeRetry());
  }

  get state(): ClientState {
    return this.#state;
  }
  /** Who is signed in. */
  get user(): string | undefined {
    return this.#identity?.user;
  }
  get displayName(): string | undefined {
    return this.#identity?.displayName ?? undefined;
  }
  get transport(): TransportKind | undefined {
    return this.#connection?.transport.kind;
  }
  get url(): string {
    return this.#urls[this.#urlIndex] ?? '';
  }
  get calls(): readonly Call[] {
    return [...this.#calls];
  }
  get draining(): boolean {
    return this.#draining;
  }

  /** Signs in at the first gateway that answers. Throws `GatewayError` (`wrong_credentials` ...) or `LinkError`. */
  async signIn(user: string, password: string): Promise<void> {
    if (this.#state !== 'signedOut') throw new LinkError('closed', 'Already signed in.');
    this.#credentials = { user, password };
    const epoch = ++this.#epoch;
    this.#setState('connecting');
    try {
      await this.#enter(epoch, this.#credentials);
    } catch (error) {
      if (epoch === this.#epoch) this.#leave();
      throw error;
    }
  }

  /** Ends all calls and the sign-in. */
  async signOut(): Promise<void> {
    if (this.#state === 'signedOut') return;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#endCalls('hangup', 'You signed out.');
    this.#leave({ reason: 'signed_out', text: 'You signed out.' });
    await connection?.request('session.signOut', {}, 3000).catch(() => {});
    connection?.close();
  }

  /** Calls a number, name or `sip:` address. Every other call goes on hold; failures end the call. */
  call(to: string): Call {
    const user = this.user ?? '';
    const call = new Call(this.#host, 'outgoing', { from: user, to, displayName: '' });
    this.#add(call);
    void call.start();
    return call;
  }

  /** Any request; waits for the link if it is being renewed. `repeat`: sent again if the link breaks in between. */
  async request<M extends Method>(
    method: M,
    params: Methods[M]['params'],
    options: { repeat?: boolean; timeoutMs?: number } = {},
  ): Promise<Methods[M]['result']> {
    for (;;) {
      const connection = await this.#whenConnected();
      try {
        return await connection.request(method, params, options.timeoutMs ?? REQUEST_TIMEOUT_MS);
      } catch (error) {
        if (error instanceof GatewayError && error.reason === 'not_signed_in') {
          connection.close(new LinkError('refused', error.message));
        }
        const lost = error instanceof LinkError && error.reason !== 'timeout';
        if (!lost || !options.repeat || this.#state !== 'reconnecting') throw error;
      }
    }
  }

  #makeHost(): CallHost {
    return {
      clock: this.#clock,
      request: (method, params, options) =>
        method === 'call.create'
          ? this.#counted(() => this.request(method, params))
          : this.request(method, params, options),
      rtcConfiguration: () => this.#rtcConfiguration(),
      createPeerConnection: () => {
        const configuration = this.#rtcConfiguration();
        return this.#options.createPeerConnection?.(configuration) ?? new RTCPeerConnection(configuration);
      },
      acquireMicrophone: (fresh) => this.microphone.acquire(fresh),
      releaseMicrophone: (stream) => this.microphone.release(stream),
      makeActive: (call) => this.#makeActive(call),
      created: (call) => this.#replayEarly(call),
      ended: (call) => this.#remove(call),
    };
  }

  #rtcConfiguration(): RTCConfiguration {
    return { iceServers: this.#signIn?.iceServers ?? [], ...this.#options.rtcConfiguration };
  }

  // --- signing in and staying signed in ---

  /** Tries gateways and transports in order until one takes `first`; only an answer about us ends the search. */
  async #connect(
    epoch: number,
    token: string | undefined,
    first: (connection: Connection) => Promise<SignInResult>,
  ): Promise<{ connection: Connection; result: SignInResult }> {
    let failure: unknown = new LinkError('unreachable', 'The gateway cannot be reached.');
    const own = token === undefined ? undefined : this.#signIn?.path;
    const seesStatus = this.#kinds().includes('polling');
    let notFound = false;
    for (const [step, { index, path }] of this.#places(own).entries()) {
      // Without its path a balancer takes us for a newcomer, and may give us another gateway's cookie. While there is a call, that is
      // for when nothing has that path: 404, not 503, which may be over in a second. Of a WebSocket that fails a browser tells no status.
      if (own && step === 1 && this.#calls.size > 0 && seesStatus && !notFound) continue;
      const url = this.#urls[index] ?? '';
      for (const kind of this.#kinds()) {
        const connection = this.#makeConnection(epoch, kind, endpoint(url, path).href);
        connection.transport.authorize(token, () => this.#sequence.last);
        try {
          await connection.open(OPEN_TIMEOUT_MS);
          const result = await first(connection);
          if (epoch !== this.#epoch) throw new LinkError('closed', 'Signed out meanwhile.');
          connection.transport.authorize(result.token ?? token, () => this.#sequence.last);
          // Where we were found without the path, and are told that very path again, it leads nowhere as yet: this link stays without it.
          const leadsNowhere = !path && index === this.#urlIndex && result.path === own;
          connection.transport.moveTo(endpoint(url, leadsNowhere ? '' : (result.path ?? '')).href);
          this.#urlIndex = index;
          this.#preferred = kind;
          return { connection, result };
        } catch (error) {
          connection.close();
          if (epoch !== this.#epoch) throw error;
          notFound ||= error instanceof LinkError && error.status === 404;
          const stranger = token !== undefined && step > 0;
          // Another gateway may be about to take our calls over: that it doesn't know us yet is no reason to end them.
          const notYet = stranger && this.#calls.size > 0 && error instanceof GatewayError && error.reason === 'not_signed_in';
          if (!notYet) failure = error;
          if (!(error instanceof GatewayError)) continue;
          // A gateway that is full or closing says nothing about the next one; nor does one that never knew us.
          const final = !['unavailable', 'too_many'].includes(error.reason) && !stranger;
          if (final) throw error;
          break;
        }
      }
    }
    throw failure;
  }

  /** Where to look for a gateway, in order: first where our own said that it would be, if it did. */
  #places(own: string | undefined): Array<{ index: number; path: string }> {
    const places = this.#urls.map((_, step) => ({ index: (this.#urlIndex + step) % this.#urls.length, path: '' }));
    return own ? [{ index: this.#urlIndex, path: own }, ...places] : places;
  }

  #kinds(): TransportKind[] {
    const wanted = this.#options.transport ?? 'auto';
    if (wanted !== 'auto') return [wanted];
    return this.#preferred === 'websocket' ? ['websocket', 'polling'] : ['polling', 'websocket'];
  }

  #makeConnection(epoch: number, kind: TransportKind, url: string): Connection {
    const connection: Connection = new Connection(this.#createTransport(kind, url), this.#clock, {
      notification: (notification) => {
        if (epoch === this.#epoch) this.#receive(connection, notification);
      },
      closed: (error) => {
        if (connection !== this.#connection) return;
        // 409: another sign-in of this user has taken the place of this one.
        if (error.status === 409) this.#displaced('You signed in somewhere else.');
        else this.#linkLost();
      },
    });
    return connection;
  }

  async #enter(epoch: number, credentials: Credentials): Promise<void> {
    this.#sequence.reset();
    this.#signIn = undefined;
    const { connection, result } = await this.#connect(epoch, undefined, (link) =>
      link.request('session.signIn', { ...credentials }, FIRST_ANSWER_TIMEOUT_MS),
    );
    this.#draining = false;
    this.#linked(connection, result);
  }

  async #resume(epoch: number, token: string): Promise<void> {
    const { connection, result } = await this.#connect(epoch, token, (link) => {
      const after = this.#sequence.last;
      const params = link.transport.kind === 'polling' ? { after } : { token, after };
      return link.request('session.resume', params, OPEN_TIMEOUT_MS);
    });
    this.#linked(connection, { ...result, token: result.token ?? token });
    this.#reconcile(result.calls ?? []);
    for (const call of this.#calls) call.linkResumed();
  }

  #linked(connection: Connection, result: SignInResult): void {
    this.#connection = connection;
    this.#signIn = result;
    this.#identity = result;
    connection.start(result.heartbeatMs ?? 4000, result.deadAfterMs ?? 10_000, () => this.#sequence.last);
    this.#setState('signedIn');
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #linkLost(): void {
    this.#connection = undefined;
    this.#setState('reconnecting');
    void this.#reconnect(this.#epoch);
  }

  async #reconnect(epoch: number): Promise<void> {
    const lostAt = this.#clock.now();
    const windowMs = this.#signIn?.resumeWindowMs ?? 30_000;
    let token = this.#signIn?.token;
    const longest = () => (this.#calls.size > 0 ? RETRY_MAX_IN_CALL_MS : RETRY_MAX_MS);
    let delay = 0;
    while (epoch === this.#epoch) {
      if (delay > 0) await this.#pause(delay);
      if (epoch !== this.#epoch) return;
      delay = Math.min(Math.max(RETRY_FIRST_MS, delay * 2), longest());
      try {
        if (token !== undefined) await this.#resume(epoch, token);
        else if (this.#credentials) await this.#enter(epoch, this.#credentials);
        return;
      } catch (error) {
        if (epoch !== this.#epoch) return;
        const forgotten = error instanceof GatewayError && error.reason === 'not_signed_in';
        if (token !== undefined && (forgotten || this.#clock.now() - lostAt > windowMs)) {
          token = undefined;
          this.#endCalls('client_gone', 'The connection to the gateway was lost for too long.');
          if (this.#options.signInAgain === false) {
            return this.#leave({ reason: 'session_expired', text: 'Your sign-in has ended.' });
          }
          delay = 0; // signing in is another attempt, not the same one again
        } else if (token === undefined && error instanceof GatewayError && error.reason === 'wrong_credentials') {
          return this.#leave({ reason: error.reason, text: error.message });
        }
      }
    }
  }

  #pause(ms: number): Promise<void> {
    // Up to a quarter more, so that a thousand phones don't come back in the same instant.
    const wait = sleep(this.#clock, ms * (1 + Math.random() / 4));
    return Promise.race([wait, new Promise<void>((resolve) => (this.#wakeRetry = resolve))]);
  }

  async #whenConnected(): Promise<Connection> {
    const giveUpAt = this.#clock.now() + (this.#signIn?.resumeWindowMs ?? 30_000);
    while (!this.#connection) {
      if (this.#state === 'signedOut') throw new LinkError('closed', 'Not signed in.');
      const left = giveUpAt - this.#clock.now();
      if (left <= 0) throw new LinkError('timeout', 'The gateway cannot be reached.');
      let cancel = () => {};
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        cancel = this.#clock.after(left, resolve);
      });
      cancel();
    }
    return this.#connection;
  }

  #leave(why?: SignedOut): void {
    this.#epoch++;
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
    this.#signIn = undefined;
    this.#identity = undefined;
    this.#credentials = undefined;
    this.#draining = false;
    this.#early.clear();
    this.#wakeRetry();
    this.#setState('signedOut');
    for (const wake of this.#waiting.splice(0)) wake();
    if (why) this.emit('signedOut', why);
  }

  /** The credentials for relays are prolonged with the sign-in. */
  async #prolong(): Promise<void> {
    const signIn = this.#signIn;
    const refreshed = await this.request('session.refresh', {});
    if (signIn && signIn === this.#signIn) this.#signIn = { ...signIn, ...refreshed };
  }

  #displaced(text: string): void {
    this.#endCalls('session_expired', text);
    this.#leave({ reason: 'displaced', text });
  }

  /** Away from a gateway that is closing: a new sign-in, at the next gateway if there is one. */
  #moveOn(): void {
    const connection = this.#connection;
    if (!connection || !this.#credentials || this.#options.signInAgain === false) return;
    this.#urlIndex = (this.#urlIndex + 1) % this.#urls.length;
    this.#draining = false;
    this.#signIn = undefined;
    this.#connection = undefined;
    const epoch = ++this.#epoch;
    this.#setState('reconnecting');
    void connection.request('session.signOut', {}, 2000).catch(() => {}).then(() => {
      connection.close();
      if (epoch === this.#epoch) void this.#reconnect(epoch);
    });
  }

  #setState(state: ClientState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }

  // --- notifications ---

  #receive(connection: Connection, notification: Notification): void {
    switch (this.#sequence.accept(notification.params.seq)) {
      case 'duplicate':
        return;
      case 'gap':
        // The resume that follows asks for what is missing.
        return connection.close(new LinkError('gap', 'A notification is missing.'));
      case 'deliver':
        return this.#dispatch(notification);
    }
  }

  #dispatch({ method, params }: Notification): void {
    switch (method) {
      case 'session.displaced':
        return this.#displaced(String(params['text'] || 'You signed in somewhere else.'));
      case 'session.warning':
        return this.emit('warning', { reason: String(params['reason']), text: String(params['text'] ?? '') });
      case 'session.expiring':
        return void this.#prolong().catch(() => {});
      case 'server.draining':
        this.#draining = true;
        this.emit('draining', { text: String(params['text'] || 'This gateway is closing for maintenance.') });
        if (this.#calls.size === 0) this.#moveOn();
        return;
      case 'call.incoming':
        return this.#incoming(params);
    }
    const { callId } = params;
    if (!method.startsWith('call.') || callId === undefined) return;
    const call = this.#find(callId);
    if (call) call.handle(method, params);
    else if (this.#creating > 0) this.#keepEarly(callId, { method, params });
  }

  #incoming(params: Notification['params']): void {
    const { callId } = params;
    if (callId === undefined || this.#find(callId)) return;
    const parties = {
      from: String(params['from'] ?? ''),
      to: String(params['to'] ?? ''),
      displayName: String(params['displayName'] ?? ''),
    };
    const call = new Call(this.#host, 'incoming', parties, { id: callId, offer: String(params['sdp'] ?? '') });
    this.#add(call);
    this.emit('incoming', call);
  }

  // --- calls ---

  #find(callId: string): Call | undefined {
    for (const call of this.#calls) if (call.id === callId) return call;
    return undefined;
  }

  #add(call: Call): void {
    this.#calls.add(call);
    call.on('change', () => this.emit('calls', this.calls));
    this.emit('calls', this.calls);
  }

  #remove(call: Call): void {
    this.#calls.delete(call);
    this.emit('calls', this.calls);
    if (this.#draining && this.#calls.size === 0) this.#moveOn();
  }

  async #makeActive(active: Call): Promise<void> {
    for (const call of this.calls) {
      if (call === active || call.state === 'incoming') continue;
      if (call.state !== 'answered') await call.hangup();
      else await call.hold().catch((error: unknown) => this.#unlessOver(error));
    }
  }

  /** A call that ended in this very moment needs no hold any more. */
  #unlessOver(error: unknown): void {
    if (!(error instanceof GatewayError && error.reason === 'unknown_call')) throw error;
  }

  #endCalls(reason: string, text: string): void {
    for (const call of this.calls) call.abandon({ reason, text, by: 'gateway' });
  }

  /** Over long polling the first notifications of a call may be faster than the answer to `call.create`. */
  #keepEarly(callId: string, notification: Notification): void {
    const list = this.#early.get(callId) ?? [];
    if (list.length < MAX_EARLY_NOTIFICATIONS) list.push(notification);
    this.#early.set(callId, list);
  }

  #replayEarly(call: Call): void {
    const early = this.#early.get(call.id ?? '') ?? [];
    this.#early.delete(call.id ?? '');
    for (const { method, params } of early) call.handle(method, params);
  }

  async #counted<T>(create: () => Promise<T>): Promise<T> {
    this.#creating++;
    try {
      return await create();
    } finally {
      this.#creating--;
      // The call itself takes what came early in this very turn; the rest belongs to nobody.
      void sleep(this.#clock, 0).then(() => {
        if (this.#creating === 0) this.#early.clear();
      });
    }
  }

  /** After a resume: what only the gateway has is hung up, what only we have ends here. */
  #reconcile(listed: CallSummary[]): void {
    const ids = new Set(listed.map(({ callId }) => callId));
    for (const { callId, state, direction } of listed) {
      // An incoming call that still rings is announced by a notification on its way.
      if (this.#find(callId) || (direction === 'incoming' && state !== 'answered')) continue;
      void this.request('call.hangup', { callId }, { repeat: true }).catch(() => {});
    }
    const missing = this.calls.filter((call) => call.id !== undefined && !ids.has(call.id));
    if (missing.length === 0) return;
    // The notification that says why is probably on its way.
    this.#clock.after(LATE_END_MS, () => {
      const end = { reason: 'failure', text: 'The call ended while you were offline.', by: 'gateway' } as const;
      for (const call of missing) call.abandon(end);
    });
  }
}

function createTransport(kind: TransportKind, url: string): Transport {
  return kind === 'websocket' ? new WebSocketTransport(url) : new PollingTransport(url);
}
