// What was asked and what came back, the oldest dropped at a bound.

import { element } from "./dom.js";

const ENTRIES_MAX = 300;
const OUTPUT_MAX = 200_000;

export class Transcript {
  constructor(host) {
    this.host = host;
  }

  /** Begins an entry for a line. */
  ask(prompt, text) {
    const output = document.createTextNode("");
    const entry = element(
      "div",
      { className: "entry" },
      element("pre", { className: "asked" }, element("span", { className: "prompt" }, `${prompt} `), text),
      element("pre", { className: "told" }, output),
    );
    this.append(entry);
    return { entry, output };
  }

  /** Adds output to an entry, exactly as it came. */
  tell({ output }, text) {
    const follow = this.isAtEnd();
    output.appendData(text);
    if (output.length > OUTPUT_MAX) {
      output.deleteData(0, output.length - OUTPUT_MAX);
    }
    this.follow(follow);
  }

  /** Marks an entry as one that ended with an error. */
  fail({ entry }) {
    entry.classList.add("failed");
  }

  /** Adds a line of the page's own. */
  remark(text) {
    this.append(element("p", { className: "remark" }, text));
  }

  clear() {
    this.host.replaceChildren();
  }

  append(node) {
    const follow = this.isAtEnd();
    this.host.append(node);
    while (this.host.childElementCount > ENTRIES_MAX) {
      this.host.firstElementChild.remove();
    }
    this.follow(follow || node.classList.contains("entry"));
  }

  isAtEnd() {
    return this.host.scrollHeight - this.host.scrollTop - this.host.clientHeight < 40;
  }

  follow(wanted) {
    if (wanted) {
      this.host.scrollTop = this.host.scrollHeight;
    }
  }
}
