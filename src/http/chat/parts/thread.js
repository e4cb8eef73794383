// The open chat: its head, its messages, and what is said about them.

import { byId, mark, say } from "./dom.js";
import { keyOf } from "./chats.js";
import { Fates } from "./fates.js";
import { framed } from "./frame.js";
import { nameOf } from "./directory.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { Head } from "./head.js";
import { Older } from "./older.js";
import { Scroller } from "./scroller.js";
import { isNotice, textOf } from "./words.js";

const ANNOUNCED_MS = 1000;
/** A longer timer fires at once. */
const LONGEST_MS = 2 ** 31;

export class Thread {
  root = byId("chat");
  none = byId("no-chat");
  toEndButton = byId("to-end");
  unreadAfter = Infinity;

  constructor(session) {
    this.session = session;
    this.head = new Head(session);
    this.older = new Older(session, () => this.scroller.touch());
    this.see = framed(() => this.seen());
    this.fates = new Fates(session, this.see);
    this.scroller = new Scroller({ context: () => this.context(), older: () => this.older.load(), seen: this.see });
    session.opened.on((chat) => this.opened(chat));
    session.shelf.changed.on((key) => this.isOpen(key) && this.changed());
    session.conversations.changed.on(() => session.chat && this.changed());
    session.listed.on(() => this.listed());
    session.arrived.on((message) => this.arrived(message));
    document.addEventListener("visibilitychange", this.see);
    this.toEndButton.addEventListener("click", () => this.scroller.newest());
  }

  isOpen(key) {
    return this.session.chat !== null && keyOf(this.session.chat) === key;
  }

  opened(chat) {
    this.root.hidden = chat === null;
    this.none.hidden = chat !== null;
    if (!chat) {
      this.scroller.show(null);
      return;
    }
    mark(this.root, "data-chat", keyOf(chat));
    this.hasSeen = false;
    this.markUnread();
    this.older.reset();
    this.scroller.show(this.session.timeline);
    this.changed();
  }

  /** Keeps where the unread messages begin, for as long as the chat is open. */
  markUnread() {
    const { conversation } = this.session;
    this.unreadAfter = conversation?.unread > 0 ? conversation.read : Infinity;
  }

  listed() {
    // A chat that was open before the list came learns only now what is unread in it.
    if (this.session.chat && this.unreadAfter === Infinity && !this.hasSeen) {
      this.markUnread();
    }
    this.changed();
  }

  changed() {
    this.head.touch();
    this.expire();
    this.scroller.touch();
  }

  /** Lets go of what has expired, now and when it is time. */
  expire() {
    const { timeline } = this.session;
    const now = Date.now();
    if (timeline?.soonest <= now) {
      timeline.expire(now);
    }
    clearTimeout(this.expiring);
    const wait = (timeline?.soonest ?? Infinity) - now;
    if (wait < LONGEST_MS) {
      this.expiring = setTimeout(() => this.changed(), wait);
    }
  }

  context() {
    const { session } = this;
    return {
      me: session.me,
      conversation: session.conversation,
      unreadAfter: this.unreadAfter,
      stateOf: (message) => session.stateOf(message),
    };
  }

  /** Tells the server how far the reader has seen. */
  seen() {
    const { session, scroller } = this;
    const { chat } = session;
    this.older.show();
    if (!chat) {
      return;
    }
    this.showEnd();
    const isShown = document.visibilityState === "visible" && scroller.host.clientHeight > 0;
    if (!isShown || !session.isListed || !session.shelf.isLoaded(chat)) {
      return;
    }
    this.hasSeen = true;
    const inSight = scroller.inSight();
    const isTheirs = (message) => message.cseq && (isNotice(message) || message.from !== session.me);
    const furthest = inSight.findLast(isTheirs)?.cseq ?? 0;
    if (furthest > session.conversation.read) {
      session.saw(chat, session.timeline.throughOwn(furthest, isTheirs));
    }
    this.fates.ask(chat, inSight);
  }

  showEnd() {
    const { toEndButton, scroller, session } = this;
    const unread = session.conversation.unread;
    toEndButton.hidden = scroller.isPinned || scroller.below < 200;
    if (!toEndButton.hidden) {
      const text = unread > 0 ? t("thread.endNew", unread) : "";
      if (toEndButton.dataset.text !== text) {
        toEndButton.dataset.text = text;
        toEndButton.replaceChildren(icon("down"), text);
        mark(toEndButton, "aria-label", `${t("thread.end")} ${text}`.trim());
      }
    }
  }

  arrived(message) {
    if (isNotice(message)) {
      return;
    }
    // Many at once are not read out one by one.
    clearTimeout(this.announcing);
    this.announcing = setTimeout(
      () => say(byId("announcer"), t("message.says", nameOf(message.from), textOf(message.payload).slice(0, 300))),
      ANNOUNCED_MS,
    );
  }
}

/** The message that a row of this page shows, or null. */
export function messageOf(session, row) {
  return (row && session.timeline?.known.get(row.dataset.name)) || null;
}
