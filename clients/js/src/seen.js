/**
 * What this device has had, kept in the store in pieces of which only the last is written again. The oldest piece goes when
 * there are too many, but never one that holds something whose acknowledgement is not confirmed.
 */
export class Seen {
  #size;
  #most;
  #pieces = [];
  #keys = new Set();
  #dirty = new Set();
  #dropped = [];

  constructor({ size = 64, pieces = 157 } = {}) {
    this.#size = size;
    this.#most = pieces;
  }

  /** Takes what the store holds: `[n, keys]` in rising order of `n`. */
  load(pieces) {
    for (const [n, keys] of pieces) {
      this.#pieces.push({ n, keys });
      for (const key of keys) this.#keys.add(key);
    }
  }

  has(key) {
    return this.#keys.has(key);
  }

  get size() {
    return this.#keys.size;
  }

  /** Adds a key; `pinned` tells of a key whether it must stay. */
  add(key, pinned) {
    if (this.#keys.has(key)) return;
    let last = this.#pieces.at(-1);
    if (!last || last.keys.length >= this.#size) {
      last = { n: (last?.n ?? 0) + 1, keys: [] };
      this.#pieces.push(last);
      this.#trim(pinned);
    }
    last.keys.push(key);
    this.#keys.add(key);
    this.#dirty.add(last);
  }

  /** What has to be written and removed since the last call. */
  changes() {
    const put = [...this.#dirty].map(({ n, keys }) => [n, [...keys]]);
    const drop = this.#dropped;
    this.#dirty.clear();
    this.#dropped = [];
    return { put, drop };
  }

  #trim(pinned) {
    while (
      this.#pieces.length > this.#most &&
      !this.#pieces[0].keys.some(pinned)
    ) {
      const oldest = this.#pieces.shift();
      for (const key of oldest.keys) this.#keys.delete(key);
      this.#dirty.delete(oldest);
      this.#dropped.push(oldest.n);
    }
  }
}
