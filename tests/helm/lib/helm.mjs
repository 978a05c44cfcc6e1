// Helm, as an operator runs it, on one of our charts.
import { cpSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import YAML from 'yaml';

import { charts, helm } from './paths.mjs';
import { run, temporaryFolder } from './process.mjs';
import { merge, NEEDED, nested } from './values.mjs';

export const chart = path.join(charts, 'webrtc-service');
export const NAMESPACE = 'webrtc';
const NEWEST = '1.37.0';

// Go's YAML is the old one, in which yes is true.
const OLD = { version: '1.1' };
const stringify = (values) => YAML.stringify(values, OLD);
const parseAllDocuments = (text) => YAML.parseAllDocuments(text, OLD);
export const read = (text) => YAML.parse(text, OLD);

function template(folder, values, kubernetes) {
  return run(helm, ['template', 'release', folder, '--namespace', NAMESPACE, '--kube-version', kubernetes, '--values', '-'], { input: stringify(values) });
}

/** The objects of a deployment with `options` besides what is needed anyway. */
export async function render(options = {}, { kubernetes = NEWEST, values = NEEDED } = {}) {
  const { stdout, stderr, status } = await template(chart, merge(values, nested(options)), kubernetes);
  if (status !== 0) throw new Error(`helm: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  }).filter(Boolean);
}

/** What Helm says where it refuses the options. */
export async function refusal(options, { values = NEEDED } = {}) {
  const { stdout, stderr, status } = await template(chart, merge(values, nested(options)), NEWEST);
  if (status === 0) throw new Error(`helm takes ${JSON.stringify(options)}:\n${stdout}`);
  return stderr;
}

export function lint(values) {
  return run(helm, ['lint', chart, '--strict', '--values', '-'], { input: stringify(values) });
}

let withNotes;

/** What NOTES.txt says. Helm shows it only with a cluster to install in, so a copy of the chart renders it into an object. */
export async function notes(options, { values = NEEDED } = {}) {
  if (!withNotes) {
    withNotes = path.join(temporaryFolder(), 'chart');
    cpSync(chart, withNotes, { recursive: true });
    renameSync(path.join(withNotes, 'templates/NOTES.txt'), path.join(withNotes, 'notes.txt'));
    writeFileSync(path.join(withNotes, 'templates/notes.yaml'), '---\nnotes: {{ tpl (.Files.Get "notes.txt") . | quote }}\n');
  }
  const { stdout, stderr, status } = await template(withNotes, merge(values, nested(options)), NEWEST);
  if (status !== 0) throw new Error(`helm: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => document.toJS()).find((object) => object?.notes).notes;
}
