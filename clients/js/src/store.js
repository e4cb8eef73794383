/**
 * A store that forgets everything when the page or the process ends. Values are copied, as IndexedDB
 * copies them.
 *
 * @returns {import('../index.js').Store}
 */
export function memoryStore() {
  const values = new Map();
  return {
    async get(key) {
      return structuredClone(values.get(key));
    },
    async set(key, value) {
      values.set(key, structuredClone(value));
    },
    async delete(key) {
      values.delete(key);
    },
    async entries(prefix) {
      return [...values]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, structuredClone(value)]);
    },
  };
}
