// Somebody at the page behind nginx: where they are signed in, and whatever the page showed them that they shouldn't have seen.
import { Softphone } from '../../real-peers/lib/softphone.mjs';

const MOVE_MS = 15_000;

export class Agent {
  /** Opens the page at the live name and signs in. `transport`: 'websocket' or 'polling'. Media go through TURN only. */
  static async signedIn(browser, rig, user, password, transport) {
    const own = await browser.forSomebodyElse();
    const phone = await Softphone.open(own, { url: rig.url('live'), tail: rig.tail }, { user: null, transport, relay: true });
    const agent = new Agent(own, phone, user, password);
    await agent.signIn();
    await phone.page.evaluate(() => {
      window.states = [];
      window.softphone.client.on('state', (state) => window.states.push(state));
      window.complaints = [];
      const look = () => {
        for (const element of document.querySelectorAll('.error')) if (element.textContent) window.complaints.push(element.textContent);
        const { state } = window.softphone.client;
        if (state === 'signedOut' && !window.signingOut) window.complaints.push('signed out');
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    });
    return agent;
  }

  constructor(browser, phone, user, password) {
    Object.assign(this, { browser, phone, user, password });
  }

  signIn() {
    return this.phone.signIn(this.user, this.password);
  }

  signOut() {
    return this.phone.page.evaluate(async () => {
      window.signingOut = true;
      await window.softphone.client.signOut();
    });
  }

  /** The colour of the gateway that the browser was at last, by the cookie. */
  async colour() {
    const cookies = await this.phone.page.page.cookies();
    return cookies.find(({ name }) => name === 'WSGROUTEID')?.value.match(/^\.([a-z]+)\d$/)?.[1];
  }

  /** Each state of the sign-in since it began. */
  states() {
    return this.phone.page.evaluate(() => window.states);
  }

  /** Waits until it is signed in at a gateway of that colour. */
  movesTo(colour) {
    return this.phone.wait(`${this.user} to be at ${colour}`, MOVE_MS, async () => {
      const state = await this.phone.page.evaluate(() => window.softphone.client.state);
      return state === 'signedIn' && (await this.colour()) === colour;
    });
  }

  /** The TURN server that carries the newest call. */
  async turnUrl() {
    const { local } = await this.phone.page.path();
    return local.url;
  }

  /** What the page says above the keypad. */
  notice() {
    return this.phone.text('notice');
  }

  complaints() {
    return this.phone.page.evaluate(() => window.complaints);
  }

  async close() {
    await this.phone.close();
    await this.browser.close();
  }
}
