// A name server that knows one name (RFC 1035).
import dgram from 'node:dgram';

const ADDRESS = '127.0.53.53';
const [TYPE_A, NAME_ERROR, POINTER_TO_QUESTION] = [1, 3, 0xc00c];

/** Answers that `name` is 127.0.0.1, and that nothing else exists. */
export async function nameServer(name) {
  const socket = dgram.createSocket('udp4');
  const asked = new Set();
  socket.on('message', (query, from) => {
    const labels = [];
    let at = 12;
    for (; query[at]; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
    const question = query.subarray(12, at + 5);
    const type = query.readUInt16BE(at + 1);
    const known = labels.join('.') === name;
    asked.add(labels.join('.'));
    const answer = Buffer.alloc(known && type === TYPE_A ? 16 : 0);
    if (answer.length > 0) {
      answer.writeUInt16BE(POINTER_TO_QUESTION, 0);
      answer.writeUInt16BE(TYPE_A, 2);
      answer.writeUInt16BE(1, 4); // IN
      answer.writeUInt32BE(1, 6); // seconds
      answer.writeUInt16BE(4, 10);
      answer.set([127, 0, 0, 1], 12);
    }
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180 | (known ? 0 : NAME_ERROR), 2);
    head.writeUInt16BE(answer.length > 0 ? 1 : 0, 6);
    head.fill(0, 8);
    socket.send(Buffer.concat([head, question, answer]), from.port, from.address);
  });
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(53, ADDRESS, resolve);
  });
  return { address: ADDRESS, asked, stop: async () => socket.close() };
}
