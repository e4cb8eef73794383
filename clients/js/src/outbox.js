// The outbox decides what is sent when; it neither reads a clock nor touches a socket. Its owner tells it what happened, asks
// `poll(now)` what to do, and comes back at `due()`. Where the time of day counts it comes besides, as `wall`.
import { Code, mayRepeat } from "./codes.js";
import { chatKey, sentKey } from "./frames.js";

/** How long a reader's full inbox keeps messages to that reader back, at first and at most, milliseconds. */
const FULL_MS = [60_000, 3_600_000];
/** How long a store that failed keeps everything back, at first and at most, milliseconds. */
const FAILED_MS = [1_000, 60_000];
/** The longest pause between two STATUS about one message, milliseconds. */
const STATUS_MAX_MS = 900_000;
/** How many messages the server takes in one STATUS. */
const STATUS_BATCH = 256;
/** How long the server keeps a message for its reader, milliseconds. */
const TTL_MS = 604_800_000;
/** What a refusal without `retry_ms` is taken to ask for, milliseconds. */
const RETRY_MS = 1_000;

export class Outbox {
  #window;
  #resendMs;
  #statusMs;
  #ttlMs;
  #random;
  #entries = new Map();
  /** Queued and not on its way, in the order of `n`. */
  #queue = [];
  /** On its way and without an answer: key to the time of sending, oldest first. */
  #flight = new Map();
  /** Turned away for a while: as long as there are any, one message is sent at a time. */
  #turnedAway = new Set();
  #connected = false;
  #heldUntil = 0;
  #failures = 0;
  #fullChats = new Map();
  #asked;
  #askAt = Infinity;
  #changes = [];

  constructor({
    window = 128,
    resendMs = 10_000,
    statusMs = 60_000,
    ttlMs = TTL_MS,
    random = Math.random,
  } = {}) {
    this.#window = window;
    this.#resendMs = resendMs;
    this.#statusMs = statusMs;
    this.#ttlMs = ttlMs;
    this.#random = random;
  }

  /** Own messages that are not delivered yet, oldest first. */
  entries() {
    return [...this.#entries.values()];
  }

  get size() {
    return this.#entries.size;
  }

  entry(type, to, id) {
    return this.#entries.get(sentKey(type, to, id));
  }

  /** Adds an entry `{n,id,type,to,body,createdAt,expiresAt?,state}`; `n` rises from one to the next. */
  add(entry) {
    const key = keyOf(entry);
    if (this.#entries.has(key)) return;
    this.#entries.set(key, entry);
    if (entry.state === "queued") {
      this.#enqueue(entry);
    } else {
      entry.askAt = 0;
      entry.asks = 0;
      this.#askAt = 0;
    }
  }

  /** Takes back a message that was never sent; false if the server may have it. */
  cancel(type, to, id) {
    const entry = this.entry(type, to, id);
    if (entry?.state !== "queued" || !entry.fresh) return false;
    this.#finish(entry, "revoked");
    return true;
  }

  connected() {
    this.#connected = true;
    this.#heldUntil = 0;
    this.#asked = undefined;
    this.#askAt = 0;
    for (const entry of this.#entries.values()) {
      entry.askAt = 0;
      entry.asks = 0;
    }
  }

  /** What had no answer is queued again, in its old order. */
  disconnected() {
    this.#connected = false;
    for (const key of this.#flight.keys())
      this.#queue.push(this.#entries.get(key));
    this.#queue.sort((a, b) => a.n - b.n);
    this.#flight.clear();
    this.#turnedAway.clear();
  }

  /** Takes a frame from the server; true if it was about a message of this outbox. */
  take(now, frame, wall = now) {
    switch (frame.type) {
      case "C2C_SERVER_ACK":
      case "C2G_SERVER_ACK":
        return this.#withEntry(frame, (entry) =>
          this.#accepted(now, entry, frame),
        );
      case "C2C_DELIVERED":
      case "C2G_DELIVERED":
        return this.#withEntry(frame, (entry) => this.#delivered(entry, frame));
      case "STATUS":
        return this.#status(now, frame, wall);
      case "ERROR":
        return this.#error(now, frame, wall);
      default:
        return false;
    }
  }

  /** A message that the server has turned down for good by other means than an ERROR. */
  refuse(to, id, error) {
    const entry = this.entry("C2C", to, id);
    if (entry && this.#flight.has(keyOf(entry)))
      this.#finish(entry, "refused", error);
  }

  /** The frame of this message was too long for the server. */
  tooLong(type, to, id) {
    const entry = this.entry(type, to, id);
    if (entry)
      this.#finish(entry, "refused", {
        code: Code.TooLarge,
        msg: "the frame is longer than the server takes",
      });
  }

  /** A STATUS did not get through; it is asked again. */
  statusFailed(now, retryMs = RETRY_MS) {
    if (!this.#asked) return;
    this.#asked = undefined;
    this.#askAt = now + retryMs;
  }

  /**
   * What to do now: messages to send in this order, messages to ask STATUS about, and entries that have changed since,
   * with `finished` for those that leave the outbox.
   */
  poll(now, wall = now) {
    const send = [];
    let ask = [];
    if (this.#connected) {
      this.#repeat(now, send);
      this.#advance(now, send, wall);
      ask = this.#ask(now);
    }
    const changed = this.#changes;
    this.#changes = [];
    return { send, ask, changed };
  }

  /** When `poll` has something to do again, if nothing else happens before. */
  due() {
    if (!this.#connected) return Infinity;
    let at = this.#asked ? this.#asked.at + this.#resendMs : this.#askAt;
    for (const sentAt of this.#flight.values()) {
      at = Math.min(at, Math.max(sentAt + this.#resendMs, this.#heldUntil));
      break;
    }
    if (this.#queue.length > 0 && this.#room() > 0) {
      for (const entry of this.#queue) {
        const free = Math.max(
          this.#heldUntil,
          this.#fullChats.get(chatKey(entry))?.until ?? 0,
        );
        at = Math.min(at, free);
        if (free <= this.#heldUntil) break;
      }
    }
    return at;
  }

  #room() {
    // After a refusal for being too fast, the next one goes when the one before has its answer.
    return this.#turnedAway.size > 0
      ? this.#flight.size === 0
        ? 1
        : 0
      : this.#window - this.#flight.size;
  }

  #repeat(now, send) {
    if (now < this.#heldUntil) return;
    for (const [key, sentAt] of [...this.#flight]) {
      if (sentAt + this.#resendMs > now) break;
      this.#launch(now, this.#entries.get(key), send);
    }
  }

  #advance(now, send, wall) {
    if (now < this.#heldUntil) return;
    for (let at = 0; at < this.#queue.length && this.#room() > 0;) {
      const entry = this.#queue[at];
      if ((this.#fullChats.get(chatKey(entry))?.until ?? 0) > now) {
        at += 1;
        continue;
      }
      this.#queue.splice(at, 1);
      if (
        entry.fresh &&
        entry.expiresAt !== undefined &&
        entry.expiresAt <= wall
      )
        this.#finish(entry, "expired");
      else this.#launch(now, entry, send);
    }
  }

  #launch(now, entry, send) {
    const key = keyOf(entry);
    entry.fresh = false;
    // Moves it to the end, so that the first of the map is always the longest on its way.
    this.#flight.delete(key);
    this.#flight.set(key, now);
    send.push(entry);
  }

  #ask(now) {
    if (this.#asked) {
      if (this.#asked.at + this.#resendMs > now) return [];
      this.#asked = undefined;
      this.#askAt = now;
    }
    if (this.#askAt > now) return [];
    const batch = [];
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      if (entry.state !== "accepted") continue;
      if (entry.askAt <= now && batch.length < STATUS_BATCH) batch.push(entry);
      else next = Math.min(next, entry.askAt);
    }
    this.#askAt = next;
    if (batch.length > 0)
      this.#asked = { at: now, left: new Set(batch.map(keyOf)) };
    return batch;
  }

  #status(now, { of }, wall) {
    if (!Array.isArray(of)) return false;
    for (const { type = "C2C", to, id, state, count } of of) {
      const key = sentKey(type, to, id);
      this.#asked?.left.delete(key);
      const entry = this.#entries.get(key);
      if (entry?.state !== "accepted") continue;
      if (state === "delivered") this.#delivered(entry, { count });
      else if (state === "revoked" || state === "expired")
        this.#finish(entry, state);
      else if (state === "unknown") this.#forgotten(entry, wall);
      else this.#askLater(now, entry);
    }
    if (this.#asked?.left.size === 0) this.#asked = undefined;
    return true;
  }

  #askLater(now, entry) {
    entry.askAt =
      now + Math.min(this.#statusMs * 2 ** (entry.asks ?? 0), STATUS_MAX_MS);
    entry.asks = (entry.asks ?? 0) + 1;
    this.#askAt = Math.min(this.#askAt, entry.askAt);
  }

  #accepted(now, entry, { cseq, server_ts: serverTs }) {
    if (entry.state !== "queued") return;
    this.#unqueue(entry);
    this.#failures = 0;
    this.#fullChats.delete(chatKey(entry));
    entry.state = "accepted";
    if (cseq !== undefined) entry.cseq = cseq;
    if (serverTs !== undefined) entry.serverTs = serverTs;
    entry.asks = 0;
    this.#askLater(now, entry);
    this.#changes.push({ entry, finished: false });
  }

  #delivered(entry, { count }) {
    // A group's receipt may come before anybody has it.
    if (count !== undefined) entry.count = count;
    if (count === 0) return;
    this.#finish(entry, "delivered");
  }

  /**
   * The server has lost it to a restored backup, and it is sent as if for the first time; or it was accepted so long ago that
   * the server has forgotten it. Then its reader may have had it and would get it twice, and else it has expired.
   */
  #forgotten(entry, wall) {
    if (wall - (entry.serverTs ?? entry.createdAt) >= this.#ttlMs) {
      this.#finish(entry, "expired");
      return;
    }
    entry.state = "queued";
    delete entry.cseq;
    delete entry.serverTs;
    this.#enqueue(entry);
    this.#changes.push({ entry, finished: false });
  }

  #error(now, { id, to, code, msg, retry_ms: retryMs }, wall) {
    if (id === undefined) return false;
    const entry = this.#meant(to, id);
    if (!entry) return false;
    if (!mayRepeat(code)) {
      // The id may be that of a question about this message, which says nothing of what was never sent.
      if (!this.#flight.has(keyOf(entry))) return false;
      const late =
        code === Code.BadFrame &&
        entry.expiresAt !== undefined &&
        entry.expiresAt <= wall;
      this.#finish(entry, late ? "expired" : "refused", { code, msg });
      return true;
    }
    const wasFlying = this.#flight.delete(keyOf(entry));
    if (wasFlying) this.#enqueue(entry);
    if (code === Code.InboxFull) {
      const full = this.#fullChats.get(chatKey(entry)) ?? {
        until: 0,
        times: 0,
      };
      if (wasFlying && full.until <= now) {
        full.until = now + this.#jittered(grown(FULL_MS, full.times));
        full.times += 1;
        this.#fullChats.set(chatKey(entry), full);
      }
      return true;
    }
    this.#turnedAway.add(keyOf(entry));
    let wait = retryMs ?? RETRY_MS;
    if (code === Code.Storage) {
      wait = this.#jittered(grown(FAILED_MS, this.#failures));
      this.#failures += 1;
    } else if (code === Code.Busy) {
      wait += (this.#random() * wait) / 2;
    }
    this.#heldUntil = Math.max(this.#heldUntil, now + wait);
    return true;
  }

  #finish(entry, state, error) {
    this.#unqueue(entry);
    this.#entries.delete(keyOf(entry));
    if (this.#entries.size === 0) this.#askAt = Infinity;
    entry.state = state;
    if (error) entry.error = error;
    this.#changes.push({ entry, finished: true });
  }

  #unqueue(entry) {
    const key = keyOf(entry);
    this.#turnedAway.delete(key);
    if (this.#flight.delete(key) || entry.state !== "queued") return;
    const at = this.#queue.indexOf(entry);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #enqueue(entry) {
    let at = this.#queue.length;
    while (at > 0 && this.#queue[at - 1].n > entry.n) at -= 1;
    this.#queue.splice(at, 0, entry);
  }

  #withEntry(frame, then) {
    const entry = this.entry(frame.type.slice(0, 3), frame.to, frame.id);
    if (entry) then(entry);
    return entry !== undefined;
  }

  /** Which message an ERROR is about, that has no type and perhaps no `to`: rather one on its way than another. */
  #meant(to, id) {
    const all =
      to === undefined
        ? this.entries().filter((entry) => entry.id === id)
        : [this.entry("C2C", to, id), this.entry("C2G", to, id)];
    const queued = all.filter((entry) => entry?.state === "queued");
    return queued.find((entry) => this.#flight.has(keyOf(entry))) ?? queued[0];
  }

  #jittered(ms) {
    return ms / 2 + this.#random() * ms;
  }
}

function keyOf({ type, to, id }) {
  return sentKey(type, to, id);
}

/** @param {number[]} bounds at first, and at most */
function grown([first, most], times) {
  return Math.min(first * 2 ** Math.min(times, 20), most);
}
