// How each balancer is started with its sample of deploy/balancers: other addresses, ports and places of files, and what a
// process that isn't a system's service needs.
import path from 'node:path';

import { firstExisting, target } from '../../real-peers/lib/paths.mjs';

/** Fewer connections than in the samples, which need more open files than a test may have. */
const CONNECTIONS = '2000';
const FILES = '3000';
const THREADS = 800;
const THREADS_EACH = 50;

export const nginx = {
  name: 'nginx',
  sample: 'nginx.conf',
  adapt(sample, folder, address) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ');
    const smaller = sample.replace('20000', CONNECTIONS).replace('65536', FILES);
    const adapted = smaller.replace('listen 443', `listen ${address}`).replace('http {', `http {\naccess_log off; ${temporary}`);
    return `daemon off; pid ${folder}/pid; error_log stderr;\n${adapted}`;
  },
  command: (file, folder) => ['nginx', '-p', folder, '-e', 'stderr', '-c', file],
  check: ['-t', '-q'],
};

export const haproxy = {
  name: 'HAProxy',
  sample: 'haproxy.cfg',
  adapt: (sample, folder, address) => sample.replace('maxconn 20000', `maxconn ${CONNECTIONS}`).replace('bind :443', `bind ${address}`),
  command: (file) => ['haproxy', '-f', file],
  check: ['-c'],
};

export const apache = {
  name: 'Apache',
  sample: 'apache.conf',
  adapt(sample, folder, address) {
    // Those that the sample's first lines name, and what every configuration has.
    const [, named] = sample.replaceAll('\n# ', ' ').match(/Modules: (.*?);/);
    const load = apache.load('mpm_event', 'authz_core', ...named.split(', '));
    const places = [`ServerRoot ${folder}`, `PidFile ${folder}/pid`, 'ErrorLog |/bin/cat', `DefaultRuntimeDir ${folder}`, `Mutex file:${folder}`, 'ServerName localhost'];
    // All of them from the start: how fast Apache makes more isn't the sample's business.
    const processes = THREADS / THREADS_EACH;
    const threads = [`ThreadsPerChild ${THREADS_EACH}`, `ServerLimit ${processes}`, `StartServers ${processes}`, `MaxRequestWorkers ${THREADS}`, `MaxSpareThreads ${THREADS}`];
    return [...load, ...places, ...threads, sample.replace('Listen 443', `Listen ${address}`).replace('*:443', address)].join('\n');
  },
  command: (file) => ['apache2', '-f', file, '-DFOREGROUND'],
  check: ['-t'],
  /** The lines that load these modules. */
  load(...names) {
    const folder = firstExisting("Apache's modules", process.env.APACHE_MODULES, '/usr/lib/apache2/modules');
    return names.map((name) => `LoadModule ${name}_module ${path.join(folder, `mod_${name}.so`)}`);
  },
};

export const envoy = {
  name: 'Envoy',
  sample: 'envoy.yaml',
  adapt: (sample, folder, address) => sample.replace(envoy.address('0.0.0.0:443'), envoy.address(address)),
  command: (file) => [envoy.program(), '-c', file, '--disable-hot-restart', '--concurrency', '2', '--log-level', 'warning'],
  check: ['--mode', 'validate'],
  /** How the sample writes an address. */
  address: (text) => text.replace(/^([\d.]+):(\d+)$/, 'address: $1, port_value: $2'),
  program: () => firstExisting('Envoy', process.env.ENVOY, path.join(target, 'venv/bin/envoy')),
};
