/** A refusal by the server, or a failure on the way to it (`code` 0). */
export class YizhanError extends Error {
  /** @param {number} code @param {string} msg @param {number} [retryMs] */
  constructor(code, msg, retryMs) {
    super(msg);
    this.name = "YizhanError";
    this.code = code;
    if (retryMs !== undefined) this.retryMs = retryMs;
  }
}

/** What was thrown, as an error of this client. Anything may be thrown, also nothing. */
export function asError(thrown) {
  if (thrown instanceof YizhanError) return thrown;
  return Object.assign(new YizhanError(0, wordsOf(thrown)), { cause: thrown });
}

/** Not all objects can be made strings, and whoever reports an error cannot have another one. */
function wordsOf(thrown) {
  if (typeof thrown?.message === "string") return thrown.message;
  return Object(thrown) === thrown
    ? Object.prototype.toString.call(thrown)
    : String(thrown);
}
