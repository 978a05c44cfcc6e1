// What deploy/balancers/README.md says of web application firewalls: browsers behind Apache with its sample, ModSecurity and the OWASP Core Rule Set.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';

import { certificate } from '../real-peers/lib/certificate.mjs';
import { chromium } from '../real-peers/lib/chromium.mjs';
import { firefox } from '../real-peers/lib/firefox.mjs';
import { firstExisting } from '../real-peers/lib/paths.mjs';
import { until } from '../real-peers/lib/process.mjs';
import { Softphone } from '../real-peers/lib/softphone.mjs';
import { check, once } from '../real-peers/lib/suite.mjs';
import { apache } from './lib/balancers.mjs';
import { threeGateways } from './lib/rig.mjs';
import { start } from './lib/start.mjs';

const BROWSERS = { chromium, firefox };
const TRANSPORTS = ['websocket', 'polling'];
/** Looks like SQL. */
const PASSWORD = "wo'rd;--";
const USERS = Object.fromEntries(Object.keys(BROWSERS).flatMap((browser) => TRANSPORTS.map((transport) => [`${browser}-${transport}`, PASSWORD])));
const PROMPT_MS = 10_000;
/** Rules that refuse a request when others have matched, and say why. */
const SUMS = ['949110', '980130'];
const BROWSER = { 'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', Accept: '*/*' };
const ATTACKS = ['/?q=<script>alert(1)</script>', '/?file=../../etc/passwd'];
/** Something that each rule catches which other guides switch off, and the level from which on it is there. */
const CAUGHT = [
  { rule: '920300', level: 2, headers: { 'User-Agent': BROWSER['User-Agent'] } },
  { rule: '920440', level: 1, where: '/gateway.conf' },
  { rule: '913100', level: 1, headers: { ...BROWSER, 'User-Agent': 'sqlmap/1.7' } },
  { rule: '913101', level: 2, headers: { ...BROWSER, 'User-Agent': 'python-requests/2.31' } },
  { rule: '921150', level: 1, where: '/?line%0Dend=1' },
  { rule: '942430', level: 2, where: `/?q=${encodeURIComponent('(a)(b)(c)(d)(e)(f)')}` },
];

const trusted = await certificate();
// With the addresses that everybody's browsers show.
const browserCalled = (name) => once(name, () => BROWSERS[name]({ stock: true, trusted }));

/** Apache with Debian's configuration of ModSecurity, switched on, and the rules at a level of paranoia, with our exclusions or without. */
const apacheWithRules = (level, exclusions) => ({
  ...apache,
  adapt(sample, folder, address) {
    const recommended = firstExisting("ModSecurity's configuration", '/etc/modsecurity/modsecurity.conf-recommended');
    const engine = readFileSync(recommended, 'utf8')
      .replace('SecRuleEngine DetectionOnly', 'SecRuleEngine On')
      .replace('SecAuditEngine RelevantOnly', 'SecAuditEngine Off')
      .replace('/var/log/apache2', folder)
      .replaceAll('Dir /tmp/', `Dir ${folder}`)
      .replace('unicode.mapping', path.join(path.dirname(recommended), 'unicode.mapping'));
    return [
      ...apache.load('unique_id', 'security2'),
      apache.adapt(sample, folder, address),
      `ErrorLog ${folder}/errors`,
      `CustomLog ${folder}/answers "%>s %r"`,
      engine,
      `SecAction "id:900000,phase:1,nolog,pass,setvar:tx.paranoia_level=${level}"`,
      ...(exclusions ? [`Include ${folder}/modsecurity.conf`] : []),
      `Include ${firstExisting('the OWASP Core Rule Set', '/usr/share/modsecurity-crs/owasp-crs.load')}`,
    ].join('\n');
  },
});

async function started(level, exclusions) {
  const { places } = await once('gateways', () => threeGateways(USERS));
  const balancer = await start(apacheWithRules(level, exclusions), { samples: ['apache.conf', 'modsecurity.conf'], places, certificate: trusted });
  const lines = (name) => readFileSync(path.join(balancer.folder, name), 'utf8').split('\n').slice(0, -1);
  return {
    url: `https://localhost:${balancer.port}`,
    /** Each rule that matched; those that add up aren't among them. */
    matches: () => lines('errors').map((line) => line.match(/\[id "(\d+)"\]/)?.[1]).filter((rule) => rule && !SUMS.includes(rule)),
    /** Each answer: `200 GET / HTTP/1.1`; of a WebSocket, when it has ended. */
    answers: () => lines('answers'),
    tail: () => lines('errors').slice(-20).join('\n'),
    stop: () => balancer.stop(),
  };
}

const firewall = (level, { exclusions }) => once(`level ${level}, ${exclusions}`, () => started(level, exclusions));

/** Over each link of each browser somebody signs in, calls, sends digits, holds, comes back over another WebSocket, hangs up and signs out. */
async function wholeCalls(wall, use) {
  const links = Object.keys(BROWSERS).flatMap((browser) => TRANSPORTS.map((transport) => ({ browser, transport })));
  await Promise.all(
    links.map(async ({ browser, transport }) => {
      const own = await use((await browserCalled(browser)).forSomebodyElse());
      const phone = await use(Softphone.open(own, wall, { user: null, transport }));
      await phone.page.evaluate(() => {
        window.sockets = [];
        window.WebSocket = class extends WebSocket {
          constructor(url) {
            super(url);
            window.sockets.push(this);
          }
        };
      });
      await phone.signIn(`${browser}-${transport}`, PASSWORD);
      await phone.dial('echo');
      await phone.state('answered');
      await phone.page.evaluate(() => window.softphone.calls[0].dtmf('*#*#*#'));
      for (const held of [true, false]) {
        await phone.click('hold');
        await phone.wait(`held to be ${held}`, PROMPT_MS, () => phone.page.evaluate((wanted) => window.softphone.calls[0].held.local === wanted, held));
      }
      if (transport === 'websocket') {
        await phone.page.evaluate(() => window.sockets[0].close());
        await phone.wait('another WebSocket', PROMPT_MS, () => phone.page.evaluate(() => window.sockets[1]?.readyState === 1));
      }
      await phone.click('hangup');
      assert.equal((await phone.ended()).reason, 'hangup');
      await phone.page.evaluate(() => window.softphone.client.signOut());
    }),
  );
}

/** What else README.md names, from a page. */
async function otherRequests(wall, browser) {
  const page = await browser.open(`${wall.url}/ping`);
  const ask = async (what) => (await fetch(what.where, { method: what.method, cache: 'no-store' })).status;
  for (const where of ['/', '/index.html', '/app.js', '/app.css', '/icon.svg', '/sdk.js', '/ready']) {
    assert.equal(await page.evaluate(ask, { method: 'GET', where }), 200, where);
  }
  assert.equal(await page.evaluate(ask, { method: 'OPTIONS', where: '/v1/rpc' }), 200);
  await page.close();
}

// What level 3 lets through, level 2 does: it has fewer rules.
const THROUGH = [
  { level: 1, exclusions: false },
  { level: 3, exclusions: true },
];

for (const { level, exclusions } of THROUGH) {
  check(`level ${level}, ${exclusions ? 'with' : 'without'} exclusions: nothing legitimate is refused`, async (_, use) => {
    const wall = await firewall(level, { exclusions });
    await wholeCalls(wall, use);
    await Promise.all(Object.keys(BROWSERS).map(async (name) => otherRequests(wall, await browserCalled(name))));
    for (const answer of ['101 GET /v1/ws ', '101 GET /v1/ws?resume=1 ', '200 POST /v1/rpc ', '200 GET /v1/events?after=0 ']) {
      // A WebSocket's answer is logged when it has ended.
      await until(answer, PROMPT_MS, () => wall.answers().some((line) => line.startsWith(answer)));
    }
    assert.deepEqual(wall.answers().filter((answer) => answer.startsWith('403')), [], wall.tail());
    if (level === 1) assert.deepEqual(wall.matches(), [], wall.tail());
  });

  check(`level ${level}: attacks are refused, and the rules that other guides switch off are on`, async () => {
    const wall = await firewall(level, { exclusions });
    assert.deepEqual(await request(wall, '/', BROWSER), { status: 200, rules: [] });
    for (const attack of ATTACKS) assert.equal((await request(wall, attack, BROWSER)).status, 403, attack);
    for (const { rule, where = '/', headers = BROWSER } of CAUGHT.filter((each) => each.level <= level)) {
      const { rules } = await request(wall, where, headers);
      assert.ok(rules.includes(rule), `${rule} isn't among ${rules}`);
    }
  });
}

/** A request of somebody else than a browser: the status, and the rules that it matched. */
async function request(wall, where, headers) {
  const before = wall.matches().length;
  const status = await new Promise((resolve, reject) => {
    const options = { headers, rejectUnauthorized: false, agent: false, family: 4 };
    https.get(`${wall.url}${where}`, options, (response) => response.resume().once('end', () => resolve(response.statusCode))).once('error', reject);
  });
  return { status, rules: wall.matches().slice(before) };
}

for (const name of Object.keys(BROWSERS)) {
  check(`${name} without WebSocket or exclusions: level 2 refuses a password, level 3 session descriptions and digits`, async (_, use) => {
    const [second, third] = await Promise.all([2, 3].map(async (level) => use(pageThatPosts(await firewall(level, { exclusions: false }), await browserCalled(name)))));
    const signIn = { user: 'nobody', password: PASSWORD };
    assert.deepEqual(await second.post('session.signIn', signIn), { status: 403, rules: ['942440'] });
    const call = { to: 'echo', sdp: await second.offer() };
    assert.deepEqual(await second.post('call.create', call), { status: 200, rules: ['942430'] });
    assert.deepEqual(await third.post('call.create', call), { status: 403, rules: ['920272', '942430', '942431', '942460'] });
    const digits = { callId: '00c0ffee00c0ffee', digits: '*#*#*#' };
    assert.deepEqual(await third.post('call.dtmf', digits), { status: 403, rules: ['942431', '942460'] });
  });
}

check('level 4 refuses every page to Chromium', async (_, use) => {
  const wall = await firewall(4, { exclusions: true });
  const browser = await use((await browserCalled('chromium')).forSomebodyElse());
  await browser.open(wall.url);
  // An answer is logged after it was sent.
  const [answer] = await until('the answer in the log', PROMPT_MS, () => wall.answers().length > 0 && wall.answers());
  assert.deepEqual([answer, wall.matches()[0]], ['403 GET / HTTP/1.1', '920274'], wall.tail());
});

/** A page that sends what it is told to. */
async function pageThatPosts(wall, browser) {
  const page = await browser.open(wall.url);
  return {
    offer: () =>
      page.evaluate(async () => {
        const connection = new RTCPeerConnection();
        connection.addTransceiver('audio');
        const { sdp } = await connection.createOffer();
        connection.close();
        return sdp;
      }),
    /** The status of a request without WebSocket, and the rules that it matched. */
    async post(method, params) {
      const before = wall.matches().length;
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
      const status = await page.evaluate(async (text) => (await fetch('/v1/rpc', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: text })).status, body);
      return { status, rules: wall.matches().slice(before) };
    },
    close: () => page.close(),
  };
}
