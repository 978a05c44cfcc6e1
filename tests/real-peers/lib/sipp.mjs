// SIPp plays one call each time, from a scenario put together here. It does the SIP; an RtpEndpoint does its media.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort } from './ports.mjs';
import { ChildProcess, temporaryFolder, until } from './process.mjs';

const sdp = (codec) => `v=0
o=sipp 53655765 2353687637 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [rtp_port] RTP/AVP ${codec === 'PCMA' ? '8' : '0'} 101
a=rtpmap:${codec === 'PCMA' ? '8 PCMA/8000' : '0 PCMU/8000'}
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv`;

const send = (message, attributes = '') => `<send ${attributes}><![CDATA[\n\n${message.trim()}\n\n]]></send>`;
const receive = (attributes, actions = '') => `<recv ${attributes}>${actions}</recv>`;
const pause = (milliseconds) => `<pause milliseconds="${milliseconds}"/>`;
const WITH_BODY = (codec) => `Content-Type: application/sdp\nContent-Length: [len]\n\n${sdp(codec)}`;
const NO_BODY = 'Content-Length: 0';

// ---- the caller ----

const request = (method, { to = '', cseq = 1, extra = '', body = NO_BODY, branch = '[branch]', uri = 'sip:[number]@[domain]' } = {}) => `
${method} ${uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=${branch}
From: "SIPp" <sip:[own_number]@[domain]>;tag=[pid]SIPp[call_number]
To: <sip:[number]@[domain]>${to}
Call-ID: [call_id]
CSeq: ${cseq} ${method}
Contact: <sip:[own_number]@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
User-Agent: SIPp
${extra}
${body}`.replace(/\n\n+Content/g, '\nContent');

const provisional = (...statuses) => statuses.map((status) => receive(`response="${status}" optional="true"`));
/** In a dialog: to the remote target, through the recorded route (RFC 3261 section 12.2.1.1). */
const inDialog = (method, cseq) => request(method, { to: '[peer_tag_param]', cseq, uri: '[next_url]', extra: '[routes]' });
const ok = (method = '[last_CSeq:]') => `
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
${method}
Content-Length: 0`;

function invite({ codec, authenticate, cseq }) {
  return send(
    request('INVITE', { cseq, extra: authenticate ? '[authentication]' : '', body: WITH_BODY(codec) }),
    'retrans="500"',
  );
}

/** A call made by SIPp. `end`: 'bye' after `talkMs`, 'await-bye', 'cancel' once it rings, or a status that must come. */
export function calling({ end = 'await-bye', talkMs = 1000, codec = 'PCMU', authenticate = false } = {}) {
  const steps = [];
  let cseq = 1;
  let invited = 0; // the step that sent the latest INVITE
  const sendInvite = (options) => {
    invited = steps.length;
    steps.push(invite({ codec, cseq, ...options }));
  };
  // CANCEL, and ACK of a failure, have the branch of their INVITE (RFC 3261 section 9.1 and 17.1.1.3). SIPp names it by distance.
  const sendInTransaction = (method, to) => steps.push(send(request(method, { to, cseq, branch: `[branch-${steps.length - invited}]` })));

  sendInvite();
  if (authenticate) {
    steps.push(...provisional(100), receive('response="407" auth="true"'));
    sendInTransaction('ACK', '[peer_tag_param]');
    cseq += 1;
    sendInvite({ authenticate });
  }
  if (end === 'cancel') {
    steps.push(...provisional(100), receive('response="180"'), pause(500));
    sendInTransaction('CANCEL');
    steps.push(receive('response="200"'), receive('response="487"'));
    sendInTransaction('ACK', '[peer_tag_param]');
  } else if (typeof end === 'number') {
    steps.push(...provisional(100, 180, 181, 183), receive(`response="${end}"`));
    sendInTransaction('ACK', '[peer_tag_param]');
  } else {
    steps.push(...provisional(100, 180, 181, 183), receive('response="200" rrs="true"'), send(inDialog('ACK', cseq)));
    if (end === 'bye') steps.push(pause(talkMs), send(inDialog('BYE', cseq + 1), 'retrans="500"'), receive('response="200"'));
    else steps.push(receive('request="BYE"'), send(ok()));
  }
  return steps.join('\n');
}

// ---- the callee ----

const response = (status, body = NO_BODY) => `
SIP/2.0 ${status}
[last_Via:]
[last_From:]
[last_To:];tag=[pid]SIPp[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
${body}`;

/** A BYE from the callee: From and To swap places (RFC 3261 section 12.2.1.1). */
const calleeBye = `
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: [$own]
To: [$far]
Call-ID: [call_id]
CSeq: 1 BYE
[routes]
Max-Forwards: 70
Content-Length: 0`;

/**
 * A call taken by SIPp. `end`: 'bye' after `talkMs`, 'await-bye', 'ring' until cancelled, or a status line to refuse it with.
 * `movesTo`: a UDP port of this machine from which a re-INVITE comes, and which is the far side from then on.
 */
export function answering({ end = 'await-bye', ringMs = 300, talkMs = 1000, codec = 'PCMU', movesTo } = {}) {
  const keep = (header, variable) => `<action><ereg regexp=".*" search_in="hdr" header="${header}:" assign_to="${variable}"/></action>`;
  const steps = [receive('request="INVITE" rrs="true"', keep('From', 'far'))];
  if (/^\d{3} /.test(end)) {
    steps.push(send(response(end), 'retrans="500"'), receive('request="ACK"'));
  } else if (end === 'ring') {
    steps.push(send(response('180 Ringing')), receive('request="CANCEL"'), send(ok()));
    steps.push(send(response('487 Request Terminated').replace('[last_CSeq:]', 'CSeq: 1 INVITE'), 'retrans="500"'), receive('request="ACK"'));
  } else {
    steps.push(send(response('180 Ringing')), pause(ringMs), send(response('200 OK', WITH_BODY(codec)), 'retrans="500"'));
    steps.push(receive('request="ACK"', keep('To', 'own')), '<Reference variables="own"/>');
    if (movesTo) {
      const destination = `<action><setdest host="127.0.0.1" port="${movesTo}" protocol="UDP"/></action>`;
      steps.push(receive('request="INVITE"', destination), send(response('200 OK', WITH_BODY(codec)).replace(';tag=[pid]SIPp[call_number]', ''), 'retrans="500"'));
      steps.push(receive('request="ACK"'));
    }
    if (end === 'bye') steps.push(pause(talkMs), send(calleeBye, 'retrans="500"'), receive('response="200"'));
    else steps.push(receive('request="BYE"'), send(ok()));
  }
  return [...steps, '<Reference variables="far"/>'].join('\n');
}

/** REGISTER with digest authentication (RFC 3261 section 10.2 and 22). */
export function registering() {
  const register = (cseq, extra = '') =>
    send(
      `
REGISTER sip:[domain] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[own_number]@[domain]>;tag=[pid]SIPp[call_number]
To: <sip:[own_number]@[domain]>
Call-ID: [call_id]
CSeq: ${cseq} REGISTER
Contact: <sip:[own_number]@[contact]>
Max-Forwards: 70
Expires: 300
${extra}
Content-Length: 0`.replace(/\n\n+Content/g, '\nContent'),
      'retrans="500"',
    );
  return [
    register(1),
    receive('response="401" auth="true"'),
    register(2, '[authentication]'),
    receive('response="200"'),
  ].join('\n');
}

/**
 * Starts SIPp for one call. `remote`: `host:port` to call; without it, SIPp listens. `keys`: what the scenario's bracketed
 * words stand for. Its `port`, `uri(user)` and `finish()` (which fails unless the scenario went as written) are on the result.
 */
export async function sipp(scenario, { remote, transport = 'udp', host = '127.0.0.1', port, keys = {}, timeoutMs = 170_000 } = {}) {
  const folder = temporaryFolder('sipp');
  const file = path.join(folder, 'scenario.xml');
  writeFileSync(file, `<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n<scenario name="call">\n${scenario}\n</scenario>\n`);
  const localPort = port ?? (await freePort());
  const words = { rtp_port: 9, number: 'nobody', own_number: 'sipp', domain: remote ?? `${host}:${localPort}`, ...keys };
  const messages = path.join(folder, 'messages.log');
  const child = new ChildProcess('sipp', 'sipp', [
    ...(remote ? [remote] : []),
    ...['-sf', file, '-m', '1', '-t', transport === 'tcp' ? 't1' : 'u1', '-i', host, '-mi', host, '-p', `${localPort}`],
    ...['-timeout', `${Math.ceil(timeoutMs / 1000)}s`, '-timeout_error', '-nostdin', '-nd'],
    ...['-trace_msg', '-message_file', messages, '-trace_err', '-error_file', path.join(folder, 'errors.log')],
    ...(keys.password ? ['-au', `${words.own_number}`, '-ap', keys.password] : []),
    ...Object.entries(words).flatMap(([word, value]) => ['-key', word, `${value}`]),
  ]);
  const read = (name) => {
    try {
      return readFileSync(path.join(folder, name), 'latin1');
    } catch {
      return '';
    }
  };
  const phone = {
    port: localPort,
    uri: (user = 'sipp') => `sip:${user}@${host}:${localPort}${transport === 'tcp' ? ';transport=tcp' : ''}`,
    contact: `${host}:${localPort}${transport === 'tcp' ? ';transport=tcp' : ''}`,
    messages: () => read('messages.log'),
    async finish(milliseconds = timeoutMs) {
      try {
        await child.finish(milliseconds);
      } catch (error) {
        throw new Error(`SIPp's call went wrong: ${error.message.split('\n')[0]}\n${read('errors.log')}\n${read('messages.log').slice(-6000)}`);
      }
    },
    stop: () => child.stop('SIGKILL'),
  };
  if (!remote) await listening(child, localPort, transport);
  return phone;
}

/** Waits until something on this machine has the port open. */
async function listening(child, port, transport) {
  const table = `/proc/net/${transport}`;
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  await until('SIPp to listen', 10_000, () => {
    if (child.result) throw new Error(`SIPp ended:\n${child.tail()}`);
    return readFileSync(table, 'latin1').includes(hex);
  });
}
