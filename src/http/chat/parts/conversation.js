// One row of the list: what the server said of a conversation, and what has happened in it since.

import { t } from "./texts.js";
import { nameOf } from "./directory.js";
import { name } from "./format.js";
import { keyOf } from "./chats.js";
import { isNotice } from "./words.js";

export class Conversation {
  head = 0;
  read = 0;
  peerRead = 0;
  updatedAt = 0;
  last = null;
  /** The last message that has a place in the conversation. */
  placed = null;
  group = "";
  role = undefined;
  isDissolved = false;
  isGone = false;
  /** Unread messages up to `countedTo`, as the server counted them. */
  counted = 0;
  countedTo = 0;
  /** The `cseq`s above that which came since and are unread. */
  fresh = [];

  constructor(chat, me) {
    this.chat = chat;
    this.key = keyOf(chat);
    this.me = me;
  }

  get unread() {
    return this.counted + this.fresh.length;
  }

  get title() {
    if (this.chat.type === "C2C") {
      return nameOf(this.chat.to);
    }
    return name(this.group) || t("list.group");
  }

  get isGroup() {
    return this.chat.type === "C2G";
  }

  /** Takes the server's word, which may be older than a message that came beside it. */
  apply(said) {
    if (said.head >= this.head) {
      this.placed = said.last;
      this.last = waits(this.last) ? this.last : said.last;
    }
    this.head = Math.max(this.head, said.head);
    this.read = Math.max(this.read, said.read);
    this.peerRead = Math.max(this.peerRead, said.peerRead ?? 0);
    this.updatedAt = Math.max(this.updatedAt, said.updatedAt);
    this.counted = said.unread;
    this.countedTo = said.head;
    this.fresh = this.fresh.filter((cseq) => cseq > said.head);
    this.group = said.name ?? this.group;
    this.role = said.role ?? this.role;
    this.isDissolved = Boolean(said.dissolved);
    this.isGone = false;
    // What was read here may not have reached the server yet.
    this.readTo(this.read);
  }

  /** A message came; false if it was counted before. */
  message(message) {
    if (message.cseq !== undefined && message.cseq <= this.head) {
      return false;
    }
    if (isNotice(message)) {
      this.notice(message.payload ?? {});
    } else if (message.from !== this.me) {
      this.fresh.push(message.cseq ?? this.head);
    }
    this.head = message.cseq ?? this.head;
    this.updatedAt = Math.max(this.updatedAt, message.serverTs ?? 0);
    this.last = message;
    this.placed = message;
    return true;
  }

  notice({ msg_type: kind, name, uid, uids, role }) {
    const isMe = uid === this.me || uids?.includes(this.me);
    if (kind === "group_created" || kind === "group_renamed") {
      this.group = name ?? this.group;
    } else if (kind === "group_joined" && isMe) {
      this.group = name ?? this.group;
      this.isGone = false;
    } else if ((kind === "group_removed" || kind === "group_left") && isMe) {
      this.isGone = true;
    } else if (kind === "group_dissolved") {
      this.isDissolved = true;
    } else if (kind === "group_role" && isMe) {
      this.role = role;
    }
  }

  /** An own message was queued, or moved on. */
  sent(message) {
    const isLast = this.last?.id === message.id && this.last.from === message.from;
    if (isLast || message.cseq === undefined || message.cseq > this.head) {
      this.last = message;
      this.placed = message.cseq === undefined ? this.placed : message;
    }
    this.head = Math.max(this.head, message.cseq ?? 0);
    this.updatedAt = Math.max(this.updatedAt, message.serverTs ?? message.createdAt ?? Date.now());
  }

  /** I have read up to there; it never goes back. */
  readTo(upTo) {
    this.read = Math.max(this.read, upTo);
    this.counted = Math.min(this.counted, Math.max(0, this.countedTo - upTo));
    this.fresh = this.fresh.filter((cseq) => cseq > upTo);
  }
}

/** Whether a message still has no place in its conversation. */
function waits(message) {
  return message !== null && message.cseq === undefined && message.state === "queued";
}
