// WAV files of 16-bit PCM, and G.711 (ITU-T G.711) between PCM and octets.
import { readFileSync, writeFileSync } from 'node:fs';

/** Writes mono 16-bit PCM. */
export function writeWav(file, samples, rate) {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length * 2, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length * 2, 40);
  writeFileSync(file, Buffer.concat([header, Buffer.from(samples.buffer, samples.byteOffset, samples.length * 2)]));
}

/** Reads mono 16-bit PCM: `{ samples, rate }`. Sizes of 0 or beyond the end (a recorder that was killed) mean "to the end". */
export function readWav(file) {
  const bytes = readFileSync(file);
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE') throw new Error(`${file} is no WAV file`);
  let rate = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const id = bytes.toString('latin1', at, at + 4);
    const size = bytes.readUInt32LE(at + 4);
    const body = at + 8;
    if (id === 'fmt ') {
      if (bytes.readUInt16LE(body + 2) !== 1 || bytes.readUInt16LE(body + 14) !== 16) throw new Error(`${file} isn't mono 16-bit PCM`);
      rate = bytes.readUInt32LE(body + 4);
    } else if (id === 'data') {
      const end = size === 0 ? bytes.length : Math.min(bytes.length, body + size);
      const samples = new Int16Array((end - body) >> 1);
      for (let i = 0; i < samples.length; i += 1) samples[i] = bytes.readInt16LE(body + i * 2);
      return { samples, rate };
    }
    at = body + size + (size % 2);
  }
  throw new Error(`${file} has no samples`);
}

export const law = {
  PCMU: { payloadType: 0, encode: encodeMuLaw, decode: decodeMuLaw, silence: 0xff },
  PCMA: { payloadType: 8, encode: encodeALaw, decode: decodeALaw, silence: 0xd5 },
};

function encodeMuLaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(sample), 32_635) + 132;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 15)) & 0xff;
}

function decodeMuLaw(octet) {
  const bits = ~octet & 0xff;
  const magnitude = (((bits & 15) << 3) + 132) << ((bits >> 4) & 7);
  return bits & 0x80 ? 132 - magnitude : magnitude - 132;
}

function encodeALaw(sample) {
  const sign = sample < 0 ? 0 : 0x80;
  const magnitude = Math.min(sample < 0 ? -sample - 1 : sample, 32_767) >> 4;
  const exponent = magnitude < 16 ? 0 : 28 - Math.clz32(magnitude);
  const mantissa = (magnitude >> Math.max(exponent - 1, 0)) & 15;
  return (sign | (exponent << 4) | mantissa) ^ 0x55;
}

function decodeALaw(octet) {
  const bits = octet ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const base = ((bits & 15) << 4) + 8;
  const magnitude = exponent === 0 ? base : (base + 256) << (exponent - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}
