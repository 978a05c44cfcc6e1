// What a chart's options are, and whether each has its effect.
import assert from 'node:assert/strict';

import { read } from './helm.mjs';
import { problems, VERSIONS } from './kubernetes.mjs';
import { container, environment } from './objects.mjs';
import { each } from './queue.mjs';

/**
 * The options of the schema: path, schema without references, whether it is a leaf or a closed map, whether it is in one of
 * several forms, of which the schema can't say which was meant, and whether it is required. Maps whose keys are free are one option.
 */
export function options(chart) {
  const schema = JSON.parse(chart.file('values.schema.json'));
  const under = (node, path, unsure, required) => {
    const resolved = node.$ref ? schema.definitions[node.$ref.split('/').at(-1)] : node;
    const isClosed = (one) => one.properties && one.additionalProperties === false;
    const closed = [resolved, ...(resolved.anyOf ?? [])].find(isClosed);
    const among = unsure || Boolean(resolved.anyOf);
    const below = Object.entries(closed?.properties ?? {}).flatMap(([name, child]) => under(child, [...path, name], among, closed.required?.includes(name) ?? false));
    return [{ option: path.join('.'), schema: resolved, leaf: below.length === 0, closed: Boolean(closed), unsure: among, required }, ...below];
  };
  return under(schema, [], false, true).filter(({ option }) => option && option !== 'global');
}

const byName = (list = []) => Object.fromEntries(list.map((one) => [one.name, one]));

/** A rendered object with what tables want to name in it by name. */
function view(object) {
  if (object.kind === 'Deployment') {
    const volumes = byName(object.spec.template.spec.volumes);
    const { config } = volumes;
    const configSecret = config.secret?.secretName ?? config.projected?.sources[0].secret.name;
    return { ...object, env: environment(object), volumes, mounts: byName(container(object).volumeMounts), configSecret };
  }
  if (object.kind === 'ScaledObject') return { ...object, triggers: Object.fromEntries(object.spec.triggers.map((one) => [one.type, one])) };
  return object;
}

const follow = (object, steps) => (Array.isArray(steps) ? steps : steps.split('.')).reduce((inner, key) => inner?.[key], object);

/**
 * The rows of a table that don't hold, as texts, with what Kubernetes doesn't take of what they bring. A row is: option, value,
 * where it must appear ({ with: options that bring the object, object: KIND/NAME }), the path in that object, what stands
 * there, and options to set besides. The path 'warning' looks into the notes; null means that there is no such object.
 */
export async function failures(chart, rows) {
  const brought = [];
  const found = await each(rows, async ([option, value, { with: step, object }, steps, expected, more = {}]) => {
    const given = { ...step, ...more, [option]: value };
    try {
      if (steps === 'warning') {
        assert.ok((await chart.notes(given)).includes(`\n  ${expected}`), 'the notes warn');
        return undefined;
      }
      const objects = await chart.render(given);
      brought.push(...objects);
      const rendered = objects.find(({ kind, metadata }) => `${kind}/${metadata.name}` === object);
      if (steps === null) assert.equal(rendered, undefined);
      else {
        assert.ok(rendered, `there is no ${object}`);
        assert.deepEqual(follow(view(rendered), steps), expected);
      }
      return undefined;
    } catch (error) {
      return `${option} = ${JSON.stringify(value)} at ${object} ${steps}: ${error.message}`;
    }
  });
  const [oldest, newest] = [VERSIONS[0], VERSIONS.at(-1)];
  return [...found.filter(Boolean), ...await problems({ [oldest]: brought.map(withoutSleep), [newest]: brought })];
}

/** As the charts render it for versions that don't know the action sleep, which is all that a version changes. */
function withoutSleep(object) {
  if (object.kind !== 'Deployment') return object;
  const older = structuredClone(object);
  delete container(older).lifecycle;
  return older;
}

/** Options of the schema without a row. A row may set a map whose parts are options. */
export function withoutRow(chart, rows) {
  const isMap = (value) => value && typeof value === 'object' && !Array.isArray(value);
  const covered = new Set(rows.flatMap(([option, value]) => [option, ...(isMap(value) ? Object.keys(value).map((key) => `${option}.${key}`) : [])]));
  const has = (option) => [...covered].some((row) => row === option || row.startsWith(`${option}.`));
  return options(chart).filter(({ option, leaf }) => leaf && !has(option)).map(({ option }) => option);
}

/** The maps that take no other options than theirs; '' is the whole file. */
export const closedMaps = (chart) => ['', ...options(chart).filter(({ closed, unsure }) => closed && !unsure).map(({ option }) => option)];

/** Every option with a value of a wrong type. */
export function illTyped(chart) {
  const wrong = ({ type, enum: allowed }) => {
    const types = allowed ? [typeof allowed[0]] : [].concat(type);
    return types.some((one) => ['object', 'array', 'boolean'].includes(one)) ? 'text' : { no: 'text' };
  };
  const typed = options(chart).filter(({ leaf, unsure, schema }) => leaf && !unsure && (schema.type || schema.enum));
  return Object.fromEntries(typed.map(({ option, schema }) => [option, wrong(schema)]));
}

/** Lines of values-template.yaml with an option that has no comment, neither beside it nor in the line before. */
export function unexplained(chart) {
  const leaves = new Set(options(chart).filter(({ leaf }) => leaf).map(({ option }) => option));
  const lines = chart.file('values-template.yaml').split('\n');
  const indent = (line) => line.search(/\S/);
  /** The option of a line, by the keys above it that stand further left. */
  const at = (index) => {
    const names = [];
    let depth = Infinity;
    for (let line = index; line >= 0; line -= 1) {
      const name = lines[line].match(/^ *([a-zA-Z0-9]+):/)?.[1];
      if (name && indent(lines[line]) < depth) {
        names.unshift(name);
        depth = indent(lines[line]);
      }
    }
    return names.join('.');
  };
  const isKey = (line) => /^ *[a-zA-Z0-9]+:/.test(line);
  return lines.filter((line, index) => isKey(line) && leaves.has(at(index)) && !line.includes('#') && !/^ *#/.test(lines[index - 1] ?? ''));
}

/**
 * What Helm takes away where an option is null: `optional` options with a default, all at once, and `required` ones by the
 * depth of their path, since nothing is asked of a map that is gone.
 */
function nulls(chart) {
  const defaults = read(chart.file('values.yaml'));
  const hasDefault = ({ option }) => follow(defaults, option) !== undefined && follow(chart.needed, option) === undefined;
  const none = (list) => Object.fromEntries(list.map(({ option }) => [option, null]));
  const all = options(chart);
  const required = all.filter((one) => one.required);
  const depths = [...new Set(required.map(({ option }) => option.split('.').length))];
  return {
    optional: none(all.filter((one) => one.leaf && !one.required && hasDefault(one))),
    required: depths.map((depth) => none(required.filter(({ option }) => option.split('.').length === depth))),
  };
}

/** Fails unless each default can be set to null: either the chart goes on without it, or it says that it is required. */
export async function assertDefaultsCanGo(chart) {
  const { optional, required } = nulls(chart);
  assert.ok(Object.keys(optional).length > 5 && required.length > 1);
  assert.ok((await chart.render(optional)).length > 0);
  for (const missing of required) {
    const said = await chart.refusal(missing);
    for (const option of Object.keys(missing)) {
      const [, section = '(root)', name] = option.match(/^(?:(.*)\.)?(.*)$/);
      assert.ok(said.includes(`- ${section}: ${name} is required`), `${option}: ${said}`);
    }
  }
}
