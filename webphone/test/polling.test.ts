import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LinkError } from '../src/sdk/errors';
import { PollingTransport } from '../src/sdk/polling';
import type { IncomingMessage } from '../src/sdk/transport';

interface Exchange {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | null;
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

/** A fetch that answers from a list, then never again. */
function open(answer: (exchange: Exchange) => Response | Error | undefined, token?: string) {
  const exchanges: Exchange[] = [];
  const messages: IncomingMessage[] = [];
  const closed: LinkError[] = [];
  let seen = 0;
  let alive = 0;
  const transport = new PollingTransport('https://gw.example/base', (input, init) => {
    const exchange = {
      method: init?.method ?? 'GET',
      url: String(input),
      headers: init?.headers as Record<string, string>,
      body: (init?.body as string | null) ?? null,
    };
    exchanges.push(exchange);
    const response = answer(exchange);
    if (response instanceof Error) return Promise.reject(response);
    return response ? Promise.resolve(response) : new Promise(() => {});
  });
  transport.authorize(token, () => seen);
  void transport.open({
    message: (message) => {
      messages.push(message);
      if ('method' in message) seen = message.params.seq;
    },
    alive: () => void alive++,
    closed: (error) => closed.push(error),
  });
  return { transport, exchanges, messages, closed, alive: () => alive };
}

const ticks = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

test('polls one after the other, each acknowledging what came before', async () => {
  const replies = [
    json({ events: [{ method: 'call.ringing', params: { seq: 1 } }, { method: 'call.answered', params: { seq: 2 } }] }),
    json({ events: [] }),
    json({ events: [{ method: 'call.ended', params: { seq: 3 } }] }),
  ];
  const { transport, exchanges, messages, alive } = open(() => replies.shift(), 'T');
  transport.listen();
  transport.listen();
  await ticks();
  const base = 'https://gw.example/base/v1/events?after=';
  assert.deepEqual(exchanges.map(({ url }) => url), [`${base}0`, `${base}2`, `${base}2`, `${base}3`]);
  assert.ok(exchanges.every(({ headers }) => headers['Authorization'] === 'Bearer T'));
  assert.equal(messages.length, 3);
  assert.equal(alive(), 3);
});

test('what follows goes to where the gateway is from then on', async () => {
  const { transport, exchanges } = open((exchange) => (exchange.method === 'POST' ? json({ result: {} }) : undefined), 'T');
  transport.send({ jsonrpc: '2.0', id: 1, method: 'session.signIn', params: {} });
  await ticks();
  transport.moveTo('https://gw.example/base/blue/');
  transport.listen();
  transport.send({ jsonrpc: '2.0', id: 2, method: 'session.heartbeat', params: {} });
  await ticks();
  const base = 'https://gw.example/base';
  assert.deepEqual(exchanges.map(({ url }) => url), [`${base}/v1/rpc`, `${base}/blue/v1/events?after=0`, `${base}/blue/v1/rpc`]);
});

test('a request is one POST, and its answer is a message', async () => {
  const { transport, exchanges, messages } = open(() => json({ jsonrpc: '2.0', id: 5, result: { token: 'T' } }));
  transport.send({ jsonrpc: '2.0', id: 5, method: 'session.signIn', params: { user: 'a', password: 'b' } });
  await ticks();
  assert.equal(exchanges[0]?.method, 'POST');
  assert.equal(exchanges[0]?.headers['Authorization'], undefined);
  assert.equal(exchanges[0]?.headers['Content-Type'], 'application/json');
  assert.deepEqual(messages, [{ jsonrpc: '2.0', id: 5, result: { token: 'T' } }]);
});

test('what is said about a call arrives in order, and delays nothing else', async () => {
  const held: Array<() => void> = [];
  const sent: string[] = [];
  const transport = new PollingTransport('https://gw.example/', async (_, init) => {
    const { id, params } = JSON.parse(String(init?.body)) as { id: number; params: { digits?: string } };
    sent.push(params.digits ?? 'heartbeat');
    await new Promise<void>((resolve) => held.push(resolve));
    return json({ jsonrpc: '2.0', id, result: {} });
  });
  const answered: unknown[] = [];
  void transport.open({ message: (message) => answered.push((message as { id?: number }).id), alive: () => {}, closed: () => {} });
  const digit = (id: number, callId: string, digits: string) => transport.send({ jsonrpc: '2.0', id, method: 'call.dtmf', params: { callId, digits } });
  digit(1, 'a', '7');
  digit(2, 'a', '*');
  digit(3, 'b', '5');
  transport.send({ jsonrpc: '2.0', id: 4, method: 'session.heartbeat', params: {} });
  await ticks();
  assert.deepEqual([...sent].sort(), ['5', '7', 'heartbeat']);
  for (const release of held.splice(0).reverse()) release();
  await ticks();
  assert.deepEqual(sent.slice(3), ['*']);
  held.splice(0).forEach((release) => release());
  await ticks();
  assert.deepEqual([answered.slice(0, 3).sort(), answered.slice(3)], [[1, 3, 4], [2]]);
});

test('a refusal with an HTTP status and no id still answers its own request', async () => {
  const error = { code: -32000, message: 'no', data: { reason: 'not_signed_in' } };
  const { transport, messages, closed } = open(() => json({ jsonrpc: '2.0', id: null, error }, 401));
  transport.send({ jsonrpc: '2.0', id: 8, method: 'session.refresh' });
  await ticks();
  assert.deepEqual(messages, [{ jsonrpc: '2.0', id: 8, error }]);
  assert.equal(closed.length, 0);
});

test('a refused poll closes with the status; so does a proxy that answers in HTML', async () => {
  const refused = open(() => json({ code: -32000, message: 'gone' }, 401), 'T');
  refused.transport.listen();
  await ticks();
  assert.deepEqual(refused.closed.map(({ reason, status }) => [reason, status]), [['refused', 401]]);

  const proxy = open(() => new Response('<html>', { status: 502 }));
  proxy.transport.send({ jsonrpc: '2.0', id: 1, method: 'session.refresh' });
  await ticks();
  assert.deepEqual(proxy.closed.map(({ status }) => status), [502]);
});

test('a network failure closes once, and nothing comes after it', async () => {
  const { transport, closed, exchanges } = open(() => new TypeError('failed'));
  transport.listen();
  transport.send({ jsonrpc: '2.0', id: 1, method: 'session.refresh' });
  await ticks();
  assert.deepEqual(closed.map(({ reason }) => reason), ['unreachable']);
  assert.equal(exchanges.length, 2);
});
