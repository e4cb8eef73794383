export { Close, Code } from "./codes.js";

/** A conversation: the other user, or a group. */
export interface Chat {
  type: "C2C" | "C2G";
  to: string;
}

/**
 * What became of a message that was sent: `queued` (in the outbox), `accepted` (durable on the server), `delivered` (a device
 * of the reader has it; of a group, one of at least one member). The others are final too: `refused` (see `error`), `revoked`
 * (taken back), `expired` (nobody took it in time, or the server no longer knows whether somebody did).
 */
export type SendState =
  "queued" | "accepted" | "delivered" | "refused" | "revoked" | "expired";

/** All times are Unix milliseconds. */
export interface Message {
  id: string;
  /** `S2C` is a notice in a conversation, such as that somebody has joined a group: `payload.msg_type` says what. */
  type: "C2C" | "C2G" | "S2C";
  /** Oneself, if the message was sent by oneself, from whichever device. */
  from: string;
  to: string;
  chat: Chat;
  /** Null if the message was revoked. */
  payload: any;
  /** The place in its conversation, the same for everybody; order by it. */
  cseq?: number;
  /** The place in the inbox of this user; absent in history and of what this device sent. */
  seq?: number;
  serverTs?: number;
  createdAt?: number;
  expiresAt?: number;
  editedAt?: number;
  revokedAt?: number;
  /** Only of what this client sent. */
  state?: SendState;
  /** Of a group: how many members have it. */
  count?: number;
  /** Why it was refused. */
  error?: { code: number; msg: string };
}

export interface Conversation {
  chat: Chat;
  name?: string;
  role?: string;
  /** The `cseq` of the last message. */
  head: number;
  /** How far this user has read. */
  read: number;
  /** How far the other has. */
  peerRead?: number;
  unread: number;
  updatedAt: number;
  /** After how long new messages expire, milliseconds; 0 if they do not. */
  expireMs: number;
  last: Message | null;
  dissolved?: boolean;
}

export interface Options {
  /**
   * Where the server is, such as `http://127.0.0.1:9800`, or `https://example.com/im` behind a proxy that takes `/im` away; in a
   * browser the page's own origin if absent.
   */
  url?: string;
  /**
   * An access token, or what fetches one; it is asked again when the token is about to expire or was refused, or did not come
   * within `openMs`.
   */
  token?: string | (() => string | Promise<string>);
  /** Used for `POST /v1/token/refresh` when `token` is no function. */
  refreshToken?: string;
  /** This device; by default the first of the store that no other tab holds, made at random. */
  did?: string;
  /** What kind of device this is, for operators to see. */
  dtype?: string;
  /** Where the outbox and the marks live, one for each user; by default IndexedDB, and memory where there is none. */
  store?: Store;
  /** The name of the database in IndexedDB, one for each user; by default `yizhan-<uid>`. */
  database?: string;
  /** How long nothing may be heard before a ping, milliseconds; 30,000. */
  heartbeatMs?: number;
  /** How long the answer to a ping may take, milliseconds; 10,000. */
  pongMs?: number;
  /** How long a login may take, and before it the token, milliseconds; 10,000 each. */
  openMs?: number;
  /** After how long what has no answer is sent again, milliseconds; 10,000. */
  resendMs?: number;
  /** After how long a message that is not known to be delivered is asked about, at first, milliseconds; 60,000. */
  statusMs?: number;
  /**
   * How long the server keeps a message for its reader, its `inbox.ttl_ms`, milliseconds; 604,800,000, a week. The server
   * forgets what became of a message after twice that time. When it does not know a message that it accepted longer ago than
   * this, nobody waits for it any more: it is `expired`, though its reader may have had it, and is not sent again. A younger
   * one is, because then the server has lost it.
   */
  inboxTtlMs?: number;
  /** How long a request may take, milliseconds; 30,000. */
  requestMs?: number;
  /** How long an acknowledgement waits for others, milliseconds; 20. */
  ackMs?: number;
  /** How many messages may be queued or accepted and not delivered yet, in memory and in the store; 10,000. */
  outboxMax?: number;
  /** How many messages may be without an answer at once; 128. It must be below the server's `device.send_window`. */
  window?: number;
  /** The pauses between attempts to connect; 500 and 30,000. */
  backoff?: { minMs?: number; maxMs?: number };
  /**
   * Who owns a device id; by default Web Locks in browsers, and a table of this process elsewhere. In a page without Web Locks,
   * or with a `store` of its own, what another device has left in its outbox is sent by that device only, unless this is given.
   */
  locks?: Locks;
  /** For tests and unusual places. */
  WebSocket?: new (url: string) => any;
  fetch?: typeof fetch;
  clock?: Clock;
  random?: () => number;
}

export type Connection =
  /** Trying. */
  | "connecting"
  /** Let in by the server. */
  | "online"
  /** Pausing before the next attempt. */
  | "waiting"
  /** Told to stay away, or not told to connect yet. */
  | "offline"
  /** Ended: by `close()`, or by the server for a reason that would only happen again; then an `error` says which. */
  | "closed";

export declare class Client {
  constructor(options?: Options);
  /** Known as soon as there is a token. */
  readonly uid: string | undefined;
  /** Known as soon as the store is open. */
  readonly did: string | undefined;
  readonly connection: Connection;
  /**
   * Loads the outbox and connects; resolves when the outbox is loaded, which needs a token if neither `store` nor `database` is
   * given. Comes back by itself after losses.
   */
  connect(): Promise<void>;
  /** Ends it; what is queued stays in the store. It may be connected again. */
  close(): Promise<void>;
  /** Stays away until `connect()`. */
  disconnect(): void;
  /**
   * Queues a message: it is in the store when the promise resolves. Rejects with code 0 when the outbox is full, and then
   * nothing was queued.
   */
  send(
    chat: Chat,
    payload: unknown,
    options?: { id?: string; expiresAt?: number },
  ): Promise<Message>;
  /** Own messages that are not delivered yet, oldest first. */
  outbox(): Message[];
  /** Takes a message back: out of the outbox if it was never sent, and else on the server. */
  revoke(chat: Chat, id: string): Promise<void>;
  edit(chat: Chat, id: string, payload: unknown): Promise<void>;
  /** Says that everything up to this `cseq` was read; it is kept in the store until the server has it. */
  read(chat: Chat, cseq: number): void;
  /** Says that the user is typing; call it at every key, it is said every two seconds at most. */
  typing(chat: Chat): void;
  /** A page of a conversation in rising `cseq`: the newest, or before or after a `cseq`. */
  history(
    chat: Chat,
    page?: { before?: number; after?: number; limit?: number },
  ): Promise<{
    messages: Message[];
    next: number;
    more: boolean;
    head: number;
  }>;
  /** The conversations, latest activity first. */
  conversations(page?: {
    before?: number;
    limit?: number;
  }): Promise<{ conversations: Conversation[]; next: number; more: boolean }>;
  /** Who has a message of a group. */
  receipts(
    chat: Chat,
    id: string,
    page?: { after?: string; limit?: number },
  ): Promise<{
    members: { uid: string; delivered: boolean; read: boolean }[];
    next: string | null;
    more: boolean;
  }>;
  /**
   * What became of own messages that the outbox does not hold, such as those of one's other devices: in the order of the ids.
   * `unknown` are also those that were accepted long ago.
   */
  status(
    chat: Chat,
    ids: string[],
  ): Promise<
    {
      id: string;
      state: "accepted" | "delivered" | "expired" | "revoked" | "unknown";
      /** Of a group: how many members have it. */
      count?: number;
    }[]
  >;
  /** Who of these is there, in their order. The server takes 256 in one request; more are asked in several. */
  presence(
    uids: string[],
  ): Promise<{ uid: string; state: "online" | "offline" | "unknown" }[]>;
  /**
   * Relays a `WEBRTC_*` message to the devices of a user that are online; rejects with 404 if none is, and with 403 if that
   * user takes nothing from this one. It is never stored.
   */
  signal(
    to: string,
    type: `WEBRTC_${string}`,
    payload: unknown,
    options?: { id?: string },
  ): Promise<void>;
  /**
   * Any route of the REST API, with the token: `client.rest('POST', '/v1/groups', {…})`. Resolves with the answer's `payload`,
   * and rejects with its `code`; with 0 when there is no answer or it is none of the REST API's, such as a page of a proxy.
   */
  rest(method: string, path: string, body?: unknown): Promise<any>;
  /** Returns what removes the listener. */
  on<K extends keyof Events>(
    event: K,
    listener: (value: Events[K]) => unknown,
  ): () => void;
}

export interface Events {
  connection: Connection;
  /**
   * A message that this device has not had: from others, of one's other devices, and notices of a conversation. It is
   * acknowledged when all listeners have returned and their promises are settled; if one failed, it is not, and comes again.
   */
  message: Message;
  /** An own message has moved on; of a group also with each growth of `count`. */
  sent: Message;
  /** Hide this message, whether or not it was shown. */
  revoked: { chat: Chat; from: string; id: string; cseq: number };
  edited: {
    chat: Chat;
    from: string;
    id: string;
    payload: any;
    cseq: number;
    serverTs: number;
  };
  /** `by` oneself: another device of this user has read it. */
  read: { chat: Chat; by: string; upTo: number };
  typing: { chat: Chat; by: string };
  presence: { uid: string; state: "online" | "offline" };
  /** A relayed `WEBRTC_*` message; without a listener its sender is told that nobody took it. */
  signal: { id: string; type: string; from: string; to: string; payload: any };
  /** At login: at most so many messages wait. */
  waiting: { count: number };
  /** Messages were given up for this device: take the state anew from `conversations()` and `history()`. */
  resync: {};
  /** Of no message: a refused token, a close that will not be retried, a listener that threw (in `cause`). */
  error: YizhanError;
}

/** What the server refused, with one of `Code` or `Close`; or what failed on the way there, with 0. */
export declare class YizhanError extends Error {
  constructor(code: number, msg: string, retryMs?: number);
  code: number;
  /** After how long it may be tried again, milliseconds. */
  retryMs?: number;
}

/** Keys and values that can be cloned; `entries` are in the order of their keys. */
export interface Store {
  get(key: string): Promise<any>;
  set(key: string, value: any): Promise<void>;
  delete(key: string): Promise<void>;
  entries(prefix: string): Promise<[string, any][]>;
}

export interface Locks {
  /** Takes the lock if it is free, and returns what releases it; undefined if it is not. */
  tryLock(name: string): Promise<(() => void) | undefined>;
}

export interface Clock {
  /** For timers, milliseconds; it need not be the time of day. */
  now(): number;
  /** Unix milliseconds, for tokens and `createdAt`; by default what `now` says. */
  wall?(): number;
  setTimeout(f: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
}

export declare function memoryStore(): Store;
/** Rejects where IndexedDB is missing or refuses. */
export declare function indexedDbStore(name: string): Promise<Store>;
