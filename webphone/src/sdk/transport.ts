import type { Notification, RpcRequest, RpcResponse } from './protocol';
import { LinkError } from './errors';

export type TransportKind = 'websocket' | 'polling';
export type IncomingMessage = RpcResponse | Notification;

export interface TransportHandlers {
  /** A response or notification came in. */
  message(message: IncomingMessage): void;
  /** Proof of life without a message, such as an empty poll. */
  alive(): void;
  /** The transport is gone; called once, and nothing after it. */
  closed(error: LinkError): void;
}

/** One connection to one gateway. What differs between WebSocket and long polling, and nothing else. */
export interface Transport {
  readonly kind: TransportKind;
  /** Resolves when requests can be sent. */
  open(handlers: TransportHandlers): Promise<void>;
  send(request: RpcRequest): void;
  /** The token and the last notification seen; a WebSocket needs but to know that there is a token, before it opens. */
  authorize(token: string | undefined, after: () => number): void;
  /** Further requests go to this base URL. */
  moveTo(base: string): void;
  /** From now on notifications are wanted. */
  listen(): void;
  close(): void;
}

export type TransportFactory = (kind: TransportKind, url: string) => Transport;

/** `https://host/base/` + `v1/ws`: a path of the gateway under its base URL. */
export function endpoint(base: string, path: string): URL {
  return new URL(path, base.endsWith('/') ? base : `${base}/`);
}

export function parseMessage(text: string): IncomingMessage | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as IncomingMessage) : undefined;
  } catch {
    return undefined;
  }
}
