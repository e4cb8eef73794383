// Which device this client is. Each tab is a device of its own, because a second connection of one device would end the
// first; the ids are kept and used again, so that there are never more of them than there were tabs at once.
import { isId, randomId } from "./ids.js";

/** Takes the first device of the store that nobody holds, or makes one. */
export async function claimDevice(store, locks, wanted) {
  if (wanted !== undefined) {
    if (!isId(wanted))
      throw new TypeError(
        "a did has 1 to 64 bytes, no comma and no control character",
      );
    const slot = `=${wanted}`;
    await store.set(slotKey(slot), wanted);
    return {
      did: wanted,
      slot,
      release: (await locks.tryLock(slot)) ?? (() => {}),
    };
  }
  for (let n = 1; ; n += 1) {
    const slot = String(n);
    const release = await locks.tryLock(slot);
    if (!release) continue;
    let did = await store.get(slotKey(slot));
    if (did === undefined) {
      did = randomId();
      await store.set(slotKey(slot), did);
    }
    return { did, slot, release };
  }
}

/** The outbox entries of devices that nobody holds, each with what removes it from there. They are locked until `done`. */
export async function orphans(store, locks, own) {
  const found = [];
  const releases = [];
  for (const [key, did] of await store.entries("did/")) {
    const slot = key.slice("did/".length);
    if (slot === own) continue;
    const release = await locks.tryLock(slot);
    if (!release) continue;
    releases.push(release);
    found.push(...(await store.entries(outboxPrefix(did))));
  }
  return { found, done: () => releases.forEach((release) => release()) };
}

export function outboxPrefix(did) {
  return `out/${encodeURIComponent(did)}/`;
}

export function outboxKey(did, n) {
  return outboxPrefix(did) + String(n).padStart(12, "0");
}

export function seenPrefix(did) {
  return `had/${encodeURIComponent(did)}/`;
}

export function seenKeyOf(did, n) {
  return seenPrefix(did) + String(n).padStart(12, "0");
}

function slotKey(slot) {
  return `did/${slot}`;
}
