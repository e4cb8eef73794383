// Names of conversations: `C2C/<user>` and `C2G/<group>`, as the address of the page has them.

/** The name of a chat, which tells chats apart. */
export function keyOf(chat) {
  return `${chat.type}/${chat.to}`;
}

/** The chat of a name, or null. */
export function chatOf(key) {
  const [, type, to] = /^(C2C|C2G)\/([0-9A-Za-z]+)$/.exec(key ?? "") ?? [];
  return type ? { type, to } : null;
}

export function isSame(a, b) {
  return Boolean(a && b) && a.type === b.type && a.to === b.to;
}

/** The place of a chat in the REST API. */
export function pathOf(chat) {
  return `/v1/conversations/${chat.type.toLowerCase()}/${encodeURIComponent(chat.to)}`;
}
