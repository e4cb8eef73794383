// A table of many rows of one height: only those in sight are in the document, each keyed, so that a row that stays keeps
// its elements and the focus in them.

import { element, mark, say } from "./dom.js";

const OVERSCAN = 8;

export class Grid {
  /**
   * `columns`: `[{ name, label, title, value(row), make(cell, row), fill(cell, row), numeric, hidden }]`; `value` is what
   * it sorts by, and what is printed where there is no `fill`; the `row` of `make` is a function, since a row's elements
   * outlive it. `key(row)` tells rows apart and is unique; `order(a, b)` breaks ties, so that equal rows keep their
   * places; `sort`: the column to begin with, a minus before it for descending.
   */
  constructor(panel, { columns, key, order, sort, empty }) {
    this.host = panel.querySelector(".grid");
    this.counter = panel.querySelector(".count");
    Object.assign(this, { columns, key, order });
    this.descending = sort.startsWith("-");
    this.by = sort.replace("-", "");
    this.rows = [];
    this.shown = new Map();
    this.buttons = new Map();
    const heads = columns.map((column) => this.head(column));
    this.above = spacer();
    this.below = spacer();
    this.body = element("tbody", {}, this.above, this.below);
    this.table = element(
      "table",
      { "aria-labelledby": panel.getAttribute("aria-labelledby") },
      element("thead", {}, element("tr", {}, ...heads)),
      this.body,
    );
    this.nothing = element("p", { className: "empty" }, empty);
    this.host.append(this.table, this.nothing);
    this.host.tabIndex = 0;
    mark(this.host, "role", "group");
    mark(this.host, "aria-labelledby", panel.getAttribute("aria-labelledby"));
    this.host.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.host);
  }

  /** Shows these rows; `total` may be more than the server sent. */
  show(rows, total) {
    this.rows = rows;
    this.arrange();
    const some =
      total > rows.length
        ? `${rows.length.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`
        : total.toLocaleString("en-US");
    say(this.counter, some);
    this.nothing.hidden = rows.length > 0;
    this.draw();
  }

  /** Calls back for every row in the document, between two snapshots. */
  tick(each) {
    for (const { cells, row } of this.shown.values()) {
      each(cells, row);
    }
  }

  arrange() {
    const column = this.columns.find(({ name }) => name === this.by);
    const sign = this.descending ? -1 : 1;
    this.rows = [...this.rows].sort((a, b) => sign * compare(column.value(a), column.value(b)) || this.order(a, b));
  }

  draw() {
    const height = parseFloat(getComputedStyle(this.host).getPropertyValue("--row"));
    const sight = this.host.clientHeight;
    const first = Math.max(0, Math.floor(this.host.scrollTop / height) - OVERSCAN);
    const last = Math.min(this.rows.length, Math.ceil((this.host.scrollTop + sight) / height) + OVERSCAN);
    const wanted = this.rows.slice(first, last);
    const focused = document.activeElement;
    const held = this.body.contains(focused) ? focused : null;
    const stay = new Set(wanted.map(this.key));
    for (const [key, { line }] of this.shown) {
      if (!stay.has(key)) {
        line.remove();
        this.shown.delete(key);
      }
    }
    let place = this.above.nextSibling;
    wanted.forEach((row, index) => {
      const entry = this.shown.get(this.key(row)) ?? this.make(row);
      entry.row = row;
      if (entry.line === place) {
        place = place.nextSibling;
      } else {
        this.body.insertBefore(entry.line, place);
      }
      mark(entry.line, "aria-rowindex", first + index + 2);
      this.columns.forEach((column, at) => this.fill(column, entry.cells[at], row));
    });
    mark(this.table, "aria-rowcount", this.rows.length + 1);
    pad(this.above, first * height);
    pad(this.below, (this.rows.length - last) * height);
    if (held && document.activeElement !== held) {
      (held.isConnected ? held : this.host).focus({ preventScroll: true });
    }
  }

  make(row) {
    const cells = this.columns.map((column, at) => {
      const cell = element(at === 0 ? "th" : "td", { className: `${column.name}${column.numeric ? " numeric" : ""}` });
      if (at === 0) {
        cell.scope = "row";
      }
      column.make?.(cell, () => this.shown.get(this.key(row)).row);
      return cell;
    });
    const entry = { line: element("tr", {}, ...cells), cells, row };
    this.shown.set(this.key(row), entry);
    return entry;
  }

  fill(column, cell, row) {
    if (column.fill) {
      column.fill(cell, row);
    } else {
      say(cell, column.value(row));
    }
  }

  head({ name, label, title, value, numeric, hidden }) {
    const cell = element("th", { scope: "col", className: `${name}${numeric ? " numeric" : ""}` });
    if (!value) {
      cell.append(element("span", { className: hidden ? "unseen" : "" }, label));
      return cell;
    }
    const button = element("button", { type: "button", className: "sort", title: title ?? "" }, label);
    button.addEventListener("click", () => {
      this.descending = this.by === name ? !this.descending : Boolean(numeric);
      this.by = name;
      this.sorted();
    });
    cell.append(button);
    this.buttons.set(name, cell);
    mark(cell, "aria-sort", this.by === name ? this.direction() : null);
    return cell;
  }

  sorted() {
    for (const [name, cell] of this.buttons) {
      mark(cell, "aria-sort", this.by === name ? this.direction() : null);
    }
    this.arrange();
    this.onsort?.();
    this.draw();
  }

  direction() {
    return this.descending ? "descending" : "ascending";
  }
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") {
    return a - b;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function spacer() {
  return element("tr", { className: "spacer", "aria-hidden": "true" }, element("td"));
}

function pad(spacer, height) {
  spacer.hidden = height === 0;
  spacer.firstChild.style.height = `${height}px`;
}
