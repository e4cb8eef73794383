// One user of this tab: the client, and what the page knows through it.

import { isSame, keyOf, pathOf } from "./chats.js";
import { Contacts } from "./contacts.js";
import { Conversations } from "./conversations.js";
import { Shelf } from "./shelf.js";
import { Signal } from "./signal.js";
import { Typing } from "./typing.js";
import { isNotice } from "./words.js";

const LIST_PAGE = 50;
const LIST_PAGES_AGAIN = 4;

export class Session {
  /** The state of the connection, or the number of queued messages, is another one. */
  connection = new Signal();
  /** The open chat is another one. */
  opened = new Signal();
  /** A message came from somebody else. */
  arrived = new Signal();
  /** Something did not work, in words for people. */
  failed = new Signal();
  /** The first list is there, or cannot be had. */
  isListed = false;
  listed = new Signal();
  chat = null;
  refusal = null;
  held = null;

  /** `me`: the hashid of the user. */
  constructor(client, me) {
    this.client = client;
    this.me = me;
    this.conversations = new Conversations(me);
    this.contacts = new Contacts(client);
    this.typing = new Typing();
    this.shelf = new Shelf(client);
    this.pages = 1;
    this.listen();
  }

  async begin() {
    await this.client.connect();
    this.held = null;
    for (const message of this.client.outbox()) {
      this.conversations.sent(this.signed(message));
    }
    this.connection.emit();
  }

  /** The states of the messages in the outbox, by name; the client makes that list anew whenever it is asked. */
  get states() {
    this.held ??= new Map(this.client.outbox().map(({ chat, id, state }) => [`${keyOf(chat)}/${id}`, state]));
    return this.held;
  }

  /** How many own messages are not accepted yet. */
  get queued() {
    return [...this.states.values()].filter((state) => state === "queued").length;
  }

  get isOnline() {
    return this.client.connection === "online";
  }

  /** The conversation that is open, or null. */
  get conversation() {
    return this.chat && this.conversations.of(this.chat);
  }

  get timeline() {
    return this.chat && this.shelf.of(this.chat);
  }

  /** Opens this chat; null closes. */
  open(chat) {
    if (isSame(chat, this.chat) || (!chat && !this.chat)) {
      return;
    }
    this.chat = chat;
    if (chat) {
      this.prepare(chat);
    }
    this.opened.emit(chat);
  }

  async prepare(chat) {
    const timeline = this.shelf.of(chat);
    this.client
      .outbox()
      .filter((message) => isSame(message.chat, chat))
      .forEach((message) => timeline.put(this.signed(message)));
    if (!this.isOnline) {
      return;
    }
    await this.shelf.refreshIfStale(chat);
    if (this.isListed) {
      await this.acquaint(chat);
    }
  }

  /** Asks for the entry of a chat that the pages of the list did not have. */
  async acquaint(chat) {
    const row = this.conversations.of(chat);
    // A chat that nobody has written in has no entry.
    const timeline = this.shelf.of(chat);
    const hasBegun = timeline.high > 0;
    if (row.isAcquainted || !this.conversations.more || !hasBegun) {
      return;
    }
    row.isAcquainted = true;
    try {
      const said = await this.client.rest("GET", pathOf(chat));
      this.conversations.apply([{ ...camel(said), chat, last: timeline.placed.at(-1) ?? row.last }]);
    } catch {
      // The page does without: only the other's read mark is missing.
    }
  }

  /** Asks what became of own messages that the outbox does not hold. */
  async askFates(chat, ids) {
    const states = await this.client.status(chat, ids);
    this.shelf.alter(chat, (timeline) => states.forEach((said) => timeline.became(this.me, said)));
    this.conversations.became(chat, states);
    return states;
  }

  /** Asks the same about the last messages of the list. */
  async askLast(entries) {
    for (const { chat, last, peerRead = 0 } of entries) {
      const isOpen = last?.from === this.me && !isNotice(last) && !last.revokedAt && last.cseq > peerRead;
      if (isOpen && !this.states.has(`${keyOf(chat)}/${last.id}`)) {
        await this.askFates(chat, [last.id]);
      }
    }
  }

  /** Takes what REST says of a group. */
  learn({ gid, name, role, dissolved }) {
    const row = this.conversations.of({ type: "C2G", to: gid });
    Object.assign(row, { group: name, role, isDissolved: Boolean(dissolved), isGone: false });
    row.updatedAt ||= Date.now();
    this.conversations.touch();
  }

  async send(chat, payload) {
    const message = await this.client.send(chat, payload);
    this.take(message);
  }

  async edit(chat, id, payload) {
    await this.client.edit(chat, id, payload);
    // The server's time of it comes with the history; this clock may be ahead of the next edit's.
    const { serverTs = 0, editedAt = 0 } = this.shelf.find(chat, { from: this.me, id }) ?? {};
    this.edited({ chat, from: this.me, id, payload, serverTs: Math.max(serverTs, editedAt) + 1 });
  }

  async revoke(chat, id) {
    await this.client.revoke(chat, id);
    this.revoked({ chat, from: this.me, id });
  }

  /** The reader has this far before their eyes. */
  saw(chat, cseq) {
    const row = this.conversations.of(chat);
    if (cseq <= row.read) {
      return;
    }
    this.client.read(chat, cseq);
    row.readTo(cseq);
    this.conversations.touch();
  }

  async moreConversations() {
    const { conversations } = this;
    if (!conversations.more || this.isPaging || !this.isOnline) {
      return;
    }
    this.isPaging = true;
    try {
      await this.page(conversations.next);
      this.pages += 1;
    } catch {
      // Scrolling on asks again.
    } finally {
      this.isPaging = false;
    }
  }

  // ---- what the client tells ----

  listen() {
    const { client } = this;
    client.on("connection", (state) => this.connected(state));
    client.on("message", (message) => this.message(message));
    client.on("sent", (message) => this.take(message));
    client.on("revoked", (event) => this.revoked(event));
    client.on("edited", (event) => this.edited(event));
    client.on("read", ({ chat, by, upTo }) => this.conversations.read(chat, by, upTo));
    client.on("typing", ({ chat, by }) => by !== this.me && this.typing.heard(chat, by));
    client.on("presence", (event) => this.contacts.presence(event));
    client.on("resync", () => this.resync());
    client.on("error", (error) => this.refuse(error));
  }

  connected(state) {
    this.held = null;
    if (state === "online") {
      this.refusal = null;
      this.refresh();
    }
    this.connection.emit();
  }

  /** Takes the list, and what is missing in the open chat, from the server. */
  async refresh() {
    const { chat } = this;
    const history = chat && this.shelf.refresh(chat);
    this.shelf.others(chat);
    const contacts = () => this.contacts.load().catch(() => {});
    try {
      await this.pagesAgain();
    } catch {
      // An older server has no list; the page lives of what comes.
    }
    this.isListed = true;
    this.listed.emit();
    await history;
    if (this.chat) {
      this.acquaint(this.chat);
    }
    // Nobody waits for the dots: the list and the open chat come before them.
    await contacts();
  }

  async pagesAgain() {
    let before;
    for (let page = 0; page < Math.min(this.pages, LIST_PAGES_AGAIN); page += 1) {
      const { more, next } = await this.page(before);
      if (!more) {
        break;
      }
      before = next;
    }
  }

  async page(before) {
    const page = await this.client.conversations({ before, limit: LIST_PAGE });
    const { conversations } = this;
    if (before !== undefined || conversations.next === undefined) {
      conversations.next = page.next;
      conversations.more = page.more;
    }
    for (const entry of page.conversations) {
      conversations.of(entry.chat).isAcquainted = true;
    }
    conversations.apply(page.conversations);
    // The ticks of the list are not waited for, and the next connection asks again.
    this.askLast(page.conversations).catch(() => {});
    return page;
  }

  async resync() {
    this.shelf.forget();
    if (this.isOnline) {
      await this.refresh();
    }
  }

  message(message) {
    this.conversations.message(message);
    this.typing.stopped(message.chat, message.from);
    if (isSame(message.chat, this.chat)) {
      const isNew = this.shelf.put(message);
      if (isNew && message.from !== this.me) {
        this.arrived.emit(message);
      }
    } else {
      this.shelf.putIfThere(message);
    }
    if (isNotice(message) && message.payload?.msg_type?.startsWith("contact_")) {
      this.contacts.load().catch(() => {});
    }
  }

  /** An own message, as it stands. */
  take(message) {
    this.held = null;
    const own = this.signed(message);
    if (own.state === "revoked" || own.state === "expired") {
      this.withdraw(own);
      return;
    }
    this.conversations.sent(own);
    if (isSame(own.chat, this.chat)) {
      this.shelf.put(own);
    } else {
      this.shelf.putIfThere(own);
    }
    this.connection.emit();
  }

  /** An own message is over before anybody had it; one that had no place leaves nothing behind. */
  withdraw(message) {
    if (message.cseq === undefined) {
      this.conversations.withdrawn(message.chat, message);
      this.shelf.alter(message.chat, (timeline) => timeline.remove(message));
    } else if (message.state === "revoked") {
      this.revoked(message);
    }
    this.connection.emit();
  }

  revoked({ chat, from, id }) {
    const at = Date.now();
    this.conversations.altered(chat, from, id, { payload: null, revokedAt: at });
    this.shelf.alter(chat, (timeline) => timeline.revoke(from, id, at));
  }

  edited({ chat, from, id, payload, serverTs }) {
    this.conversations.altered(chat, from, id, { payload, editedAt: serverTs });
    this.shelf.alter(chat, (timeline) => timeline.edit(from, id, payload, serverTs));
  }

  refuse(error) {
    this.refusal = error;
    this.connection.emit();
  }

  /** What became of an own message: one that the outbox does not hold is on the server, and whoever shows it asks for more. */
  stateOf(message) {
    return message.state ?? this.states.get(`${keyOf(message.chat)}/${message.id}`) ?? "accepted";
  }

  signed(message) {
    return message.from ? message : { ...message, from: this.me };
  }
}

/** An entry as REST has it, in the names of the client. */
function camel(said) {
  const { peer_read: peerRead, updated_at: updatedAt, expire_ms: expireMs, ...rest } = said;
  return { ...rest, peerRead, updatedAt, expireMs };
}
