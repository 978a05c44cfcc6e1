// Free ports, handed out once per process so that two tests in a row never collide.
import dgram from 'node:dgram';
import net from 'node:net';

// Below the kernel's ephemeral range, and at a different place in each process, so that test files can run side by side.
const FIRST = 12_000;
const LAST = 31_000;
let next = FIRST + ((process.pid * 97) % (LAST - FIRST - 2_000));

/** The first of `count` consecutive ports (even, so that it suits RTP) free for UDP and TCP on `host`. */
export async function freePorts(count = 2, host = '0.0.0.0') {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (next + count >= LAST) next = FIRST;
    const first = next + (next % 2);
    next = first + count;
    let free = true;
    for (let port = first; free && port < first + count; port += 1) {
      free = (await tcpIsFree(port, host)) && (await udpIsFree(port, host));
    }
    if (free) return first;
  }
  throw new Error('no free ports');
}

export async function freePort(host) {
  return freePorts(1, host);
}

/** As many ports of 127.0.0.1, for several listeners of one program. */
export async function localPorts(count) {
  const first = await freePorts(count, '127.0.0.1');
  return Array.from({ length: count }, (_, index) => first + index);
}

function tcpIsFree(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function udpIsFree(port, host) {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind({ port, address: host, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
