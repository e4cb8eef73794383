// Looks at the node once a second, and not while nobody looks at the page.

import { observe, Refused } from "./api.js";

const EVERY_MS = 1000;

export class Poll {
  /** `on`: `{ seen(snapshot), silent(since, why), paused(), refused(error) }`. */
  constructor(on) {
    this.on = on;
    this.answered = Date.now();
    this.turn = 0;
    document.addEventListener("visibilitychange", () => this.begin());
    this.begin();
  }

  /** Starts a new round of looks; the one before it, if any, ends at its next step. */
  begin() {
    this.turn += 1;
    if (document.hidden) {
      this.on.paused();
      return;
    }
    this.answered = Date.now();
    this.look(this.turn);
  }

  async look(turn) {
    const started = Date.now();
    let seen = null;
    let failure = null;
    try {
      seen = await observe();
    } catch (error) {
      failure = error;
    }
    if (turn !== this.turn) {
      return;
    }
    if (failure instanceof Refused) {
      this.on.refused(failure);
      return;
    }
    if (failure) {
      this.on.silent(this.answered, failure.message);
    } else {
      this.answered = Date.now();
      this.on.seen(seen);
    }
    setTimeout(() => turn === this.turn && this.look(turn), Math.max(100, EVERY_MS - (Date.now() - started)));
  }
}
