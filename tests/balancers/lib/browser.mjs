// What a browser does for the SDK's links: a cookie jar, `fetch` and `WebSocket`, with connections of its own.
import https from 'node:https';
import { text } from 'node:stream/consumers';

import WebSocket from 'ws';

const ROUTE = 'WSGROUTEID';

export class Browser {
  #cookies = new Map();
  #sockets = new Set();
  #agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false });

  /** With `node`, it was at that gateway before. */
  constructor(node) {
    this.#cookies.set('other', '1');
    if (node) this.#cookies.set(ROUTE, `.${node}`);
  }

  /** The gateway that the balancer's cookie names. */
  get node() {
    return this.#cookies.get(ROUTE)?.slice(1);
  }

  fetch = async (url, { method = 'GET', headers = {}, body, signal } = {}) => {
    const send = () =>
      new Promise((resolve, reject) => {
        const request = https.request(url, { method, headers: { ...this.#headers(url), ...headers }, agent: this.#agent, signal });
        // The server may close a kept connection just as it is used again; browsers then take a new one.
        request.once('error', (error) => (request.reusedSocket && error.code === 'ECONNRESET' ? resolve(send()) : reject(error)));
        request.once('response', resolve);
        request.end(body);
      });
    const response = await send();
    this.#keep(response);
    const { statusCode: status } = response;
    return { status, ok: status >= 200 && status < 300, text: () => text(response) };
  };

  connect = (url) => {
    const socket = new WebSocket(url, { headers: this.#headers(url.replace('wss:', 'https:')), rejectUnauthorized: false });
    this.#sockets.add(socket);
    socket.on('upgrade', (response) => this.#keep(response));
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {}); // `close` follows
    return socket;
  };

  /** Breaks its WebSockets, as a network may do. */
  cut() {
    for (const socket of this.#sockets) socket.terminate();
  }

  close() {
    this.cut();
    this.#agent.destroy();
  }

  #headers(url) {
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    return { Origin: new URL(url).origin, Cookie: cookies };
  }

  #keep({ headers }) {
    for (const line of headers['set-cookie'] ?? []) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      this.#cookies.set(name, value);
    }
  }
}
