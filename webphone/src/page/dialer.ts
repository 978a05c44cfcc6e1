import type { Call } from '../sdk';
import { byId, fillPad, within } from './dom';
import type { Sounds } from './sounds';

/** Number field, dial pad and call button. */
export class DialerView {
  readonly #section = byId('dialer');
  readonly #number = byId<HTMLInputElement>('number');
  readonly #newCall = byId<HTMLButtonElement>('new-call');
  #inCall = false;
  #open = false;

  constructor(sounds: Sounds, call: (number: string) => void) {
    const submit = (number: string) => {
      sounds.unlock();
      this.#open = false;
      this.#number.value = '';
      call(number);
    };
    fillPad(within(this.#section, '[data-pad]'), true, (key) => {
      sounds.key(key);
      this.#insert(key);
    });
    byId('dial-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const number = tidy(this.#number.value);
      if (number) submit(number);
      else this.#number.focus();
    });
    byId('backspace').addEventListener('click', () => {
      this.#number.value = this.#number.value.slice(0, -1);
      this.#number.focus();
    });
    for (const chip of byId('dial-hint').querySelectorAll<HTMLButtonElement>('[data-number]')) {
      chip.addEventListener('click', () => submit(chip.dataset['number'] ?? ''));
    }
    this.#newCall.addEventListener('click', () => {
      this.#open = !this.#open;
      this.#apply();
      if (this.#open) this.#number.focus();
    });
  }

  setDemo(on: boolean): void {
    byId('dial-hint').hidden = !on;
  }

  show(call: Call | undefined, ready: boolean): void {
    if (!call) this.#open = false;
    this.#inCall = call !== undefined;
    byId<HTMLButtonElement>('dial').disabled = !ready;
    this.#newCall.disabled = call?.state !== 'answered';
    this.#apply();
  }

  focus(): void {
    this.#number.focus();
  }

  #apply(): void {
    this.#section.hidden = this.#inCall && !this.#open;
    this.#newCall.setAttribute('aria-expanded', String(this.#open));
  }

  #insert(key: string): void {
    const { selectionStart, selectionEnd, value } = this.#number;
    const start = selectionStart ?? value.length;
    this.#number.setRangeText(key, start, selectionEnd ?? start, 'end');
  }
}

/** `+49 (30) 123-456` is how people write numbers; names and sip: addresses stay as they are. */
function tidy(text: string): string {
  const trimmed = text.trim();
  return /^[+\d\s().\/-]+$/.test(trimmed) ? trimmed.replace(/[^+\d]/g, '') : trimmed;
}
