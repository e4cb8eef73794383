import { Alarm } from "./clock.js";
import { YizhanError } from "./error.js";

/** A token that is closer to its end than this is not used for a new connection, milliseconds. */
const NEARLY_OVER_MS = 5_000;

/** How long a token may take to come, milliseconds. */
const FETCH_MS = 10_000;

/** Reads what a token says of itself, without any proof; an empty object for what is no JWT. */
export function readToken(token) {
  try {
    const text = atob(
      token
        .replace(/^Bearer /i, "")
        .split(".")[1]
        .replace(/-/g, "+")
        .replace(/_/g, "/"),
    );
    const { uid, exp } = JSON.parse(text);
    return { uid, exp };
  } catch {
    return {};
  }
}

/** Holds the access token, and fetches another one when it is worn out. */
export class Tokens {
  uid;
  #fetch;
  #token;
  #exp = Infinity;
  #worn = false;
  #fetching;
  #asked = 0;
  #answered = 0;
  #clock;
  #fetchMs;
  #wall;

  /** `fetch` is what gets a new token, if anything does. */
  constructor({ token, fetch, clock, fetchMs = FETCH_MS }) {
    this.#clock = clock;
    this.#fetchMs = fetchMs;
    this.#wall = () => (clock.wall ? clock.wall() : clock.now());
    this.#fetch = typeof token === "function" ? async () => token() : fetch;
    if (typeof token === "string") this.#take(token);
  }

  get canRenew() {
    return this.#fetch !== undefined;
  }

  /** When the token ends, Unix milliseconds; Infinity if it does not say. */
  get exp() {
    return this.#exp;
  }

  /** A token that is believed to be good. */
  async current() {
    const over = this.#exp - this.#wall() < NEARLY_OVER_MS;
    if (this.#token !== undefined && !(this.canRenew && (this.#worn || over)))
      return this.#token;
    return this.renew();
  }

  /** A new token; several who ask at the same time share the answer. */
  async renew() {
    if (!this.#fetch) {
      if (this.#token === undefined)
        throw new YizhanError(
          0,
          "there is neither a token nor a way to get one",
        );
      return this.#token;
    }
    this.#fetching ??= this.#inTime(this.#fetched()).finally(
      () => (this.#fetching = undefined),
    );
    return this.#fetching;
  }

  async #fetched() {
    this.#asked += 1;
    const asked = this.#asked;
    const token = await this.#fetch();
    if (typeof token !== "string" || token === "")
      throw new YizhanError(0, "no token was returned");
    // What comes late is good for the next attempt, unless a later call was answered before.
    if (asked > this.#answered) {
      this.#answered = asked;
      this.#take(token);
    }
    return token;
  }

  /** A source that never answers would hold up everybody who shares its answer, for ever. */
  #inTime(fetched) {
    return new Promise((resolve, reject) => {
      const alarm = new Alarm(this.#clock, () =>
        reject(new YizhanError(0, "no token came in time")),
      );
      alarm.set(this.#clock.now() + this.#fetchMs);
      fetched.then(resolve, reject).finally(() => alarm.clear());
    });
  }

  /** The server does not want this one any more. */
  wornOut() {
    this.#worn = true;
  }

  #take(token) {
    this.#token = token;
    this.#worn = false;
    const { uid, exp } = readToken(token);
    this.#exp = typeof exp === "number" ? exp : Infinity;
    if (typeof uid === "string") this.uid = uid;
  }
}
