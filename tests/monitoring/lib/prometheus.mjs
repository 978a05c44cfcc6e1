// Prometheus itself, on a free port, with what it recorded gone when it is stopped.
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort } from '../../real-peers/lib/ports.mjs';
import { ChildProcess, temporaryFolder, until } from '../../real-peers/lib/process.mjs';

/**
 * Starts it and waits until it is ready. `targets`: `{ job, address, labels }` each; `interval`: between two scrapes and between
 * two looks at the rules; `rules`: what a PrometheusRule has as its spec.
 */
export async function prometheus({ targets, interval = '1s', rules = { groups: [] } }) {
  const folder = temporaryFolder('prometheus');
  const [configFile, rulesFile] = ['prometheus.json', 'rules.json'].map((name) => path.join(folder, name));
  // JSON is YAML too.
  writeFileSync(rulesFile, JSON.stringify(rules));
  writeFileSync(configFile, JSON.stringify({
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: [rulesFile],
    scrape_configs: targets.map(({ job, address, labels }) => ({ job_name: job, static_configs: [{ targets: [address], labels }] })),
  }));
  const address = `127.0.0.1:${await freePort('127.0.0.1')}`;
  const child = new ChildProcess('Prometheus', 'prometheus', [
    `--config.file=${configFile}`, `--storage.tsdb.path=${path.join(folder, 'data')}`, `--web.listen-address=${address}`, '--log.level=warn',
  ]);
  const get = (where) => fetch(`http://${address}${where}`, { signal: AbortSignal.timeout(5_000) });
  const stop = async () => {
    await child.stop('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until('Prometheus to be ready', 20_000, async () => {
      if (child.result) throw new Error(`Prometheus ended:\n${child.tail()}`);
      return get('/-/ready').then(({ status }) => status === 200, () => false);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  /** What its interface answers; fails where it refuses. */
  async function ask(where, parameters = {}) {
    const answer = await (await get(`/api/v1/${where}?${new URLSearchParams(parameters)}`)).json();
    if (answer.status !== 'success') throw new Error(`${where} ${JSON.stringify(parameters)}: ${answer.error}`);
    return answer.data;
  }
  return {
    /** The series that an expression has now: `{ metric, value: [time, text] }` each. */
    query: async (query) => (await ask('query', { query })).result,
    /** The same over a time, in seconds since 1970: `{ metric, values }` each. */
    range: async (query, start, end, step) => (await ask('query_range', { query, start, end, step })).result,
    alerts: async () => (await ask('alerts')).alerts,
    targets: async () => (await ask('targets', { state: 'active' })).activeTargets,
    /** The names of metrics that it has read a TYPE line of. */
    metrics: async () => Object.keys(await ask('metadata')),
    stop,
  };
}
