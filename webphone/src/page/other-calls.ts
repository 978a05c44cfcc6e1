import type { Call } from '../sdk';
import { byId, fromTemplate, setText, within } from './dom';
import { callStateText, errorText } from './words';

/** The calls that wait while another one is in the middle. */
export class OtherCallsView {
  readonly #list = byId('other-calls-list');
  readonly #switchTo: (call: Call) => Promise<void>;
  readonly #rows = new Map<Call, HTMLElement>();

  constructor(switchTo: (call: Call) => Promise<void>) {
    this.#switchTo = switchTo;
  }

  show(calls: readonly Call[]): void {
    byId('other-calls').hidden = calls.length === 0;
    for (const [call, row] of this.#rows) {
      if (calls.includes(call)) continue;
      row.remove();
      this.#rows.delete(call);
    }
    for (const call of calls) {
      const row = this.#rows.get(call) ?? this.#open(call);
      setText(within(row, '.since'), callStateText(call));
    }
  }

  #open(call: Call): HTMLElement {
    const row = fromTemplate('other-call-template');
    const party = call.parties.displayName || call.remoteParty;
    setText(within(row, '.party'), party);
    const take = within(row, '[data-testid=switch]');
    take.setAttribute('aria-label', `Switch to ${party}`);
    take.addEventListener('click', () => {
      this.#switchTo(call).catch((error: unknown) => setText(byId('notice'), errorText(error)));
    });
    const end = within(row, '[data-testid=hangup-held]');
    end.setAttribute('aria-label', `Hang up ${party}`);
    end.addEventListener('click', () => void call.hangup());
    this.#list.append(row);
    this.#rows.set(call, row);
    return row;
  }
}
