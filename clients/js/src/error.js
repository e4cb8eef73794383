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
