// As much of the Kubernetes API as the charts' look-ups need. What Helm then makes goes nowhere: with its releases in memory it
// sends no objects.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import YAML from 'yaml';

import { temporaryFolder } from './process.mjs';

const resource = (name, kind) => ({ name, kind, singularName: kind.toLowerCase(), namespaced: true, verbs: ['get', 'list'] });
const GROUPS = { v1: [resource('secrets', 'Secret')], 'apps/v1': [resource('deployments', 'Deployment')] };

const answers = { '/version': { major: '1', minor: '30', gitVersion: 'v1.30.0' }, '/api': { kind: 'APIVersions', versions: ['v1'] } };
answers['/apis'] = {
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: Object.keys(GROUPS).filter((group) => group.includes('/')).map((groupVersion) => {
    const [name, version] = groupVersion.split('/');
    return { name, versions: [{ groupVersion, version }], preferredVersion: { groupVersion, version } };
  }),
};
for (const [groupVersion, resources] of Object.entries(GROUPS)) {
  answers[groupVersion === 'v1' ? '/api/v1' : `/apis/${groupVersion}`] = { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

const NOT_FOUND = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };

/** Starts one with `objects` in it; `environment` is Helm's to find it, `stop` ends it. */
export async function startCluster(objects = []) {
  const server = createServer((request, response) => {
    const say = (status, object) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(object));
    const [address] = request.url.split('?');
    if (answers[address]) return say(200, answers[address]);
    const [, groupVersion, plural, name] = address.match(/^\/apis?\/(.+?)\/namespaces\/[^/]+\/([a-z]+)(?:\/(.+))?$/) ?? [];
    const kind = GROUPS[groupVersion]?.find((one) => one.name === plural)?.kind;
    const found = objects.filter((one) => one.kind === kind && (!name || one.metadata.name === name));
    if (kind && !name) return say(200, { kind: `${kind}List`, apiVersion: groupVersion, metadata: {}, items: found });
    return found.length > 0 ? say(200, found[0]) : say(404, NOT_FOUND);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const folder = temporaryFolder();
  const [kubeconfig, releases] = ['kubeconfig', 'releases'].map((name) => path.join(folder, name));
  writeFileSync(kubeconfig, YAML.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: `http://127.0.0.1:${server.address().port}` } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    users: [{ name: 'test', user: {} }],
  }), { mode: 0o600 });
  // Releases are in Helm's memory, none at first.
  writeFileSync(releases, '[]');
  const environment = { KUBECONFIG: kubeconfig, HELM_DRIVER: 'memory', HELM_MEMORY_DRIVER_DATA: releases, HOME: folder };
  const stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { environment, stop };
}
