// gateway.config and coturn.config: what the chart refuses of the programs' files, and that it refuses nothing that they take.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { environment, object } from '../lib/objects.mjs';
import { options } from '../lib/option-checks.mjs';
import { program } from '../lib/paths.mjs';
import { run, temporaryFolder } from '../lib/process.mjs';
import { GATEWAY, TURN } from '../lib/program.mjs';
import { chart, step } from './chart.mjs';

const { definitions } = JSON.parse(chart.file('values.schema.json'));
const resolved = (schema) => (schema.$ref ? definitions[schema.$ref.split('/').at(-1)] : schema);

/** The lists of a file whose entries take no other keys than theirs: the headers that an entry has in TOML, and its keys. */
function lists(schema, prefix = '', above = []) {
  return Object.entries(resolved(schema).properties ?? {}).flatMap(([name, child]) => {
    const { items } = resolved(child);
    const header = `${prefix}${name}`;
    if (!items?.properties) return lists(child, `${header}.`, above);
    const headers = [...above, header];
    return [{ headers, keys: Object.keys(items.properties).sort() }, ...lists(items, `${header}.`, headers)];
  });
}

/** The keys of such a list's entries, as the program names them where it refuses another one. */
async function keysOfProgram({ name, named }, headers) {
  const file = path.join(temporaryFolder(), 'file.toml');
  writeFileSync(file, `${headers.map((header) => `[[${header}]]\n`).join('')}nonsense = 1\n`);
  const { stderr, status } = await run(program(name, named), ['--config', file, '--check-config']);
  assert.equal(status, 2);
  const [, expected] = stderr.match(/unknown field `nonsense`, expected (.*) for key/) ?? assert.fail(stderr);
  return [...expected.matchAll(/`([^`]+)`/g)].map(([, key]) => key).sort();
}

for (const [option, program, known] of [
  ['gateway.config', GATEWAY, ['users', 'sip.routes']],
  ['coturn.config', TURN, ['users', 'oauth_keys', 'tenants', 'tenants.users', 'tenants.oauth_keys']],
]) {
  test(`in the lists of ${option} the chart knows the keys that the program knows`, async () => {
    const found = lists(definitions[option.replace('.c', 'C')]);
    assert.deepEqual(found.map(({ headers }) => headers.at(-1)).sort(), known.sort());
    for (const { headers, keys } of found) assert.deepEqual(keys, await keysOfProgram(program, headers), headers.at(-1));
  });
}

/** The paths of what is neither a map nor a list, as Helm writes them. */
const leaves = (value, at) => (typeof value === 'object' ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${at}.${key}`)) : [at]);

test('a number where the programs want a text is refused by name', async () => {
  // What Helm reads of 0701 without quotation marks.
  const number = 449;
  const log = { elasticsearch: { user: number, password: number, api_key: number } };
  const user = { name: number, password: number };
  const oauthKey = { kid: number, key: number, algorithm: number };
  const wrong = {
    'gateway.config': {
      users: [{ ...user, password_hash: number, display_name: number, sip_user: number, sip_password: number }],
      sip: { routes: [{ numbers: [number], prefix: number, target: number }] },
      turn: { secret: number },
      log,
    },
    'coturn.config': {
      users: [user],
      oauth_keys: [oauthKey],
      tenants: [{ realm: number, origins: [number], secrets: [number], server_name: number, users: [user], oauth_keys: [oauthKey] }],
      auth: { server_name: number },
      http: { admin_token: number },
      log,
    },
  };
  const said = await chart.refusal(wrong);
  for (const option of Object.entries(wrong).flatMap(([at, config]) => leaves(config, at))) {
    assert.ok(said.includes(`- ${option}: Invalid type. Expected: string, given: integer`), `${option}: ${said}`);
  }
});

test('users that gateways would refuse are refused by name', async () => {
  const cases = [
    [[{ name: 'alice', password: 'pw', sip_pasword: 'x' }], '- gateway.config.users.0: Additional property sip_pasword is not allowed'],
    [[{ password: 'pw' }], '- gateway.config.users.0: name is required'],
    [[{ name: 'a b', password: 'pw' }], '- gateway.config.users.0.name: '],
    [[{ name: 'alice', password: '' }], '- gateway.config.users.0.password: '],
    [[{ name: 'a\u00a0b', password: 'pw' }], '- gateway.config.users.0.name: '],
    [[{ name: 'ü'.repeat(33), password: 'pw' }], 'gateway.config.users.0.name: is longer than 64 octets'],
    ...['pw', '$argon2id$...', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA'].map((hash) => [[{ name: 'alice', password_hash: hash }], '- gateway.config.users.0.password_hash: ']),
    [[{ name: 'alice' }], 'gateway.config.users.0: needs either a password or a password_hash'],
    [[{ name: 'alice', password: 'pw', password_hash: 'file:/hash' }], 'gateway.config.users.0: needs either a password or a password_hash'],
    [[{ name: 'alice', password: 'pw' }, { name: 'alice', password: 'x' }], 'gateway.config.users.1.name: two users are called alice'],
  ];
  for (const [users, expected] of cases) {
    const said = await chart.refusal({ 'gateway.config': { users } });
    assert.ok(said.includes(expected), `${JSON.stringify(users)}: ${said}`);
  }
  const routes = [{ target: 'a' }, { target: 'a', numbers: ['1'], prefix: '+' }];
  for (const route of routes) assert.ok((await chart.refusal({ 'gateway.config': { sip: { routes: [route] } } })).includes('gateway.config.sip.routes.0: needs either numbers or prefix'));
  assert.ok((await chart.refusal({ 'gateway.config': { maintenance: 'yes' } })).includes('- gateway.config.maintenance: '));
});

/** Options that bring every environment variable of the programs, in more than one release where they exclude each other. */
const RELEASES = [
  step(['all', 'blue']),
  {
    ...step(['gateway', 'green']),
    'gateway.authService': 'http://auth',
    'gateway.allowedOrigins': ['https://crm.example.com'],
    'gateway.sip.trusted': ['10.1.0.0/16'],
    'gateway.voiceSipProxy': 'proxy',
    'gateway.media.reach': 'hostPorts',
    'gateway.enableTranscoding': false,
    'gateway.logPath': '/log',
    'gateway.esServer': 'https://es',
    'gateway.esSecret': 'es',
  },
  { ...step(['gateway', 'blue']), 'gateway.esServer': 'es', 'gateway.esSecret': 'es', 'gateway.esCredentials': 'password' },
  { ...step(['coturn', 'blue']), 'coturn.tlsSecret': 'tls', 'coturn.logPath': '/log' },
];

/** Those of the settings that follow from no option. */
const OF_THE_CHART = [
  ...['node', 'unsupported_options', 'http.listen', 'http.colour_path', 'metrics.listen', 'sip.listen', 'log.format', 'log.elasticsearch.queue_path'].map((setting) => `gateway.config.${setting}`),
  ...['node', 'listen', 'http.listen', 'relay.deny_peers', 'limits.peer_connections', 'log.format'].map((setting) => `coturn.config.${setting}`),
];

const environments = ['gateway/_environment.tpl', 'gateway/_elasticsearch.tpl', 'coturn/_environment.tpl'].map((name) => chart.file(`templates/${name}`)).join('');
const VARIABLE = /\bWS[GT]_\w+/g;

/** The option COMPONENT.config.SETTING for each setting that the environment of these objects' pods has. */
function settings(objects) {
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  return deployments.flatMap((deployment) => {
    const [, component] = deployment.metadata.name.split('-');
    const variables = Object.keys(environment(deployment)).filter((name) => name.match(VARIABLE));
    return variables.map((name) => `${component}.config.${name.slice(4).toLowerCase().replaceAll('__', '.')}`);
  });
}

test('what the environment sets is refused in the files, with the option that sets it', async () => {
  const known = new Set(options(chart).map(({ option }) => option));
  const by = {};
  for (const release of RELEASES) {
    const set = settings(await chart.render(release));
    const others = ['gateway.config.limits.calls', 'gateway.config.log.level', 'coturn.config.limits.connections', 'coturn.config.workers'];
    const said = await chart.refusal({ ...release, ...Object.fromEntries([...set, ...others].map((option) => [option, 'x'])) });
    const refused = Object.fromEntries([...said.matchAll(/^(\S+): without effect, (.*) sets it$/gm)].map(([, option, setBy]) => [option, setBy]));
    assert.deepEqual(Object.keys(refused).sort(), set.sort(), said);
    Object.assign(by, refused);
  }
  assert.equal(Object.keys(by).length, new Set(environments.match(VARIABLE)).size, 'these releases have every variable');
  assert.deepEqual(Object.keys(by).filter((option) => by[option] === 'the chart').sort(), OF_THE_CHART.sort());
  const named = Object.values(by).filter((setBy) => setBy !== 'the chart').flatMap((setBy) => setBy.split(' or '));
  assert.deepEqual(named.filter((option) => !known.has(option)), []);
});

test('what the environment sets with other options only may stand in the files', async () => {
  const config = { sip: { trusted: ['10.1.0.0/16'], proxy: { target: 'proxy', domain: 'example.com' } }, media: { browser_codecs: ['opus'] }, node: null };
  const toml = object(await chart.render({ ...step(['gateway', 'blue']), 'gateway.config': config }), 'Secret', 'webrtc-gateway-config-blue').stringData['gateway.toml'];
  assert.match(toml, /\[sip\.proxy\]\n +domain = "example\.com"\n +target = "proxy"/);
  const said = await chart.refusal({ ...step(['gateway', 'blue']), 'gateway.config': config, 'gateway.voiceSipProxy': 'another' });
  assert.ok(said.includes('gateway.config.sip.proxy.target: without effect, gateway.voiceSipProxy sets it'), said);
  // Steps that bring no gateways don't look at it.
  await chart.render({ ...step(['cutover', 'blue']), 'gateway.config': config, 'gateway.voiceSipProxy': 'another' });
});
