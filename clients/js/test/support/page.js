// A page that can die: from then on its timers are silent, its sockets are gone, its writes reach no store and its locks are
// free, all in the middle of whatever it was doing.
import { Client } from "../../src/index.js";
import { NodeSocket } from "../../src/node-socket.js";

/** What outlives the pages of one browser: the store, and who holds which lock. */
export class Browser {
  store;
  locks = new Map();

  constructor(store) {
    this.store = store;
  }

  open(options) {
    return new Page(this, options);
  }
}

export class Page {
  client;
  /** Resolves to false when the page dies. */
  death;
  #died;
  #dead = false;
  #browser;
  #timers = new Set();
  #sockets = new Set();

  constructor(browser, options) {
    this.#browser = browser;
    const page = this;
    this.death = new Promise((resolve) => (this.#died = () => resolve(false)));
    this.client = new Client({
      ...options,
      clock: {
        now: () => Date.now(),
        setTimeout: (f, ms) => {
          if (this.#dead) return undefined;
          const timer = setTimeout(() => {
            this.#timers.delete(timer);
            f();
          }, ms);
          this.#timers.add(timer);
          return timer;
        },
        clearTimeout: (timer) => {
          clearTimeout(timer);
          this.#timers.delete(timer);
        },
      },
      store: this.#store(),
      locks: { tryLock: async (name) => this.#lock(name) },
      WebSocket: class extends NodeSocket {
        constructor(url) {
          super(url);
          if (page.#dead) this.close();
          page.#sockets.add(this);
        }
      },
    });
  }

  /** Listens until the page dies. */
  on(event, listener) {
    return this.client.on(event, (value) =>
      this.#dead ? new Promise(() => {}) : listener(value),
    );
  }

  die() {
    this.#dead = true;
    this.#died();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    for (const [name, owner] of this.#browser.locks)
      if (owner === this) this.#browser.locks.delete(name);
  }

  #lock(name) {
    const { locks } = this.#browser;
    if (this.#dead || locks.has(name)) return undefined;
    locks.set(name, this);
    return () => locks.get(name) === this && locks.delete(name);
  }

  #store() {
    const { store } = this.#browser;
    const alive =
      (call) =>
      (...args) =>
        this.#dead ? new Promise(() => {}) : call(...args);
    return Object.fromEntries(
      ["get", "set", "delete", "entries"].map((name) => [
        name,
        alive(store[name].bind(store)),
      ]),
    );
  }
}
