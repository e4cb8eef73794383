/** A clock that stands still until it is turned. */
export class FakeClock {
  #now = 1_000_000;
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimeout = (f, ms) => {
    const timer = this.#next;
    this.#next += 1;
    this.#timers.set(timer, { f, at: this.#now + Math.max(ms, 0) });
    return timer;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** Turns it on, ringing what is due in its order and letting each ring have its consequences. */
  async advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      await idle();
      const due = [...this.#timers]
        .filter(([, { at }]) => at <= end)
        .sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].f();
    }
    this.#now = end;
    await idle();
  }
}

/** Lets everything happen that waits for nothing. */
export function idle() {
  return new Promise((resolve) => setImmediate(resolve));
}
