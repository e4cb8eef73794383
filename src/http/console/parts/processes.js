// The live processes as a tree; sorted by another column than the first, as a list.

import { amount, link, nameLink, sayUnder, under } from "./cells.js";
import { byId, element, mark, say } from "./dom.js";
import { pidNumber } from "./erlang.js";
import { count, name, span } from "./format.js";
import { Grid } from "./grid.js";

const DEPTH_MAX = 6;

export class Processes {
  constructor(details) {
    this.details = details;
    this.now = 0;
    this.folded = new Set();
    this.tree = [];
    const columns = [
      {
        name: "pid",
        label: "Process",
        value: (row) => row.place,
        make: (cell, row) =>
          cell.append(
            this.fold(row),
            link(() => details.process(row().pid)),
            under(),
          ),
        fill: (cell, row) => this.branch(cell, row),
      },
      { name: "kind", label: "Kind", value: (row) => row.kind },
      {
        name: "label",
        label: "For",
        value: purpose,
        fill: (cell, row) => mark(cell, "title", purpose(row)) ?? say(cell, purpose(row)),
      },
      {
        name: "since",
        label: "Age",
        numeric: true,
        value: (row) => -row.since,
        fill: (cell, row) => say(cell, span(this.now - row.since)),
      },
      {
        name: "mailbox",
        label: "Mailbox",
        numeric: true,
        value: (row) => row.mailbox,
        fill: (cell, row) => amount(cell, row.mailbox, count(row.mailbox)),
      },
    ];
    this.grid = new Grid(byId("processes"), {
      columns,
      key: (row) => row.pid,
      order: (a, b) => pidNumber(a.pid) - pidNumber(b.pid),
      sort: "pid",
      empty: "No process.",
    });
    this.grid.onsort = () => this.arrange();
  }

  show(seen) {
    this.now = seen.now;
    this.tree = grown(seen.processes);
    this.arrange();
  }

  arrange() {
    const rows = this.isTree() ? this.unfolded() : this.tree;
    this.grid.show(rows, this.tree.length);
  }

  isTree() {
    return this.grid.by === "pid" && !this.grid.descending;
  }

  unfolded() {
    const rows = [];
    let deeperThan = Infinity;
    for (const row of this.tree) {
      if (row.depth > deeperThan) {
        continue;
      }
      deeperThan = this.folded.has(row.pid) ? row.depth : Infinity;
      rows.push(row);
    }
    return rows;
  }

  fold(row) {
    const made = element("button", { type: "button", className: "fold" });
    made.addEventListener("click", () => {
      const { pid } = row();
      if (!this.folded.delete(pid)) {
        this.folded.add(pid);
      }
      this.arrange();
    });
    return made;
  }

  branch(cell, row) {
    const [fold, pid, second] = cell.children;
    const tree = this.isTree();
    mark(cell, "data-depth", tree ? Math.min(row.depth, DEPTH_MAX) : 0);
    fold.hidden = !tree;
    fold.disabled = row.children === 0;
    mark(fold, "aria-expanded", row.children ? !this.folded.has(row.pid) : null);
    mark(fold, "aria-label", `${row.children} below ${row.pid}`);
    nameLink(pid, row.pid);
    sayUnder(second, `${row.kind} ${purpose(row)}`);
  }
}

/** What a process is for: the name it is registered by, unless its kind says as much, and its label. */
function purpose({ kind, name: registered, label }) {
  return name([registered === kind ? null : registered, label].filter(Boolean).join(" "));
}

/** The processes in the order of a tree, each with its depth, its place and the number of its children. */
function grown(processes) {
  const below = new Map();
  const known = new Set(processes.map(({ pid }) => pid));
  for (const process of processes) {
    const parent = known.has(process.parent) && process.parent !== process.pid ? process.parent : null;
    below.set(parent, [...(below.get(parent) ?? []), process]);
  }
  for (const siblings of below.values()) {
    siblings.sort((a, b) => pidNumber(a.pid) - pidNumber(b.pid));
  }
  const rows = [];
  const left = (below.get(null) ?? []).map((process) => ({ process, depth: 0 })).reverse();
  while (left.length) {
    const { process, depth } = left.pop();
    const children = below.get(process.pid) ?? [];
    rows.push({ ...process, depth, place: rows.length, children: children.length });
    left.push(...children.map((child) => ({ process: child, depth: depth + 1 })).reverse());
  }
  return rows;
}
