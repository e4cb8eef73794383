// What is asked page by page: `ask(frame, answer)` sends a request and resolves with the frame that answers it.
import { statusItem, toConversation, toMessage } from "./frames.js";

/** How many messages the server takes in one STATUS, and how many users in one PRESENCE. */
const BATCH_MAX = 256;

/**
 * @param {Function} ask
 * @param {() => string | undefined} uid
 * @param {import('../index.js').Chat} chat
 * @param {{ before?: number, after?: number, limit?: number }} page
 */
export async function history(
  ask,
  uid,
  { type, to },
  { before, after, limit },
) {
  const frame = { type: `${type}_HISTORY`, to, before, after, limit };
  const page = await ask(frame, `${type}_HISTORY_PAGE`);
  const messages = page.messages.map((message) => toMessage(message, uid()));
  return { messages, next: page.next, more: page.more, head: page.head };
}

/**
 * @param {Function} ask
 * @param {() => string | undefined} uid
 * @param {{ before?: number, limit?: number }} page
 */
export async function conversations(ask, uid, { before, limit }) {
  const frame = { type: "CONVERSATIONS", before, limit };
  const page = await ask(frame, "CONVERSATIONS_PAGE");
  const list = page.conversations.map((entry) => toConversation(entry, uid()));
  return { conversations: list, next: page.next, more: page.more };
}

/**
 * @param {Function} ask
 * @param {import('../index.js').Chat} chat
 * @param {string} id
 * @param {{ after?: string, limit?: number }} page
 */
export async function receipts(ask, { to }, id, { after, limit }) {
  // The id names the message here, and echoes like any other.
  const frame = { id, type: "C2G_RECEIPTS", to, after, limit };
  const page = await ask(frame, "C2G_RECEIPTS_PAGE");
  return { members: page.members, next: page.next ?? null, more: page.more };
}

/**
 * @param {Function} ask
 * @param {import('../index.js').Chat} chat
 * @param {string[]} ids
 */
export async function status(ask, { type, to }, ids) {
  const states = [];
  for (let at = 0; at < ids.length; at += BATCH_MAX) {
    const some = ids.slice(at, at + BATCH_MAX);
    const of = some.map((id) => statusItem({ type, to, id }));
    // The answer carries no id: it is known by what it is about.
    const isFor = (frame) =>
      frame.of?.length === some.length &&
      frame.of.every(
        (item, n) =>
          item.id === some[n] &&
          item.to === to &&
          (item.type ?? "C2C") === type,
      );
    const answer = await ask({ type: "STATUS", of }, "STATUS", isFor);
    for (const { id, state, count } of answer.of)
      states.push(count === undefined ? { id, state } : { id, state, count });
  }
  return states;
}

/**
 * @param {Function} ask
 * @param {string[]} uids
 */
export async function presence(ask, uids) {
  const asked = [];
  for (let at = 0; at < uids.length; at += BATCH_MAX) {
    const of = uids.slice(at, at + BATCH_MAX);
    asked.push(ask({ type: "PRESENCE", of }, "PRESENCE"));
  }
  const answers = await Promise.all(asked);
  return answers.flatMap(({ of }) => of);
}
