// Requests and their answers. Everything asked here may be asked twice, so a request without an answer is simply repeated:
// on a timer, and after a reconnect.
import { mayRepeat } from "./codes.js";
import { YizhanError } from "./error.js";

/** What a refusal without `retry_ms` is taken to ask for, milliseconds. */
const RETRY_MS = 1_000;

export class Requests {
  #limit;
  #resendMs;
  #pending = new Set();
  #connected = false;
  #heldUntil = 0;

  constructor({ limit = 32, resendMs = 10_000 } = {}) {
    this.#limit = limit;
    this.#resendMs = resendMs;
  }

  /**
   * Adds a request `{id, to?, answer, isFor?, frame, deadline, resolve, reject}`: `answer` is the type of the frame that
   * answers it, and `isFor` knows it where it carries no id. It is given up at `deadline`.
   */
  add(request) {
    this.#pending.add(Object.assign(request, { sentAt: undefined }));
  }

  connected() {
    this.#connected = true;
    this.#heldUntil = 0;
    for (const request of this.#pending) request.sentAt = undefined;
  }

  disconnected() {
    this.#connected = false;
  }

  /** Takes a frame from the server; true if it answered a request. */
  take(now, frame) {
    return frame.type === "ERROR"
      ? this.#error(now, frame)
      : this.#answer(frame);
  }

  /** Rejects the request that has this id and waits for this type of answer, if there is one. */
  refuse(answer, id, error) {
    const request = this.#find((one) => one.answer === answer && one.id === id);
    if (!request) return;
    this.#pending.delete(request);
    request.reject(error);
  }

  /** Rejects everything. */
  end(error) {
    for (const request of this.#pending) request.reject(error);
    this.#pending.clear();
  }

  /** The frames to send now; what is too late is rejected. */
  poll(now) {
    const send = [];
    let flying = 0;
    for (const request of [...this.#pending]) {
      if (request.deadline <= now) {
        this.#pending.delete(request);
        request.reject(new YizhanError(0, "no answer in time"));
        continue;
      }
      if (!this.#connected) continue;
      if (
        request.sentAt !== undefined &&
        request.sentAt + this.#resendMs > now
      ) {
        flying += 1;
      } else if (flying < this.#limit && now >= this.#heldUntil) {
        flying += 1;
        request.sentAt = now;
        send.push(request.frame);
      }
    }
    return send;
  }

  due() {
    let at = Infinity;
    let flying = 0;
    for (const request of this.#pending) {
      at = Math.min(at, request.deadline);
      if (!this.#connected) continue;
      const next =
        request.sentAt === undefined
          ? this.#heldUntil
          : Math.max(request.sentAt + this.#resendMs, this.#heldUntil);
      if (flying < this.#limit) at = Math.min(at, next);
      flying += 1;
    }
    return at;
  }

  #answer(frame) {
    const request = this.#find(
      (one) =>
        one.answer === frame.type &&
        (frame.id === undefined
          ? (one.isFor?.(frame) ?? one.to === frame.to)
          : one.id === frame.id),
    );
    if (!request) return false;
    this.#pending.delete(request);
    request.resolve(frame);
    return true;
  }

  #error(now, { id, code, msg, retry_ms: retryMs }) {
    if (id === undefined) return false;
    const request = this.#find((one) => one.id === id);
    if (!request) return false;
    if (mayRepeat(code)) {
      this.#heldUntil = Math.max(this.#heldUntil, now + (retryMs ?? RETRY_MS));
      request.sentAt = undefined;
    } else {
      this.#pending.delete(request);
      request.reject(new YizhanError(code, msg, retryMs));
    }
    return true;
  }

  /** Answers of one type come in the order of their requests. */
  #find(matches) {
    for (const request of this.#pending)
      if (request.sentAt !== undefined && matches(request)) return request;
    return undefined;
  }
}
