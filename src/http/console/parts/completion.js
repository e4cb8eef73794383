// The list that Tab opens above the line.

import { element, mark } from "./dom.js";

export class Completion {
  constructor(line, list) {
    Object.assign(this, { line, list });
    this.candidates = [];
    this.at = -1;
    this.from = 0;
    line.addEventListener("blur", () => this.close());
  }

  get isOpen() {
    return !this.list.hidden;
  }

  /** Takes the server's answer for the text left of the cursor: one candidate is inserted, several are listed. */
  offer(from, candidates) {
    this.from = from;
    if (candidates.length === 1) {
      this.insert(candidates[0]);
      return;
    }
    const common = sharedStart(candidates.map(bare));
    if (common.length > this.line.selectionStart - from) {
      this.line.setRangeText(common, from, this.line.selectionStart, "end");
    }
    this.candidates = candidates;
    this.list.replaceChildren(...candidates.map((text, index) => this.option(text, index)));
    this.list.hidden = candidates.length === 0;
    this.at = -1;
    this.move(1);
  }

  move(step) {
    if (this.candidates.length === 0) {
      return;
    }
    this.at = (this.at + step + this.candidates.length) % this.candidates.length;
    [...this.list.children].forEach((option, index) => mark(option, "aria-selected", index === this.at));
    const chosen = this.list.children[this.at];
    mark(this.line, "aria-activedescendant", chosen.id);
    chosen.scrollIntoView({ block: "nearest" });
  }

  accept() {
    this.insert(this.candidates[this.at]);
  }

  close() {
    this.list.hidden = true;
    this.candidates = [];
    mark(this.line, "aria-activedescendant", null);
  }

  insert(candidate) {
    const [, arity] = /\/(\d+)$/.exec(candidate) ?? [];
    const call = arity === undefined ? "" : arity === "0" ? "()" : "(";
    this.line.setRangeText(bare(candidate) + call, this.from, this.line.selectionStart, "end");
    this.line.dispatchEvent(new Event("input"));
    this.close();
  }

  option(text, index) {
    const made = element("li", { id: `candidate-${index}`, role: "option" }, text);
    // The line keeps the focus: a blur would close the list before the click arrives.
    made.addEventListener("mousedown", (event) => event.preventDefault());
    made.addEventListener("click", () => this.insert(text));
    return made;
  }
}

/** A candidate without its arity. */
function bare(candidate) {
  return candidate.replace(/\/\d+$/, "");
}

function sharedStart(texts) {
  const [first = "", ...others] = texts;
  let length = first.length;
  for (const text of others) {
    while (!text.startsWith(first.slice(0, length))) {
      length -= 1;
    }
  }
  return first.slice(0, length);
}
