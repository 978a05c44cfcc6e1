import type { Clock } from './clock';
import { GatewayError, LinkError } from './errors';
import type { Method, Methods, Notification, RpcResponse } from './protocol';
import type { IncomingMessage, Transport } from './transport';

/** Slack before a late death timer is taken for a page that slept rather than a gateway that died. */
const ASLEEP_MS = 2000;
/** How long the gateway may take to answer a heartbeat, or to prove itself after such a sleep. */
const PROBE_MS = 3000;

export interface ConnectionHandlers {
  notification(notification: Notification): void;
  closed(error: LinkError): void;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
  cancelTimeout(): void;
}

/** JSON-RPC over one transport: matches responses to requests, sends heartbeats, and notices a dead link. */
export class Connection {
  readonly transport: Transport;
  readonly #clock: Clock;
  readonly #handlers: ConnectionHandlers;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #open = false;
  #lastHeard = 0;
  #after: () => number = () => 0;
  #cancelBeat: () => void = () => {};
  #cancelDeath: () => void = () => {};

  constructor(transport: Transport, clock: Clock, handlers: ConnectionHandlers) {
    this.transport = transport;
    this.#clock = clock;
    this.#handlers = handlers;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  async open(timeoutMs: number): Promise<void> {
    let cancel = () => {};
    const timeout = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(timeoutMs, () => reject(new LinkError('timeout', 'The gateway does not answer.')));
    });
    const opening = this.transport.open({
      message: (message) => this.#receive(message),
      alive: () => this.#heard(),
      closed: (error) => this.close(error),
    });
    try {
      await Promise.race([opening, timeout]);
      this.#open = true;
    } catch (error) {
      opening.catch(() => {});
      this.transport.close();
      throw error;
    } finally {
      cancel();
    }
  }

  request<M extends Method>(method: M, params: Methods[M]['params'], timeoutMs = 10_000): Promise<Methods[M]['result']> {
    if (!this.#open) return Promise.reject(new LinkError('closed', 'There is no connection to the gateway.'));
    const id = this.#nextId++;
    return new Promise<Methods[M]['result']>((resolve, reject) => {
      const cancelTimeout = this.#clock.after(timeoutMs, () => {
        this.#pending.delete(id);
        reject(new LinkError('timeout', 'The gateway does not answer.'));
      });
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject, cancelTimeout });
      this.transport.send({ jsonrpc: '2.0', id, method, params });
    });
  }

  /** Starts heartbeats and notifications, once signed in. `after` gives the last notification seen. */
  start(heartbeatMs: number, deadAfterMs: number, after: () => number): void {
    this.#after = after;
    this.#lastHeard = this.#clock.now();
    // A link that is only slow loses nothing by a resume; behind a gateway that hangs, each second counts.
    const silenceMs = Math.min(deadAfterMs, heartbeatMs + PROBE_MS);
    this.#beat(heartbeatMs, silenceMs);
    this.#watch(silenceMs, silenceMs);
    this.transport.listen();
  }

  close(error: LinkError = new LinkError('closed', 'The connection was closed.')): void {
    const wasOpen = this.#open;
    this.#open = false;
    this.#cancelBeat();
    this.#cancelDeath();
    this.transport.close();
    for (const pending of this.#pending.values()) {
      pending.cancelTimeout();
      pending.reject(error);
    }
    this.#pending.clear();
    if (wasOpen) this.#handlers.closed(error);
  }

  #beat(everyMs: number, deadAfterMs: number): void {
    this.#cancelBeat = this.#clock.after(everyMs, () => {
      this.#ping(deadAfterMs);
      this.#beat(everyMs, deadAfterMs);
    });
  }

  #ping(timeoutMs: number): void {
    this.request('session.heartbeat', { after: this.#after() }, timeoutMs).catch((error: unknown) => {
      // Silence is the death timer's business; but a gateway that no longer knows us has to be told anew who we are.
      if (error instanceof GatewayError && error.reason === 'not_signed_in') {
        this.close(new LinkError('refused', error.message));
      }
    });
  }

  #watch(waitMs: number, deadAfterMs: number): void {
    const due = this.#clock.now() + waitMs;
    const heardBefore = this.#lastHeard;
    this.#cancelDeath = this.#clock.after(waitMs, () => {
      const now = this.#clock.now();
      if (this.#lastHeard > heardBefore) {
        this.#watch(Math.max(0, this.#lastHeard + deadAfterMs - now), deadAfterMs);
      } else if (now - due > ASLEEP_MS) {
        this.#ping(PROBE_MS);
        this.#watch(PROBE_MS, deadAfterMs);
      } else {
        this.close(new LinkError('dead', 'The gateway has not been heard for too long.'));
      }
    });
  }

  #heard(): void {
    this.#lastHeard = this.#clock.now();
  }

  #receive(message: IncomingMessage): void {
    if (!this.#open) return;
    this.#heard();
    if ('method' in message) {
      if (typeof message.params?.seq === 'number') this.#handlers.notification(message);
      return;
    }
    this.#settle(message);
  }

  #settle(response: RpcResponse): void {
    // An answer without an id can only be about a message that the gateway could not read: the oldest one waiting.
    const id = response.id ?? this.#pending.keys().next().value;
    const pending = id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined || !pending) return;
    this.#pending.delete(id);
    pending.cancelTimeout();
    const { error } = response;
    if (!error) return pending.resolve(response.result ?? {});
    pending.reject(new GatewayError(error.code, error.data?.reason ?? 'failure', error.message, error.data?.sipStatus));
  }
}
