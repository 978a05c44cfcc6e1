import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocketTransport } from '../src/sdk/websocket';

function opened(base: string, token?: string): string {
  const urls: string[] = [];
  const transport = new WebSocketTransport(base, (url) => {
    urls.push(url);
    return {} as WebSocket;
  });
  transport.authorize(token);
  void transport.open({ message: () => {}, alive: () => {}, closed: () => {} });
  return urls.join();
}

test('a newcomer opens the address as it is', () => {
  assert.equal(opened('https://gw.example/base'), 'wss://gw.example/base/v1/ws');
  assert.equal(opened('http://127.0.0.1:8080/'), 'ws://127.0.0.1:8080/v1/ws');
});

test('who comes back says so, and never says the token', () => {
  assert.equal(opened('https://gw.example', 'secret'), 'wss://gw.example/v1/ws?resume=1');
});
