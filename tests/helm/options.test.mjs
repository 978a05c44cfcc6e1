// Every option has its effect; what is misspelt or of another type is refused by name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { chart, lint, notes, read, refusal, render } from './lib/helm.mjs';
import { container, environment } from './lib/objects.mjs';
import { ROWS } from './lib/options.mjs';
import { each } from './lib/queue.mjs';
import { nested } from './lib/values.mjs';

const schema = JSON.parse(readFileSync(path.join(chart, 'values.schema.json'), 'utf8'));

/** The options of the schema: path, and schema without references. Maps whose keys are free are one option. */
function options(node = schema, prefix = []) {
  const resolved = node.$ref ? schema.definitions[node.$ref.split('/').at(-1)] : node;
  const inner = resolved.properties && resolved.additionalProperties === false ? resolved : (resolved.anyOf ?? []).find((one) => one.properties);
  const below = inner ? Object.entries(inner.properties).flatMap(([name, child]) => options(child, [...prefix, name])) : [];
  return [...(prefix.length > 0 ? [{ option: prefix.join('.'), schema: resolved, leaf: below.length === 0, closed: Boolean(inner) }] : []), ...below];
}
const OPTIONS = options().filter(({ option }) => option !== 'global');

const byName = (list = []) => Object.fromEntries(list.map((each) => [each.name, each]));

/** A rendered object with what tests want to name in it by name. */
function view(object) {
  if (object?.kind === 'Deployment') {
    const volumes = byName(object.spec.template.spec.volumes);
    const { config } = volumes;
    const configSecret = config.secret?.secretName ?? config.projected.sources[0].secret.name;
    return { ...object, env: environment(object), volumes, mounts: byName(container(object).volumeMounts), configSecret };
  }
  if (object?.kind === 'ScaledObject') return { ...object, triggers: Object.fromEntries(object.spec.triggers.map((each) => [each.type, each])) };
  return object;
}

const follow = (object, steps) => (Array.isArray(steps) ? steps : steps.split('.')).reduce((inner, key) => inner?.[key], object);

test('every option appears where it must', async () => {
  const failures = await each(ROWS, async ([option, value, { type, color, object }, steps, expected, more = {}]) => {
    const given = { 'deployment.type': type, 'deployment.color': color, ...more, [option]: value };
    const name = `${option} = ${JSON.stringify(value)}`;
    try {
      if (steps === 'warning') {
        assert.ok((await notes(given)).includes(`\n  ${expected}`), 'the notes warn');
        return undefined;
      }
      const found = (await render(given)).find(({ kind, metadata }) => `${kind}/${metadata.name}` === object);
      if (steps === null) assert.equal(found, undefined);
      else {
        assert.ok(found, `there is no ${object}`);
        assert.deepEqual(follow(view(found), steps), expected);
      }
      return undefined;
    } catch (error) {
      return `${name} at ${object} ${steps}: ${error.message}`;
    }
  });
  assert.deepEqual(failures.filter(Boolean), []);
});

test('there is a row for every option', () => {
  const covered = ROWS.map(([option]) => option);
  const without = OPTIONS.filter(({ option, leaf }) => leaf && !covered.some((row) => row === option || row.startsWith(`${option}.`)));
  // A row may set a map whose parts are options.
  const whole = new Set(ROWS.flatMap(([option, value]) => (value && typeof value === 'object' && !Array.isArray(value) ? Object.keys(value).map((key) => `${option}.${key}`) : [])));
  assert.deepEqual(without.map(({ option }) => option).filter((option) => !whole.has(option)), []);
});

test('a misspelt option is refused by name', async () => {
  const places = ['', ...OPTIONS.filter(({ closed }) => closed).map(({ option }) => option)];
  const said = await refusal(nested(Object.fromEntries(places.map((place) => [`${place && `${place}.`}mispelt`, 1]))));
  // Where one of two forms is allowed, the schema can't say which was meant.
  const unsure = ['deployment.ingress.tls'];
  for (const place of places.filter((each) => !unsure.includes(each))) {
    assert.ok(said.includes(`- ${place || '(root)'}: Additional property mispelt is not allowed`), `${place}: ${said}`);
  }
  assert.ok((await refusal({ 'deployment.ingress.tls': { secertName: 'x' } })).includes('- deployment.ingress.tls: '));
});

test('an option of another type is refused by name', async () => {
  const leaves = OPTIONS.filter(({ leaf }) => leaf);
  const wrong = ({ type, enum: allowed }) => {
    const types = allowed ? [typeof allowed[0]] : [].concat(type);
    return types.some((one) => ['object', 'array', 'boolean'].includes(one)) ? 'text' : { no: 'text' };
  };
  const said = await refusal(Object.fromEntries(leaves.filter(({ option }) => !option.startsWith('deployment.ingress.tls')).map(({ option, schema: one }) => [option, wrong(one)])));
  for (const { option } of leaves) {
    if (option.startsWith('deployment.ingress.tls')) continue;
    assert.ok(said.includes(`- ${option}: `), `${option}: ${said}`);
  }
  const more = { 'gateway.replicas': '1', 'gateway.workersCount': 1.5, 'coturn.port': 70000, 'gateway.logPath': 'log', 'coturn.budget.minAvailable': 'half', 'gateway.voiceSipProxy': 'a;transport=sctp', 'gateway.resources.requests.cpu': '800m', 'deployment.ingress.tls': 'secret', 'monitoring.alertFor': { 'webrtc-gateway-signin': '1m' } };
  const again = await refusal(more);
  for (const option of Object.keys(more)) assert.ok(again.includes(`- ${option}: `), `${option}: ${again}`);
});

test('values-template.yaml explains every option, and is a file that works', async () => {
  const text = readFileSync(path.join(chart, 'values-template.yaml'), 'utf8');
  const template = read(text);
  const has = (option) => option.split('.').reduce((inner, key) => (inner && typeof inner === 'object' && key in inner ? inner[key] : undefined), template) !== undefined;
  assert.deepEqual(OPTIONS.filter(({ option }) => !has(option) && !['deployment.type', 'deployment.color'].includes(option)).map(({ option }) => option), []);
  // A comment before each option, or beside it.
  const lines = text.split('\n');
  const bare = lines.filter((line, index) => /^ +[a-zA-Z0-9]+:/.test(line) && isOption(lines, index) && !line.includes('#') && !/^ *#/.test(lines[index - 1]));
  assert.deepEqual(bare, []);
  const { status, stdout, stderr } = await lint(template);
  assert.equal(status, 0, stdout + stderr);
  for (const [type, color] of [['infra', ''], ['infra', 'blue'], ['coturn', 'blue'], ['gateway', 'green'], ['cutover', 'green'], ['all', '']]) {
    assert.ok((await render({ 'deployment.type': type, 'deployment.color': color }, { values: template })).length > 0);
  }
});

/** Whether a line of a YAML file is one of the schema's options, by its path. */
function isOption(lines, index) {
  const indent = (line) => line.search(/\S/);
  const names = [];
  let depth = Infinity;
  for (let line = index; line >= 0; line -= 1) {
    const name = lines[line].match(/^ *([a-zA-Z0-9]+):/)?.[1];
    if (name && indent(lines[line]) < depth) {
      names.unshift(name);
      depth = indent(lines[line]);
    }
  }
  return OPTIONS.some(({ option, leaf }) => leaf && option === names.join('.'));
}

test('a file as operators of the guide have it renders in every step', async () => {
  const values = read(readFileSync(new URL('operator-values.yaml', import.meta.url), 'utf8'));
  const steps = [['infra', ''], ...['infra', 'coturn', 'gateway', 'cutover'].flatMap((type) => ['blue', 'green'].map((color) => [type, color]))];
  for (const objects of await each(steps, ([type, color]) => render({ 'deployment.type': type, 'deployment.color': color }, { values }))) assert.ok(objects.length > 0);
});
