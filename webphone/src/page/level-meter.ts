const FLOOR_DB = -60;

/** How loud a stream is, and a bar that shows it. */
export class LevelMeter {
  readonly #element: HTMLElement;
  readonly #bar: HTMLElement | null;
  #stream: MediaStream | undefined;
  #source: MediaStreamAudioSourceNode | undefined;
  #analyser: AnalyserNode | undefined;
  #samples = new Float32Array(1024);
  #shown = 0;

  constructor(element: HTMLElement) {
    this.#element = element;
    this.#bar = element.querySelector('.bar');
  }

  attach(context: AudioContext | undefined, stream: MediaStream | undefined): void {
    if (stream === this.#stream) return;
    this.#source?.disconnect();
    this.#source = this.#analyser = this.#stream = undefined;
    this.#shown = 0;
    this.#show(0);
    if (!context || !stream?.getAudioTracks().length) return;
    this.#stream = stream;
    this.#source = context.createMediaStreamSource(stream);
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = this.#samples.length;
    this.#source.connect(this.#analyser);
  }

  /** Root mean square of the last samples, 0 to 1. */
  rms(): number {
    if (!this.#analyser) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    return Math.sqrt(sum / this.#samples.length);
  }

  /** Up at once, down slowly, as level meters do. */
  update(): void {
    if (!this.#analyser) return;
    const rms = this.rms();
    const level = rms > 0 ? Math.min(1, Math.max(0, 1 - (20 * Math.log10(rms)) / FLOOR_DB)) : 0;
    this.#shown = Math.max(level, this.#shown * 0.75);
    this.#show(this.#shown);
  }

  #show(level: number): void {
    if (this.#bar) this.#bar.style.transform = `scaleX(${level.toFixed(3)})`;
    this.#element.setAttribute('aria-valuenow', String(Math.round(level * 100)));
  }
}
