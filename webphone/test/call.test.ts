import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayClient, type Call, type CallEnd, type ClientOptions } from '../src/sdk';
import { FakePeerConnection, FakeStream } from './fake-media';
import { FakeClock, FakeGateway, refusal, settle, type Script } from './fakes';

const answers: Script = ({ method }) => {
  if (method === 'call.create') return { result: { callId: 'c1', sdp: 'the answer' } };
  if (method === 'call.update') return { result: { sdp: 'the new answer' } };
  return { result: {} };
};

async function signedIn(script: Script = answers, options: ClientOptions = {}) {
  const clock = new FakeClock();
  const gateway = new FakeGateway(script);
  const connections: FakePeerConnection[] = [];
  const streams: FakeStream[] = [];
  const client = new GatewayClient({
    urls: ['http://gw/'],
    clock,
    createTransport: gateway.create,
    createPeerConnection: (configuration) => {
      const connection = new FakePeerConnection(configuration);
      connections.push(connection);
      return connection as unknown as RTCPeerConnection;
    },
    getUserMedia: async () => {
      const stream = new FakeStream();
      streams.push(stream);
      return stream as unknown as MediaStream;
    },
    ...options,
  });
  await client.signIn('1001', 'pw');
  let seq = 0;
  const notify = (method: string, params: Record<string, unknown> = {}) =>
    gateway.last.notify(++seq, method, { callId: 'c1', ...params });
  const peer = (index = 0) => {
    const connection = connections[index];
    assert.ok(connection, `connection ${index} was made`);
    return connection;
  };
  return { clock, gateway, client, connections, streams, notify, peer };
}

function ended(call: Call): CallEnd[] {
  const ends: CallEnd[] = [];
  call.on('ended', (end) => ends.push(end));
  return ends;
}

test('an outgoing call: offer at once, candidates after, states in order', async () => {
  const { client, gateway, notify, peer, clock, streams } = await signedIn();
  const call = client.call('echo');
  const ends = ended(call);
  const states = [call.state];
  call.on('change', ({ state }) => states.at(-1) === state || states.push(state));
  await settle();
  assert.deepEqual(gateway.requests('call.create')[0]?.params, { to: 'echo', sdp: 'offer 1' });
  assert.deepEqual(peer().configuration.iceServers, [{ urls: 'stun:192.0.2.1' }]);
  assert.equal(peer().remoteDescription?.sdp, 'the answer');
  peer().gather('candidate:1');
  peer().gather('');
  peer().gather(null);
  await settle();
  assert.deepEqual(
    gateway.requests('call.candidate').map(({ params }) => params),
    [{ callId: 'c1', candidate: 'candidate:1', mid: '0' }, { callId: 'c1', candidate: '', mid: '0' }],
  );
  notify('call.ringing');
  notify('call.earlyMedia');
  notify('call.answered', { codec: 'opus' });
  await clock.advance(65_000);
  assert.equal(call.codec, 'opus');
  assert.equal(call.durationMs, 65_000);
  notify('call.ended', { reason: 'hangup', text: 'Bye.', by: 'remote', durationMs: 65_010 });
  notify('call.ended', { reason: 'failure', text: 'Twice.', by: 'remote' });
  assert.deepEqual(states, ['calling', 'ringing', 'earlyMedia', 'answered', 'ended']);
  assert.deepEqual(ends.map(({ reason, text }) => [reason, text]), [['hangup', 'Bye.']]);
  assert.ok(peer().closed);
  assert.ok(streams.every(({ active }) => !active));
  assert.equal(client.calls.length, 0);
});

test('candidates found before the gateway knows the call wait for it', async () => {
  const { client, gateway, peer } = await signedIn(({ method }) => (method === 'call.create' ? undefined : { result: {} }));
  client.call('echo');
  await settle();
  peer().gather('candidate:1');
  await settle();
  assert.equal(gateway.requests('call.candidate').length, 0);
  gateway.last.deliver({ jsonrpc: '2.0', id: gateway.requests('call.create')[0]?.id ?? 0, result: { callId: 'c1', sdp: 'a' } });
  await settle();
  assert.equal(gateway.requests('call.candidate').length, 1);
});

test('notifications that overtake the answer to call.create are kept for the call', async () => {
  const { client, gateway, notify } = await signedIn(({ method }) => (method === 'call.create' ? undefined : { result: {} }));
  const call = client.call('echo');
  await settle();
  notify('call.ringing');
  gateway.last.deliver({ jsonrpc: '2.0', id: gateway.requests('call.create')[0]?.id ?? 0, result: { callId: 'c1', sdp: 'a' } });
  await settle();
  assert.equal(call.state, 'ringing');
});

test('an incoming call is answered with an answer', async () => {
  const { client, gateway, notify, peer } = await signedIn();
  notify('call.incoming', { from: '1002', displayName: 'Ada', to: '1001', sdp: 'their offer' });
  const [call] = client.calls;
  assert.ok(call);
  assert.deepEqual([call.state, call.remoteParty, call.parties.displayName], ['incoming', '1002', 'Ada']);
  await call.answer();
  assert.equal(peer().remoteDescription?.sdp, 'their offer');
  assert.equal(peer().senders.length, 1);
  assert.deepEqual(gateway.requests('call.answer')[0]?.params, { callId: 'c1', sdp: 'answer' });
  assert.equal(call.state, 'answered');
});

test('without a microphone an incoming call rings on, and an outgoing one ends with the reason', async () => {
  const getUserMedia = () => Promise.reject(Object.assign(new Error(), { name: 'NotAllowedError' }));
  const { client, gateway, notify } = await signedIn(answers, { getUserMedia });
  notify('call.incoming', { from: '1002', to: '1001', sdp: 'x' });
  const [call] = client.calls;
  await assert.rejects(call?.answer() ?? Promise.resolve(), { reason: 'permission_denied' });
  assert.equal(call?.state, 'incoming');
  await call?.reject('busy');
  assert.deepEqual(gateway.requests('call.reject')[0]?.params, { callId: 'c1', reason: 'busy' });
  const outgoing = client.call('echo');
  const ends = ended(outgoing);
  await settle();
  assert.deepEqual(ends.map(({ reason }) => reason), ['permission_denied']);
  assert.equal(gateway.requests('call.create').length, 0);
});

test('a refused call ends with the gateway\'s reason', async () => {
  const { client } = await signedIn(() => refusal('unroutable'));
  const call = client.call('99');
  const ends = ended(call);
  await settle();
  assert.deepEqual(ends.map(({ reason, by }) => [reason, by]), [['unroutable', 'gateway']]);
});

test('a call hung up before the gateway has answered is hung up there afterwards', async () => {
  const { client, gateway } = await signedIn(({ method }) => (method === 'call.create' ? undefined : { result: {} }));
  const call = client.call('echo');
  await settle();
  await call.hangup();
  assert.equal(call.end?.reason, 'cancelled');
  gateway.last.deliver({ jsonrpc: '2.0', id: gateway.requests('call.create')[0]?.id ?? 0, result: { callId: 'c1', sdp: 'a' } });
  await settle();
  assert.deepEqual(gateway.requests('call.hangup')[0]?.params, { callId: 'c1' });
});

test('mute and hold switch the microphone, and hold wins', async () => {
  const { client, gateway, notify, streams } = await signedIn();
  const call = client.call('echo');
  await settle();
  notify('call.answered');
  const speaking = () => streams[0]?.tracks[0]?.enabled;
  assert.equal(speaking(), true);
  await call.hold();
  assert.deepEqual([call.held.local, speaking()], [true, false]);
  call.mute(true);
  call.mute(false);
  assert.equal(speaking(), false);
  await call.resume();
  assert.deepEqual([call.held.local, speaking()], [false, true]);
  notify('call.held', { by: 'remote' });
  assert.deepEqual([call.held.remote, speaking()], [true, true]);
  assert.deepEqual(gateway.last.methods().slice(-2), ['call.hold', 'call.resume']);
});

test('answering a second call holds the first; taking the first up again holds the second', async () => {
  const { client, notify } = await signedIn();
  const first = client.call('echo');
  await settle();
  notify('call.answered');
  notify('call.incoming', { callId: 'c2', from: '1002', to: '1001', sdp: 'x' });
  const second = client.calls[1];
  assert.ok(second);
  await second.answer();
  assert.deepEqual([first.held.local, second.held.local], [true, false]);
  await first.resume();
  assert.deepEqual([first.held.local, second.held.local], [false, true]);
});

test('a call that ended just before it would be held is no obstacle', async () => {
  const { client, notify } = await signedIn((request, transport) =>
    request.method === 'call.hold' ? refusal('unknown_call') : answers(request, transport),
  );
  client.call('echo');
  await settle();
  notify('call.answered');
  notify('call.incoming', { callId: 'c2', from: '1002', to: '1001', sdp: 'x' });
  const second = client.calls[1];
  await second?.answer();
  assert.equal(second?.state, 'answered');
});

test('answering while another call is only ringing out cancels that one', async () => {
  const { client, gateway, notify } = await signedIn();
  const first = client.call('nobody');
  await settle();
  notify('call.ringing');
  notify('call.incoming', { callId: 'c2', from: '1002', to: '1001', sdp: 'x' });
  await client.calls[1]?.answer();
  assert.equal(first.end?.reason, 'cancelled');
  assert.deepEqual(gateway.requests('call.hangup')[0]?.params, { callId: 'c1' });
});

test('a path interrupted for 2 s is restarted, a shorter interruption is not', async () => {
  const { client, gateway, notify, peer, clock } = await signedIn();
  const call = client.call('echo');
  await settle();
  notify('call.answered');
  peer().ice('connected');
  peer().ice('disconnected');
  assert.equal(call.media, 'interrupted');
  await clock.advance(1900);
  peer().ice('connected');
  await clock.advance(5000);
  assert.equal(gateway.requests('call.update').length, 0);
  peer().ice('disconnected');
  await clock.advance(2000);
  assert.deepEqual(gateway.requests('call.update').map(({ params }) => params), [{ callId: 'c1', sdp: 'offer 2' }]);
  assert.deepEqual(peer().offers[1], { iceRestart: true });
  assert.equal(peer().remoteDescription?.sdp, 'the new answer');
});

test('a path that only the gateway sees lost is restarted', async () => {
  const { client, gateway, notify, peer, clock } = await signedIn();
  client.call('echo');
  await settle();
  notify('call.answered');
  peer().ice('connected');
  notify('call.warning', { reason: 'media_timeout', side: 'local' });
  notify('call.warning', { reason: 'media_disconnected', side: 'remote' });
  await settle();
  assert.equal(gateway.requests('call.update').length, 0);
  notify('call.warning', { reason: 'media_disconnected', side: 'local' });
  await settle();
  assert.deepEqual(peer().offers[1], { iceRestart: true });
  peer().ice('disconnected');
  notify('call.warning', { reason: 'media_disconnected', side: 'local' });
  await clock.advance(1999);
  assert.equal(gateway.requests('call.update').length, 1);
});

test('a restart uses the relays that the gateway named last', async () => {
  const relays = [{ urls: 'turn:192.0.2.1', username: 'u', credential: 'new' }];
  const script: Script = (request, transport) =>
    request.method === 'session.refresh' ? { result: { expiresInMs: 1, iceServers: relays } } : answers(request, transport);
  const { client, gateway, peer } = await signedIn(script);
  const call = client.call('echo');
  await settle();
  gateway.last.notify(1, 'session.expiring', { inMs: 60_000 });
  await settle();
  await call.restartIce();
  assert.deepEqual(peer().configuration.iceServers, relays);
  assert.deepEqual(peer().offers.map(({ iceRestart }) => iceRestart), [undefined, true]);
});

test('a restart that brings nothing is followed by a new connection', async () => {
  const { client, notify, peer, clock, connections } = await signedIn();
  const call = client.call('echo');
  await settle();
  notify('call.answered');
  peer().ice('failed');
  await clock.advance(7999);
  assert.equal(connections.length, 1);
  await clock.advance(1);
  assert.equal(connections.length, 2);
  assert.ok(peer(0).closed);
  peer(1).ice('connected');
  assert.equal(call.media, 'connected');
  assert.equal(call.peerConnection as unknown, peer(1));
  await clock.advance(60_000);
  assert.equal(connections.length, 2);
});

test('after the link is resumed the path is renewed', async () => {
  const { client, gateway, notify, peer, clock } = await signedIn();
  client.call('echo');
  await settle();
  notify('call.answered');
  peer().ice('connected');
  gateway.calls = [{ callId: 'c1', state: 'answered', direction: 'outgoing', from: '1001', to: 'echo', held: false }];
  gateway.last.break();
  await clock.advance(0);
  assert.deepEqual(gateway.last.methods(), ['session.resume', 'call.update']);
});

test('each renewal of the link begins with an ICE restart, whatever came of the one before', async () => {
  const { client, gateway, notify, peer, clock, connections } = await signedIn();
  client.call('echo');
  await settle();
  notify('call.answered');
  peer().ice('connected'); // and stays so: browsers leave the state alone while the old path works
  gateway.calls = [{ callId: 'c1', state: 'answered', direction: 'outgoing', from: '1001', to: 'echo', held: false }];
  for (let renewal = 0; renewal < 3; renewal += 1) {
    gateway.last.break();
    await clock.advance(0);
  }
  assert.deepEqual(peer().offers.slice(1), Array(3).fill({ iceRestart: true }));
  assert.equal(connections.length, 1);
});
