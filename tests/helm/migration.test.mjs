// docs/migration.md names no option that the charts don't take, and no alert that they don't bring.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { object } from './lib/objects.mjs';
import { options } from './lib/option-checks.mjs';
import { chart as webphone } from './webphone/chart.mjs';
import { chart as webrtcService } from './webrtc-service/chart.mjs';

const guide = readFileSync(new URL('../../docs/migration.md', import.meta.url), 'utf8');

/** The first cells of the tables in a chapter, without what is in brackets. */
function firstCells(chapter) {
  const [, text] = guide.split(new RegExp(`^## ${chapter}$`, 'm'));
  assert.ok(text, `there is a chapter ${chapter}`);
  const rows = text.split(/^## /m)[0].match(/^\| `.*$/gm) ?? [];
  return rows.map((row) => row.split('|')[1].replace(/\([^)]*\)/g, ''));
}

/**
 * The options that the tables of a chapter name; each is written out, or begins as the one before it in its row. What isn't
 * found either way is returned as it is written.
 */
function named(chapter, takes) {
  return firstCells(chapter).flatMap((cell) => {
    let before = [];
    const names = [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name.replace(/:.*/, '').replace(/^\./, ''));
    return names.filter((name) => !name.startsWith('-')).map((name) => {
      const begun = before.map((_, length) => [...before.slice(0, before.length - length), name].join('.'));
      const option = [name, ...begun].find(takes) ?? name;
      before = option.split('.').slice(0, -1);
      return option;
    });
  });
}

/** Whether a chart takes an option: its schema names it, or lets everything below something above it pass. */
function taker(chart) {
  const known = new Map(options(chart).map(({ option, leaf }) => [option, leaf]));
  const above = (option) => option.split('.').map((_, length, parts) => parts.slice(0, length).join('.'));
  return (option) => known.has(option) || above(option).some((one) => known.get(one));
}

for (const [name, chart] of [['webrtc-service', webrtcService], ['webphone', webphone]]) {
  test(`${name} takes every option that moves over`, () => {
    const takes = taker(chart);
    const moved = named(`Chart \`${name}\``, takes);
    assert.ok(moved.length > 30, `only ${moved.length} options are named`);
    assert.deepEqual(moved.filter((option) => !takes(option)), []);
  });
}

test('the chart brings every alert', async () => {
  const monitored = { 'deployment.type': 'infra', 'monitoring.enabled': true, 'monitoring.prometheusAlerts': true };
  const { groups } = object(await webrtcService.render(monitored), 'PrometheusRule', 'webrtc-alerts').spec;
  const brought = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort();
  const chapter = guide.split(/^## Alerts$/m)[1].split(/^## /m)[0];
  const told = [...new Set([...chapter.matchAll(/`(webrtc-[a-z-]+)`/g)].map(([, name]) => name))].sort();
  assert.deepEqual(told, brought);
});
