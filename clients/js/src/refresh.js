// When a connection needs a new token, so that it lives on. A machine like the others.
import { Backoff } from "./backoff.js";
import { Code, mayRepeat } from "./codes.js";

/** How long before its end a token is exchanged, milliseconds. */
const LEAD_MS = 300_000;
/** How soon after an exchange the server's word for the next one is followed at the earliest, and at the latest, milliseconds. */
const REST_MS = [1_000, 60_000];

export class Refresh {
  #resendMs;
  #backoff;
  #random;
  #at = Infinity;
  #restUntil = 0;
  /** @type {'idle' | 'fetching' | 'shown'} */
  #state = "idle";
  #token;

  /** @param {{ resendMs?: number, backoff?: { minMs?: number, maxMs?: number }, random?: () => number }} [options] */
  constructor({ resendMs = 10_000, backoff, random = Math.random } = {}) {
    this.#resendMs = resendMs;
    this.#random = random;
    this.#backoff = new Backoff({ ...backoff, random });
  }

  get waiting() {
    return this.#state === "shown";
  }

  /** A connection began with, or goes on with, a token that ends at `exp`. */
  connected(now, exp) {
    this.#state = "idle";
    this.#token = undefined;
    this.#backoff.reset();
    // Of a token that lives for less than five minutes the server says at once that it will soon be over.
    this.#restUntil =
      now + Math.min(Math.max((exp - now) / 2, REST_MS[0]), REST_MS[1]);
    if (exp === Infinity || exp <= now) {
      // A token that was taken and seems to be over means that this clock is wrong: then the server's word is waited for.
      this.#at = Infinity;
      return;
    }
    const lead = Math.min(LEAD_MS, (exp - now) / 2);
    // Devices that logged in together do not come back together.
    this.#at = exp - lead - this.#random() * Math.min(lead / 5, 30_000);
  }

  disconnected() {
    this.#state = "idle";
    this.#at = Infinity;
  }

  /** The server says that it is time. */
  asked(now) {
    if (this.#state === "idle")
      this.#at = Math.min(this.#at, Math.max(now, this.#restUntil));
  }

  /** There is a token to show. */
  fetched(now, token) {
    if (this.#state !== "fetching") return;
    this.#state = "shown";
    this.#token = token;
    this.#at = now;
  }

  /** There is none for the moment. */
  failed(now) {
    if (this.#state !== "fetching") return;
    this.#state = "idle";
    this.#at = now + this.#backoff.next();
  }

  /** The ERROR that came in place of REFRESH_OK. */
  refused(now, { code, retry_ms: retryMs }) {
    if (this.#state !== "shown") return;
    if (!mayRepeat(code)) this.#state = "idle";
    this.#at =
      now +
      this.#backoff.next(
        code === Code.TooFast || code === Code.Busy ? retryMs : 0,
      );
  }

  /** 'fetch' a token, or the token to show. */
  poll(now) {
    if (now < this.#at) return undefined;
    if (this.#state === "idle") {
      this.#state = "fetching";
      this.#at = Infinity;
      return { fetch: true };
    }
    this.#at = now + this.#resendMs;
    return { show: this.#token };
  }

  due() {
    return this.#at;
  }
}
