// From the inbox to the listeners, one message after the other, and back: what was handled is written down, and only then may
// it be acknowledged.
import { toMessage } from "./frames.js";

export class Handover {
  #inbox;
  #shell;
  #save;
  #handing = false;
  #marking = false;
  #stopped = false;

  /**
   * `shell` has `ready()`, whether somebody listens; `emit(event, value)`, which returns what listeners threw;
   * `stored(frames)`, called when their marks are in the store; `report(error)`; and `uid()`.
   */
  constructor(inbox, shell) {
    this.#inbox = inbox;
    this.#shell = shell;
  }

  /** The store is open: `save(marks)` writes to it. */
  open(save) {
    this.#save = save;
    void this.run();
  }

  /** Hands over what waits, as soon as somebody listens. */
  async run() {
    if (this.#handing || !this.#save) return;
    this.#handing = true;
    try {
      while (!this.#stopped && this.#shell.ready()) {
        const frame = this.#inbox.next();
        if (!frame) break;
        const errors = await this.#show(frame);
        for (const error of errors) this.#shell.report(error);
        this.#inbox.handled(frame, errors.length === 0);
        void this.#mark();
      }
    } finally {
      this.#handing = false;
    }
  }

  /** Nothing is handed over any more; what a listener has in hand is still written down. */
  stop() {
    this.#stopped = true;
  }

  #show(frame) {
    const { type } = frame;
    const message = toMessage(frame, this.#shell.uid());
    const { chat, from, id, cseq } = message;
    if (type === "C2C_REVOKE" || type === "C2G_REVOKE") {
      return this.#shell.emit("revoked", { chat, from, id, cseq });
    }
    if (type === "C2C_EDIT" || type === "C2G_EDIT") {
      const { target, payload, server_ts: serverTs } = frame;
      const edited = { chat, from, id: target, payload, cseq, serverTs };
      return this.#shell.emit("edited", edited);
    }
    if (type === "C2C" || type === "C2G" || type === "S2C") {
      return this.#shell.emit("message", message);
    }
    // Acknowledged like the others, so that what a newer server sends does not come again for ever.
    return Promise.resolve([]);
  }

  async #mark() {
    if (this.#marking) return;
    this.#marking = true;
    let marks = this.#inbox.marks();
    while (marks.frames.length > 0) {
      try {
        await this.#save(marks);
      } catch (error) {
        // It was handled, so to keep it waiting on the server would only show it twice.
        this.#shell.report(error);
      }
      this.#shell.stored(marks.frames);
      marks = this.#inbox.marks();
    }
    this.#marking = false;
  }
}
