// Helm, as an operator runs it, on one of our charts.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import YAML from 'yaml';

import { startCluster } from './cluster.mjs';
import { charts, helm } from './paths.mjs';
import { run } from './process.mjs';
import { merge, nested } from './values.mjs';

export const NAMESPACE = 'webrtc';
export const RELEASE = 'release';
const NEWEST = '1.37.0';

// Go's YAML is the old one, in which yes is true.
const OLD = { version: '1.1' };
const stringify = (values) => YAML.stringify(values, OLD);
export const read = (text) => YAML.parse(text, OLD);

/** The objects of a rendered text. A key that a map has twice is an error, too. */
function parse(text) {
  return YAML.parseAllDocuments(text, OLD).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  }).filter(Boolean);
}

function template(folder, values, { kubernetes = NEWEST, release = RELEASE } = {}) {
  return run(helm, ['template', release, folder, '--namespace', NAMESPACE, '--kube-version', kubernetes, '--values', '-'], { input: stringify(values) });
}

export class Chart {
  /** `needed` is what has no default: a release renders with it. */
  constructor(name, needed) {
    this.folder = path.join(charts, name);
    this.needed = needed;
  }

  /** The text of a file of the chart. */
  file(name) {
    return readFileSync(path.join(this.folder, name), 'utf8');
  }

  /** The objects of a release with `options` besides what is needed anyway. */
  async render(options = {}, { values = this.needed, ...more } = {}) {
    const { stdout, stderr, status } = await template(this.folder, merge(values, nested(options)), more);
    if (status !== 0) throw new Error(`helm: ${stderr}`);
    return parse(stdout);
  }

  /** What Helm says where it refuses the options. */
  async refusal(options, { values = this.needed } = {}) {
    const { stdout, stderr, status } = await template(this.folder, merge(values, nested(options)));
    if (status === 0) throw new Error(`helm takes ${JSON.stringify(options)}:\n${stdout}`);
    return stderr;
  }

  /** Installs it in a cluster with `objects`: what it brings and what its notes say, or what Helm says where it refuses. */
  async install(options = {}, objects = []) {
    const cluster = await startCluster(objects);
    const args = ['install', RELEASE, this.folder, '--namespace', NAMESPACE, '--output', 'json', '--values', '-'];
    try {
      const { stdout, stderr, status } = await run(helm, args, { input: stringify(merge(this.needed, nested(options))), env: cluster.environment });
      if (status !== 0) return { refused: stderr };
      const { manifest, info } = JSON.parse(stdout);
      return { objects: parse(manifest), notes: info.notes };
    } finally {
      await cluster.stop();
    }
  }

  /** What NOTES.txt says. */
  async notes(options) {
    const { notes, refused } = await this.install(options);
    if (refused) throw new Error(`helm: ${refused}`);
    return notes;
  }

  lint(values) {
    return run(helm, ['lint', this.folder, '--strict', '--values', '-'], { input: stringify(values) });
  }
}
