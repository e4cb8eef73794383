const TABLE = "values";

/**
 * A store in IndexedDB, which survives the page. Rejects where IndexedDB is missing or refuses.
 *
 * @returns {Promise<import('../index.js').Store & { close(): void }>}
 */
export async function indexedDbStore(name) {
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
  const db = await answer(opening);
  // Another version of the page may need to change the database; without this it would wait for this one to go.
  db.onversionchange = () => db.close();

  const read = (ask) =>
    answer(ask(db.transaction(TABLE, "readonly").objectStore(TABLE)));
  const write = (change) =>
    new Promise((resolve, reject) => {
      const transaction = db.transaction(TABLE, "readwrite");
      change(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });

  return {
    get: (key) => read((table) => table.get(key)),
    set: (key, value) => write((table) => table.put(value, key)),
    delete: (key) => write((table) => table.delete(key)),
    async entries(prefix) {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const table = db.transaction(TABLE, "readonly").objectStore(TABLE);
      const [keys, values] = await Promise.all([
        answer(table.getAllKeys(range)),
        answer(table.getAll(range)),
      ]);
      return keys.map((key, at) => [String(key), values[at]]);
    },
    close: () => db.close(),
  };
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () =>
      reject(new Error("the database is blocked by another page"));
  });
}
