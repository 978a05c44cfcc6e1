// The chart's alerts and dashboards, held against promtool.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { root } from '../real-peers/lib/paths.mjs';
import { run, temporaryFolder } from '../real-peers/lib/process.mjs';
import { asked, dashboards, NAMESPACE, rules } from './lib/chart.mjs';

/** Series that must raise an alert, and ones that must not, from the start and every minute; labels that the alert has. */
const POD = { namespace: NAMESPACE, pod: 'p' };
const ALERTS = {
  'webrtc-gateway-signins': { metric: 'wrtc_current_signins', labels: { ...POD, color: 'blue' }, bad: '72+0x40', good: '71+0x40', alert: { namespace: NAMESPACE, color: 'blue' } },
  'webrtc-gateway-gauth': { metric: 'wrtc_system_error', labels: { ...POD, type: 'auth' }, bad: '1+0x40', good: '0+0x40' },
  'webrtc-gateway-gws': { metric: 'wrtc_system_error', labels: { ...POD, type: 'env' }, bad: '1+0x40', good: '0+0x40' },
  'webrtc-gateway-es': { metric: 'wrtc_system_error', labels: { ...POD, type: 'es' }, bad: '1+0x40', good: '0+0x40' },
  'webrtc-gateway-full': { metric: 'wrtc_current_signins', labels: POD, bad: '46+0x40', good: '45+0x40', beside: { wrtc_max_clients_per_instance: '50+0x40' } },
  'webrtc-gateway-registrations': { metric: 'wsg_sip_failed_registrations_total', labels: POD, bad: '0+1x40', good: '0+0x40' },
  'webrtc-gateway-sip-proxy': { metric: 'wsg_sip_proxy_unreachable', labels: POD, bad: '1+0x40', good: '0+0x40' },
  'webrtc-gateway-missed-audio': { metric: 'wsg_media_missed_seconds_total', labels: { ...POD, shard: '0' }, bad: '0+1x40', good: '0+0.1x40' },
  'webrtc-gateway-rtp-ports': { metric: 'wsg_rtp_ports_in_use', labels: POD, bad: '91+0x40', good: '90+0x40', beside: { wsg_rtp_ports_configured: '100+0x40' } },
  'webrtc-gateway-certificate': { metric: 'wsg_certificate_expiry_timestamp_seconds', labels: { ...POD, section: 'http.tls' }, bad: '1209590+0x40', good: '1212000+0x40' },
  'webrtc-coturn-certificate': { metric: 'wst_certificate_expiry_timestamp_seconds', labels: { ...POD, section: 'tls' }, bad: '1209590+0x40', good: '1212000+0x40' },
  'webrtc-gateway-lost-log-lines': { metric: 'wsg_lost_log_lines_total', labels: POD, bad: '0+1x40', good: '5+0x40' },
  'webrtc-coturn-lost-log-lines': { metric: 'wst_lost_log_lines_total', labels: POD, bad: '0+1x40', good: '5+0x40' },
  'webrtc-gateway-configuration': { metric: 'wsg_config_last_reload_successful', labels: POD, bad: '0+0x40', good: '1+0x40' },
  'webrtc-coturn-configuration': { metric: 'wst_config_last_reload_successful', labels: POD, bad: '0+0x40', good: '1+0x40' },
  'webrtc-coturn-full': { metric: 'wst_relay_sockets', labels: POD, bad: '91+0x40', good: '90+0x40', beside: { wst_relay_sockets_allowed: '100+0x40' } },
  'webrtc-coturn-refused-connections': { metric: 'wst_refused_connections_total', labels: POD, bad: '0+1x40', good: '5+0x40' },
  'webrtc-coturn-quota': { metric: 'wst_quota_refusals_total', labels: { ...POD, worker: '1' }, bad: '0+1x40', good: '5+0x40', alert: POD },
};

const selector = (name, labels) => `${name}{${Object.entries(labels).map(([label, value]) => `${label}="${value}"`).join(',')}}`;

test('each alert is raised when it must, and not before', async () => {
  const shipped = await rules();
  const every = shipped.groups.flatMap((group) => group.rules);
  assert.deepEqual(every.map(({ alert }) => alert).sort(), Object.keys(ALERTS).sort());
  const folder = temporaryFolder('rules');
  const [rulesFile, testsFile] = ['rules.json', 'tests.json'].map((name) => path.join(folder, name));
  const tests = every.flatMap(({ alert: alertname, labels: { severity }, annotations, for: wait }) => {
    const { metric, labels, bad, good, beside = {}, alert = labels } = ALERTS[alertname];
    const series = (values) => Object.entries({ [metric]: values, ...beside }).map(([name, each]) => ({ series: selector(name, labels), values: each }));
    const raised = [{ exp_labels: { ...alert, severity }, exp_annotations: annotations }];
    const minutes = parseInt(wait, 10);
    const check = (eval_time, exp_alerts) => ({ eval_time: `${eval_time}m`, alertname, exp_alerts });
    return [
      // Rates need two samples, so what they watch is seen a minute later.
      { interval: '1m', input_series: series(bad), alert_rule_test: [check(minutes - 1, []), check(30, raised)] },
      { interval: '1m', input_series: series(good), alert_rule_test: [check(30, [])] },
      { interval: '1m', input_series: series(bad).map((one) => ({ ...one, series: one.series.replace(NAMESPACE, 'elsewhere') })), alert_rule_test: [check(30, [])] },
    ];
  });
  writeFileSync(rulesFile, JSON.stringify(shipped));
  writeFileSync(testsFile, JSON.stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests }));
  await run('promtool', ['check', 'rules', rulesFile]);
  await run('promtool', ['test', 'rules', testsFile]);
});

test('without Kubernetes each target of the guide is missed within a minute, and one that is there is not', async () => {
  const guide = readFileSync(path.join(root, 'docs/operations.md'), 'utf8');
  const yaml = (key) => guide.match(new RegExp(`^\`\`\`yaml\n(${key}:\n.*?)^\`\`\`$`, 'ms'))[1];
  const [scraping, down] = ['scrape_configs', 'groups'].map(yaml);
  const folder = temporaryFolder('guide');
  const file = (name, text) => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  file('webrtc.json', JSON.stringify(await rules()));
  const rulesFile = file('webrtc-down.yaml', down);
  await run('promtool', ['check', 'config', file('prometheus.yml', scraping)]);
  const job = scraping.match(/job_name: (\S+)/)[1];
  const instances = scraping.match(/targets: (.*)/)[1].match(/[\d.:]+/g);
  assert.equal(instances.length, 2);
  const tests = instances.flatMap((instance) => {
    const labels = { job, instance, ...POD };
    const raised = { exp_labels: { ...labels, severity: 'critical' }, exp_annotations: { description: `${instance} has ended, hangs, or can't be reached.` } };
    const check = (minutes, exp_alerts) => ({ eval_time: `${minutes}m`, alertname: 'webrtc-down', exp_alerts });
    return [
      { interval: '1m', input_series: [{ series: selector('up', labels), values: '1+0x5 0+0x5' }], alert_rule_test: [check(6, []), check(7, [raised])] },
      { interval: '1m', input_series: [{ series: selector('up', labels), values: '1+0x10' }], alert_rule_test: [check(9, [])] },
    ];
  });
  await run('promtool', ['test', 'rules', file('tests.json', JSON.stringify({ rule_files: [rulesFile], evaluation_interval: '1m', tests }))]);
});

test('the alerts of the guide have its names and severities', async () => {
  const { groups } = await rules();
  const severity = Object.fromEntries(groups.flatMap(({ rules }) => rules).map(({ alert, labels }) => [alert, labels.severity]));
  for (const name of ['webrtc-gateway-signins', 'webrtc-gateway-gauth', 'webrtc-gateway-gws', 'webrtc-gateway-es']) assert.equal(severity[name], 'warning');
});

test('dashboards are whole, and ask by expressions that Prometheus can read', async () => {
  const every = await dashboards();
  assert.equal(every.length, 2);
  const expressions = [];
  for (const { name, dashboard } of every) {
    assert.match(name, /^webrtc-.*\.json$/);
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
    for (const { title, targets } of dashboard.panels) {
      assert.ok(title && targets.length > 0);
      for (const { expr } of targets) expressions.push(asked(expr));
    }
  }
  const file = path.join(temporaryFolder('dashboards'), 'rules.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboards', rules: expressions.map((expr, index) => ({ record: `panel:${index}`, expr })) }] }));
  await run('promtool', ['check', 'rules', file]);
});
