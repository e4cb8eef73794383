// The list of conversations: the server's pages, kept in step by what happens.

import { keyOf } from "./chats.js";
import { Conversation } from "./conversation.js";
import { Signal } from "./signal.js";
import { stateSaid } from "./timeline.js";

export class Conversations {
  changed = new Signal();
  /** Where the next page begins, while there is one. */
  next = undefined;
  more = false;
  rows = new Map();
  order = null;

  constructor(me) {
    this.me = me;
  }

  /** The conversation of this chat, which need not be known to the server. */
  of(chat) {
    const key = keyOf(chat);
    let row = this.rows.get(key);
    if (!row) {
      row = new Conversation(chat, this.me);
      this.rows.set(key, row);
    }
    return row;
  }

  /** Those that are shown: with something in them, latest first. */
  get sorted() {
    this.order ??= [...this.rows.values()]
      .filter(({ updatedAt }) => updatedAt > 0)
      .sort((a, b) => b.updatedAt - a.updatedAt || (a.key < b.key ? -1 : 1));
    return this.order;
  }

  get unread() {
    let sum = 0;
    for (const row of this.rows.values()) {
      sum += row.unread;
    }
    return sum;
  }

  /** Takes entries of the server. */
  apply(entries) {
    for (const entry of entries) {
      this.of(entry.chat).apply(entry);
    }
    this.touch();
  }

  message(message) {
    if (this.of(message.chat).message(message)) {
      this.touch();
    }
  }

  /** What became of own messages, as the server told. */
  became(chat, states) {
    const { last } = this.of(chat);
    const said = states.find(({ id }) => id === last?.id);
    if (said && last.from === this.me) {
      last.state = stateSaid(said.state, last.state);
      this.touch();
    }
  }

  sent(message) {
    this.of(message.chat).sent(message);
    this.touch();
  }

  /** Somebody has read; `from` myself it was another device of mine. */
  read(chat, by, upTo) {
    const row = this.of(chat);
    if (by === this.me) {
      row.readTo(upTo);
    } else {
      row.peerRead = Math.max(row.peerRead, upTo);
    }
    this.touch();
  }

  /** A message that may be the last of its row is another one now. */
  altered(chat, from, id, changes) {
    const { last } = this.of(chat);
    if (last?.id === id && last.from === from) {
      Object.assign(last, changes);
      this.touch();
    }
  }

  /** An own message that had no place yet is gone. */
  withdrawn(chat, { from, id }) {
    const row = this.of(chat);
    if (row.last?.id === id && row.last.from === from) {
      row.last = row.placed;
      this.touch();
    }
  }

  touch() {
    this.order = null;
    this.changed.emit();
  }
}
