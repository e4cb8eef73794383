// The list of chats: rows of one height, of which only those in sight are in the document.

import { isSame } from "./chats.js";
import { ChatRow } from "./chat-row.js";
import { byId, mark } from "./dom.js";
import { framed } from "./frame.js";

const OVERSCAN = 6;
const NEAR_END = 10;

export class List {
  host = byId("chats");
  body = byId("chats-rows");
  none = byId("chats-none");
  shown = new Map();
  /** The key of the row that the arrow keys have reached. */
  active = null;

  constructor(session, choose) {
    this.session = session;
    this.choose = choose;
    this.touch = framed(() => this.draw());
    for (const signal of [
      session.conversations.changed,
      session.opened,
      session.typing.changed,
      session.contacts.changed,
    ]) {
      signal.on(this.touch);
    }
    session.listed.on(this.touch);
    this.host.addEventListener("scroll", this.touch, { passive: true });
    this.host.addEventListener("keydown", (event) => this.key(event));
    this.host.addEventListener("focus", () => this.touch());
    this.body.addEventListener("click", ({ target }) => this.click(target.closest("[data-chat]")));
    new ResizeObserver(this.touch).observe(this.host);
  }

  get rows() {
    return this.session.conversations.sorted;
  }

  /** Of a row, in pixels. */
  get height() {
    return parseFloat(getComputedStyle(this.host).getPropertyValue("--chat-row"));
  }

  draw() {
    const { rows, session } = this;
    const height = this.height;
    const first = Math.max(0, Math.floor(this.host.scrollTop / height) - OVERSCAN);
    const last = Math.min(rows.length, Math.ceil((this.host.scrollTop + this.host.clientHeight) / height) + OVERSCAN);
    const wanted = rows.slice(first, last);
    const stay = new Set(wanted.map(({ key }) => key));
    for (const [key, row] of this.shown) {
      if (!stay.has(key)) {
        row.element.remove();
        this.shown.delete(key);
      }
    }
    let place = this.body.firstChild;
    wanted.forEach((conversation, index) => {
      const row = this.shown.get(conversation.key) ?? this.make(conversation);
      if (row.element === place) {
        place = place.nextSibling;
      } else {
        this.body.insertBefore(row.element, place);
      }
      row.show(session, conversation, {
        position: first + index + 1,
        total: rows.length,
        isOpen: isSame(conversation.chat, session.chat),
        isActive: conversation.key === this.active,
      });
    });
    this.body.style.height = `${rows.length * height}px`;
    this.body.style.paddingTop = `${first * height}px`;
    this.none.hidden = rows.length > 0 || !session.isListed;
    mark(this.host, "aria-activedescendant", this.shown.get(this.active)?.element.id ?? null);
    if (session.conversations.more && last + NEAR_END >= rows.length) {
      session.moreConversations();
    }
  }

  make(conversation) {
    const row = new ChatRow(conversation);
    this.shown.set(conversation.key, row);
    return row;
  }

  click(row) {
    const conversation = row && this.rows.find(({ key }) => key === row.dataset.chat);
    if (conversation) {
      this.active = conversation.key;
      this.choose(conversation.chat);
    }
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const { rows } = this;
    const at = rows.findIndex(({ key }) => key === this.active);
    const page = Math.max(1, Math.floor(this.host.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
    if (event.key in moves) {
      event.preventDefault();
      this.activate(Math.min(rows.length - 1, Math.max(0, at + moves[event.key])));
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
      event.preventDefault();
      this.choose(rows[at].chat, { isKeyed: true });
    }
  }

  activate(index) {
    if (index < 0) {
      return;
    }
    this.active = this.rows[index].key;
    const height = this.height;
    const [top, bottom] = [index * height, (index + 1) * height];
    if (top < this.host.scrollTop) {
      this.host.scrollTop = top;
    } else if (bottom > this.host.scrollTop + this.host.clientHeight) {
      this.host.scrollTop = bottom - this.host.clientHeight;
    }
    this.draw();
  }

  /** The chat so many rows below the open one, or null. */
  beside(step) {
    const at = this.rows.findIndex(({ chat }) => isSame(chat, this.session.chat));
    const index = at < 0 ? 0 : at + step;
    return this.rows[index]?.chat ?? null;
  }
}
