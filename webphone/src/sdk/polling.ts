import { LinkError } from './errors';
import type { Notification, RpcRequest, RpcResponse } from './protocol';
import { endpoint, parseMessage, type Transport, type TransportHandlers } from './transport';

/** `POST /v1/rpc` for requests, `GET /v1/events?after=N` for notifications; the token goes in a header. */
export class PollingTransport implements Transport {
  readonly kind = 'polling';
  #base: string;
  readonly #fetch: typeof fetch;
  readonly #abort = new AbortController();
  #handlers: TransportHandlers | undefined;
  #token: string | undefined;
  #after: () => number = () => 0;
  #polling = false;
  /** The latest request about each call; done when it is answered. */
  readonly #latest = new Map<string, Promise<void>>();

  constructor(base: string, fetchFunction: typeof fetch = (input, init) => fetch(input, init)) {
    this.#base = base;
    this.#fetch = fetchFunction;
  }

  async open(handlers: TransportHandlers): Promise<void> {
    // Nothing to set up: the first request shows whether the gateway is there.
    this.#handlers = handlers;
  }

  authorize(token: string | undefined, after: () => number): void {
    this.#token = token;
    this.#after = after;
  }

  moveTo(base: string): void {
    this.#base = base;
  }

  /**
   * Requests travel on connections of their own and may overtake each other. What is said about one call, digit after digit, has to
   * arrive in order, so each waits there for the one before.
   */
  send(request: RpcRequest): void {
    const call = (request.params as { callId?: string } | undefined)?.callId;
    if (call === undefined) return void this.#ask(request);
    const asked = (this.#latest.get(call) ?? Promise.resolve()).then(() => this.#ask(request));
    this.#latest.set(call, asked);
    void asked.then(() => {
      if (this.#latest.get(call) === asked) this.#latest.delete(call);
    });
  }

  async #ask(request: RpcRequest): Promise<void> {
    if (!this.#handlers) return;
    const text = await this.#exchange('v1/rpc', request);
    if (text === undefined) return;
    const message = parseMessage(text);
    // The body answers this request and no other, whatever its id says (null if the gateway could not read it).
    if (message) this.#handlers?.message({ ...message, id: request.id } as RpcResponse);
    else this.#finish(new LinkError('refused', 'The answer was not JSON.'));
  }

  listen(): void {
    if (this.#polling) return;
    this.#polling = true;
    void this.#poll();
  }

  close(): void {
    this.#handlers = undefined;
    this.#abort.abort();
  }

  async #poll(): Promise<void> {
    while (this.#handlers) {
      // Asking for what comes after N acknowledges everything up to N.
      const text = await this.#exchange(`v1/events?after=${this.#after()}`);
      if (text === undefined) return;
      const body = parseMessage(text) as { events?: Notification[] } | undefined;
      if (!Array.isArray(body?.events)) return this.#finish(new LinkError('refused', 'The answer was not a list.'));
      this.#handlers?.alive();
      for (const event of body.events) this.#handlers?.message(event);
    }
  }

  /** The body of the response; nothing if the transport is closed by then. */
  async #exchange(path: string, request?: RpcRequest): Promise<string | undefined> {
    const headers: Record<string, string> = {};
    if (this.#token !== undefined) headers['Authorization'] = `Bearer ${this.#token}`;
    if (request) headers['Content-Type'] = 'application/json';
    try {
      const response = await this.#fetch(endpoint(this.#base, path).href, {
        method: request ? 'POST' : 'GET',
        headers,
        body: request ? JSON.stringify(request) : null,
        cache: 'no-store',
        // The route cookie must travel to a gateway of another origin too.
        credentials: 'include',
        signal: this.#abort.signal,
      });
      const text = await response.text();
      if (!this.#handlers) return undefined;
      // A refusal of this request may come with an HTTP status; the link itself is well if the body says why.
      if (response.ok || (request && isErrorResponse(text))) return text;
      this.#finish(new LinkError('refused', `HTTP status ${response.status}`, response.status));
    } catch {
      this.#finish(new LinkError('unreachable', 'The gateway cannot be reached.'));
    }
    return undefined;
  }

  #finish(error: LinkError): void {
    const handlers = this.#handlers;
    this.close();
    handlers?.closed(error);
  }
}

function isErrorResponse(text: string): boolean {
  const message = parseMessage(text);
  return message !== undefined && 'error' in message && typeof message.error?.code === 'number';
}
