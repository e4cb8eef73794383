/** How many of each are remembered. */
const MOST = 256;

/**
 * What is worth remembering for a while and no longer: group messages whose count may still grow after they have left the
 * outbox, and signals that may come again.
 */
export class Receipts {
  #groups = new Map();
  #signals = new Map();

  remember(message) {
    bounded(this.#groups, `${message.to} ${message.id}`, { ...message });
  }

  /** The message with its new count; undefined if it is not known or its count did not grow. */
  grown({ to, id, count }) {
    const message = this.#groups.get(`${to} ${id}`);
    if (!message || !(count > (message.count ?? 0))) return undefined;
    message.count = count;
    return { ...message };
  }

  /** How often this signal has come, this time included. */
  signal(key) {
    const copies = (this.#signals.get(key) ?? 0) + 1;
    bounded(this.#signals, key, copies);
    return copies;
  }
}

function bounded(map, key, value) {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST) map.delete(map.keys().next().value);
}
