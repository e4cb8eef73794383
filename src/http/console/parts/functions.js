// The panel of functions: searched, and clicked into the line.

import { functions } from "./api.js";
import { byId, element, mark, narrow, say } from "./dom.js";

export class Functions {
  constructor(insert) {
    this.insert = insert;
    this.entries = null;
    this.panel = byId("functions");
    this.toggle = byId("functions-toggle");
    this.filter = byId("functions-filter");
    this.toggle.addEventListener("click", () => this.open(this.panel.hidden));
    this.filter.addEventListener("input", () => this.search());
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        this.open(false);
        this.toggle.focus();
      }
    });
  }

  async open(wanted) {
    this.panel.hidden = !wanted;
    mark(this.toggle, "aria-expanded", wanted);
    if (!wanted) {
      return;
    }
    this.filter.focus();
    if (this.entries) {
      return;
    }
    try {
      const rows = await functions();
      this.entries = rows.map((row) => this.entry(row));
      byId("functions-list").replaceChildren(...this.entries.map(({ item }) => item));
      this.search();
    } catch (error) {
      say(byId("functions-count"), error.message || "The server does not answer");
    }
  }

  entry({ module, name, arity, usage, doc, changes }) {
    const button = element(
      "button",
      { type: "button" },
      element("code", {}, usage),
      ...(changes ? [element("span", { className: "tag" }, "changes")] : []),
      element("span", { className: "doc" }, doc),
    );
    button.addEventListener("click", () => {
      if (narrow.matches) {
        this.open(false);
      }
      this.insert(`${usage}.`);
    });
    const text = `${module}:${name}/${arity} ${usage} ${doc}`.toLowerCase();
    return { item: element("li", {}, button), text };
  }

  search() {
    const words = this.filter.value.toLowerCase().split(/\s+/);
    let found = 0;
    for (const { item, text } of this.entries ?? []) {
      item.hidden = !words.every((word) => text.includes(word));
      found += item.hidden ? 0 : 1;
    }
    say(byId("functions-count"), `${found} of ${this.entries?.length ?? 0}`);
  }
}
