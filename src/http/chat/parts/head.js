// The head of the open chat: whom with, what they do now, and what can be done about them.

import { byId, button, mark, say } from "./dom.js";
import { isNamed, nameOf } from "./directory.js";
import { framed } from "./frame.js";
import { t } from "./texts.js";
import { showMembers } from "./members.js";

export class Head {
  title = byId("chat-title");
  sub = byId("chat-sub");
  actions = byId("chat-actions");

  constructor(session) {
    this.session = session;
    this.touch = framed(() => this.draw());
    session.typing.changed.on(this.touch);
    session.contacts.changed.on(this.touch);
  }

  draw() {
    const { conversation } = this.session;
    if (!conversation) {
      return;
    }
    say(this.title, conversation.title);
    const { text, state } = this.state(conversation);
    say(this.sub, text);
    mark(this.sub, "data-state", state);
    this.offer(conversation);
  }

  state({ chat, isGroup }) {
    const { typing, contacts } = this.session;
    const who = typing.who(chat);
    if (who.length > 0) {
      const text = who.length === 1 ? t("thread.typing", nameOf(who[0])) : t("thread.typingMany", who.length);
      return { text, state: "typing" };
    }
    if (isGroup) {
      return { text: chat.to, state: "group" };
    }
    const presence = contacts.presenceOf(chat.to);
    const uid = isNamed(chat.to) ? chat.to : "";
    return {
      text: [uid, presence && t(`presence.${presence}`)].filter(Boolean).join(" · "),
      state: presence ?? "none",
    };
  }

  /** Shows the buttons that fit. */
  offer({ chat, isGroup, key }) {
    const { session } = this;
    const contact = isGroup || chat.to === session.me ? "" : (session.contacts.state(chat.to) ?? "none");
    const isStranger = isGroup && session.shelf.refusalOf(chat)?.code === 403;
    const offered = `${key} ${contact} ${isStranger}`;
    if (this.offered === offered) {
      return;
    }
    this.offered = offered;
    const isFocused = this.actions.contains(document.activeElement);
    this.actions.replaceChildren(
      ...(isStranger
        ? [this.join(chat)]
        : isGroup
          ? [this.members(chat)]
          : contact
            ? [this.contact(chat.to, contact)]
            : []),
    );
    if (isFocused) {
      this.actions.querySelector("button")?.focus();
    }
  }

  /** A way in, for one who came by the address of a group. */
  join({ to }) {
    const { session } = this;
    return button(
      t("thread.join"),
      "join",
      async () => {
        try {
          session.learn(await session.client.rest("POST", `/v1/groups/${encodeURIComponent(to)}/join`));
          await session.refresh();
        } catch (error) {
          session.failed.emit(error);
        }
      },
      "primary",
    );
  }

  members(chat) {
    return button(t("members.show"), "members", () => showMembers(this.session, chat));
  }

  contact(uid, state) {
    const { contacts, failed } = this.session;
    const does = (work) => () => work().catch((error) => failed.emit(error));
    const add = does(() => contacts.add(uid));
    const remove = does(() => contacts.remove(uid));
    switch (state) {
      case "requested":
        return button(t("contact.withdraw"), "contact-withdraw", remove);
      case "pending":
        return button(t("contact.pending"), "contact-confirm", add, "primary");
      case "confirmed":
        return button(t("contact.remove"), "contact-remove", remove);
      default:
        return button(t("contact.add"), "contact-add", add);
    }
  }
}
