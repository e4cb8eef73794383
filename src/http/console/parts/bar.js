// The line at the top: which node this is, whether it is well, and whether it answers at all.

import { byId, mark, say } from "./dom.js";
import { bytes, count, span } from "./format.js";

export class Bar {
  constructor() {
    this.since = null;
    setInterval(() => this.age(), 1000);
  }

  /** Shows a snapshot. */
  show({ now, node, counters }) {
    this.since = null;
    this.state(node.ready ? "well" : "ill", node.ready ? "Ready" : `Not ready: ${node.trouble ?? "no reason given"}`);
    say(byId("version"), node.version);
    say(byId("rights"), node.read_only ? "read-only token" : "");
    const facts = {
      public: node.public,
      uptime: span(now - node.started_at),
      memory: bytes(node.memory_bytes),
      devices: count(counters.online_devices),
      flight: count(counters.in_flight),
      rows: count(counters.inbox_rows),
      refused: count(counters.refused),
      expired: count(counters.expired),
    };
    for (const [fact, text] of Object.entries(facts)) {
      say(byId(`fact-${fact}`), text);
    }
    document.title = `${node.ready ? "" : "! "}yizhan ${node.public}`;
  }

  /** Says that the server does not answer since a moment; `why` is empty if it said nothing at all. */
  silent(since, why) {
    this.since = since;
    this.state("silent", why ? `The server does not answer: ${why},` : "The server does not answer,");
    document.title = "! yizhan does not answer";
  }

  paused() {
    this.since = null;
    this.state("paused", "Paused");
  }

  state(state, text) {
    mark(byId("app"), "data-state", state);
    say(byId("state-text"), text);
    this.age();
  }

  age() {
    say(byId("state-age"), this.since === null ? "" : `for ${span(Date.now() - this.since)}`);
  }
}
