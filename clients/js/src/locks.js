// Who owns a device id. Tabs of one browser ask the browser; clients in one process that share a store ask this table.
const held = new WeakMap();

/** Locks among the clients of this process that use the same store. */
export function processLocks(store) {
  if (!held.has(store)) held.set(store, new Set());
  const names = held.get(store);
  return {
    /** Takes the lock if it is free and returns what releases it; undefined if it is not. */
    async tryLock(name) {
      if (names.has(name)) return undefined;
      names.add(name);
      return () => names.delete(name);
    },
  };
}

/** Locks among the tabs and workers of one origin; they end with the page, however it ends. */
export function webLocks(database) {
  return {
    tryLock: (name) =>
      new Promise((resolve, reject) => {
        navigator.locks
          .request(`${database}/${name}`, { ifAvailable: true }, (lock) => {
            if (!lock) return resolve(undefined);
            return new Promise((release) => resolve(release));
          })
          .catch(reject);
      }),
  };
}
