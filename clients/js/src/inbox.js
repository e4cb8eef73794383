// The inbox decides what is new, in which order it is handed over, and when it is acknowledged; like the outbox it neither
// reads a clock nor touches a socket.
import { seenKey } from "./frames.js";
import { Seen } from "./seen.js";

/** How many numbers go in one acknowledgement. */
const ACK_BATCH = 256;
/** How many frames may wait for listeners; the server sends again what found no room. */
const QUEUE_MAX = 1_024;

export class Inbox {
  seen;
  #ackMs;
  #repeatMs;
  /** Not handed over yet, in the order of `seq`. */
  #queue = [];
  #queued = new Set();
  #marked = [];
  /** Numbers to be acknowledged. */
  #owed = new Set();
  #owedSince = Infinity;
  /** Acknowledged and not confirmed: seq to the time, oldest first. */
  #unconfirmed = new Map();
  #unconfirmedKeys = new Map();
  #heldUntil = 0;

  constructor({ ackMs = 20, repeatMs = 10_000, seen = new Seen() } = {}) {
    this.#ackMs = ackMs;
    this.#repeatMs = repeatMs;
    this.seen = seen;
  }

  /** Takes a frame that has a `seq`; true if it is new. */
  take(now, frame) {
    const key = seenKey(frame);
    if (this.#queued.has(key)) return false;
    if (this.seen.has(key)) {
      this.#owe(now, frame.seq);
      return false;
    }
    if (this.#queue.length >= QUEUE_MAX) return false;
    this.#queued.add(key);
    let at = this.#queue.length;
    while (at > 0 && this.#queue[at - 1].seq > frame.seq) at -= 1;
    this.#queue.splice(at, 0, frame);
    return true;
  }

  /** The next frame for the listeners. */
  next() {
    return this.#queue.shift();
  }

  /** The listeners are done with a frame. One that they failed on is forgotten, so that it is new when it comes again. */
  handled(frame, ok) {
    const key = seenKey(frame);
    if (!ok) {
      this.#queued.delete(key);
      return;
    }
    this.#unconfirmedKeys.set(key, frame.seq);
    this.seen.add(key, (other) => this.#unconfirmedKeys.has(other));
    this.#marked.push(frame);
  }

  /** Frames that were handled and whose mark is not in the store yet. */
  marks() {
    const frames = this.#marked;
    this.#marked = [];
    return { frames, ...this.seen.changes() };
  }

  /** Their marks are in the store: they may be acknowledged. */
  stored(now, frames) {
    for (const frame of frames) {
      this.#queued.delete(seenKey(frame));
      this.#owe(now, frame.seq);
    }
  }

  /** Frame 5. */
  confirmed({ seqs }) {
    if (!Array.isArray(seqs)) return;
    for (const seq of seqs) this.#unconfirmed.delete(seq);
    if (this.#unconfirmedKeys.size === 0) return;
    const done = new Set(seqs);
    for (const [key, seq] of this.#unconfirmedKeys)
      if (done.has(seq)) this.#unconfirmedKeys.delete(key);
  }

  /** At login the server says from which number on it owes messages: those below have been confirmed, heard or not. */
  owedFrom(seq) {
    for (const [key, confirmed] of this.#unconfirmedKeys)
      if (confirmed < seq) this.#unconfirmedKeys.delete(key);
  }

  /** Acknowledgements were refused for a while; those without an answer are repeated after it. */
  refused(now, retryMs) {
    this.#heldUntil = Math.max(this.#heldUntil, now + retryMs);
    for (const seq of this.#unconfirmed.keys()) this.#owe(now, seq);
    this.#unconfirmed.clear();
  }

  /** Acknowledgements count on the connection that brought the message only, and what they missed comes again. */
  connected() {
    this.#owed.clear();
    this.#owedSince = Infinity;
    this.#unconfirmed.clear();
    this.#heldUntil = 0;
  }

  /** The numbers to acknowledge now, in batches. */
  poll(now) {
    if (now < this.#heldUntil) return [];
    for (const [seq, sentAt] of [...this.#unconfirmed]) {
      if (sentAt + this.#repeatMs > now) break;
      this.#unconfirmed.delete(seq);
      this.#owed.add(seq);
      this.#owedSince = 0;
    }
    if (
      this.#owed.size === 0 ||
      (now < this.#owedSince + this.#ackMs && this.#owed.size < ACK_BATCH)
    )
      return [];
    const seqs = [...this.#owed].sort((a, b) => a - b);
    this.#owed.clear();
    this.#owedSince = Infinity;
    for (const seq of seqs) {
      this.#unconfirmed.delete(seq);
      this.#unconfirmed.set(seq, now);
    }
    const batches = [];
    for (let at = 0; at < seqs.length; at += ACK_BATCH)
      batches.push(seqs.slice(at, at + ACK_BATCH));
    return batches;
  }

  due() {
    let at = this.#owed.size > 0 ? this.#owedSince + this.#ackMs : Infinity;
    for (const sentAt of this.#unconfirmed.values()) {
      at = Math.min(at, sentAt + this.#repeatMs);
      break;
    }
    return Math.max(at, this.#heldUntil);
  }

  #owe(now, seq) {
    if (this.#owed.size === 0) this.#owedSince = now;
    this.#owed.add(seq);
  }
}
