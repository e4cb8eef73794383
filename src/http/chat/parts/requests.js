// Those who ask to be a contact, above the list.

import { nameOf } from "./directory.js";
import { button, byId, element } from "./dom.js";
import { framed } from "./frame.js";
import { t } from "./texts.js";

const MOST = 5;

export class Requests {
  host = byId("requests");
  shown = "";

  constructor(session) {
    this.session = session;
    session.contacts.changed.on(framed(() => this.draw()));
  }

  draw() {
    const { contacts } = this.session;
    const pending = contacts.pending.slice(0, MOST);
    this.host.hidden = pending.length === 0;
    const shown = pending.map(nameOf).join();
    if (this.shown === shown) {
      return;
    }
    this.shown = shown;
    this.host.replaceChildren(...pending.map((uid) => this.row(uid)));
  }

  row(uid) {
    const { contacts, failed } = this.session;
    const does = (work) => () => work.call(contacts, uid).catch((error) => failed.emit(error));
    return element(
      "div",
      { className: "request", "data-test": "request", "data-uid": uid },
      element("p", {}, t("requests.one", nameOf(uid))),
      button(t("requests.confirm"), "request-confirm", does(contacts.add), "small primary"),
      button(t("requests.decline"), "request-decline", does(contacts.remove), "small"),
    );
  }
}
