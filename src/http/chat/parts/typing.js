// Who is typing: said every two seconds at most, believed for a little longer.

import { keyOf } from "./chats.js";
import { Signal } from "./signal.js";

const BELIEVED_MS = 4500;

export class Typing {
  changed = new Signal();
  until = new Map();

  heard(chat, by) {
    const name = `${keyOf(chat)}/${by}`;
    clearTimeout(this.until.get(name));
    this.until.set(
      name,
      setTimeout(() => this.stopped(chat, by), BELIEVED_MS),
    );
    this.changed.emit();
  }

  /** Their message is here, or nothing more was heard. */
  stopped(chat, by) {
    const name = `${keyOf(chat)}/${by}`;
    if (this.until.has(name)) {
      clearTimeout(this.until.get(name));
      this.until.delete(name);
      this.changed.emit();
    }
  }

  /** The users who type in this chat. */
  who(chat) {
    const begin = `${keyOf(chat)}/`;
    return [...this.until.keys()].filter((name) => name.startsWith(begin)).map((name) => name.slice(begin.length));
  }
}
