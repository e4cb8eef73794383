// The parts that the tables' cells are made of.

import { element, mark, narrow, say } from "./dom.js";

/** A button that looks like the name it carries. */
export function link(act) {
  const made = element("button", { type: "button", className: "link" });
  made.addEventListener("click", act);
  return made;
}

/** The second line of a row, where there is no room for its columns. */
export function under() {
  return element("span", { className: "under" });
}

/** Names a link. */
export function nameLink(button, text) {
  say(button, text);
  mark(button, "title", text);
}

/** Fills a second line, which is shown where the columns are not. */
export function sayUnder(line, text) {
  say(line, narrow.matches ? text : "");
}

/** A number with a bar of its share of the most there is. */
export function makeBar(cell) {
  cell.append(
    element("span", { className: "bar", "aria-hidden": "true" }, element("b")),
    element("span", { className: "amount" }),
  );
}

export function fillBar(cell, text, share) {
  say(cell.lastChild, text);
  cell.firstChild.firstChild.style.transform = `scaleX(${Math.min(1, share).toFixed(3)})`;
}

/** Fills a cell with a number that is worth a look when it is not zero. */
export function amount(cell, number, text) {
  say(cell, text);
  cell.classList.toggle("zero", number === 0);
}
