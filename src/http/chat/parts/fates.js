// What became of own messages that the outbox of this device does not hold: history does not say, so it is asked of those
// in sight, and again of those that nobody had.

import { keyOf } from "./chats.js";
import { isNotice } from "./words.js";
import { nameOfMessage } from "./timeline.js";

const AGAIN_MS = [2000, 60_000];

export class Fates {
  /** When to ask again about a message, and how long to wait after that. */
  asked = new Map();

  constructor(session, again) {
    this.session = session;
    this.again = again;
    session.client.on("connection", () => this.asked.clear());
  }

  /** Asks about the messages of these, in sight, that may have moved on. */
  async ask(chat, messages) {
    const { session } = this;
    if (!session.isOnline) {
      return;
    }
    const now = Date.now();
    const ids = [];
    for (const message of messages) {
      const name = `${keyOf(chat)}/${nameOfMessage(message)}`;
      const { at = 0, wait = AGAIN_MS[0] } = this.asked.get(name) ?? {};
      if (at <= now && this.isOpen(message)) {
        this.asked.set(name, { at: now + wait, wait: Math.min(wait * 2, AGAIN_MS[1]) });
        ids.push(message.id);
      }
    }
    if (ids.length === 0) {
      return;
    }
    try {
      const states = await session.askFates(chat, ids);
      if (states.some(({ state }) => state === "accepted")) {
        this.later();
      }
    } catch {
      // The next connection asks again.
    }
  }

  /** An own message in its place that is not known to have come to anybody, or to how many. */
  isOpen(message) {
    const { me, states, conversation } = this.session;
    if (message.from !== me || isNotice(message) || message.cseq === undefined || message.revokedAt) {
      return false;
    }
    if (states.has(`${keyOf(message.chat)}/${message.id}`) || message.state === "refused") {
      return false;
    }
    const isDelivered = message.state === "delivered" || (!conversation.isGroup && message.cseq <= conversation.peerRead);
    return conversation.isGroup ? message.count === undefined || message.count === 0 : !isDelivered;
  }

  later() {
    const next = Math.min(...[...this.asked.values()].map(({ at }) => at).filter((at) => at > Date.now()));
    clearTimeout(this.timer);
    this.timer = setTimeout(this.again, Math.max(next - Date.now(), 0) + 1);
  }
}
