// The shell in the page: one line at a time is evaluated, and what comes back is shown as it came.

import { session, token } from "./api.js";
import { Completion } from "./completion.js";
import { allow, byId, isAllowed, say } from "./dom.js";
import { isComplete } from "./erlang.js";
import { History } from "./history.js";
import { ReplSocket } from "./socket.js";
import { Transcript } from "./transcript.js";

const ROWS_MAX = 8;

export class Shell {
  constructor({ refused }) {
    this.line = byId("line");
    this.dry = byId("dry-run");
    this.transcript = new Transcript(byId("transcript"));
    this.history = new History();
    this.completion = new Completion(this.line, byId("candidates"));
    this.id = 0;
    this.running = null;
    this.asked = null;
    this.greeted = false;
    this.leaving = false;
    this.socket = new ReplSocket({
      token: token(),
      session: session(),
      on: {
        hello: (frame) => this.hello(frame),
        frame: (frame) => this.heard(frame),
        lost: (wait) => this.lost(wait),
        refused,
      },
    });
    byId("entry").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
      this.line.focus();
    });
    byId("interrupt").addEventListener("click", (event) => isAllowed(event.currentTarget) && this.interrupt());
    byId("clear").addEventListener("click", () => this.transcript.clear());
    this.dry.addEventListener("change", () => this.prompt());
    this.line.addEventListener("input", () => this.grow());
    this.line.addEventListener("keydown", (event) => this.key(event));
    this.state("connecting");
  }

  /** Puts a text at the cursor. */
  insert(text) {
    this.line.setRangeText(text, this.line.selectionStart, this.line.selectionEnd, "end");
    this.grow();
    this.line.focus();
  }

  hello({ version, pid, read_only }) {
    this.state(`connected, ${pid}`);
    if (!this.greeted) {
      this.transcript.remark(
        `yizhan ${version}, shell ${pid}${read_only ? ", read-only" : ""}. help(). lists what there is.`,
      );
      this.greeted = true;
    }
  }

  lost(wait) {
    if (this.running) {
      this.transcript.tell(this.running, "The connection was lost before the answer came.\n");
      this.transcript.fail(this.running);
      this.done();
    }
    this.state(`not connected, again in ${wait / 1000} s`);
  }

  heard(frame) {
    if (frame.type === "output") {
      const about = this.running ?? this.last;
      if (about) {
        this.transcript.tell(about, frame.text);
      } else {
        this.transcript.remark(frame.text);
      }
    } else if (frame.type === "done" && frame.id === this.running?.id) {
      if (frame.error !== null && frame.error !== undefined) {
        this.transcript.fail(this.running);
      }
      this.done();
    } else if (frame.type === "complete" && frame.id === this.asked?.id && this.left() === this.asked.text) {
      this.completion.offer(frame.from, frame.candidates);
    } else if (frame.type === "error") {
      this.transcript.remark(frame.msg);
    }
  }

  submit() {
    const text = this.line.value.trim();
    if (text === "") {
      return;
    }
    if (this.running) {
      this.state("still running: Esc interrupts");
      return;
    }
    if (!isComplete(text)) {
      this.state("a sentence ends with a dot");
      return;
    }
    const id = (this.id += 1);
    if (!this.socket.send({ type: "eval", id, text, dry_run: this.dry.checked })) {
      this.state("not connected: the line was not sent");
      return;
    }
    this.running = { id, ...this.transcript.ask(this.dry.checked ? "dry>" : ">", text) };
    this.last = this.running;
    this.history.add(text);
    this.write("");
    this.state("running");
    allow(byId("interrupt"), null);
  }

  done() {
    this.running = null;
    this.state("ready");
    allow(byId("interrupt"), "nothing is running");
  }

  interrupt() {
    this.socket.send({ type: "interrupt" });
  }

  complete() {
    this.asked = { id: (this.id += 1), text: this.left() };
    this.socket.send({ type: "complete", ...this.asked });
  }

  key(event) {
    if (event.isComposing) {
      return;
    }
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    const pressed = (event.ctrlKey ? "Ctrl-" : "") + event.key;
    const taken = (this.completion.isOpen && plain && this.keyInList(pressed)) || this.keyInLine(pressed, plain);
    this.leaving = pressed === "Escape";
    if (taken) {
      event.preventDefault();
    }
  }

  keyInList(pressed) {
    switch (pressed) {
      case "ArrowDown":
        return this.completion.move(1) ?? true;
      case "ArrowUp":
        return this.completion.move(-1) ?? true;
      case "Enter":
      case "Tab":
        return this.completion.accept() ?? true;
      case "Escape":
        return this.completion.close() ?? true;
      default:
        this.completion.close();
        return false;
    }
  }

  keyInLine(pressed, plain) {
    if (pressed === "Ctrl-c" && this.line.selectionStart === this.line.selectionEnd) {
      this.running ? this.interrupt() : this.write("");
      return true;
    }
    if (!plain) {
      return false;
    }
    switch (pressed) {
      case "Enter":
        return isComplete(this.line.value) && (this.submit() ?? true);
      case "Tab":
        // Tab leaves the line where there is no word to complete, and always after Esc.
        return !this.leaving && /[\w:]$/.test(this.left()) && (this.complete() ?? true);
      case "Escape":
        return Boolean(this.running) && (this.interrupt() ?? true);
      case "ArrowUp":
        return !this.left().includes("\n") && this.recall(this.history.back(this.line.value));
      case "ArrowDown":
        return !this.line.value.slice(this.line.selectionStart).includes("\n") && this.recall(this.history.forth());
      default:
        return false;
    }
  }

  recall(text) {
    if (text === null) {
      return false;
    }
    this.write(text);
    return true;
  }

  write(text) {
    this.line.value = text;
    this.grow();
  }

  left() {
    return this.line.value.slice(0, this.line.selectionStart);
  }

  grow() {
    this.line.rows = Math.min(ROWS_MAX, this.line.value.split("\n").length);
  }

  prompt() {
    say(byId("prompt"), this.dry.checked ? "dry>" : ">");
    byId("shell").classList.toggle("dry", this.dry.checked);
  }

  state(text) {
    say(byId("shell-state"), text);
  }
}
