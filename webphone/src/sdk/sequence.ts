export type Verdict = 'deliver' | 'duplicate' | 'gap';

/** A step as wide as this is no gap: another gateway has taken over, and goes on 2^20 higher. */
const TAKE_OVER_STEP = 2 ** 19;

/**
 * The numbers of notifications: 1, 2, 3 ... for each sign-in. What was seen before is dropped, and a gap asks for the
 * rest again; if the same gap comes back the gateway no longer has the rest, and life goes on after it.
 */
export class Sequence {
  #last = 0;
  #gapAfter: number | undefined;

  /** The last notification seen; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  reset(): void {
    this.#last = 0;
    this.#gapAfter = undefined;
  }

  accept(seq: number): Verdict {
    if (seq <= this.#last) return 'duplicate';
    const step = seq - this.#last;
    if (step > 1 && step < TAKE_OVER_STEP && this.#gapAfter !== this.#last) {
      this.#gapAfter = this.#last;
      return 'gap';
    }
    this.#last = seq;
    this.#gapAfter = undefined;
    return 'deliver';
  }
}
