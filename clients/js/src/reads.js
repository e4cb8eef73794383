// How far this user has read, kept until the server has it.
import { chatKey } from "./frames.js";

export class Reads {
  #marks = new Map();
  #shell;

  /** `shell` has `ask(frame, answer)`, `save(chat, upTo)`, `drop(chat)` and `report(error)`. */
  constructor(shell) {
    this.#shell = shell;
  }

  /** Takes what an earlier page has left. */
  load(marks) {
    for (const { chat, upTo } of marks) {
      const mark = this.#mark(chat);
      mark.upTo = Math.max(mark.upTo, upTo);
    }
  }

  read(chat, upTo) {
    const mark = this.#mark(chat);
    if (upTo <= mark.upTo) return;
    mark.upTo = upTo;
    this.#shell.save(mark.chat, upTo);
    void this.#say(mark);
  }

  /** Says everything that the server has not confirmed. */
  resume() {
    for (const mark of this.#marks.values()) void this.#say(mark);
  }

  #mark({ type, to }) {
    const key = chatKey({ type, to });
    if (!this.#marks.has(key)) {
      this.#marks.set(key, { chat: { type, to }, upTo: 0, asking: false });
    }
    return this.#marks.get(key);
  }

  async #say(mark) {
    if (mark.asking) return;
    mark.asking = true;
    const { type, to } = mark.chat;
    try {
      let held = 0;
      while (held < mark.upTo) {
        const upTo = mark.upTo;
        const frame = { type: `${type}_READ`, to, up_to: upTo };
        const answer = await this.#shell.ask(frame, `${type}_READ_OK`);
        held = Math.max(upTo, answer.up_to);
      }
    } catch (error) {
      mark.asking = false;
      // Without a code the client only went away: the mark waits in the store for its return.
      if (error.code === 0) return;
      this.#shell.report(error);
    }
    this.#marks.delete(chatKey(mark.chat));
    this.#shell.drop(mark.chat);
  }
}
