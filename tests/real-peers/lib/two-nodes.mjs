// Two gateways in one process that share a DTLS certificate, and the end of the first: examples/src/bin/two_nodes.rs.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { configuration } from './gateway.mjs';
import { program } from './paths.mjs';
import { freePort, freePorts } from './ports.mjs';
import { ChildProcess, temporaryFolder, until } from './process.mjs';

/**
 * Starts them and waits until both are ready. `url` and `urls`: the first one's page, and both. `takeOver()` ends the first one
 * without a word and lets the second one go on with its calls: `{ goneAt, doneAt, calls }`, times of Date.now.
 */
export async function twoNodes() {
  const binary = program('two_nodes');
  const folder = temporaryFolder('two-nodes');
  const nodes = [];
  for (const node of ['node1', 'node2']) {
    nodes.push({ node, http: await freePort(), metrics: await freePort(), sip: await freePort(), turn: { listen: [`127.0.0.1:${await freePort()}`] }, rtp: await freePorts(200) });
  }
  const urls = nodes.map(({ http }) => `http://127.0.0.1:${http}`);
  const files = nodes.map((ports) => {
    const file = path.join(folder, `${ports.node}.toml`);
    writeFileSync(file, configuration({ ...ports, origins: [urls[0]] })); // the page stays the first one's
    return file;
  });
  const child = new ChildProcess('two nodes', binary, files, { stdin: true, env: { WSG_LOG__LEVEL: process.env.GATEWAY_LOG ?? 'info' } });
  for (const url of urls) {
    await until(`${url} to be ready`, 15_000, async () => {
      if (child.result) throw new Error(`the two nodes ended:\n${child.tail()}`);
      return fetch(`${url}/ready`, { signal: AbortSignal.timeout(2_000) }).then((response) => response.status === 200, () => false);
    });
  }
  return {
    url: urls[0],
    urls,
    sipPorts: nodes.map(({ sip }) => sip),
    tail: () => child.tail(),
    /** The metrics page of the second one as text. */
    metrics: async () => (await fetch(`http://127.0.0.1:${nodes[1].metrics}/metrics`)).text(),
    async takeOver() {
      child.child.stdin.write('takeover\n');
      const [said, goneAt, doneAt] = await child.waitForOutput(/gone at (\d+)[^]*?done at (\d+)/);
      return { goneAt: Number(goneAt), doneAt: Number(doneAt), calls: said.match(/taken over: /g)?.length ?? 0 };
    },
    stop: () => child.stop('SIGKILL'),
  };
}
