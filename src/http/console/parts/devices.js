// Who is online, on which device, and how far each is behind.

import { amount, link, nameLink, sayUnder, under } from "./cells.js";
import { confirmed } from "./confirm.js";
import { allow, byId, element, isAllowed, mark, say } from "./dom.js";
import { binary, pidNumber } from "./erlang.js";
import { count, name, span } from "./format.js";
import { Grid } from "./grid.js";

export class Devices {
  constructor(details, readOnly) {
    Object.assign(this, { details, readOnly });
    this.now = 0;
    const counted = (key, label, title) => ({
      name: key,
      label,
      title,
      numeric: true,
      value: (row) => row[key],
      fill: (cell, row) => amount(cell, row[key], count(row[key])),
    });
    const columns = [
      {
        name: "did",
        label: "Device",
        value: (row) => row.did,
        make: (cell, row) =>
          cell.append(
            link(() => details.process(row().pid)),
            under(),
          ),
        fill: (cell, row) => {
          nameLink(cell.firstChild, name(row.did));
          sayUnder(
            cell.lastChild,
            `${row.uid} for ${span(this.now - row.since)}, behind ${row.behind}, mailbox ${row.mailbox}`,
          );
        },
      },
      {
        name: "uid",
        label: "User",
        value: (row) => row.number,
        fill: (cell, row) => mark(cell, "title", `user ${row.number}`) ?? say(cell, row.uid),
      },
      {
        name: "dtype",
        label: "Type",
        value: (row) => row.dtype ?? "",
        fill: (cell, row) => say(cell, row.dtype === null ? "–" : name(row.dtype)),
      },
      {
        name: "since",
        label: "Online",
        numeric: true,
        value: (row) => -row.since,
        fill: (cell, row) => say(cell, span(this.now - row.since)),
      },
      counted("mailbox", "Mailbox", "Messages in the device's own mailbox"),
      counted("in_flight", "In flight", "Deliveries on their way to the device"),
      counted("outbox", "Outbox", "Frames that wait for the socket"),
      counted("behind", "Behind", "Messages after the device's cursor"),
      {
        name: "pid",
        label: "Process",
        value: (row) => pidNumber(row.pid),
        make: (cell, row) => cell.append(link(() => details.process(row().pid))),
        fill: (cell, row) => nameLink(cell.firstChild, row.pid),
      },
      {
        name: "act",
        label: "Kick",
        hidden: true,
        make: (cell, row) => cell.append(this.button(row)),
        fill: (cell, row) => {
          allow(cell.firstChild, this.readOnly());
          mark(cell.firstChild, "aria-label", `Kick ${row.uid} ${name(row.did)}`);
        },
      },
    ];
    this.grid = new Grid(byId("devices"), {
      columns,
      key: (row) => row.pid,
      order: (a, b) => a.number - b.number || pidNumber(a.pid) - pidNumber(b.pid),
      sort: "uid",
      empty: "No device is online.",
    });
  }

  show(seen) {
    this.now = seen.now;
    say(byId("devices-refusal"), this.readOnly() ?? "");
    this.grid.show(seen.devices.rows, seen.devices.total);
  }

  button(row) {
    const made = element("button", { type: "button", className: "small" }, "Kick");
    made.addEventListener("click", () => isAllowed(made) && this.kick(row()));
    return made;
  }

  async kick({ uid, did }) {
    const expression = `yizhan:kick(${binary(uid)}, ${binary(did)}).`;
    const yes = await confirmed({
      title: `Kick ${name(did)} of ${uid}?`,
      text: "Its connection is closed. It may log in again, and nothing it has not acknowledged is lost.",
      expression,
      verb: "Kick",
    });
    if (yes) {
      this.details.ask(`Kicked ${name(did)} of ${uid}`, expression, false);
    }
  }
}
