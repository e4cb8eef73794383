// The sign of a user or a group, and beside it whether a contact is online.

import { element, mark, say } from "./dom.js";
import { isNamed, nameOf } from "./directory.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

export class Avatar {
  constructor(chat) {
    this.chat = chat;
    this.sign = element("span", { "aria-hidden": "true", className: "sign" });
    this.dot = element("span", { className: "presence", role: "img", hidden: true });
    this.element = element(
      "span",
      { className: `avatar ${chat.type === "C2G" ? "of-group" : ""}` },
      this.sign,
      this.dot,
    );
    if (chat.type === "C2G") {
      this.sign.append(icon("group"));
    }
    this.show(undefined);
  }

  /** `presence`: `online`, `offline`, or undefined of one whose presence is not told. */
  show(presence) {
    if (this.chat.type === "C2C") {
      say(this.sign, signOf(this.chat.to));
    }
    this.dot.hidden = presence === undefined;
    mark(this.dot, "data-presence", presence);
    mark(this.dot, "aria-label", presence && t(`presence.${presence}`));
  }
}

function signOf(uid) {
  return isNamed(uid) ? nameOf(uid).replace(/^\D+/, "").slice(0, 4) : uid.slice(0, 2);
}
