// Whose messages wait, how many and since when.

import { fillBar, makeBar } from "./cells.js";
import { confirmed } from "./confirm.js";
import { allow, byId, element, isAllowed, mark, say } from "./dom.js";
import { binary } from "./erlang.js";
import { count, span } from "./format.js";
import { Grid } from "./grid.js";

export class Inboxes {
  constructor(details, readOnly) {
    Object.assign(this, { details, readOnly });
    this.now = 0;
    this.most = 1;
    const columns = [
      {
        name: "uid",
        label: "User",
        value: (row) => row.number,
        fill: (cell, row) => mark(cell, "title", `user ${row.number}`) ?? say(cell, row.uid),
      },
      {
        name: "waiting",
        label: "Waiting",
        numeric: true,
        value: (row) => row.waiting,
        make: makeBar,
        fill: (cell, row) => fillBar(cell, count(row.waiting), row.waiting / this.most),
      },
      {
        name: "oldest",
        label: "Oldest",
        numeric: true,
        value: (row) => -(row.oldest_at ?? Infinity),
        fill: (cell, row) => say(cell, row.oldest_at ? span(this.now - row.oldest_at) : "–"),
      },
      {
        name: "devices",
        label: "Online",
        title: "Devices of the user that are online",
        numeric: true,
        value: (row) => row.devices,
      },
      {
        name: "act",
        label: "Redeliver",
        hidden: true,
        make: (cell, row) => cell.append(this.button(row)),
        fill: (cell, row) => {
          allow(cell.firstChild, this.readOnly());
          mark(cell.firstChild, "aria-label", `Redeliver to ${row.uid}`);
        },
      },
    ];
    this.grid = new Grid(byId("inboxes"), {
      columns,
      key: (row) => row.uid,
      order: (a, b) => a.number - b.number,
      sort: "-waiting",
      empty: "Every inbox is empty.",
    });
  }

  show(seen) {
    this.now = seen.now;
    this.most = Math.max(1, ...seen.inboxes.rows.map((row) => row.waiting));
    say(byId("inboxes-refusal"), this.readOnly() ?? "");
    this.grid.show(seen.inboxes.rows, seen.inboxes.users);
  }

  button(row) {
    const made = element("button", { type: "button", className: "small" }, "Redeliver");
    made.addEventListener("click", () => isAllowed(made) && this.redeliver(row()));
    return made;
  }

  async redeliver({ uid, waiting }) {
    const expression = `yizhan:redeliver(${binary(uid)}).`;
    const yes = await confirmed({
      title: `Redeliver to ${uid}?`,
      text: `${count(waiting)} waiting: each is sent again to the user's devices that are online, from the schedule's start.`,
      expression,
      verb: "Redeliver",
    });
    if (yes) {
      this.details.ask(`Redelivered to ${uid}`, expression, false);
    }
  }
}
