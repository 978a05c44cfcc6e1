import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayClient, type ClientOptions } from '../src/sdk';
import { FakeClock, FakeGateway, refusal, settle, type Script } from './fakes';

function make(options: ClientOptions = {}, extra?: Script) {
  const clock = new FakeClock();
  const gateway = new FakeGateway(extra);
  const client = new GatewayClient({ urls: ['http://gw/'], clock, createTransport: gateway.create, ...options });
  const states: string[] = [];
  client.on('state', (state) => states.push(state));
  return { clock, gateway, client, states };
}

function incoming(callId: string) {
  return { callId, from: '1002', displayName: 'Ada', to: '1001', sdp: 'offer' };
}

test('signs in over WebSocket where that works', async () => {
  const { client, gateway, states } = make();
  await client.signIn('1001', 'pw');
  assert.deepEqual(gateway.transports.map(({ kind }) => kind), ['websocket']);
  assert.deepEqual(gateway.last.sent[0]?.params, { user: '1001', password: 'pw' });
  assert.deepEqual(states, ['connecting', 'signedIn']);
  assert.equal(client.displayName, 'Demo');
  assert.ok(gateway.last.listening);
});

test('falls back to long polling where WebSocket is blocked', async () => {
  const { client, gateway } = make();
  gateway.down.add('websocket');
  await client.signIn('1001', 'pw');
  assert.equal(client.transport, 'polling');
  assert.equal(gateway.last.token, 'T');
});

test('falls back when a WebSocket opens but swallows what is sent', async () => {
  const { client, gateway, clock } = make();
  gateway.script = (request, transport) => (transport.kind === 'polling' ? gateway.answer(request, transport) : undefined);
  const signIn = client.signIn('1001', 'pw');
  await clock.advance(8000);
  await signIn;
  assert.equal(client.transport, 'polling');
});

test('a forced transport is the only one tried', async () => {
  const { client, gateway } = make({ transport: 'websocket' });
  gateway.down.add('websocket');
  await assert.rejects(client.signIn('1001', 'pw'), { reason: 'unreachable' });
  assert.deepEqual(gateway.transports.map(({ kind }) => kind), ['websocket']);
  assert.equal(client.state, 'signedOut');
});

test('tries the gateways in order', async () => {
  const { client, gateway } = make({ urls: ['http://one/', 'http://two/'] });
  gateway.down.add('http://one/');
  await client.signIn('1001', 'pw');
  assert.equal(client.url, 'http://two/');
});

test('goes on to the next gateway when one is full, but not with a wrong password', async () => {
  const full = make({ urls: ['http://one/', 'http://two/'] });
  full.gateway.script = (request, transport) =>
    transport.url === 'http://one/' ? refusal('unavailable') : full.gateway.answer(request, transport);
  await full.client.signIn('1001', 'pw');
  assert.deepEqual(full.gateway.transports.map(({ url }) => url), ['http://one/', 'http://two/']);

  const wrong = make({ urls: ['http://one/', 'http://two/'] });
  wrong.gateway.script = () => refusal('wrong_credentials');
  await assert.rejects(wrong.client.signIn('1001', 'no'), { reason: 'wrong_credentials' });
  assert.equal(wrong.gateway.transports.length, 1);
});

test('a lost link is resumed at once, after the last notification seen', async () => {
  const { client, gateway, clock, states } = make();
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.last.notify(2, 'call.warning', { callId: 'c1', reason: 'media_timeout' });
  gateway.calls = [{ callId: 'c1', state: 'incoming', direction: 'incoming', from: '1002', to: '1001', held: false }];
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual(states, ['connecting', 'signedIn', 'reconnecting', 'signedIn']);
  assert.deepEqual(gateway.last.sent[0], { jsonrpc: '2.0', id: 1, method: 'session.resume', params: { token: 'T', after: 2 } });
  assert.equal(client.calls.length, 1);
});

test('what is sent again after a resume is taken once', async () => {
  const { client, gateway, clock } = make();
  const rang: string[] = [];
  client.on('incoming', (call) => rang.push(call.id ?? ''));
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.last.break();
  await clock.advance(0);
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.last.notify(2, 'call.incoming', incoming('c2'));
  gateway.last.notify(2, 'call.incoming', incoming('c2'));
  assert.deepEqual(rang, ['c1', 'c2']);
});

test('a gap makes it ask again; a gap that stays is stepped over', async () => {
  const { client, gateway, clock } = make();
  const rang: string[] = [];
  client.on('incoming', (call) => rang.push(call.id ?? ''));
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.last.notify(3, 'call.incoming', incoming('c3'));
  assert.deepEqual(rang, ['c1']);
  await clock.advance(0);
  assert.deepEqual(gateway.last.sent[0]?.params, { token: 'T', after: 1 });
  gateway.last.notify(3, 'call.incoming', incoming('c3'));
  assert.deepEqual(rang, ['c1', 'c3']);
  assert.equal(gateway.transports.length, 2);
});

test('over long polling the token is in the header, not in the request', async () => {
  const { client, gateway, clock } = make({ transport: 'polling' });
  await client.signIn('1001', 'pw');
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual(gateway.last.sent[0]?.params, { after: 0 });
  assert.equal(gateway.last.token, 'T');
});

test('a dead gateway is noticed and left', async () => {
  const { client, gateway, clock, states } = make();
  await client.signIn('1001', 'pw');
  gateway.script = () => undefined;
  await clock.advance(7_000);
  assert.equal(client.state, 'reconnecting');
  gateway.script = (request, transport) => gateway.answer(request, transport);
  await clock.advance(20_000);
  assert.equal(states.at(-1), 'signedIn');
});

test('requests wait for the link, and harmless ones are sent again', async () => {
  const { client, gateway, clock } = make();
  await client.signIn('1001', 'pw');
  gateway.script = () => undefined;
  const hold = client.request('call.hold', { callId: 'c' }, { repeat: true });
  const dtmf = assert.rejects(client.request('call.dtmf', { callId: 'c', digits: '1' }), { reason: 'lost' });
  await settle();
  gateway.script = (request, transport) => gateway.answer(request, transport);
  gateway.last.break();
  await dtmf;
  const waiting = client.request('session.refresh', {});
  await clock.advance(0);
  await Promise.all([hold, waiting]);
  assert.equal(gateway.requests('call.hold').length, 2);
  assert.equal(gateway.requests('call.dtmf').length, 1);
});

test('after the resume window its calls end, and it signs in anew', async () => {
  const { client, gateway, clock } = make();
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  const ends: string[] = [];
  client.calls[0]?.on('ended', ({ reason }) => ends.push(reason));
  gateway.down.add('http://gw/');
  gateway.last.break();
  await clock.advance(29_000);
  assert.deepEqual(ends, []);
  await clock.advance(10_000);
  assert.deepEqual(ends, ['client_gone']);
  gateway.down.clear();
  await clock.advance(10_000);
  assert.equal(client.state, 'signedIn');
  assert.equal(gateway.requests('session.signIn').length, 2);
});

test('a gateway that has forgotten the sign-in gets a new one at once; with signInAgain off it is over', async () => {
  for (const signInAgain of [true, false]) {
    const { client, gateway } = make({ signInAgain });
    const out: string[] = [];
    client.on('signedOut', ({ reason }) => out.push(reason));
    await client.signIn('1001', 'pw');
    gateway.script = (request, transport) =>
      request.method === 'session.resume' ? refusal('not_signed_in') : gateway.answer(request, transport);
    gateway.last.break();
    await settle();
    assert.equal(client.state, signInAgain ? 'signedIn' : 'signedOut');
    assert.deepEqual(out, signInAgain ? [] : ['session_expired']);
  }
});

test('a call waits for another gateway to take it over; without one, the next gateway gets a new sign-in at once', async () => {
  for (const inCall of [true, false]) {
    const { client, gateway, clock } = make({ urls: ['http://one/', 'http://two/'] });
    await client.signIn('1001', 'pw');
    if (inCall) gateway.last.notify(1, 'call.incoming', incoming('c1'));
    const ends: string[] = [];
    client.calls[0]?.on('ended', ({ reason }) => ends.push(reason));
    gateway.down.add('http://one/');
    gateway.script = (request, transport) =>
      request.method === 'session.resume' ? refusal('not_signed_in') : gateway.answer(request, transport);
    gateway.last.break();
    await clock.advance(5000);
    assert.equal(client.state, inCall ? 'reconnecting' : 'signedIn');
    gateway.calls = [{ callId: 'c1', state: 'answered', direction: 'incoming', from: '1002', to: '1001', held: false }];
    gateway.script = (request, transport) => gateway.answer(request, transport);
    await clock.advance(6000);
    assert.deepEqual([client.state, client.url, ends.length], ['signedIn', 'http://two/', 0]);
    assert.equal(gateway.requests('session.signIn').length, inCall ? 1 : 2);
  }
});

const ringing = { callId: 'c1', state: 'incoming', direction: 'incoming', from: '1002', to: '1001', held: false };
const base = (gateway: FakeGateway) => gateway.last.base;

test('a sign-in goes on under the path that the gateway gave, and the next one starts without it', async () => {
  for (const transport of ['websocket', 'polling'] as const) {
    const { client, gateway, clock } = make({ transport });
    gateway.path = 'blue/';
    await client.signIn('1001', 'pw');
    for (const _ of [1, 2]) {
      gateway.last.break();
      await clock.advance(0);
    }
    assert.deepEqual(gateway.transports.map(({ url }) => url), ['http://gw/', 'http://gw/blue/', 'http://gw/blue/']);
    assert.ok(gateway.transports.every((each) => each.base === 'http://gw/blue/'));
    gateway.path = 'green/';
    gateway.last.notify(1, 'server.draining', { text: 'Maintenance.' });
    await clock.advance(0);
    assert.deepEqual([gateway.last.url, base(gateway), client.state], ['http://gw/', 'http://gw/green/', 'signedIn']);
  }
});

test('a path that leads nowhere any more is left: for a new sign-in at once, with a call after the resume window', async () => {
  for (const inCall of [false, true]) {
    const { client, gateway, clock } = make();
    gateway.path = 'blue/';
    await client.signIn('1001', 'pw');
    if (inCall) gateway.last.notify(1, 'call.incoming', incoming('c1'));
    gateway.path = 'green/';
    gateway.refused.set('http://gw/blue/', 404);
    gateway.script = (request, transport) => (request.method === 'session.resume' ? refusal('not_signed_in') : gateway.answer(request, transport));
    gateway.last.break();
    await clock.advance(inCall ? 25_000 : 0);
    assert.equal(client.state, inCall ? 'reconnecting' : 'signedIn');
    await clock.advance(10_000);
    assert.deepEqual([client.state, base(gateway), client.calls.length], ['signedIn', 'http://gw/green/', 0]);
  }
});

test('a call is not risked at another gateway while its own may only be out of reach', async () => {
  for (const status of [undefined, 502, 503, 504]) {
    const { client, gateway, clock } = make();
    gateway.path = 'blue/';
    await client.signIn('1001', 'pw');
    gateway.last.notify(1, 'call.incoming', incoming('c1'));
    gateway.calls = [ringing];
    if (status === undefined) gateway.down.add('http://gw/blue/');
    else gateway.refused.set('http://gw/blue/', status);
    gateway.last.break(status);
    await clock.advance(10_000);
    assert.equal(client.state, 'reconnecting');
    gateway.down.clear();
    gateway.refused.clear();
    await clock.advance(3000);
    assert.deepEqual([client.state, client.calls.length], ['signedIn', 1]);
    assert.deepEqual([...new Set(gateway.transports.slice(1).map(({ url }) => url))], ['http://gw/blue/'], `status ${status}`);
  }
});

test('where a balancer knows no such path, the sign-in goes on without it, and each resume tries the path first', async () => {
  const { client, gateway, clock, states } = make({ transport: 'polling' });
  gateway.path = 'blue/';
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.calls = [ringing];
  gateway.refused.set('http://gw/blue/', 404);
  gateway.last.break(404);
  await clock.advance(60_000);
  assert.deepEqual(states, ['connecting', 'signedIn', 'reconnecting', 'signedIn']);
  assert.deepEqual([base(gateway), client.calls.length], ['http://gw/', 1]);
  gateway.refused.clear();
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual([client.state, gateway.last.url, base(gateway)], ['signedIn', 'http://gw/blue/', 'http://gw/blue/']);
});

test('over WebSockets alone, which see no status, a call is looked for without the path too', async () => {
  const { client, gateway, clock } = make({ transport: 'websocket' });
  gateway.path = 'blue/';
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.calls = [ringing];
  gateway.refused.set('http://gw/blue/', 404);
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual(gateway.transports.slice(1).map(({ url }) => url), ['http://gw/blue/', 'http://gw/']);
  assert.deepEqual([client.state, client.calls.length], ['signedIn', 1]);
});

test('whoever takes a sign-in over is found under the path that it tells', async () => {
  for (const { urls, path, home } of [
    { urls: ['http://one/', 'http://two/'], path: 'green/', home: 'http://two/green/' },
    { urls: ['http://one/', 'http://two/'], path: 'blue/', home: 'http://two/blue/' },
    { urls: ['http://one/'], path: 'green/', home: 'http://one/green/' },
  ]) {
    const { client, gateway, clock } = make({ urls, transport: 'polling' });
    gateway.path = 'blue/';
    await client.signIn('1001', 'pw');
    gateway.last.notify(1, 'call.incoming', incoming('c1'));
    gateway.calls = [ringing];
    gateway.path = path;
    gateway.refused.set('http://one/blue/', 404);
    if (urls.length > 1) gateway.down.add('http://one/');
    gateway.last.break();
    await clock.advance(0);
    assert.deepEqual([client.state, base(gateway), client.calls.length], ['signedIn', home, 1]);
    gateway.last.break();
    await clock.advance(0);
    assert.deepEqual([client.state, gateway.last.url, client.calls.length], ['signedIn', home, 1]);
  }
});

test('the name stays while a gateway that is gone is waited for', async () => {
  for (const notice of ['none', 'draining'] as const) {
    const { client, gateway, clock } = make();
    await client.signIn('1001', 'pw');
    gateway.down.add('http://gw/');
    if (notice === 'draining') gateway.last.notify(1, 'server.draining', { text: 'Maintenance.' });
    else gateway.last.break();
    await clock.advance(60_000);
    assert.deepEqual([client.state, client.user, client.displayName], ['reconnecting', '1001', 'Demo'], notice);
    await client.signOut();
    assert.deepEqual([client.state, client.user, client.displayName], ['signedOut', undefined, undefined], notice);
  }
});

test('a displaced sign-in stays away, whether told by notification or by the closing link', async () => {
  for (const tell of ['notification', 'close'] as const) {
    const { client, gateway, clock } = make();
    const out: string[] = [];
    client.on('signedOut', ({ reason }) => out.push(reason));
    await client.signIn('1001', 'pw');
    if (tell === 'notification') gateway.last.notify(1, 'session.displaced', { text: 'Elsewhere.' });
    else gateway.last.break(409);
    await clock.advance(60_000);
    assert.deepEqual(out, ['displaced']);
    assert.equal(client.state, 'signedOut');
    assert.equal(gateway.transports.length, 1);
  }
});

test('an expiring sign-in is refreshed', async () => {
  const { client, gateway } = make();
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'session.expiring', { inMs: 60_000 });
  await settle();
  assert.equal(gateway.requests('session.refresh').length, 1);
});

test('leaves a draining gateway when its last call is over', async () => {
  const { client, gateway, clock } = make({ urls: ['http://one/', 'http://two/'] });
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.last.notify(2, 'server.draining', { text: 'Maintenance.' });
  await clock.advance(0);
  assert.equal(client.url, 'http://one/');
  assert.ok(client.draining);
  gateway.last.notify(3, 'call.ended', { callId: 'c1', reason: 'cancelled', text: 'Gone.', by: 'remote' });
  await clock.advance(0);
  assert.equal(gateway.requests('session.signOut').length, 1);
  assert.equal(client.url, 'http://two/');
  assert.equal(client.state, 'signedIn');
  assert.ok(!client.draining);
});

test('after a resume, calls that only one side knows end', async () => {
  const { client, gateway, clock } = make();
  await client.signIn('1001', 'pw');
  gateway.last.notify(1, 'call.incoming', incoming('c1'));
  gateway.calls = [{ callId: 'x', state: 'answered', direction: 'outgoing', from: '1001', to: '9', held: false }];
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual(gateway.requests('call.hangup').map(({ params }) => params), [{ callId: 'x' }]);
  assert.equal(client.calls.length, 1);
  await clock.advance(2000);
  assert.equal(client.calls.length, 0);
});

test('signing out says so and stops', async () => {
  const { client, gateway, clock } = make();
  await client.signIn('1001', 'pw');
  await client.signOut();
  await clock.advance(60_000);
  assert.deepEqual(gateway.last.methods(), ['session.signIn', 'session.signOut']);
  assert.equal(gateway.transports.length, 1);
});
