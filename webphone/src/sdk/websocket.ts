import { LinkError } from './errors';
import type { RpcRequest } from './protocol';
import { endpoint, parseMessage, type Transport, type TransportHandlers } from './transport';

/** One JSON-RPC message per text frame on `/v1/ws`. */
export class WebSocketTransport implements Transport {
  readonly kind = 'websocket';
  readonly #url: URL;
  readonly #connect: (url: string) => WebSocket;
  #socket: WebSocket | undefined;
  #handlers: TransportHandlers | undefined;

  constructor(base: string, connect: (url: string) => WebSocket = (url) => new WebSocket(url)) {
    this.#url = endpoint(base, 'v1/ws');
    this.#url.protocol = this.#url.protocol === 'https:' || this.#url.protocol === 'wss:' ? 'wss:' : 'ws:';
    this.#connect = connect;
  }

  open(handlers: TransportHandlers): Promise<void> {
    this.#handlers = handlers;
    return new Promise((resolve, reject) => {
      const socket = this.#connect(this.#url.href);
      this.#socket = socket;
      let opened = false;
      socket.onopen = () => {
        opened = true;
        resolve();
      };
      socket.onmessage = (event) => {
        if (typeof event.data !== 'string') return;
        const message = parseMessage(event.data);
        if (message) this.#handlers?.message(message);
      };
      socket.onclose = (event) => {
        // The gateway refuses with 4000 + HTTP status; everything else is the network's doing.
        const status = event.code >= 4100 && event.code < 4600 ? event.code - 4000 : undefined;
        const error = opened
          ? new LinkError(status ? 'refused' : 'lost', event.reason || 'The connection was closed.', status)
          : new LinkError('unreachable', 'The WebSocket could not be opened.', status);
        reject(error);
        this.#finish(error);
      };
    });
  }

  send(request: RpcRequest): void {
    const socket = this.#socket;
    if (socket && socket.readyState === socket.OPEN) socket.send(JSON.stringify(request));
  }

  authorize(token: string | undefined): void {
    // The token itself goes into the first message. A balancer is told here that only one gateway knows it.
    if (token !== undefined) this.#url.searchParams.set('resume', '1');
  }

  moveTo(): void {
    // It stays connected to the same gateway.
  }

  listen(): void {
    // Notifications come by themselves.
  }

  close(): void {
    const socket = this.#socket;
    this.#handlers = undefined;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #finish(error: LinkError): void {
    const handlers = this.#handlers;
    this.close();
    handlers?.closed(error);
  }
}
