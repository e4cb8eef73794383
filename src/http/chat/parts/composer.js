// Where one writes, and mends what one wrote.

import { keyOf } from "./chats.js";
import { byId, say } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { textOf } from "./words.js";

const DRAFT = "yizhan.draft.";

export class Composer {
  form = byId("composer");
  text = byId("text");
  bar = byId("editing");
  closed = byId("composer-closed");
  entry = byId("entry");
  editing = null;

  constructor(session, { sent, last }) {
    this.session = session;
    this.sent = sent;
    this.last = last;
    byId("send").append(icon("send"));
    byId("editing-stop").append(icon("close"));
    byId("editing-stop").addEventListener("click", () => this.stop());
    this.form.addEventListener("submit", (event) => this.submit(event));
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.text.addEventListener("input", () => this.typed());
    session.opened.on((chat) => this.opened(chat));
    session.conversations.changed.on(() => this.allow());
    session.shelf.changed.on(() => this.allow());
  }

  get place() {
    return `${DRAFT}${this.session.me}/${keyOf(this.session.chat)}`;
  }

  opened(chat) {
    this.editing = null;
    this.bar.hidden = true;
    if (chat) {
      this.write(sessionStorage.getItem(this.place) ?? "");
      this.allow();
    }
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  /** Whether one may write here; if not, why. */
  allow() {
    const { conversation, shelf, chat } = this.session;
    if (!conversation) {
      return;
    }
    const isStranger = conversation.isGroup && shelf.refusalOf(chat)?.code === 403;
    const why = conversation.isDissolved
      ? t("thread.dissolved")
      : conversation.isGone
        ? t("thread.gone")
        : isStranger
          ? t("thread.stranger")
          : "";
    this.entry.hidden = Boolean(why);
    this.closed.hidden = !why;
    say(this.closed, why);
  }

  async submit(event) {
    event.preventDefault();
    const { session, editing } = this;
    const text = this.text.value.trim();
    if (!text || !session.chat) {
      return;
    }
    const { chat } = session;
    if (editing) {
      this.stop();
    } else {
      this.write("");
      this.keep();
      this.focus();
    }
    try {
      if (editing) {
        if (text !== textOf(editing.payload)) {
          await session.edit(chat, editing.id, {
            ...(editing.payload?.text === undefined ? {} : editing.payload),
            text,
          });
        }
      } else {
        this.sent();
        await session.send(chat, { text });
      }
    } catch (error) {
      session.failed.emit(error);
      // What could not be sent is given back, unless something else was begun.
      if (session.chat === chat && !this.text.value) {
        if (editing) {
          this.edit(editing);
        }
        this.write(text);
        this.keep();
      }
    }
  }

  /** Puts the text of this message where it can be mended. */
  edit(message) {
    this.draft ??= this.text.value;
    this.editing = message;
    this.bar.hidden = false;
    say(byId("editing-text"), textOf(message.payload).slice(0, 120));
    this.write(textOf(message.payload));
    this.focus();
  }

  stop() {
    if (!this.editing) {
      return;
    }
    this.editing = null;
    this.bar.hidden = true;
    this.write(this.draft ?? "");
    this.draft = undefined;
    this.focus();
  }

  key(event) {
    if (event.isComposing || event.keyCode === 229) {
      return;
    }
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.form.requestSubmit();
    } else if (event.key === "Escape" && this.editing) {
      event.preventDefault();
      event.stopPropagation();
      this.stop();
    } else if (event.key === "ArrowUp" && !event.altKey && !this.text.value && !this.editing) {
      const message = this.last();
      if (message) {
        event.preventDefault();
        this.edit(message);
      }
    }
  }

  typed() {
    this.fit();
    this.keep();
    const { session } = this;
    if (this.text.value && !this.editing && session.isOnline) {
      session.client.typing(session.chat);
    }
  }

  write(text) {
    this.text.value = text;
    this.fit();
  }

  keep() {
    if (this.editing) {
      return;
    }
    if (this.text.value) {
      sessionStorage.setItem(this.place, this.text.value);
    } else {
      sessionStorage.removeItem(this.place);
    }
  }

  /** As high as its text; the style says how high at most. */
  fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight + this.text.offsetHeight - this.text.clientHeight}px`;
  }
}
