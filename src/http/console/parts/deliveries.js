// What is on its way: each delivery with the attempts made and the time to the next.

import { byId, element, mark, say } from "./dom.js";
import { pidNumber } from "./erlang.js";
import { countdown, name } from "./format.js";
import { Grid } from "./grid.js";
import { link, nameLink, sayUnder, under } from "./cells.js";

/** More steps than this are told as a number only. */
const STEPS_MAX = 12;

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Deliveries {
  constructor(details) {
    this.ahead = 0;
    this.schedule = [];
    const columns = [
      {
        name: "message",
        label: "Message",
        value: (row) => row.id,
        make: (cell, row) =>
          cell.append(
            link(() => details.message(row().id)),
            under(),
          ),
        fill: (cell, row) => {
          nameLink(cell.firstChild, name(row.id));
          sayUnder(cell.lastChild, `${row.from} → ${row.to}, ${name(row.did)}, ${name(row.kind)}`);
        },
      },
      { name: "kind", label: "Kind", value: (row) => row.kind, fill: (cell, row) => say(cell, name(row.kind)) },
      {
        name: "route",
        label: "From → to, device",
        value: (row) => row.to,
        fill: (cell, row) => say(cell, `${row.from} → ${row.to}, ${name(row.did)}`),
      },
      {
        name: "attempt",
        label: "Attempt",
        value: (row) => row.attempt,
        numeric: true,
        make: makeSteps,
        fill: (cell, row) => this.steps(cell, row),
      },
      {
        name: "next",
        label: "Next in",
        value: (row) => row.next_at ?? Infinity,
        numeric: true,
        fill: (cell, row) => this.next(cell, row),
      },
      {
        name: "pid",
        label: "Process",
        value: (row) => pidNumber(row.pid),
        make: (cell, row) => cell.append(link(() => details.process(row().pid))),
        fill: (cell, row) => nameLink(cell.firstChild, row.pid),
      },
    ];
    this.grid = new Grid(byId("deliveries"), {
      columns,
      key: (row) => row.pid,
      order: (a, b) => pidNumber(a.pid) - pidNumber(b.pid),
      sort: "pid",
      empty: "Nothing is on its way.",
    });
    const turn = () => {
      if (!document.hidden) {
        this.grid.tick((cells, row) => {
          this.next(cells[4], row);
          this.progress(cells[3], row);
        });
      }
      setTimeout(turn, calm.matches ? 1000 : 100);
    };
    turn();
  }

  show(seen) {
    this.ahead = seen.now - Date.now();
    this.schedule = seen.node.schedule_ms;
    this.grid.show(seen.deliveries.rows, seen.deliveries.total);
  }

  left(row) {
    return row.next_at - (Date.now() + this.ahead);
  }

  next(cell, row) {
    if (row.next_at === null) {
      say(cell, row.attempt >= row.of ? "last" : "–");
      return;
    }
    const left = this.left(row);
    say(cell, left > 0 ? countdown(left) : "now");
  }

  steps(cell, row) {
    const [track, text] = cell.children;
    const wanted = row.of <= STEPS_MAX ? row.of : 0;
    while (track.children.length > wanted) {
      track.lastChild.remove();
    }
    while (track.children.length < wanted) {
      track.append(element("i", {}, element("b")));
    }
    [...track.children].forEach((step, index) => mark(step, "class", index < row.attempt ? "made" : ""));
    say(text, `${row.attempt} of ${row.of}`);
    this.progress(cell, row);
  }

  /** The step that is waited for fills up as its time comes nearer. */
  progress(cell, row) {
    const steps = cell.firstChild.children;
    const gap = this.schedule.length === row.of ? this.schedule[row.attempt] : 0;
    [...steps].forEach((step, index) => {
      const filled = index === row.attempt && gap > 0 && row.next_at !== null && !calm.matches;
      const part = filled ? Math.min(1, Math.max(0, 1 - this.left(row) / gap)) : 0;
      step.firstChild.style.transform = `scaleX(${part.toFixed(2)})`;
    });
  }
}

function makeSteps(cell) {
  cell.append(element("span", { className: "steps", "aria-hidden": "true" }), element("span", { className: "of" }));
}
