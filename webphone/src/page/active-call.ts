import type { Call } from '../sdk';
import { announce, byId, fillPad, setText, within } from './dom';
import { LevelMeter } from './level-meter';
import type { Sounds } from './sounds';
import { callStateText, duration, errorText, qualityText } from './words';

const METER_EVERY_MS = 80;
const METER_EVERY_CALM_MS = 400;

/** The call in the middle of the page: state, timer, levels, controls, quality. */
export class ActiveCallView {
  readonly #section = byId('call');
  readonly #audio = byId<HTMLAudioElement>('remote-audio');
  readonly #incomingLevel = new LevelMeter(byId('level-in'));
  readonly #outgoingLevel = new LevelMeter(byId('level-out'));
  readonly #pad = byId('dtmf-pad');
  readonly #padToggle = byId<HTMLButtonElement>('keypad-toggle');
  readonly #sent = byId('dtmf-sent');
  readonly #sounds: Sounds;
  #call: Call | undefined;
  #announced = '';
  #meterTimer: number | undefined;

  constructor(sounds: Sounds) {
    this.#sounds = sounds;
    this.#button('mute', (call) => call.mute(!call.muted));
    this.#button('hold', (call) => (call.held.local ? call.resume() : call.hold()));
    this.#button('hangup', (call) => call.hangup());
    this.#padToggle.addEventListener('click', () => this.#openPad(this.#pad.hidden));
    fillPad(within(this.#pad, '[data-pad]'), false, (key) => this.#key(key));
    document.addEventListener('keydown', (event) => this.#keyDown(event));
    document.addEventListener('click', () => this.#play());
    window.setInterval(() => this.#tick(), 500);
  }

  levels(): { incoming: number; outgoing: number } {
    return { incoming: this.#incomingLevel.rms(), outgoing: this.#outgoingLevel.rms() };
  }

  focus(): void {
    byId('call-party').focus();
  }

  show(call: Call | undefined): void {
    if (call !== this.#call) this.#change(call);
    this.#section.hidden = !call;
    this.#attachSound(call);
    if (!call) return;

    const party = call.parties.displayName || call.remoteParty;
    setText(byId('call-party'), party);
    setText(byId('call-initial'), initial(party));
    this.#section.dataset['state'] = call.held.local ? 'held' : call.state;
    const state = callStateText(call);
    setText(byId('call-state'), state);
    if (this.#announced !== state) announce(`${party}: ${(this.#announced = state)}`);

    const answered = call.state === 'answered';
    toggle('mute', call.muted, !answered || call.held.local, call.muted ? 'Unmute' : 'Mute');
    byId('mute-icon').setAttribute('href', call.muted ? '#i-mic-off' : '#i-mic');
    toggle('hold', call.held.local, !answered, call.held.local ? 'Resume' : 'Hold');
    this.#padToggle.disabled = !answered;
    setText(byId('hangup-label'), call.state === 'answered' || call.direction === 'incoming' ? 'Hang up' : 'Cancel');
    this.#showQuality(call);
    this.#tick();
  }

  #change(call: Call | undefined): void {
    this.#call = call;
    this.#announced = '';
    setText(this.#sent, '');
    this.#openPad(false);
    window.clearInterval(this.#meterTimer);
    if (!call) return;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#meterTimer = window.setInterval(
      () => {
        this.#incomingLevel.update();
        this.#outgoingLevel.update();
      },
      calm ? METER_EVERY_CALM_MS : METER_EVERY_MS,
    );
    call.on('quality', () => this.#call === call && this.#showQuality(call));
  }

  #attachSound(call: Call | undefined): void {
    const remote = call?.remoteStream ?? null;
    if (this.#audio.srcObject !== remote) {
      this.#audio.srcObject = remote;
      this.#play();
    }
    // Chromium only lets WebAudio hear a remote stream that an audio element plays as well.
    this.#incomingLevel.attach(this.#sounds.context, call?.remoteStream);
    this.#outgoingLevel.attach(this.#sounds.context, call?.localStream);
  }

  /** Browsers allow it, because the user pressed Call or Answer. If one does not, the next click helps. */
  #play(): void {
    if (this.#audio.srcObject && this.#audio.paused) void this.#audio.play().catch(() => {});
  }

  #showQuality(call: Call): void {
    const { grade, text } = qualityText(call.quality, call.stats);
    setText(byId('quality-text'), text);
    byId('quality').dataset['grade'] = grade;
  }

  #tick(): void {
    const call = this.#call;
    setText(byId('call-timer'), call?.state === 'answered' ? duration(call.durationMs) : '');
  }

  #openPad(open: boolean): void {
    this.#pad.hidden = !open;
    this.#padToggle.setAttribute('aria-expanded', String(open));
  }

  #keyDown(event: KeyboardEvent): void {
    const typing = (event.target as Element | null)?.closest('input, select, textarea');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !/^[0-9*#]$/.test(event.key)) return;
    if (this.#call?.state !== 'answered') return;
    event.preventDefault();
    this.#openPad(true);
    this.#key(event.key);
  }

  #key(digit: string): void {
    const call = this.#call;
    if (!call) return;
    this.#sounds.key(digit);
    setText(this.#sent, ((this.#sent.textContent ?? '') + digit).slice(-24));
    call.dtmf(digit).catch((error: unknown) => this.#fail(error));
  }

  #button(id: string, action: (call: Call) => unknown): void {
    byId(id).addEventListener('click', () => {
      this.#sounds.unlock();
      if (!this.#call) return;
      Promise.resolve(action(this.#call)).catch((error: unknown) => this.#fail(error));
    });
  }

  #fail(error: unknown): void {
    const notice = byId('notice');
    setText(notice, errorText(error));
    notice.classList.add('error');
  }
}

function toggle(id: string, pressed: boolean, disabled: boolean, label: string): void {
  const button = byId<HTMLButtonElement>(id);
  button.setAttribute('aria-pressed', String(pressed));
  button.disabled = disabled;
  setText(byId(`${id}-label`), label);
}

function initial(party: string): string {
  const name = party.replace(/^sips?:/i, '');
  return /^[a-z]/i.test(name) ? name.slice(0, 1).toUpperCase() : '#';
}
