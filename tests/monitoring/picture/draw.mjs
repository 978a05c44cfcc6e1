// Draws the chart's dashboards from what a real Prometheus records of both programs under a little load:
// `node draw.mjs [MINUTES]`. The pictures are docs/pictures/dashboard-*.svg.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { gateway } from '../../real-peers/lib/gateway.mjs';
import { root } from '../../real-peers/lib/paths.mjs';
import { turnServer } from '../../real-peers/lib/turn.mjs';
import { asked, dashboards, targets } from '../lib/chart.mjs';
import { prometheus } from '../lib/prometheus.mjs';
import { dashboard as drawn } from './drawing.mjs';
import { calls, relayed, USERS } from './load.mjs';

const MINUTES = Number(process.argv[2] ?? 8);
const POINTS = 120;

/** What Grafana writes into the legend. */
const legend = (format, labels) => format.replace(/\{\{(\w+)\}\}/g, (all, name) => labels[name] ?? '');

/** The lines of a panel, over the recorded time. */
async function lines(watcher, { targets: queries }, start, end) {
  const step = (end - start) / POINTS;
  const each = await Promise.all(queries.map(async ({ expr, legendFormat }) => {
    const series = await watcher.range(asked(expr), start, end, step);
    return series.map(({ metric, values }) => ({
      name: legend(legendFormat, metric),
      points: values.map(([time, value]) => [time - start, Number(value)]).filter(([, value]) => Number.isFinite(value)),
    }));
  }));
  return each.flat();
}

const started = [];
const use = async (starting) => {
  const thing = await starting;
  started.push(thing);
  return thing;
};
try {
  const both = { gateway: await use(gateway({ users: USERS, limits: { sign_ins: 20 } })), turn: await use(turnServer()) };
  const watcher = await use(prometheus({ targets: targets(both) }));
  const start = Date.now();
  const end = start + MINUTES * 60_000;
  await Promise.all([calls(both.gateway.url, end - 60_000), relayed(both.turn, MINUTES * 60_000)]);
  const folder = path.join(root, 'docs/pictures');
  mkdirSync(folder, { recursive: true });
  for (const { name, dashboard } of await dashboards()) {
    const panels = await Promise.all(dashboard.panels.map(async (one) => ({
      title: one.title,
      unit: one.fieldConfig.defaults.unit,
      gridPos: one.gridPos,
      lines: await lines(watcher, one, start / 1_000, end / 1_000),
    })));
    const subtitle = `${MINUTES} minutes recorded by Prometheus, a scrape each second`;
    const file = path.join(folder, name.replace(/^webrtc-(.*)\.json$/, 'dashboard-$1.svg'));
    writeFileSync(file, drawn({ title: dashboard.title, subtitle, panels, span: (end - start) / 1_000 }));
    console.log(path.relative(root, file));
  }
} finally {
  for (const thing of started.reverse()) await thing.stop();
}
