import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../src/sdk/connection';
import { GatewayError, LinkError } from '../src/sdk/errors';
import type { Notification } from '../src/sdk/protocol';
import { FakeClock, FakeGateway, refusal, settle, type Script } from './fakes';

async function open(script: Script) {
  const clock = new FakeClock();
  const gateway = new FakeGateway();
  gateway.script = script;
  const transport = gateway.create('websocket', 'http://gw/');
  const closed: LinkError[] = [];
  const notifications: Notification[] = [];
  const connection = new Connection(transport, clock, {
    notification: (notification) => notifications.push(notification),
    closed: (error) => closed.push(error),
  });
  await connection.open(1000);
  return { clock, transport, connection, closed, notifications };
}

test('answers find their requests, in whatever order they come', async () => {
  const { connection, transport } = await open(() => undefined);
  const first = connection.request('call.hold', { callId: 'a' });
  const second = connection.request('call.create', { to: 'echo', sdp: 'x' });
  transport.deliver({ jsonrpc: '2.0', id: 2, result: { callId: 'c', sdp: 'y' } });
  transport.deliver({ jsonrpc: '2.0', id: 2, result: { callId: 'again', sdp: '' } });
  transport.deliver({ jsonrpc: '2.0', id: 99, result: {} });
  transport.deliver({ jsonrpc: '2.0', id: 1, result: {} });
  assert.deepEqual(await second, { callId: 'c', sdp: 'y' });
  assert.deepEqual(await first, {});
});

test('a refusal carries the stable reason and the SIP status', async () => {
  const { connection } = await open(() => ({
    error: { code: -32000, message: 'No route.', data: { reason: 'unroutable', sipStatus: 404 } },
  }));
  await assert.rejects(connection.request('call.create', { to: '9', sdp: '' }), (error: GatewayError) => {
    assert.ok(error instanceof GatewayError);
    assert.deepEqual([error.reason, error.sipStatus, error.message], ['unroutable', 404, 'No route.']);
    return true;
  });
});

test('a request without an answer times out, and a late answer does no harm', async () => {
  const { connection, clock, transport } = await open(() => undefined);
  const request = connection.request('session.refresh', {}, 5000);
  const outcome = assert.rejects(request, { reason: 'timeout' });
  await clock.advance(5000);
  await outcome;
  transport.deliver({ jsonrpc: '2.0', id: 1, result: {} });
  await settle();
});

test('a broken link rejects what waits, once', async () => {
  const { connection, transport, closed } = await open(() => undefined);
  const outcome = assert.rejects(connection.request('session.refresh', {}), { reason: 'lost' });
  transport.break();
  transport.break();
  await outcome;
  assert.equal(closed.length, 1);
  await assert.rejects(connection.request('session.refresh', {}), { reason: 'closed' });
});

test('a heartbeat goes out every 4 s and says what was seen', async () => {
  const { connection, clock, transport, closed } = await open(() => ({ result: {} }));
  connection.start(4000, 10_000, () => 7);
  await clock.advance(41_000);
  assert.equal(transport.sent.length, 10);
  assert.deepEqual(transport.sent[0]?.params, { after: 7 });
  assert.equal(closed.length, 0);
});

test('a gateway that does not answer a heartbeat for 3 s is dead, not sooner', async () => {
  const { connection, clock, closed } = await open(() => undefined);
  connection.start(4000, 10_000, () => 0);
  await clock.advance(6999);
  assert.equal(closed.length, 0);
  await clock.advance(1);
  assert.deepEqual(closed.map(({ reason }) => reason), ['dead']);
});

test('any message is a sign of life', async () => {
  const { connection, clock, transport, closed } = await open(() => undefined);
  connection.start(4000, 10_000, () => 0);
  await clock.advance(6000);
  transport.notify(1, 'call.stats');
  await clock.advance(6999);
  assert.equal(closed.length, 0);
  await clock.advance(1);
  assert.equal(closed.length, 1);
});

test('after the machine slept the gateway gets a chance to answer', async () => {
  let answering = true;
  const { connection, clock, closed } = await open(() => (answering ? { result: {} } : undefined));
  connection.start(4000, 10_000, () => 0);
  await clock.sleep(60_000);
  await clock.advance(5000);
  assert.equal(closed.length, 0);
  answering = false;
  await clock.sleep(60_000);
  await clock.advance(5000);
  assert.deepEqual(closed.map(({ reason }) => reason), ['dead']);
});

test('a gateway that has forgotten the sign-in ends the link', async () => {
  const { connection, clock, closed } = await open(() => refusal('not_signed_in'));
  connection.start(4000, 10_000, () => 0);
  await clock.advance(4000);
  assert.deepEqual(closed.map(({ reason }) => reason), ['refused']);
});
