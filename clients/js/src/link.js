// Whether to be connected, and what to do when the connection ends; like the other machines it neither reads a clock nor
// touches a socket.
import { Close, Code, staysAway } from "./codes.js";
import { Backoff } from "./backoff.js";
import { YizhanError } from "./error.js";

/** A connection that is replaced when it is younger than this may have been replaced by a ghost, milliseconds. */
const YOUNG_MS = 20_000;

export class Link {
  /** @type {'connecting' | 'online' | 'waiting' | 'offline' | 'closed'} */
  state = "offline";
  #backoff;
  #heartbeatMs;
  #pongMs;
  #openMs;
  #stableMs;
  #retryAt = Infinity;
  #openBy = Infinity;
  #onlineSince = 0;
  #heardAt = 0;
  #pingedAt;
  #refusal;
  #ghosts;
  #forgiven = 0;
  #todo = [];

  /**
   * @param {{ heartbeatMs?: number, pongMs?: number, openMs?: number, stableMs?: number, ghosts?: number,
   *   backoff?: { minMs?: number, maxMs?: number }, random?: () => number }} [options]
   */
  constructor({
    heartbeatMs = 30_000,
    pongMs = 10_000,
    openMs = 10_000,
    stableMs = 5_000,
    ghosts = 1,
    backoff,
    random,
  } = {}) {
    this.#heartbeatMs = heartbeatMs;
    this.#pongMs = pongMs;
    this.#openMs = openMs;
    this.#stableMs = stableMs;
    this.#ghosts = ghosts;
    this.#backoff = new Backoff({ ...backoff, random });
  }

  get online() {
    return this.state === "online";
  }

  /** Connects, and stays connected until `stop`. */
  start() {
    if (this.state === "offline" || this.state === "closed") this.#open();
  }

  stop(state) {
    this.state = state;
    this.#retryAt = Infinity;
    this.#openBy = Infinity;
    this.#todo = ["drop"];
  }

  /** The attempt has its token: from here the server has to answer in time. */
  dialled(now) {
    this.#openBy = now + this.#openMs;
  }

  /** There was no token, or no way to dial. */
  failed(now, retryMs) {
    if (this.state === "connecting") this.#wait(now, retryMs);
  }

  /** An ERROR that came before anything else says why the login was refused. */
  refused(frame) {
    this.#refusal = frame;
  }

  /** Something was heard that only a connection that was let in can hear; true if it is the first. */
  heard(now) {
    this.#heardAt = now;
    this.#pingedAt = undefined;
    if (this.state !== "connecting") return false;
    this.state = "online";
    this.#openBy = Infinity;
    this.#onlineSince = now;
    return true;
  }

  /** The connection has ended with this close code. Returns what the application should hear of it, if anything. */
  lost(now, code, canRenew) {
    if (this.state === "online" && now - this.#onlineSince >= this.#stableMs)
      this.#backoff.reset();
    const refusal = this.#refusal;
    this.#refusal = undefined;
    const error =
      refusal && new YizhanError(refusal.code, refusal.msg, refusal.retry_ms);
    if (code === Close.Replaced && this.#byGhost(now)) {
      this.#wait(now, this.#openMs / 5);
      return undefined;
    }
    if (
      code === Close.Token &&
      (!refusal ||
        refusal.code === Code.RefreshToken ||
        refusal.code === Code.InvalidToken)
    ) {
      if (canRenew) {
        this.#todo.push("renew");
        this.#wait(now, refusal?.retry_ms);
        return refusal?.code === Code.InvalidToken ? error : undefined;
      }
    }
    if (staysAway(code)) {
      this.stop("closed");
      return (
        error ??
        new YizhanError(
          code,
          reasons[code] ?? `closed by the server with ${code}`,
        )
      );
    }
    this.#wait(now, refusal?.retry_ms);
    return code === Close.Protocol || code === Close.TooBig
      ? new YizhanError(code, reasons[code])
      : undefined;
  }

  /** The network may have come back: tries at once, or finds out whether the connection still lives. */
  nudge(now) {
    if (this.state === "waiting") {
      this.#backoff.reset();
      this.#open();
    } else if (this.state === "online" && this.#pingedAt === undefined) {
      this.#ping(now);
    }
  }

  /** What to do now, of 'renew' (the token), 'open', 'ping', and 'drop' (the connection, at once). */
  poll(now) {
    if (this.state === "waiting" && now >= this.#retryAt) this.#open();
    if (this.state === "connecting" && now >= this.#openBy) this.#leave(now);
    if (this.state === "online") {
      if (
        this.#pingedAt === undefined &&
        now >= this.#heardAt + this.#heartbeatMs
      )
        this.#ping(now);
      else if (
        this.#pingedAt !== undefined &&
        now >= this.#pingedAt + this.#pongMs
      )
        this.#leave(now);
    }
    const todo = this.#todo;
    this.#todo = [];
    return todo;
  }

  due() {
    if (this.#todo.length > 0) return 0;
    if (this.state === "waiting") return this.#retryAt;
    if (this.state === "connecting") return this.#openBy;
    if (this.state !== "online") return Infinity;
    return this.#pingedAt === undefined
      ? this.#heardAt + this.#heartbeatMs
      : this.#pingedAt + this.#pongMs;
  }

  #open() {
    this.state = "connecting";
    this.#retryAt = Infinity;
    this.#openBy = Infinity;
    this.#refusal = undefined;
    this.#pingedAt = undefined;
    this.#todo.push("open");
  }

  #wait(now, adviceMs) {
    this.state = "waiting";
    this.#openBy = Infinity;
    this.#retryAt = now + this.#backoff.next(adviceMs);
  }

  /**
   * An attempt that was given up, by this page or by the one before it, may reach the server after the one that took its
   * place. Its ghost does not come back, so to return a few times finds out; two devices that share an id, which do, are
   * soon one.
   */
  #byGhost(now) {
    const age = this.state === "online" ? now - this.#onlineSince : 0;
    if (age >= YOUNG_MS) this.#forgiven = 0;
    if (age >= YOUNG_MS || this.#forgiven >= this.#ghosts) return false;
    this.#forgiven += 1;
    return true;
  }

  #ping(now) {
    this.#pingedAt = now;
    this.#todo.push("ping");
  }

  #leave(now) {
    if (this.state === "online" && now - this.#onlineSince >= this.#stableMs)
      this.#backoff.reset();
    this.#todo.push("drop");
    this.#wait(now);
  }
}

const reasons = {
  [Close.Protocol]: "the server says that this client broke the protocol",
  [Close.TooBig]: "a frame was longer than the server takes",
  [Close.Token]: "the token is not good, and there is no way to get another",
  [Close.Replaced]: "a newer connection of this device took over",
  [Close.Kicked]:
    "the connection was ended by an operator, or the device was forgotten",
};
