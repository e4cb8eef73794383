// Where the client keeps what has to outlive the page: its device id, its outbox, what it has had, and read marks that the
// server has not confirmed.
import {
  claimDevice,
  orphans,
  outboxKey,
  outboxPrefix,
  seenKeyOf,
  seenPrefix,
} from "./device.js";
import { chatKey } from "./frames.js";
import { indexedDbStore } from "./indexeddb.js";
import { processLocks, webLocks } from "./locks.js";

export class Persistence {
  did;
  #store;
  #locks;
  #own;
  #adopts;
  #slot;
  #release;

  /** Opens the store that was given, or the database, or falls back to `memory`, and takes a device. */
  static async open({ store, locks, database, did, memory }) {
    const opened = new Persistence();
    opened.#store = store ?? (await ownStore(database, memory));
    opened.#own = !store;
    const betweenTabs =
      opened.#own && opened.#store !== memory && globalThis.navigator?.locks;
    opened.#locks =
      locks ?? (betweenTabs ? webLocks(database) : processLocks(opened.#store));
    // In a page, a table of this process says nothing of other tabs, whose outboxes may be in the same store.
    const alone = opened.#store === memory || !globalThis.indexedDB;
    opened.#adopts = Boolean(locks ?? betweenTabs) || alone;
    const device = await claimDevice(opened.#store, opened.#locks, did);
    opened.did = device.did;
    opened.#slot = device.slot;
    opened.#release = device.release;
    return opened;
  }

  async load() {
    const outbox = (await this.#store.entries(outboxPrefix(this.did))).map(
      ([, entry]) => entry,
    );
    const seen = (await this.#store.entries(seenPrefix(this.did))).map(
      ([key, keys]) => [Number(key.slice(seenPrefix(this.did).length)), keys],
    );
    const reads = (await this.#store.entries("read/")).map(([, mark]) => mark);
    return { outbox, seen, reads };
  }

  saveEntry({
    n,
    id,
    type,
    to,
    body,
    createdAt,
    expiresAt,
    state,
    serverTs,
    cseq,
    count,
  }) {
    const entry = {
      n,
      id,
      type,
      to,
      body,
      createdAt,
      expiresAt,
      state,
      serverTs,
      cseq,
      count,
    };
    return this.#store.set(outboxKey(this.did, n), entry);
  }

  dropEntry({ n }) {
    return this.#store.delete(outboxKey(this.did, n));
  }

  async saveSeen({ put, drop }) {
    await Promise.all([
      ...put.map(([n, keys]) => this.#store.set(seenKeyOf(this.did, n), keys)),
      ...drop.map((n) => this.#store.delete(seenKeyOf(this.did, n))),
    ]);
  }

  saveRead(chat, upTo) {
    return this.#store.set(`read/${chatKey(chat)}`, { chat, upTo });
  }

  dropRead(chat) {
    return this.#store.delete(`read/${chatKey(chat)}`);
  }

  /**
   * Moves the outboxes of devices that nobody holds to this one. Each entry is written here before it is removed there: a
   * page that dies in between leaves it twice, under one id, which the server takes for one message. Where nobody can tell
   * whether a device is held, all are left alone.
   */
  async adopt(nextN) {
    if (!this.#adopts) return [];
    const { found, done } = await orphans(this.#store, this.#locks, this.#slot);
    try {
      const entries = [];
      for (const [key, entry] of found) {
        const mine = { ...entry, n: nextN() };
        await this.saveEntry(mine);
        await this.#store.delete(key);
        entries.push(mine);
      }
      return entries;
    } finally {
      done();
    }
  }

  close() {
    this.#release();
    if (this.#own) this.#store.close?.();
  }
}

async function ownStore(database, memory) {
  if (globalThis.indexedDB && database !== undefined) {
    try {
      return await indexedDbStore(database);
    } catch {
      // Private windows and full disks refuse; a client that forgets is better than none.
    }
  }
  return memory;
}
