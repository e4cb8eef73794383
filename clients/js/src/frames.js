// What goes over the wire, and how it looks to the application. docs/PROTOCOL.md of the server describes the frames.

/** Names a conversation in maps and keys: groups have a name space of their own. */
export function chatKey({ type, to }) {
  return `${type}/${to}`;
}

/** Names a message that this user sent. */
export function sentKey(type, to, id) {
  return `${type}/${to}/${id}`;
}

/**
 * Names what was received. The reader stands in it too, because one author may use one id in two groups, or, from another
 * device, to two users.
 */
export function seenKey({ type, from, to, id }) {
  return `${type} ${from} ${to} ${id}`;
}

/** Frame 1. The payload's text is used as it is, so that every repeat has the same bytes. */
export function messageFrame({ id, type, to, body, createdAt, expiresAt }) {
  const head = JSON.stringify({
    id,
    type,
    to,
    created_at: createdAt,
    expires_at: expiresAt,
  });
  return `${head.slice(0, -1)},"payload":${body}}`;
}

export function ackFrame(id, seqs) {
  return JSON.stringify({ id, type: "CLIENT_ACK", seqs });
}

export function statusFrame(id, entries) {
  return JSON.stringify({ id, type: "STATUS", of: entries.map(statusItem) });
}

/** Servers from before groups know no `type` here, and to leave it out means C2C. */
export function statusItem({ type, to, id }) {
  return type === "C2C" ? { to, id } : { type, to, id };
}

/** Parses what came; undefined for what is no JSON object. */
export function parseFrame(text) {
  if (typeof text !== "string") return undefined;
  try {
    const frame = JSON.parse(text);
    return typeof frame === "object" && frame !== null && !Array.isArray(frame)
      ? frame
      : undefined;
  } catch {
    return undefined;
  }
}

/** The conversation that a frame belongs to. */
export function chatOf(frame, uid) {
  const { type, from, to, payload } = frame;
  if (type === "S2C") {
    if (typeof payload?.group === "string")
      return { type: "C2G", to: payload.group };
    return { type: "C2C", to: from || to };
  }
  if (type.startsWith("C2G")) return { type: "C2G", to };
  return { type: "C2C", to: from !== uid && from ? from : to };
}

/** A message as the application sees it. Members that the frame lacks are left out. */
export function toMessage(frame, uid) {
  return compact({
    id: frame.id,
    type: frame.type,
    from: frame.from ?? "",
    to: frame.to,
    chat: chatOf(frame, uid),
    payload: frame.payload,
    cseq: frame.cseq,
    seq: frame.seq,
    serverTs: frame.server_ts,
    createdAt: frame.created_at,
    expiresAt: frame.expires_at,
    editedAt: frame.edited_at,
    revokedAt: frame.revoked_at,
  });
}

/** An own message of the outbox as the application sees it. */
export function sentMessage(entry, uid) {
  return compact({
    id: entry.id,
    type: entry.type,
    from: uid ?? "",
    to: entry.to,
    chat: { type: entry.type, to: entry.to },
    payload: JSON.parse(entry.body),
    cseq: entry.cseq,
    serverTs: entry.serverTs,
    createdAt: entry.createdAt,
    expiresAt: entry.expiresAt,
    state: entry.state,
    count: entry.count,
    error: entry.error,
  });
}

export function toConversation(entry, uid) {
  return compact({
    chat: { type: entry.type, to: entry.to },
    name: entry.name,
    role: entry.role,
    head: entry.head,
    read: entry.read,
    peerRead: entry.peer_read,
    unread: entry.unread,
    updatedAt: entry.updated_at,
    expireMs: entry.expire_ms,
    last: entry.last ? toMessage(entry.last, uid) : null,
    dissolved: entry.dissolved,
  });
}

function compact(object) {
  for (const key of Object.keys(object))
    if (object[key] === undefined) delete object[key];
  return object;
}
