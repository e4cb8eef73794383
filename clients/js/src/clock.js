/** The clock of the machine. `now` does not jump when somebody sets it, which would stop every timer for as long; `wall` does. */
export const systemClock = {
  now: () => Math.round(performance.timeOrigin + performance.now()),
  wall: () => Date.now(),
  setTimeout: (f, ms) => setTimeout(f, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

// A longer wait than this fires at once in every engine.
const LONGEST = 2 ** 31 - 1;

/** One timer that is set anew again and again, as for the nearest of several deadlines. */
export class Alarm {
  #clock;
  #ring;
  #timer;
  #at = Infinity;

  constructor(clock, ring) {
    this.#clock = clock;
    this.#ring = ring;
  }

  set(at) {
    if (at === this.#at) return;
    this.clear();
    if (at === Infinity) return;
    this.#at = at;
    const wait = Math.min(Math.max(at - this.#clock.now(), 0), LONGEST);
    this.#timer = this.#clock.setTimeout(() => {
      this.#at = Infinity;
      this.#ring();
    }, wait);
  }

  clear() {
    if (this.#at === Infinity) return;
    this.#clock.clearTimeout(this.#timer);
    this.#at = Infinity;
  }
}
