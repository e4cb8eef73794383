// A message: who says what, when, and what became of it.

import { element, mark, say } from "./dom.js";
import { time } from "./format.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";
import { Ticks } from "./ticks.js";

/** Refusals that are about the reader have words of their own. */
const WHY = { not_a_friend: "error.friend", in_denylist: "error.denied" };

export class MessageRow {
  constructor() {
    this.sender = element("span", { className: "sender" });
    this.text = element("span", { className: "text", dir: "auto" });
    this.edited = element("span", { className: "edited", hidden: true }, t("message.edited"));
    this.time = element("time");
    this.ticks = new Ticks();
    this.refusal = element("span", { className: "refusal" });
    this.more = element(
      "button",
      {
        type: "button",
        className: "more quiet icon",
        tabIndex: -1,
        "aria-label": t("message.menu"),
        "data-test": "message-menu",
      },
      icon("more"),
    );
    this.element = element(
      "div",
      { className: "message", role: "article", tabIndex: -1, "data-test": "message" },
      element(
        "div",
        { className: "bubble" },
        this.sender,
        this.text,
        element("span", { className: "meta" }, this.edited, this.time, this.ticks.element),
        this.refusal,
      ),
      this.more,
    );
  }

  show(view) {
    const { shown } = this;
    if (shown && Object.keys(view).every((name) => shown[name] === view[name])) {
      return;
    }
    this.shown = view;
    const target = this.element;
    mark(target, "data-name", view.name);
    mark(target, "data-id", view.id);
    mark(target, "data-cseq", view.cseq);
    mark(target, "data-state", view.state);
    mark(target, "data-revoked", view.isRevoked ? "1" : null);
    mark(target, "data-edited", view.isEdited ? "1" : null);
    target.classList.toggle("own", view.isMine);
    target.classList.toggle("first", view.isFirst);
    target.classList.toggle("last", view.isLast);
    this.sender.hidden = view.isMine || !view.isGroup || !view.isFirst;
    say(this.sender, view.sender);
    say(this.text, view.isRevoked ? t(view.isMine ? "message.youRevoked" : "message.revoked") : view.text);
    this.edited.hidden = !view.isEdited;
    say(this.time, time(view.at));
    this.ticks.show(view.isMine && !view.isRevoked ? view.state : "", view.count);
    this.refusal.hidden = view.state !== "refused";
    say(
      this.refusal,
      view.state === "refused" ? t("message.refused", WHY[view.refusal] ? t(WHY[view.refusal]) : view.refusal) : "",
    );
    this.more.hidden = view.isRevoked;
    mark(target, "aria-label", view.isMine ? t("you") : view.isGroup ? view.sender : null);
  }
}
