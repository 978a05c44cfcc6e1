// A clock, a transport and a gateway that do only what a test says.
import type { Clock } from '../src/sdk/clock';
import { LinkError } from '../src/sdk/errors';
import type { RpcRequest } from '../src/sdk/protocol';
import type { IncomingMessage, Transport, TransportHandlers, TransportKind } from '../src/sdk/transport';

/** Lets everything that only waits for promises happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

export class FakeClock implements Clock {
  #now = 1000;
  #timers: Array<{ at: number; callback: () => void }> = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Time passes, and each timer fires when it is due. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#timers.sort((a, b) => a.at - b.at)[0];
      if (!next || next.at > until) break;
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = until;
    await settle();
  }

  /** The machine sleeps: time passes, timers fire only afterwards. */
  async sleep(ms: number): Promise<void> {
    this.#now += ms;
    await this.advance(0);
  }
}

type Answer = { result: unknown } | { error: { code: number; message: string; data: { reason: string } } } | undefined;
export type Script = (request: RpcRequest, transport: FakeTransport) => Answer;

export function refusal(reason: string): Answer {
  return { error: { code: -32000, message: `Refused: ${reason}`, data: { reason } } };
}

export class FakeTransport implements Transport {
  readonly kind: TransportKind;
  readonly url: string;
  readonly sent: RpcRequest[] = [];
  token: string | undefined;
  /** Where requests go. */
  base: string;
  listening = false;
  handlers: TransportHandlers | undefined;
  readonly #gateway: FakeGateway;

  constructor(gateway: FakeGateway, kind: TransportKind, url: string) {
    this.#gateway = gateway;
    this.kind = kind;
    this.url = url;
    this.base = url;
  }

  async open(handlers: TransportHandlers): Promise<void> {
    if (this.#gateway.down.has(this.kind) || this.#gateway.down.has(this.url)) {
      throw new LinkError('unreachable', 'down');
    }
    if (this.#gateway.refused.has(this.url) && this.kind === 'websocket') throw new LinkError('unreachable', 'refused');
    this.handlers = handlers;
  }

  authorize(token: string | undefined): void {
    this.token = token;
  }

  moveTo(base: string): void {
    this.base = base;
  }

  send(request: RpcRequest): void {
    this.sent.push(request);
    const status = this.#gateway.refused.get(this.base);
    if (status !== undefined) return this.break(status);
    void Promise.resolve().then(() => {
      const answer = this.#gateway.script(request, this);
      if (answer) this.deliver({ jsonrpc: '2.0', id: request.id, ...answer });
    });
  }

  listen(): void {
    this.listening = true;
  }

  close(): void {
    this.handlers = undefined;
  }

  deliver(message: IncomingMessage): void {
    this.handlers?.message(message);
  }

  notify(seq: number, method: string, params: Record<string, unknown> = {}): void {
    this.deliver({ jsonrpc: '2.0', method, params: { seq, ...params } });
  }

  /** The network breaks the link. */
  break(status?: number): void {
    const handlers = this.handlers;
    this.handlers = undefined;
    handlers?.closed(new LinkError('lost', 'broken', status));
  }

  methods(): string[] {
    return this.sent.map(({ method }) => method);
  }
}

export class FakeGateway {
  readonly transports: FakeTransport[] = [];
  /** Kinds and URLs that cannot be reached. */
  readonly down = new Set<string>();
  /** URLs at which a balancer answers by itself, and the HTTP status; a WebSocket isn't told. */
  readonly refused = new Map<string, number>();
  path: string | undefined;
  readonly #extra: Script;
  script: Script = (request, transport) => this.answer(request, transport);
  calls: unknown[] = [];

  constructor(extra: Script = () => ({ result: {} })) {
    this.#extra = extra;
  }

  readonly create = (kind: TransportKind, url: string): FakeTransport => {
    const transport = new FakeTransport(this, kind, url);
    this.transports.push(transport);
    return transport;
  };

  get last(): FakeTransport {
    const transport = this.transports.at(-1);
    if (!transport) throw new Error('no transport yet');
    return transport;
  }

  /** Every request of a method, over all links. */
  requests(method: string): RpcRequest[] {
    return this.transports.flatMap(({ sent }) => sent).filter((request) => request.method === method);
  }

  answer(request: RpcRequest, transport: FakeTransport): Answer {
    switch (request.method) {
      case 'session.signIn':
      case 'session.resume':
        return {
          result: {
            token: 'T',
            user: '1001',
            displayName: 'Demo',
            expiresInMs: 3_600_000,
            heartbeatMs: 4000,
            deadAfterMs: 10_000,
            resumeWindowMs: 30_000,
            iceServers: [{ urls: 'stun:192.0.2.1' }],
            calls: this.calls,
            ...(this.path !== undefined && { path: this.path }),
          },
        };
      case 'session.heartbeat':
        return { result: {} };
      default:
        return this.#extra(request, transport);
    }
  }
}
