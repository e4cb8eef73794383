// Contacts: who is one, who asked, whom I asked, and which of them are online.

import { Signal } from "./signal.js";

const PAGE = 100;
const PAGES_MAX = 20;
const PRESENCE_MAX = 256;

export class Contacts {
  changed = new Signal();
  /** By hashid: `confirmed`, `requested` by me, or `pending`: they asked me. */
  states = new Map();
  online = new Set();

  constructor(client) {
    this.client = client;
  }

  /** Asks for everything anew. */
  async load() {
    const states = new Map();
    let after = "";
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query = `limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`;
      const { contacts, next, more } = await this.client.rest("GET", `/v1/contacts?${query}`);
      contacts.forEach(({ uid, state }) => states.set(uid, state));
      if (!more) {
        break;
      }
      after = next;
    }
    this.states = states;
    this.changed.emit();
    await this.look();
  }

  async look() {
    const uids = [...this.states].filter(([, state]) => state === "confirmed").map(([uid]) => uid);
    const online = new Set();
    for (let at = 0; at < uids.length; at += PRESENCE_MAX) {
      const said = await this.client.presence(uids.slice(at, at + PRESENCE_MAX));
      said.filter(({ state }) => state === "online").forEach(({ uid }) => online.add(uid));
    }
    this.online = online;
    this.changed.emit();
  }

  presence({ uid, state }) {
    if (state === "online") {
      this.online.add(uid);
    } else {
      this.online.delete(uid);
    }
    this.changed.emit();
  }

  state(uid) {
    return this.states.get(uid);
  }

  /** `online` or `offline`; undefined of one who is no contact. */
  presenceOf(uid) {
    if (this.states.get(uid) !== "confirmed") {
      return undefined;
    }
    return this.online.has(uid) ? "online" : "offline";
  }

  get pending() {
    return [...this.states].filter(([, state]) => state === "pending").map(([uid]) => uid);
  }

  /** Asks them, or confirms what they asked. */
  async add(uid) {
    await this.client.rest("PUT", `/v1/contacts/${encodeURIComponent(uid)}`, {});
    await this.load();
  }

  /** Ends it on both sides, or refuses, or takes back what was asked. */
  async remove(uid) {
    await this.client.rest("DELETE", `/v1/contacts/${encodeURIComponent(uid)}`);
    await this.load();
  }
}
