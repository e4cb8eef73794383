// The client obeys its machines: whatever happens is told to one of them, then `#turn` does what they ask for and sets one
// alarm for the next deadline.
import { Alarm, systemClock } from "./clock.js";
import { Backoff } from "./backoff.js";
import { Close, Code } from "./codes.js";
import { Emitter } from "./emitter.js";
import { YizhanError, asError } from "./error.js";
import {
  ackFrame,
  chatKey,
  messageFrame,
  parseFrame,
  sentMessage,
  statusFrame,
} from "./frames.js";
import { isId, randomId } from "./ids.js";
import { Handover } from "./handover.js";
import { Inbox } from "./inbox.js";
import { Line } from "./line.js";
import { Link } from "./link.js";
import { Outbox } from "./outbox.js";
import { conversations, history, presence, receipts, status } from "./pages.js";
import { Persistence } from "./persistence.js";
import { Reads } from "./reads.js";
import { Receipts } from "./receipts.js";
import { Refresh } from "./refresh.js";
import { Requests } from "./requests.js";
import { callRest, refreshAccess } from "./rest.js";
import { route } from "./route.js";
import { memoryStore } from "./store.js";
import { Tokens } from "./token.js";
import { watchNetwork } from "./network.js";

/** How long a request may take, reconnects included, milliseconds. */
const REQUEST_MS = 30_000;
/** How many messages an outbox takes. */
const OUTBOX_MAX = 10_000;
/** How often the outboxes of closed tabs are looked for, milliseconds. */
const ADOPT_MS = 60_000;
/** How often "is typing" is said, milliseconds. */
const TYPING_MS = 2_000;

export class Client {
  #options;
  #base;
  #clock;
  #fetch;
  #events = new Emitter();
  #alarm;
  #tokens;
  #link;
  #outbox;
  #inbox;
  #requests;
  #refresh;
  #receipts = new Receipts();
  #disk;
  #loading;
  #ended = false;
  #closing;
  #n = 0;
  #order = Promise.resolve();
  #writes = new Set();
  /** What ends the waits that the client's going has to end. */
  #waits = new Set();
  #memory = memoryStore();
  #line = new Line();
  #handover;
  #reads;
  #typed = new Map();
  #adoptAt = 0;
  #adopting = false;
  #unwatch;
  #told = "offline";

  /** @param {import('../index.js').Options} [options] */
  constructor(options = {}) {
    this.#options = options;
    this.#base = options.url ?? globalThis.location?.origin;
    if (this.#base === undefined)
      throw new TypeError("outside of a page, `url` is needed");
    this.#base = this.#base.replace(/^ws/, "http");
    this.#clock = options.clock ?? systemClock;
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.#alarm = new Alarm(this.#clock, () => this.#turn());
    const { refreshToken, openMs } = options;
    this.#tokens = new Tokens({
      fetchMs: openMs,
      token: options.token,
      fetch:
        refreshToken &&
        (() =>
          refreshAccess(
            { fetch: this.#fetch, base: this.#base },
            refreshToken,
          )),
      clock: this.#clock,
    });
    this.#reads = new Reads({
      ask: (frame, answer) => this.#ask(frame, answer, { deadline: Infinity }),
      save: (chat, upTo) =>
        this.#wrote(this.#load().then(() => this.#disk?.saveRead(chat, upTo))),
      drop: (chat) => this.#wrote(this.#disk?.dropRead(chat)),
      report: (error) => this.#report(error),
    });
    this.#begin();
  }

  get uid() {
    return this.#tokens.uid;
  }

  get did() {
    return this.#disk?.did;
  }

  get connection() {
    return this.#link.state;
  }

  on(event, listener) {
    const off = this.#events.on(event, listener);
    if (event === "message") void this.#handover.run();
    return off;
  }

  async connect() {
    this.#ended = false;
    if (this.#closing) await this.#closing;
    if (this.#ended) return;
    try {
      await this.#load();
    } catch (error) {
      if (!this.#ended) throw error;
    }
    if (this.#ended) return;
    this.#unwatch ??= watchNetwork(() => {
      this.#link.nudge(this.#clock.now());
      this.#turn();
    });
    this.#link.start();
    this.#reads.resume();
    this.#turn();
  }

  disconnect() {
    this.#ended = true;
    this.#leave("offline");
  }

  async close() {
    this.#ended = true;
    this.#leave("closed");
    this.#closing ??= this.#putAway().finally(
      () => (this.#closing = undefined),
    );
    return this.#closing;
  }

  /** Closes the store behind everything that was asked for before: nothing may find it closed and open another one. */
  async #putAway() {
    await this.#order;
    let loading;
    do {
      loading = this.#loading;
      await loading?.catch(() => {});
      while (this.#writes.size > 0) await Promise.allSettled(this.#writes);
    } while (loading !== this.#loading);
    this.#loading = undefined;
    this.#handover.stop();
    this.#disk?.close();
    this.#disk = undefined;
    this.#begin();
    this.#link.stop("closed");
  }

  /**
   * @param {import('../index.js').Chat} chat
   * @param {unknown} payload
   * @param {{ id?: string, expiresAt?: number }} [options]
   */
  async send(chat, payload, { id = randomId(), expiresAt } = {}) {
    const { type, to } = checked(chat);
    if (!isId(id))
      throw new TypeError(
        "an id has 1 to 64 bytes, no comma and no control character",
      );
    const body = JSON.stringify(payload);
    if (body === undefined) throw new TypeError("a payload is a JSON value");
    // One after the other, so that the order of the calls is the order of sending, however long the store takes.
    const before = Promise.all([this.#order, this.#closing]);
    const queued = before.then(async () => {
      await this.#load();
      const known = this.#outbox.entry(type, to, id);
      if (known) return known;
      const max = this.#options.outboxMax ?? OUTBOX_MAX;
      if (this.#outbox.size >= max)
        throw new YizhanError(
          0,
          `the outbox is full: it has ${max} messages that are not delivered yet`,
        );
      const entry = {
        n: this.#nextN(),
        id,
        type,
        to,
        body,
        createdAt: this.#wall(),
        expiresAt,
        state: "queued",
      };
      await this.#disk.saveEntry(entry);
      this.#outbox.add(Object.assign(entry, { fresh: true }));
      return entry;
    });
    this.#order = queued.catch(() => {});
    const entry = await queued;
    const message = sentMessage(entry, this.uid);
    this.#turn();
    return message;
  }

  outbox() {
    return this.#outbox.entries().map((entry) => sentMessage(entry, this.uid));
  }

  async revoke(chat, id) {
    const { type, to } = checked(chat);
    await this.#load();
    await this.#order;
    if (this.#outbox.cancel(type, to, id)) {
      this.#turn();
      return;
    }
    const deadline = this.#deadline();
    const state = await this.#settled(type, to, id, deadline);
    if (isGone(state)) return;
    const frame = { id, type: `${type}_REVOKE`, to };
    await this.#ask(frame, `${type}_REVOKE_ACK`, { deadline });
  }

  async edit(chat, id, payload) {
    const { type, to } = checked(chat);
    const deadline = await this.#arrived(type, to, id);
    await this.#ask(
      { id: randomId(), type: `${type}_EDIT`, to, target: id, payload },
      `${type}_EDIT_ACK`,
      { deadline },
    );
  }

  read(chat, cseq) {
    this.#reads.read(checked(chat), cseq);
  }

  typing(chat) {
    const { type, to } = checked(chat);
    const now = this.#clock.now();
    const key = chatKey(chat);
    if (
      !this.#link.online ||
      now - (this.#typed.get(key) ?? -Infinity) < TYPING_MS
    )
      return;
    this.#typed.set(key, now);
    this.#line.write(JSON.stringify({ type: `${type}_TYPING`, to }));
  }

  /**
   * @param {import('../index.js').Chat} chat
   * @param {{ before?: number, after?: number, limit?: number }} [page]
   */
  async history(chat, page = {}) {
    return history(this.#asking, () => this.uid, checked(chat), page);
  }

  /** @param {{ before?: number, limit?: number }} [page] */
  async conversations(page = {}) {
    return conversations(this.#asking, () => this.uid, page);
  }

  /**
   * @param {import('../index.js').Chat} chat
   * @param {string} id
   * @param {{ after?: string, limit?: number }} [page]
   */
  async receipts(chat, id, page = {}) {
    const { type, to } = checked(chat);
    const deadline = await this.#arrived(type, to, id);
    const ask = (frame, answer) => this.#ask(frame, answer, { deadline });
    return receipts(ask, chat, id, page);
  }

  /**
   * @param {import('../index.js').Chat} chat
   * @param {string[]} ids
   */
  async status(chat, ids) {
    return status(this.#asking, checked(chat), ids);
  }

  async presence(uids) {
    return presence(this.#asking, uids);
  }

  async signal(to, type, payload, { id = randomId() } = {}) {
    await this.#ask({ id, type, to, payload }, "WEBRTC_SERVER_ACK");
  }

  rest(method, path, body) {
    return callRest(
      { fetch: this.#fetch, base: this.#base, tokens: this.#tokens },
      method,
      path,
      body,
    );
  }

  #begin() {
    const {
      random = Math.random,
      resendMs,
      statusMs,
      inboxTtlMs: ttlMs,
      window,
      ackMs,
      heartbeatMs,
      pongMs,
      openMs,
      backoff,
    } = this.#options;
    // A device that was claimed under a lock has no rival but its own past.
    const ghosts = this.#options.did === undefined ? 3 : 1;
    this.#link = new Link(
      defined({ ghosts, heartbeatMs, pongMs, openMs, backoff, random }),
    );
    this.#outbox = new Outbox(
      defined({ window, resendMs, statusMs, ttlMs, random }),
    );
    this.#inbox = new Inbox(defined({ ackMs, repeatMs: resendMs }));
    this.#requests = new Requests(defined({ resendMs }));
    this.#handover = this.#handingOver(this.#inbox);
    this.#refresh = new Refresh(defined({ resendMs, backoff, random }));
  }

  #handingOver(inbox) {
    return new Handover(inbox, {
      ready: () => this.#events.has("message"),
      emit: (event, value) => this.#events.emit(event, value),
      stored: (frames) => {
        inbox.stored(this.#clock.now(), frames);
        this.#turn();
      },
      report: (error) => this.#report(error),
      uid: () => this.uid,
    });
  }

  /** Opens the store and takes over what earlier pages left there, once. */
  #load() {
    this.#loading ??= this.#open().catch((error) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  async #open() {
    const { store, locks, did } = this.#options;
    let { database } = this.#options;
    if (!store && database === undefined) {
      const uid = await this.#firstUid();
      if (uid === undefined && this.#ended) throw this.#away();
      database = uid === undefined ? undefined : `yizhan-${uid}`;
    }
    const disk = await Persistence.open({
      store,
      locks,
      database,
      did,
      memory: this.#memory,
    });
    const { outbox, seen, reads } = await disk.load();
    this.#disk = disk;
    this.#inbox.seen.load(seen);
    this.#handover.open((marks) => disk.saveSeen(marks));
    for (const entry of outbox) {
      this.#n = Math.max(this.#n, entry.n);
      this.#outbox.add(entry);
    }
    this.#reads.load(reads);
    await this.#adopt();
  }

  /** The database is named after the user, and only a token tells who that is. */
  async #firstUid() {
    const backoff = new Backoff({
      ...this.#options.backoff,
      random: this.#options.random,
    });
    while (
      this.#tokens.uid === undefined &&
      this.#tokens.canRenew &&
      !this.#ended
    ) {
      try {
        await this.#tokens.current();
        return this.#tokens.uid;
      } catch (error) {
        this.#report(error);
        await this.#pause(backoff.next(error?.retryMs));
      }
    }
    return this.#tokens.uid;
  }

  /** Waits for so long, or until the client goes. */
  #pause(ms) {
    return new Promise((resolve) => {
      const end = () => {
        this.#clock.clearTimeout(timer);
        this.#waits.delete(end);
        resolve(undefined);
      };
      const timer = this.#clock.setTimeout(end, ms);
      this.#waits.add(end);
    });
  }

  #nextN() {
    this.#n += 1;
    return this.#n;
  }

  async #adopt() {
    if (this.#adopting || !this.#disk) return;
    this.#adopting = true;
    this.#adoptAt = this.#clock.now() + ADOPT_MS;
    try {
      for (const entry of await this.#disk.adopt(() => this.#nextN())) {
        const twin = this.#outbox.entry(entry.type, entry.to, entry.id);
        if (twin) await this.#disk.dropEntry(entry);
        else this.#outbox.add(entry);
      }
    } catch (error) {
      this.#report(error);
    } finally {
      this.#adopting = false;
    }
  }

  #turn() {
    const now = this.#clock.now();
    for (const order of this.#link.poll(now)) this.#obey(order);
    const { send, ask, changed } = this.#outbox.poll(now, this.#wall());
    for (const entry of send) {
      this.#line.write(messageFrame(entry), () =>
        this.#outbox.tooLong(entry.type, entry.to, entry.id),
      );
    }
    if (ask.length > 0)
      this.#line.write(statusFrame(`status-${randomId()}`, ask));
    for (const { entry, finished } of changed) this.#moved(entry, finished);
    for (const frame of this.#requests.poll(now)) this.#line.write(frame);
    if (this.#link.online) {
      for (const seqs of this.#inbox.poll(now))
        this.#line.write(ackFrame(`ack-${randomId()}`, seqs));
      const step = this.#refresh.poll(now);
      if (step?.fetch) void this.#renew();
      if (step?.show)
        this.#line.write(
          JSON.stringify({
            id: `refresh-${randomId()}`,
            type: "REFRESH",
            token: step.show,
          }),
        );
      if (now >= this.#adoptAt)
        this.#wrote(this.#adopt().then(() => this.#turn()));
    }
    this.#tell();
    const due = [this.#link.due(), this.#outbox.due(), this.#requests.due()];
    if (this.#link.online)
      due.push(
        this.#inbox.due(),
        this.#refresh.due(),
        Math.max(this.#adoptAt, now + 1),
      );
    this.#alarm.set(Math.min(...due));
  }

  #obey(order) {
    if (order === "ping") this.#line.write("ping");
    if (order === "drop") this.#hangUp();
    if (order === "renew") this.#tokens.wornOut();
    if (order === "open") void this.#dial();
  }

  async #dial() {
    this.#hangUp();
    try {
      const dialled = await this.#line.dial({
        WebSocket: this.#options.WebSocket,
        address: async () => ({
          base: this.#base,
          token: await this.#tokens.current(),
          did: this.did,
          dtype: this.#options.dtype,
        }),
        heard: (text) => this.#heard(text),
        lost: (code) => this.#lost(code),
      });
      if (!dialled) return;
      this.#link.dialled(this.#clock.now());
    } catch (error) {
      this.#report(error);
      if (!this.#mayRetry(error)) this.#link.stop("closed");
      else this.#link.failed(this.#clock.now(), error?.retryMs);
    }
    this.#turn();
  }

  /** A token function may know better next time; a refresh token that was turned down stays turned down. */
  #mayRetry(error) {
    if (typeof this.#options.token === "function") return true;
    const code = error?.code;
    return (
      this.#tokens.canRenew &&
      code !== Code.Banned &&
      code !== Code.RefreshToken &&
      code !== Code.InvalidToken
    );
  }

  #hangUp() {
    this.#line.hangUp();
    this.#outbox.disconnected();
    this.#requests.disconnected();
    this.#refresh.disconnected();
  }

  #heard(text) {
    const now = this.#clock.now();
    const frame = text === "pong" ? undefined : parseFrame(text);
    if (
      !this.#link.online &&
      frame?.type === "ERROR" &&
      frame.id === undefined
    ) {
      this.#link.refused(frame);
      return;
    }
    if (this.#link.heard(now)) {
      this.#outbox.connected();
      this.#inbox.connected();
      this.#requests.connected();
      this.#tokenEnds(now, this.#tokens.canRenew ? this.#tokens.exp : Infinity);
    }
    if (frame) this.#take(now, frame);
    this.#turn();
  }

  #lost(code) {
    const now = this.#clock.now();
    if (code === Close.TooBig) this.#line.tooLong();
    this.#hangUp();
    const error = this.#link.lost(now, code, this.#tokens.canRenew);
    if (error) this.#report(error);
    this.#turn();
  }

  #leave(state) {
    if (this.#link.online)
      for (const seqs of this.#inbox.poll(Infinity))
        this.#line.write(ackFrame(`ack-${randomId()}`, seqs));
    this.#link.stop(state);
    this.#hangUp();
    this.#unwatch?.();
    this.#unwatch = undefined;
    const error = new YizhanError(0, `the client is ${state}`);
    this.#requests.end(error);
    for (const end of [...this.#waits]) end(error);
    this.#tell();
    this.#alarm.clear();
  }

  #take(now, frame) {
    const kind = route(frame);
    if (kind === "delivery") {
      if (this.#inbox.take(now, frame)) void this.#handover.run();
    } else if (kind === "confirmation") {
      this.#inbox.confirmed(frame);
    } else if (kind === "signal") {
      void this.#signalled(frame);
    } else if (kind === "refreshed") {
      this.#tokenEnds(now, frame.exp);
    } else if (kind === "notice") {
      this.#notice(now, frame);
    } else if (kind === "error") {
      this.#error(now, frame);
    } else if (kind === "read") {
      const chat = {
        type: frame.type.slice(0, 3),
        to:
          frame.type === "C2C_READ" && frame.from !== this.uid
            ? frame.from
            : frame.to,
      };
      void this.#emit("read", { chat, by: frame.from, upTo: frame.up_to });
    } else if (kind === "typing") {
      const chat =
        frame.type === "C2G_TYPING"
          ? { type: "C2G", to: frame.to }
          : { type: "C2C", to: frame.from };
      void this.#emit("typing", { chat, by: frame.from });
    } else if (
      !this.#requests.take(now, frame) &&
      !this.#outbox.take(now, frame, this.#wall()) &&
      frame.type === "C2G_DELIVERED"
    ) {
      const message = this.#receipts.grown(frame);
      if (message) void this.#emit("sent", message);
    }
  }

  #notice(now, { id, payload }) {
    switch (payload?.msg_type) {
      case "offline_summary":
        this.#inbox.owedFrom(payload.from_seq);
        return void this.#emit("waiting", { count: payload.count });
      case "please_refresh_token":
        if (this.#tokens.canRenew) this.#refresh.asked(now);
        else
          this.#report(
            new YizhanError(
              Code.RefreshToken,
              "the token is about to expire, and there is no way to get another",
            ),
          );
        return undefined;
      case "resync":
        return void this.#emit("resync", {});
      case "presence":
        return void this.#emit("presence", {
          uid: payload.uid,
          state: payload.state,
        });
      case "not_a_friend":
      case "in_denylist": {
        const why = { code: Code.Banned, msg: payload.msg_type };
        // A signal and a change are requests.
        for (const answer of ["WEBRTC_SERVER_ACK", "C2C_EDIT_ACK"])
          this.#requests.refuse(answer, id, new YizhanError(why.code, why.msg));
        return this.#outbox.refuse(payload.to, id, why);
      }
      default:
        return undefined;
    }
  }

  #error(now, frame) {
    const { id, code, msg, retry_ms: retryMs } = frame;
    if (this.#outbox.take(now, frame, this.#wall())) return;
    if (this.#requests.take(now, frame)) return;
    const about = (kind) => id === undefined || id.startsWith(`${kind}-`);
    const worn = code === Code.RefreshToken || code === Code.InvalidToken;
    if (this.#refresh.waiting && (worn || about("refresh")))
      this.#refresh.refused(now, frame);
    if (worn) return;
    if (about("status")) this.#outbox.statusFailed(now, retryMs);
    if (
      about("ack") &&
      (code === Code.TooFast || code === Code.Busy || code === Code.Storage)
    )
      this.#inbox.refused(now, retryMs ?? 1_000);
    if (id === undefined && code === Code.BadFrame)
      this.#report(new YizhanError(code, msg));
  }

  async #signalled(frame) {
    if (!this.#events.has("signal")) return;
    const { id, type, from, to, payload } = frame;
    const copies = this.#receipts.signal(`${type} ${from} ${id}`);
    const errors =
      copies > 1
        ? []
        : await this.#emit("signal", { id, type, from, to, payload });
    if (errors.length === 0 && this.#link.online)
      this.#line.write(`CLIENT_ACK,${type},${id},${this.did}`);
  }

  /** The exchange of the token is timed by a clock that does not jump, from one that may. */
  #tokenEnds(now, exp) {
    this.#refresh.connected(now, now + (exp - this.#wall()));
  }

  #wall() {
    return this.#clock.wall ? this.#clock.wall() : this.#clock.now();
  }

  async #renew() {
    try {
      const token = await this.#tokens.renew();
      this.#refresh.fetched(this.#clock.now(), token);
    } catch (error) {
      this.#report(error);
      this.#refresh.failed(this.#clock.now());
    }
    this.#turn();
  }

  /** An own message has moved on: the store and the listeners hear of it, and it leaves the store last. */
  #moved(entry, finished) {
    const message = sentMessage(entry, this.uid);
    if (finished && entry.type === "C2G") this.#receipts.remember(message);
    const disk = this.#disk;
    const told = this.#emit("sent", message);
    if (finished) void told.then(() => this.#wrote(disk?.dropEntry(entry)));
    else this.#wrote(disk?.saveEntry(entry));
  }

  /** Notes a write that nobody waits for, except for `close`. */
  #wrote(written) {
    const noted = Promise.resolve(written)
      .catch((error) => this.#report(error))
      .finally(() => this.#writes.delete(noted));
    this.#writes.add(noted);
  }

  /**
   * Waits until the server can be asked about an own message, and returns until when; rejects if it never will know it.
   * Asked earlier, it would know nothing of what is still on its way.
   */
  async #arrived(type, to, id) {
    if (this.#ended) throw this.#away();
    await this.#load();
    await this.#order;
    const deadline = this.#deadline();
    const state = await this.#settled(type, to, id, deadline);
    if (isGone(state))
      throw new YizhanError(Code.NotFound, `the message was ${state}`);
    return deadline;
  }

  /** Waits until the server has answered a message that is still on its way, and tells what became of it. */
  #settled(type, to, id, deadline) {
    const entry = this.#outbox.entry(type, to, id);
    if (entry?.state !== "queued") return Promise.resolve(entry?.state);
    if (this.#ended) return Promise.reject(this.#away());
    return new Promise((resolve, reject) => {
      const end = (error) => {
        off();
        alarm.clear();
        this.#waits.delete(end);
        if (error) reject(error);
      };
      const off = this.#events.on("sent", (message) => {
        if (
          message.id !== id ||
          message.to !== to ||
          message.type !== type ||
          message.state === "queued"
        )
          return;
        end();
        resolve(message.state);
      });
      const alarm = new Alarm(this.#clock, () =>
        end(new YizhanError(0, "no answer in time")),
      );
      alarm.set(deadline);
      this.#waits.add(end);
    });
  }

  #deadline() {
    return this.#clock.now() + (this.#options.requestMs ?? REQUEST_MS);
  }

  #away() {
    return new YizhanError(0, `the client is ${this.#link.state}`);
  }

  #asking = (frame, answer, isFor) => this.#ask(frame, answer, { isFor });

  /**
   * @param {any} frame
   * @param {string} answer
   * @param {{ deadline?: number, isFor?: Function }} [how]
   */
  #ask(frame, answer, { deadline = this.#deadline(), isFor } = {}) {
    if (this.#ended) return Promise.reject(this.#away());
    const id = frame.id ?? randomId();
    return new Promise((resolve, reject) => {
      this.#requests.add({
        id,
        to: frame.to,
        answer,
        isFor,
        frame: JSON.stringify({ ...frame, id }),
        deadline,
        resolve,
        reject,
      });
      this.#turn();
    });
  }

  #tell() {
    if (this.#told === this.#link.state) return;
    this.#told = this.#link.state;
    void this.#emit("connection", this.#told);
  }

  async #emit(event, value) {
    const errors = await this.#events.emit(event, value);
    for (const error of errors) if (event !== "error") this.#report(error);
    return errors;
  }

  #report(error) {
    void this.#emit("error", asError(error));
  }
}

function checked(chat) {
  if (
    (chat?.type !== "C2C" && chat?.type !== "C2G") ||
    typeof chat.to !== "string" ||
    chat.to === ""
  ) {
    throw new TypeError(
      'a chat is { type: "C2C" or "C2G", to: a user or a group }',
    );
  }
  return chat;
}

/** Tells whether the server has nothing of a message that ended so. */
function isGone(state) {
  return state === "refused" || state === "expired" || state === "revoked";
}

function defined(options) {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
}
