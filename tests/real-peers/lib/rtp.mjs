// One end of a plain RTP conversation in G.711: plays the speech, records what comes, sends and hears RFC 4733 digits.
// SIPp does the SIP for it; whoever sends to us is whom we send to (symmetric RTP, RFC 4961).
import dgram from 'node:dgram';
import path from 'node:path';

import { RECORD_MS, speech } from './audio.mjs';
import { sleep, temporaryFolder, until } from './process.mjs';
import { law, readWav, writeWav } from './wav.mjs';

const FRAME = 160; // samples of 20 ms
const EVENT_PAYLOAD_TYPE = 101;
const LOUD = 1_000; // -30 dBFS
const KEYS = '0123456789*#ABCD';

export class RtpEndpoint {
  /** Binds `port` on `host`. Plays the speech in `codec` (PCMU or PCMA) from the first packet on that comes in. */
  static async open(port, { host = '127.0.0.1', codec = 'PCMU' } = {}) {
    const endpoint = new RtpEndpoint(codec);
    const { loop8k } = await speech();
    const { samples } = readWav(loop8k);
    endpoint.octets = Buffer.from(Array.from(samples, law[codec].encode));
    await new Promise((resolve, reject) => {
      endpoint.socket.once('error', reject);
      endpoint.socket.bind(port, host, resolve);
    });
    return endpoint;
  }

  constructor(codec) {
    this.codec = codec;
    this.packets = []; // { at, timestamp, payload } of audio, `at` of Date.now, in order of arrival
    this.digits = []; // { digit, milliseconds } heard
    this.payloadTypes = new Set();
    this.sequence = Math.floor(Math.random() * 65_536);
    this.timestamp = Math.floor(Math.random() * 2 ** 32);
    this.ssrc = Math.floor(Math.random() * 2 ** 32);
    this.position = 0;
    this.queue = []; // digits still to send
    this.socket = dgram.createSocket('udp4');
    this.socket.on('message', (bytes, remote) => this.receive(bytes, remote));
  }

  receive(bytes, remote) {
    if (bytes.length < 12 || bytes[0] >> 6 !== 2) return;
    const payloadType = bytes[1] & 0x7f;
    const hasExtension = bytes[0] & 0x10;
    let start = 12 + (bytes[0] & 15) * 4;
    if (hasExtension) start += 4 + bytes.readUInt16BE(start + 2) * 4;
    const payload = bytes.subarray(start, bytes[0] & 0x20 ? bytes.length - bytes.at(-1) : bytes.length);
    const timestamp = bytes.readUInt32BE(4);
    this.payloadTypes.add(payloadType);
    if (payloadType === law[this.codec].payloadType) {
      this.packets.push({ at: Date.now(), timestamp, payload });
    } else if (payloadType === EVENT_PAYLOAD_TYPE) {
      this.hearDigit(timestamp, payload);
    }
    this.remote = remote;
    this.timer ??= this.startSending();
  }

  /** An event is one digit however many packets tell of it: they share a timestamp (RFC 4733 section 2.5.1). */
  hearDigit(timestamp, payload) {
    const milliseconds = payload.readUInt16BE(2) / 8;
    const last = this.digits.at(-1);
    if (last?.timestamp === timestamp) {
      last.milliseconds = Math.max(last.milliseconds, milliseconds);
      last.ended ||= (payload[1] & 0x80) !== 0;
    } else {
      this.digits.push({ digit: KEYS[payload[0]], timestamp, milliseconds, ended: (payload[1] & 0x80) !== 0 });
    }
  }

  startSending() {
    let due = performance.now();
    return setInterval(() => {
      for (; due <= performance.now(); due += 20) this.sendFrame();
    }, 5);
  }

  sendFrame() {
    const event = this.queue[0];
    if (event) {
      this.sendEvent(event);
    } else {
      const payload = this.octets.subarray(this.position, this.position + FRAME);
      this.send(law[this.codec].payloadType, this.timestamp, payload, false);
    }
    this.position = (this.position + FRAME) % this.octets.length;
    this.timestamp = (this.timestamp + FRAME) >>> 0;
  }

  /** 100 ms of a digit, then its end three times over (RFC 4733 section 2.5.1.4), then 60 ms of speech before the next. */
  sendEvent(event) {
    event.timestamp ??= this.timestamp;
    event.frames = (event.frames ?? 0) + 1;
    const ended = event.frames > 5;
    const payload = Buffer.from([KEYS.indexOf(event.digit), (ended ? 0x80 : 0) | 10, 0, 0]);
    payload.writeUInt16BE(Math.min(event.frames, 5) * FRAME, 2);
    this.send(EVENT_PAYLOAD_TYPE, event.timestamp, payload, event.frames === 1);
    if (event.frames === 8) this.queue.shift();
  }

  send(payloadType, timestamp, payload, marker) {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = (marker ? 0x80 : 0) | payloadType;
    header.writeUInt16BE(this.sequence, 2);
    header.writeUInt32BE(timestamp, 4);
    header.writeUInt32BE(this.ssrc, 8);
    this.sequence = (this.sequence + 1) & 0xffff;
    this.socket.send(Buffer.concat([header, payload]), this.remote.port, this.remote.address);
  }

  sendDigits(digits) {
    for (const digit of digits) this.queue.push({ digit });
  }

  /** Waits until these digits have come, each from its start to its end. */
  async waitForDigits(digits, timeoutMs = 10_000) {
    const heard = () => this.digits.filter((each) => each.ended).map((each) => each.digit).join('');
    await until(`digits ${digits}`, timeoutMs, () => heard().length >= digits.length).catch((error) => {
      throw new Error(`${error.message}, heard "${heard()}"`);
    });
    return heard();
  }

  async waitForAudio(packets = 50, timeoutMs = 15_000) {
    await until(`${packets} RTP packets`, timeoutMs, () => this.packets.length >= packets);
  }

  /** The packets that came after `since` (of Date.now) with sound in them: a gateway that hears nothing goes on sending silence. */
  sounds(since) {
    const loud = (octet) => Math.abs(law[this.codec].decode(octet)) > LOUD;
    return this.packets.filter(({ at, payload }) => at >= since && payload.some(loud));
  }

  /** Listens for a while and returns what was heard as a WAV file: each packet where its timestamp says, gaps silent. */
  async record(milliseconds = RECORD_MS) {
    const first = this.packets.length;
    await sleep(milliseconds);
    const packets = this.packets.slice(first);
    const file = path.join(temporaryFolder('rtp'), 'heard.wav');
    if (packets.length === 0) throw new Error('no RTP came');
    const offset = (packet) => (packet.timestamp - packets[0].timestamp) | 0;
    const samples = new Int16Array(Math.max(...packets.map((packet) => offset(packet) + packet.payload.length)));
    for (const packet of packets) {
      for (let i = 0, at = offset(packet); i < packet.payload.length; i += 1, at += 1) {
        if (at >= 0) samples[at] = law[this.codec].decode(packet.payload[i]);
      }
    }
    writeWav(file, samples, 8000);
    return file;
  }

  close() {
    clearInterval(this.timer);
    this.timer = 0;
    this.socket.close();
  }
}
