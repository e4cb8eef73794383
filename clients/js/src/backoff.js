/**
 * Pauses between attempts: each is drawn between half of a ceiling and the ceiling, which doubles from `minMs` to `maxMs`.
 * The server's advice, when there is one, is never undercut, and the jitter goes on top of it so that clients who were
 * turned away together do not come back together.
 */
export class Backoff {
  #minMs;
  #maxMs;
  #random;
  #failures = 0;

  constructor({ minMs = 500, maxMs = 30_000, random = Math.random } = {}) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The pause before the next attempt, milliseconds. */
  next(adviceMs = 0) {
    const ceiling = Math.min(this.#minMs * 2 ** this.#failures, this.#maxMs);
    if (this.#failures < 32) this.#failures += 1;
    const pause = ceiling / 2 + (this.#random() * ceiling) / 2;
    return adviceMs > 0
      ? adviceMs + this.#random() * Math.min(adviceMs / 2, ceiling)
      : pause;
  }

  reset() {
    this.#failures = 0;
  }
}
