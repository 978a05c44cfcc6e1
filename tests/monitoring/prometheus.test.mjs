// Prometheus watches both programs, with the chart's alerts and dashboards.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { gateway } from '../real-peers/lib/gateway.mjs';
import { sleep, until } from '../real-peers/lib/process.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { turnServer } from '../real-peers/lib/turn.mjs';
import { asked, dashboards, metricNames, rules, scaling, targets } from './lib/chart.mjs';
import { signIn } from './lib/client.mjs';
import { prometheus } from './lib/prometheus.mjs';

const SIGN_INS = 'webrtc-gateway-signins';
/** Beyond one sign-in, and at once. */
const EARLY = { 'gateway.scaling.thresholdSignins': 1, 'monitoring.alertFor': { [SIGN_INS]: '1s' } };
const SCRAPE_INTERVAL_MS = 100;
const SCRAPES = 100;
const MIGRATION = readFileSync(new URL('../../docs/migration.md', import.meta.url), 'utf8');

const programs = async () => ({ gateway: await once('gateway', () => gateway()), turn: await once('turn', () => turnServer()) });

check('Prometheus scrapes both programs, and knows every metric that is asked for', async (test, use) => {
  const watcher = await use(prometheus({ targets: targets(await programs()) }));
  await until('both to be up', 15_000, async () => (await watcher.query('up == 1')).length === 2);
  for (const { lastError, labels } of await watcher.targets()) assert.equal(lastError, '', labels.job);

  const known = await watcher.metrics();
  for (const [what, text] of Object.entries({ alerts: await rules(), dashboards: await dashboards(), scaling: await scaling(), migration: MIGRATION })) {
    const names = metricNames(JSON.stringify(text));
    assert.ok(names.length > 0, what);
    assert.deepEqual(names.filter((name) => !known.includes(name)), [], what);
  }
});

check('each panel has something to show', async (test, use) => {
  const watcher = await use(prometheus({ targets: targets(await programs()) }));
  // Rates take two scrapes.
  await until('two scrapes', 15_000, async () => (await watcher.query('sum_over_time(up[1m]) >= 2')).length === 2);
  const empty = [];
  for (const { dashboard } of await dashboards()) {
    for (const { title, targets: queries } of dashboard.panels) {
      for (const { expr } of queries) if ((await watcher.query(asked(expr))).length === 0) empty.push(`${title}: ${expr}`);
    }
  }
  assert.deepEqual(empty, []);
});

check('more sign-ins than the threshold fire an alert, which goes with them, and scale their own colour', async (test, use) => {
  const both = await programs();
  const watcher = await use(prometheus({ targets: targets(both), rules: await rules(EARLY) }));
  const firing = async () => (await watcher.alerts()).filter(({ state, labels }) => state === 'firing' && labels.alertname === SIGN_INS);
  const signedIn = async (count) => (await watcher.query(`wrtc_current_signins == ${count}`)).length === 1;

  const users = [await signIn(both.gateway.url, '1001')];
  await until('the first sign-in to be seen', 15_000, () => signedIn(1));
  await sleep(3_000);
  assert.deepEqual(await firing(), [], 'as many as the threshold are not too many');

  users.push(await signIn(both.gateway.url, '1002'));
  const [alert] = await until('the alert', 15_000, async () => {
    const raised = await firing();
    return raised.length > 0 && raised;
  });
  assert.equal(Number(alert.value), 2);
  assert.deepEqual(alert.labels, { alertname: SIGN_INS, namespace: 'webrtc', color: 'blue', severity: 'warning' });

  // What KEDA is told: this colour's sign-ins, and nothing where there are no pods of a colour.
  for (const [colour, told] of Object.entries({ blue: ['2'], green: [] })) {
    const [query, ...more] = await scaling(colour);
    assert.deepEqual(more, []);
    assert.deepEqual((await watcher.query(query)).map(({ value }) => value[1]), told, query);
  }

  for (const user of users) await user.request('session.signOut');
  await until('the alert to end', 15_000, async () => (await firing()).length === 0);
});

/** What a process has used and holds: seconds of processor time, bytes of resident memory. */
function resources({ pid }) {
  const [, afterName] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = afterName.split(' ');
  const TICKS = 100; // a second, on every Linux
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { cpu: (Number(fields[11]) + Number(fields[12])) / TICKS, memory: Number(status.match(/^VmRSS:\s+(\d+) kB/m)[1]) * 1024 };
}

check('a scrape every 100 ms does no harm', async (test, use) => {
  const both = await programs();
  const watcher = await use(prometheus({ targets: targets(both), interval: `${SCRAPE_INTERVAL_MS}ms` }));
  const user = await signIn(both.gateway.url, '1001');
  await until('both to be up', 15_000, async () => (await watcher.query('up == 1')).length === 2);
  const before = Object.values(both).map(resources);
  const start = Date.now();

  const ofEach = async (expression) => (await watcher.query(expression)).map(({ value }) => Number(value[1]));
  const answers = [];
  await until(`${SCRAPES} scrapes`, 60_000, async () => {
    const asking = performance.now();
    await user.request('session.heartbeat');
    answers.push(performance.now() - asking);
    return Math.min(...(await ofEach('count_over_time(up[5m])'))) > SCRAPES;
  });
  const seconds = (Date.now() - start) / 1_000;
  const after = Object.values(both).map(resources);

  // A machine that is busy for a moment lets a scrape take longer than 100 ms, which fails it.
  for (const share of await ofEach('avg_over_time(up[5m])')) assert.ok(share > 0.95, `${share} of the scrapes succeeded`);
  const middle = answers.sort((a, b) => a - b)[answers.length >> 1];
  test.diagnostic(`median of ${answers.length} heartbeats: ${middle.toFixed(1)} ms`);
  assert.ok(middle < 50, `heartbeats are answered within ${middle} ms`);
  for (const [index, name] of Object.keys(both).entries()) {
    const share = (after[index].cpu - before[index].cpu) / seconds;
    const grown = (after[index].memory - before[index].memory) / 1024;
    test.diagnostic(`${name}: ${(share * 100).toFixed(1)} % of a processor, ${grown.toFixed(0)} KB more memory`);
    assert.ok(share < 0.1, `${name} takes ${share} of a processor`);
    assert.ok(grown < 4096, `${name} grew by ${grown} KB`);
  }
  await user.request('session.signOut');
});
