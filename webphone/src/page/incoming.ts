import type { Call, GatewayClient } from '../sdk';
import { byId, fromTemplate, setText, within } from './dom';

/** A banner for each call that rings here. */
export class IncomingView {
  readonly #client: GatewayClient;
  readonly #list = byId('incoming-list');
  readonly #answer: (call: Call) => void;
  readonly #banners = new Map<Call, HTMLElement>();

  constructor(client: GatewayClient, answer: (call: Call) => void) {
    this.#client = client;
    this.#answer = answer;
  }

  show(calls: readonly Call[]): void {
    const ringing = new Set(calls.filter((call) => call.state === 'incoming'));
    for (const [call, banner] of this.#banners) {
      if (ringing.has(call)) continue;
      banner.remove();
      this.#banners.delete(call);
    }
    for (const call of ringing) {
      const banner = this.#banners.get(call) ?? this.#open(call);
      setText(within(banner, '[data-testid=answer] span'), this.#answerLabel(call));
    }
  }

  #answerLabel(call: Call): string {
    const others = this.#client.calls.filter((other) => other !== call && other.state !== 'incoming');
    if (others.some((other) => other.state === 'answered' && !other.held.local)) return 'Hold & answer';
    return others.some((other) => other.state !== 'answered') ? 'Cancel & answer' : 'Answer';
  }

  #open(call: Call): HTMLElement {
    const banner = fromTemplate('incoming-template');
    const party = call.parties.displayName || call.remoteParty;
    setText(within(banner, '[data-testid=incoming-from]'), party);
    setText(within(banner, '[data-testid=incoming-detail]'), call.parties.displayName ? call.remoteParty : '');
    within(banner, '[data-testid=answer]').addEventListener('click', () => this.#answer(call));
    within(banner, '[data-testid=reject]').addEventListener('click', () => void call.reject());
    this.#list.append(banner);
    this.#banners.set(call, banner);
    setText(byId('alarm'), `Incoming call from ${party}`);
    // Whoever is typing or talking keeps the focus; otherwise Enter answers.
    const busy = document.activeElement?.closest('input, select, .call, .incoming');
    const typed = document.activeElement instanceof HTMLInputElement && document.activeElement.value !== '';
    if (!busy || (document.activeElement?.id === 'number' && !typed)) within(banner, '[data-testid=answer]').focus();
    return banner;
  }
}
