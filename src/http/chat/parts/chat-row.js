// A row of the list: whom with, what was said last and when, and how much of it is unread.

import { Avatar } from "./avatar.js";
import { element, mark, say } from "./dom.js";
import { badge, when } from "./format.js";
import { t } from "./texts.js";
import { fate, Ticks } from "./ticks.js";
import { isNotice, lineOf } from "./words.js";
import { nameOf } from "./directory.js";

export class ChatRow {
  constructor({ key, chat }) {
    this.avatar = new Avatar(chat);
    this.title = element("span", { className: "title" });
    this.when = element("time", { className: "when" });
    this.ticks = new Ticks();
    this.line = element("span", { className: "said" });
    this.unread = element("span", { className: "unread", "data-test": "unread" });
    this.element = element(
      "div",
      {
        className: "chat-row",
        role: "option",
        id: `row-${key.replace("/", "-")}`,
        "data-test": "chat-item",
        "data-chat": key,
      },
      this.avatar.element,
      this.title,
      this.when,
      element("span", { className: "last" }, this.ticks.element, this.line),
      this.unread,
    );
  }

  show(session, conversation, { position, total, isOpen, isActive }) {
    const { last, unread } = conversation;
    const typing = session.typing.who(conversation.chat);
    mark(this.element, "aria-posinset", position);
    mark(this.element, "aria-setsize", total);
    mark(this.element, "aria-selected", isOpen);
    this.element.classList.toggle("active", isActive);
    this.element.classList.toggle("typing", typing.length > 0);
    this.element.classList.toggle("has-unread", unread > 0);
    say(this.title, conversation.title);
    say(this.when, conversation.updatedAt ? when(conversation.updatedAt) : "");
    say(this.line, typing.length > 0 ? t("list.typing") : said(conversation, session.me));
    const isMine = last && last.from === session.me && !isNotice(last) && !last.revokedAt && typing.length === 0;
    this.ticks.show(isMine ? fate(last, session.stateOf(last), conversation) : "");
    say(this.unread, unread > 0 ? badge(unread) : "");
    mark(this.unread, "aria-label", unread > 0 ? t("list.unread", unread) : null);
    mark(this.element, "data-unread", unread);
    const presence = conversation.isGroup ? undefined : session.contacts.presenceOf(conversation.chat.to);
    this.avatar.show(presence);
  }
}

function said({ last, isGroup }, me) {
  if (!last) {
    return t("list.empty");
  }
  const line = lineOf(last, me);
  if (isNotice(last) || last.revokedAt || last.from === me || !isGroup) {
    return line;
  }
  return t("message.says", nameOf(last.from), line);
}
