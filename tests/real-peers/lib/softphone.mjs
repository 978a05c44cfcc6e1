// The softphone page in a browser: what a user does with it, and what it says.
import { USERS } from './gateway.mjs';
import { until } from './process.mjs';

const PROMPT = 10_000; // for what needs no far side

export class Softphone {
  /**
   * Opens the page of `gateway` and, unless `user` is null, signs in. `transport`: 'websocket' or 'polling'; `gateways`: their
   * URLs; `relay`: media go through TURN only.
   */
  static async open(browser, gateway, { user = '1001', transport = 'websocket', gateways = [], relay = false } = {}) {
    const page = await browser.open(`${gateway.url}/?transport=${transport}&audioProcessing=off&gateways=${gateways}${relay ? '&relay=only' : ''}`);
    const phone = new Softphone(page, gateway);
    try {
      await page.evaluate(() => {
        // Every call with all that happened to it, also after it has left the page.
        const calls = (window.seenCalls = []);
        const known = new Set();
        window.softphone.client.on('calls', () => {
          for (const call of window.softphone.calls) {
            if (known.has(call)) continue;
            known.add(call);
            const seen = { call, digits: '', end: null };
            calls.push(seen);
            call.on('dtmf', ({ digit }) => (seen.digits += digit));
            call.on('ended', (end) => (seen.end = end));
          }
        });
      });
      if (user) await phone.signIn(user, USERS[user]);
      return phone;
    } catch (error) {
      await page.close();
      throw error;
    }
  }

  constructor(page, gateway) {
    this.page = page;
    this.gateway = gateway;
  }

  click(testId) {
    return this.page.evaluate((id) => {
      const element = document.querySelector(`[data-testid="${id}"]`);
      if (!element || element.disabled) throw new Error(`${id} can't be clicked`);
      element.click();
    }, testId);
  }

  fill(testId, text) {
    return this.page.evaluate(
      (id, value) => {
        const element = document.querySelector(`[data-testid="${id}"]`);
        element.value = value;
        element.dispatchEvent(new Event('input', { bubbles: true }));
      },
      testId,
      text,
    );
  }

  text(testId) {
    return this.page.evaluate((id) => document.querySelector(`[data-testid="${id}"]`)?.textContent ?? '', testId);
  }

  async signIn(user, password) {
    await this.fill('user', user);
    await this.fill('password', password);
    await this.click('sign-in-button');
    await this.wait('to be signed in', PROMPT, () => this.page.evaluate(() => window.softphone.client.state === 'signedIn'));
  }

  /** 'websocket' or 'polling': what the page really uses. */
  transport() {
    return this.page.evaluate(() => window.softphone.client.transport);
  }

  async dial(number) {
    const before = await this.callCount();
    await this.fill('number', number);
    await this.click('dial');
    await this.wait('the call', PROMPT, async () => (await this.callCount()) > before);
  }

  callCount() {
    return this.page.evaluate(() => window.seenCalls.length);
  }

  /** Waits for a call to come in; who calls is the answer. */
  async ringing(timeoutMs = PROMPT) {
    await this.wait('an incoming call', timeoutMs, () => this.page.evaluate(() => document.querySelector('[data-testid=incoming]') !== null));
    return this.text('incoming-from');
  }

  /** `{ state, digits, end, codec }` of the newest call. */
  call() {
    return this.page.evaluate(() => {
      const seen = window.seenCalls.at(-1);
      return seen && { state: seen.call.state, digits: seen.digits, end: seen.end && { ...seen.end }, codec: seen.call.codec };
    });
  }

  state(name, timeoutMs = PROMPT) {
    return this.wait(`the call to be ${name}`, timeoutMs, async () => (await this.call())?.state === name);
  }

  /** Waits for the end and returns it: `{ reason, by, sipStatus ... }`. */
  ended(timeoutMs = PROMPT) {
    return this.wait('the call to end', timeoutMs, async () => (await this.call())?.end);
  }

  /** Types on the page's keypad. */
  async type(digits) {
    const names = { '*': 'star', '#': 'hash' };
    for (const digit of digits) await this.click(`dtmf-${names[digit] ?? digit}`);
  }

  hears(digits, timeoutMs = PROMPT) {
    return this.wait(`digits ${digits}`, timeoutMs, async () => (await this.call()).digits.length >= digits.length).then(
      async () => (await this.call()).digits,
    );
  }

  record(milliseconds) {
    return this.page.record(milliseconds);
  }

  async wait(what, timeoutMs, condition) {
    return until(what, timeoutMs, condition).catch(async (error) => {
      throw new Error(`${error.message}\n${await this.describe()}`);
    });
  }

  async describe() {
    const shown = await this.page.evaluate(() => document.body.innerText.slice(0, 600)).catch(() => '');
    const statistics = await this.page.statistics().catch(() => ({}));
    const lines = ['the page shows:', shown, `statistics: ${JSON.stringify(statistics)}`, 'its console:', ...this.page.log.slice(-10), 'the gateway:', this.gateway.tail()];
    return lines.join('\n');
  }

  /** Signs out, so that the next test finds nobody there, and closes the page. */
  async close() {
    await this.page.evaluate(() => window.softphone.client.signOut()).catch(() => {});
    await this.page.close();
  }
}
