// A line of the chat that nobody wrote: somebody joined, left, was named otherwise.

import { element, mark, say } from "./dom.js";

export class NoticeRow {
  text = element("span");
  element = element("div", { className: "notice", tabIndex: -1, "data-test": "notice" }, this.text);

  show({ name, id, cseq, text }) {
    mark(this.element, "data-name", name);
    mark(this.element, "data-id", id);
    mark(this.element, "data-cseq", cseq);
    say(this.text, text);
  }
}
