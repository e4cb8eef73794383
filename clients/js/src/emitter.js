/** Listeners by event; those of one event are called in the order in which they were added. */
export class Emitter {
  #listeners = new Map();

  /** Adds a listener, and returns what removes it. */
  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    const all = this.#listeners.get(event);
    // Each registration stands for itself, also when the same function comes twice.
    const entry = { listener };
    all.add(entry);
    return () => all.delete(entry);
  }

  has(event) {
    return (this.#listeners.get(event)?.size ?? 0) > 0;
  }

  /** Calls every listener, waits for the promises that they return, and returns what they threw. */
  async emit(event, value) {
    const pending = [];
    for (const { listener } of [...(this.#listeners.get(event) ?? [])]) {
      try {
        pending.push(listener(value));
      } catch (error) {
        pending.push(Promise.reject(error));
      }
    }
    // Without promises nothing is waited for, which keeps what follows in the same turn.
    if (!pending.some((result) => typeof result?.then === "function"))
      return [];
    const settled = await Promise.allSettled(pending);
    return settled.flatMap((one) =>
      one.status === "rejected" ? [one.reason] : [],
    );
  }
}
