// What Chromium and Firefox have in common once they run: pages with the probe inside, and recordings.
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { RECORD_MS } from './audio.mjs';
import { harness } from './paths.mjs';
import { sleep, temporaryFolder, until, withTimeout } from './process.mjs';
import { writeWav } from './wav.mjs';

const probe = readFileSync(path.join(harness, 'lib/probe.js'), 'utf8');
const recorder = readFileSync(path.join(harness, 'lib/recorder.js'), 'utf8');

export class Browser {
  /** `microphone`: a WAV file that stands in for it inside the page, where the browser can't do it. `sound`: its sound server. */
  constructor(name, puppeteerBrowser, { microphone, sound } = {}) {
    this.name = name;
    this.browser = puppeteerBrowser;
    this.microphone = microphone;
    this.sound = sound;
  }

  async open(url) {
    const page = await withTimeout('a page', 20_000, this.browser.newPage());
    const log = [];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`error: ${error.message}`));
    await page.evaluateOnNewDocument(probe);
    if (this.microphone) {
      const wav = readFileSync(this.microphone).toString('base64');
      await page.evaluateOnNewDocument((bytes) => window.__probe.useMicrophone(bytes), wav);
    }
    await page.goto(url, { timeout: 20_000, waitUntil: 'load' });
    return new Page(this.name, page, log);
  }

  /** The same browser for somebody else: with cookies of their own. */
  async forSomebodyElse() {
    return new Browser(this.name, await this.browser.createBrowserContext(), { microphone: this.microphone });
  }

  async close() {
    const child = this.browser.process?.(); // none of its own where it is for somebody else
    await withTimeout('the browser to close', 10_000, this.browser.close()).catch(() => {});
    if (child && child.exitCode === null) child.kill('SIGKILL');
    await this.sound?.stop();
  }
}

export class Page {
  constructor(browserName, page, log) {
    this.browserName = browserName;
    this.page = page;
    this.log = log;
  }

  evaluate(code, ...args) {
    return withTimeout('the page', 30_000, this.page.evaluate(code, ...args));
  }

  /** Records what the page hears into a WAV file. */
  async record(milliseconds = RECORD_MS) {
    await until('a remote audio track', 10_000, () => this.evaluate(() => window.__probe.remoteTracks()));
    await this.withRecorder(() => this.evaluate(() => window.__probe.startRecording()));
    await sleep(milliseconds);
    const bytes = Buffer.from(await this.evaluate(() => window.__probe.stopRecording()), 'base64');
    const file = path.join(temporaryFolder('heard'), `${this.browserName}.wav`);
    writeWav(file, new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1), 48_000);
    return file;
  }

  /** The page's policy allows scripts of its own origin only, so the recorder comes from there, whatever server that is. */
  async withRecorder(action) {
    const serve = (request) => {
      const ours = new URL(request.url()).pathname === '/__recorder.js';
      const done = ours ? request.respond({ status: 200, contentType: 'text/javascript', body: recorder }) : request.continue();
      done.catch(() => {}); // the page may be gone
    };
    this.page.on('request', serve);
    await this.page.setRequestInterception(true);
    try {
      await action();
    } finally {
      await this.page.setRequestInterception(false);
      this.page.off('request', serve);
    }
  }

  /** The candidate pair in use. */
  path() {
    return this.evaluate(() => window.__probe.path());
  }

  statistics() {
    return this.evaluate(() => window.__probe.statistics());
  }

  async close() {
    await withTimeout('the page to close', 5_000, this.page.close()).catch(() => {});
  }
}
