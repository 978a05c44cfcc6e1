// Ringing, ring-back and key tones, made with WebAudio: nothing to download.

const KEY_TONES: Record<string, [number, number]> = {
  '1': [697, 1209], '2': [697, 1336], '3': [697, 1477],
  '4': [770, 1209], '5': [770, 1336], '6': [770, 1477],
  '7': [852, 1209], '8': [852, 1336], '9': [852, 1477],
  '*': [941, 1209], '0': [941, 1336], '#': [941, 1477],
};

type Pattern = 'ring' | 'ringBack';

export class Sounds {
  #context: AudioContext | undefined;
  #playing: Pattern | undefined;
  #timer: number | undefined;
  #gain: GainNode | undefined;

  /** Browsers want a user's gesture before they make a sound: call this from one. */
  unlock(): AudioContext | undefined {
    if (typeof AudioContext === 'undefined') return undefined;
    this.#context ??= new AudioContext();
    if (this.#context.state === 'suspended') void this.#context.resume();
    return this.#context;
  }

  get context(): AudioContext | undefined {
    return this.#context;
  }

  play(pattern: Pattern | undefined): void {
    if (pattern === this.#playing) return;
    this.#stop();
    this.#playing = pattern;
    if (pattern) this.#cycle(pattern);
  }

  key(digit: string): void {
    const context = this.unlock();
    const tones = KEY_TONES[digit];
    if (context && tones) this.#tones(context, this.#output(context, 0.05), tones, 0, 0.12);
  }

  #cycle(pattern: Pattern): void {
    const context = this.#context;
    if (!context || context.state !== 'running') {
      // Not unlocked yet; look again, a gesture may come.
      this.#timer = window.setTimeout(() => this.#cycle(pattern), 500);
      return;
    }
    this.#gain = this.#output(context, pattern === 'ring' ? 0.16 : 0.06);
    if (pattern === 'ring') {
      for (const start of [0, 0.45]) {
        this.#tones(context, this.#gain, [587, 784], start, 0.18);
        this.#tones(context, this.#gain, [784, 988], start + 0.2, 0.2);
      }
    } else {
      this.#tones(context, this.#gain, [425], 0, 1);
    }
    this.#timer = window.setTimeout(() => this.#cycle(pattern), pattern === 'ring' ? 2400 : 5000);
  }

  #stop(): void {
    window.clearTimeout(this.#timer);
    this.#gain?.disconnect();
    this.#gain = undefined;
  }

  #output(context: AudioContext, level: number): GainNode {
    const gain = context.createGain();
    gain.gain.value = level;
    gain.connect(context.destination);
    return gain;
  }

  #tones(context: AudioContext, output: GainNode, frequencies: number[], start: number, seconds: number): void {
    const from = context.currentTime + start;
    const envelope = context.createGain();
    envelope.gain.setValueAtTime(0, from);
    envelope.gain.linearRampToValueAtTime(1, from + 0.015);
    envelope.gain.setValueAtTime(1, from + seconds - 0.03);
    envelope.gain.linearRampToValueAtTime(0, from + seconds);
    envelope.connect(output);
    for (const frequency of frequencies) {
      const oscillator = context.createOscillator();
      oscillator.frequency.value = frequency;
      oscillator.connect(envelope);
      oscillator.start(from);
      oscillator.stop(from + seconds);
    }
  }
}
