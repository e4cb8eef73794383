// Something that happens, and who wants to know.

export class Signal {
  listeners = new Set();

  /** Calls back from now on; the answer ends it. */
  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(value) {
    for (const listener of this.listeners) {
      listener(value);
    }
  }
}
