import type { GatewayClient } from '../sdk';
import { byId, setText } from './dom';
import type { Sounds } from './sounds';
import { errorText } from './words';

const USER_KEY = 'softphone.user';

/** The sign-in form, and the hint for first-time visitors of a demo gateway. */
export class SignInView {
  readonly #client: GatewayClient;
  readonly #sounds: Sounds;
  readonly #user = byId<HTMLInputElement>('user');
  readonly #password = byId<HTMLInputElement>('password');
  readonly #button = byId<HTMLButtonElement>('sign-in-button');
  readonly #error = byId('sign-in-error');

  constructor(client: GatewayClient, sounds: Sounds) {
    this.#client = client;
    this.#sounds = sounds;
    byId('sign-in-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    for (const chip of byId('demo-hint').querySelectorAll<HTMLButtonElement>('button')) {
      chip.addEventListener('click', () => {
        this.#user.value = chip.dataset['user'] ?? '';
        this.#password.value = chip.dataset['password'] ?? '';
        void this.#submit();
      });
    }
  }

  start(demo: (on: boolean) => void): void {
    this.#user.value = remembered();
    this.#focus();
    void isDemo().then((on) => {
      byId('demo-hint').hidden = !on;
      demo(on);
    });
  }

  signedOut(text: string): void {
    setText(this.#error, text);
    // After the page has shown the form again.
    requestAnimationFrame(() => this.#focus());
  }

  #focus(): void {
    (this.#user.value ? this.#password : this.#user).focus();
  }

  async #submit(): Promise<void> {
    if (this.#button.disabled) return;
    this.#sounds.unlock();
    setText(this.#error, '');
    this.#busy(true);
    try {
      await this.#client.signIn(this.#user.value.trim(), this.#password.value);
      remember(this.#user.value.trim());
      this.#password.value = '';
      byId('number').focus();
    } catch (error) {
      setText(this.#error, errorText(error));
      this.#password.select();
    } finally {
      this.#busy(false);
    }
  }

  #busy(busy: boolean): void {
    this.#button.disabled = busy;
    setText(this.#button, busy ? 'Signing in\u2026' : 'Sign in');
  }
}

async function isDemo(): Promise<boolean> {
  try {
    const response = await fetch('about', { cache: 'no-store' });
    const about = (await response.json()) as { demo?: unknown };
    return response.ok && about.demo === true;
  } catch {
    return false;
  }
}

// Private windows may refuse storage; then nothing is remembered.
function remembered(): string {
  try {
    return localStorage.getItem(USER_KEY) ?? '';
  } catch {
    return '';
  }
}

function remember(user: string): void {
  try {
    localStorage.setItem(USER_KEY, user);
  } catch {
    // See above.
  }
}
