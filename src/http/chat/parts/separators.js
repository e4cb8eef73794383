// What stands between messages.

import { element, say } from "./dom.js";
import { day } from "./format.js";
import { t } from "./texts.js";

export class DayRow {
  text = element("span");
  element = element("div", { className: "day", role: "separator", "data-test": "day" }, this.text);

  show({ at, day: key }) {
    this.element.dataset.day = key;
    say(this.text, day(at));
  }
}

export class UnreadRow {
  element = element(
    "div",
    { className: "day new", role: "separator", "data-test": "new-messages" },
    element("span", {}, t("thread.unread")),
  );

  show() {}
}
