// The answer to a click: what a process is, what became of a message, what a change did.

import { evaluate } from "./api.js";
import { byId, element, narrow, say } from "./dom.js";
import { binary, PIDS, processInfo } from "./erlang.js";
import { name } from "./format.js";

const HINT = "Choose a process to see its process_info, a message to see why it is where it is.";

export class Details {
  constructor() {
    this.panel = byId("details");
    this.value = byId("details-value");
    this.expression = byId("details-expression");
    this.title = byId("details-title");
    this.again = byId("details-again");
    this.closing = byId("details-close");
    this.turn = 0;
    this.again.addEventListener("click", () => this.ask(...this.current));
    this.closing.addEventListener("click", () => this.close());
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.clear();
  }

  process(pid) {
    const expression = processInfo(pid);
    if (expression) {
      this.ask(`Process ${pid}`, expression, true);
    }
  }

  message(id) {
    this.ask(`Message ${name(id)}`, `yizhan:why(${binary(id)}).`, true);
  }

  /** Evaluates an expression and shows its value; `repeats`: whether it may be asked again by a click. */
  async ask(title, expression, repeats) {
    const turn = (this.turn += 1);
    const same = this.current?.[1] === expression;
    this.current = [title, expression, repeats];
    this.show(title, expression, repeats);
    if (!same) {
      say(this.value, "…");
    }
    let answer;
    try {
      answer = await evaluate(expression);
    } catch (error) {
      answer = { value: null, output: "", error: error.message || "The server does not answer." };
    }
    if (turn === this.turn) {
      this.print(answer);
    }
    return answer;
  }

  show(title, expression, repeats) {
    if (narrow.matches && !this.panel.classList.contains("open")) {
      this.opener = document.activeElement;
    }
    say(this.title, title);
    say(this.expression, expression);
    this.again.hidden = !repeats;
    this.closing.hidden = false;
    this.panel.classList.add("open");
    if (narrow.matches) {
      this.title.focus();
    }
  }

  print({ value, output, error }) {
    const text = [output, error ?? value].filter(Boolean).join("\n");
    this.value.classList.toggle("failed", Boolean(error));
    const parts = [];
    let from = 0;
    for (const found of text.matchAll(PIDS)) {
      const link = element("button", { type: "button", className: "link" }, found[0]);
      link.addEventListener("click", () => this.process(found[0]));
      parts.push(text.slice(from, found.index), link);
      from = found.index + found[0].length;
    }
    this.value.replaceChildren(...parts, text.slice(from));
  }

  close() {
    this.clear();
    if (this.opener?.isConnected) {
      this.opener.focus();
    }
    this.opener = null;
  }

  clear() {
    this.turn += 1;
    this.current = null;
    say(this.title, "Details");
    say(this.expression, HINT);
    this.value.replaceChildren();
    this.value.classList.remove("failed");
    this.again.hidden = true;
    this.closing.hidden = true;
    this.panel.classList.remove("open");
  }
}
