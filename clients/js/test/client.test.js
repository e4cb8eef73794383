import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import { Client, memoryStore } from "../src/index.js";
import { FakeClock, idle } from "./support/clock.js";
import { FakeServer, obliging, token } from "./support/fake.js";
import { next } from "./support/wait.js";

const BOB = { type: "C2C", to: "bob" };
const CREW = { type: "C2G", to: "crew" };

let server;
let clock;
let clients;
beforeEach(() => {
  server = new FakeServer();
  clock = new FakeClock();
  clients = [];
});
afterEach(() => Promise.all(clients.map((client) => client.close())));

/** A client that writes down what it is told. */
function client(options = {}) {
  const made = new Client({
    url: "http://server",
    token: token("me"),
    WebSocket: server.WebSocket,
    clock,
    random: () => 0.5,
    ackMs: 0,
    ...options,
  });
  made.heard = [];
  for (const event of [
    "connection",
    "message",
    "sent",
    "revoked",
    "edited",
    "read",
    "typing",
    "presence",
    "waiting",
    "resync",
    "error",
    "signal",
  ]) {
    made.on(event, (value) => void made.heard.push([event, value]));
  }
  made.events = (event) =>
    made.heard.filter(([name]) => name === event).map(([, value]) => value);
  clients.push(made);
  return made;
}

/** The numbers that were acknowledged on the last connection. */
function acked() {
  return server.last.of("CLIENT_ACK").flatMap(({ seqs }) => seqs);
}

async function online(options) {
  const made = client(options);
  await made.connect();
  await idle();
  await idle();
  assert.equal(made.connection, "online");
  return made;
}

describe("a client", () => {
  it("connects with its token and device, and asks to see refusals", async () => {
    const me = await online({ did: "phone, no".slice(0, 5), dtype: "web" });
    const { url } = server.last;
    assert.equal(url.protocol, "ws:");
    assert.equal(url.pathname, "/ws");
    const query = Object.fromEntries(url.searchParams);
    assert.deepEqual(query, {
      authorization: token("me"),
      did: "phone",
      dtype: "web",
      errors: "close",
    });
    assert.deepEqual(me.events("connection"), ["connecting", "online"]);
    assert.deepEqual(me.events("waiting"), [{ count: 0 }]);
    assert.equal(me.uid, "me");
  });

  for (const url of ["http://server/im", "wss://server/im/?x#y"]) {
    it(`finds a server below a path: ${url}`, async () => {
      const asked = [];
      const fetch = async (address) => {
        asked.push(address.pathname + address.search);
        return { status: 200, text: async () => '{"code":0,"payload":1}' };
      };
      const me = await online({ url, fetch });
      const { origin, pathname } = server.last.url;
      assert.equal(pathname, "/im/ws");
      assert.equal(
        origin,
        url.startsWith("wss") ? "wss://server" : "ws://server",
      );
      await me.rest("GET", "/v1/groups?limit=1");
      await me.rest("GET", "http://other/v1");
      assert.deepEqual(asked, ["/im/v1/groups?limit=1", "/im/http://other/v1"]);
    });
  }

  it("takes a message through its three states", async () => {
    server.onframe = obliging;
    const me = await online();
    const { id, state } = await me.send(BOB, { text: "hi" });
    assert.equal(state, "queued");
    await idle();
    assert.deepEqual(
      me.events("sent").map((sent) => [sent.id, sent.state, sent.cseq]),
      [
        [id, "accepted", 1],
        [id, "delivered", 1],
      ],
    );
    assert.deepEqual(me.outbox(), []);
  });

  it("sends what was queued without a connection, in order", async () => {
    const me = client();
    for (const text of ["one", "two", "three"]) void me.send(BOB, { text });
    await me.connect();
    await idle();
    await idle();
    assert.deepEqual(
      server.last.of("C2C").map(({ payload }) => payload.text),
      ["one", "two", "three"],
    );
  });

  it("queues the same id once", async () => {
    const me = client();
    await Promise.all([
      me.send(BOB, 1, { id: "m1" }),
      me.send(BOB, 1, { id: "m1" }),
    ]);
    assert.equal(me.outbox().length, 1);
  });

  it("queues no more than its outbox may hold, and goes on when there is room", async () => {
    const me = await online({ outboxMax: 2 });
    const sends = ["m1", "m2", "m3"].map((id) => me.send(BOB, 1, { id }));
    await assert.rejects(sends[2], {
      name: "YizhanError",
      code: 0,
      message: /full.* 2 /,
    });
    assert.equal(
      (await me.send(BOB, 1, { id: "m2" })).id,
      "m2",
      "a repeat is no more",
    );
    assert.deepEqual(
      me.outbox().map(({ id }) => id),
      ["m1", "m2"],
    );
    server.last.say({
      id: "m1",
      type: "C2C_DELIVERED",
      from: "bob",
      to: "bob",
      server_ts: 1,
    });
    await me.send(BOB, 1, { id: "m3" });
    assert.deepEqual(
      server.last.of("C2C").map(({ id }) => id),
      ["m1", "m2", "m3"],
    );
  });

  it("refuses what no server would take, before it is queued", async () => {
    const me = client();
    await assert.rejects(me.send({ type: "C2X", to: "bob" }, 1), TypeError);
    await assert.rejects(me.send({ type: "C2C", to: "" }, 1), TypeError);
    await assert.rejects(me.send(BOB, 1, { id: "a,b" }), TypeError);
    await assert.rejects(me.send(BOB, undefined), TypeError);
    assert.deepEqual(me.outbox(), []);
  });

  it("sends the same bytes again after a reload, and asks about what was accepted", async () => {
    const store = memoryStore();
    const before = await online({ store, did: "phone" });
    const payload = { b: 1, a: [1.5, "ä"] };
    await before.send(BOB, payload, { id: "m1" });
    await before.send(BOB, payload, { id: "m2", expiresAt: 77 + clock.now() });
    server.last.say({
      id: "m1",
      type: "C2C_SERVER_ACK",
      to: "bob",
      server_ts: 5,
    });
    await idle();
    const [, first] = server.last.of("C2C");
    await before.close();

    const after = await online({ store, did: "phone" });
    assert.deepEqual(
      after.outbox().map(({ id, state }) => [id, state]),
      [
        ["m1", "accepted"],
        ["m2", "queued"],
      ],
    );
    assert.deepEqual(server.last.of("C2C"), [first]);
    assert.deepEqual(
      server.last.of("STATUS").map(({ of }) => of),
      [[{ to: "bob", id: "m1" }]],
    );
    server.last.say({
      type: "STATUS",
      of: [{ to: "bob", id: "m1", state: "delivered" }],
    });
    assert.deepEqual(
      after.events("sent").map(({ id, state }) => [id, state]),
      [["m1", "delivered"]],
    );
  });

  it("does not send again what the server has forgotten, by the time of day and the server's own time", async () => {
    const DAY = 86_400_000;
    let wall = 50 * DAY;
    const me = await online({
      inboxTtlMs: DAY,
      clock: Object.assign(clock, { wall: () => wall }),
    });
    for (const id of ["m1", "m2"]) {
      await me.send(BOB, 1, { id });
      server.last.say({
        id,
        type: "C2C_SERVER_ACK",
        to: "bob",
        server_ts: wall,
      });
      wall += DAY / 2;
    }
    await clock.advance(60_000);
    server.last.say({
      type: "STATUS",
      of: server.last
        .of("STATUS")[0]
        .of.map((item) => ({ ...item, state: "unknown" })),
    });
    assert.deepEqual(
      me.events("sent").map(({ id, state }) => [id, state]),
      [
        ["m1", "accepted"],
        ["m2", "accepted"],
        ["m1", "expired"],
        ["m2", "queued"],
      ],
    );
  });

  it("hears that a message was refused for good, also by a notice", async () => {
    const me = await online();
    await me.send(BOB, 1, { id: "m1" });
    await me.send(BOB, 2, { id: "m2" });
    server.last.say({
      id: "m1",
      type: "ERROR",
      to: "bob",
      code: 413,
      msg: "Too large",
    });
    server.last.say({
      id: "m2",
      type: "S2C",
      from: "",
      to: "me",
      payload: { msg_type: "in_denylist", to: "bob" },
    });
    assert.deepEqual(
      me.events("sent").map(({ id, state, error }) => [id, state, error.msg]),
      [
        ["m1", "refused", "Too large"],
        ["m2", "refused", "in_denylist"],
      ],
    );
    assert.deepEqual(me.outbox(), []);
  });

  it("may send from a listener", async () => {
    server.onframe = obliging;
    const me = await online();
    me.on(
      "message",
      ({ payload }) =>
        payload.text === "ping" && me.send(BOB, { text: "pong" }),
    );
    server.last.say({
      id: "m1",
      type: "C2C",
      from: "bob",
      to: "me",
      payload: { text: "ping" },
      seq: 1,
      cseq: 1,
      server_ts: 1,
    });
    await next(me, "sent", ({ state }) => state === "delivered");
    await clock.advance(0);
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1]],
    );
  });

  it("gives up on the longest frame when the server says that one was too long", async () => {
    const me = await online();
    await me.send(BOB, "short", { id: "m1" });
    await me.send(BOB, "long".repeat(100), { id: "m2" });
    server.last.end(1009);
    assert.deepEqual(
      me.events("sent").map(({ id, error }) => [id, error.code]),
      [["m2", 413]],
    );
    assert.deepEqual(
      me.outbox().map(({ id }) => id),
      ["m1"],
    );
  });
});

describe("a message that arrives", () => {
  const message = (id, seq, rest = {}) => ({
    id,
    type: "C2C",
    from: "bob",
    to: "me",
    payload: { n: seq },
    server_ts: 5,
    seq,
    cseq: seq,
    ...rest,
  });

  it("is shown once and acknowledged, however often it comes", async () => {
    const me = await online();
    server.last.say(message("m1", 1));
    server.last.say(message("m1", 1));
    await clock.advance(1);
    server.last.say(message("m1", 1));
    await clock.advance(1);
    assert.deepEqual(
      me
        .events("message")
        .map(({ id, chat, seq, cseq }) => ({ id, chat, seq, cseq })),
      [{ id: "m1", chat: BOB, seq: 1, cseq: 1 }],
    );
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1], [1]],
    );
  });

  it("is shown once over a reload that lost the acknowledgement", async () => {
    const store = memoryStore();
    const before = await online({ store, did: "phone" });
    server.last.say(message("m1", 1));
    await idle();
    assert.equal(before.events("message").length, 1);
    await before.close();
    const after = await online({ store, did: "phone" });
    server.last.say(message("m1", 1));
    server.last.say(message("m2", 2));
    await clock.advance(1);
    assert.deepEqual(
      after.events("message").map(({ id }) => id),
      ["m2"],
    );
    assert.deepEqual(acked(), [1, 2]);
  });

  it("is acknowledged when its listeners are done, and not before", async () => {
    const me = await online();
    let done;
    me.on("message", () => new Promise((resolve) => (done = resolve)));
    server.last.say(message("m1", 1));
    await clock.advance(100);
    assert.deepEqual(server.last.of("CLIENT_ACK"), []);
    done();
    await clock.advance(100);
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1]],
    );
  });

  it("is not acknowledged when a listener failed, and comes again", async () => {
    const me = await online();
    let broken = true;
    const got = [];
    me.on("message", ({ id }) => {
      if (broken) throw new Error("the disk is full");
      got.push(id);
    });
    server.last.say(message("m1", 1));
    await clock.advance(10);
    assert.deepEqual(server.last.of("CLIENT_ACK"), []);
    assert.deepEqual(
      me.events("error").map((error) => error.message),
      ["the disk is full"],
    );
    broken = false;
    server.last.say(message("m1", 1));
    await clock.advance(10);
    assert.deepEqual(got, ["m1"]);
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1]],
    );
  });

  for (const thrown of [undefined, null, Object.create(null)]) {
    const what = Object(thrown) === thrown ? "an object" : String(thrown);
    it(`keeps nothing behind it from coming when a listener rejects with ${what}`, async () => {
      const me = await online();
      me.on("message", ({ id }) => id === "m1" && Promise.reject(thrown));
      for (const seq of [1, 2, 3]) server.last.say(message(`m${seq}`, seq));
      await clock.advance(10);
      assert.deepEqual(
        me.events("message").map(({ id }) => id),
        ["m1", "m2", "m3"],
      );
      assert.deepEqual(acked(), [2, 3]);
      const [error] = me.events("error");
      assert.equal(error.name, "YizhanError");
      assert.equal(error.cause, thrown);
    });
  }

  it("waits for a listener", async () => {
    const me = new Client({
      url: "http://server",
      token: token("me"),
      WebSocket: server.WebSocket,
      clock,
      ackMs: 0,
    });
    clients.push(me);
    await me.connect();
    await idle();
    await idle();
    server.last.say(message("m1", 1));
    await clock.advance(10);
    assert.deepEqual(server.last.of("CLIENT_ACK"), []);
    const got = [];
    me.on("message", ({ id }) => void got.push(id));
    await clock.advance(10);
    assert.deepEqual(got, ["m1"]);
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1]],
    );
  });

  it("is shown in the order of seq as far as it waits", async () => {
    const me = await online();
    const ends = [];
    me.on("message", () => new Promise((resolve) => ends.push(resolve)));
    for (const seq of [1, 4, 3, 2]) server.last.say(message(`m${seq}`, seq));
    for (let at = 0; at < 4; at += 1) {
      await idle();
      ends[at]();
    }
    await idle();
    assert.deepEqual(
      me.events("message").map(({ seq }) => seq),
      [1, 2, 3, 4],
    );
  });

  it("may be a copy of what another device of the same user sent", async () => {
    const me = await online();
    server.last.say(message("m1", 1, { from: "me", to: "bob" }));
    server.last.say(message("m2", 2, { type: "C2G", from: "me", to: "crew" }));
    await clock.advance(1);
    assert.deepEqual(
      me.events("message").map(({ from, chat }) => [from, chat]),
      [
        ["me", BOB],
        ["me", CREW],
      ],
    );
    assert.deepEqual(acked(), [1, 2]);
  });

  it("may be of a group, or a notice in it", async () => {
    const me = await online();
    server.last.say(message("m1", 1, { type: "C2G", to: "crew" }));
    server.last.say(
      message("n1", 2, {
        type: "S2C",
        payload: { msg_type: "group_renamed", group: "crew", name: "Crew" },
      }),
    );
    server.last.say(
      message("n2", 3, {
        type: "S2C",
        payload: { msg_type: "contact_confirmed" },
      }),
    );
    await clock.advance(1);
    assert.deepEqual(
      me.events("message").map(({ type, chat }) => [type, chat]),
      [
        ["C2G", CREW],
        ["S2C", CREW],
        ["S2C", BOB],
      ],
    );
  });

  it("is acknowledged and not shown when its type is not known", async () => {
    const me = await online();
    server.last.say(message("x1", 1, { type: "C2C_REACTION" }));
    await clock.advance(1);
    assert.deepEqual(me.events("message"), []);
    assert.deepEqual(
      server.last.of("CLIENT_ACK").map(({ seqs }) => seqs),
      [[1]],
    );
  });

  it("may be revoked or edited", async () => {
    const me = await online();
    server.last.say(message("m1", 1));
    server.last.say(
      message("m1", 2, { type: "C2C_REVOKE", cseq: 1, payload: undefined }),
    );
    server.last.say(
      message("e1", 3, {
        type: "C2G_EDIT",
        to: "crew",
        target: "m0",
        cseq: 9,
        payload: "new",
      }),
    );
    await clock.advance(1);
    assert.deepEqual(me.events("revoked"), [
      { chat: BOB, from: "bob", id: "m1", cseq: 1 },
    ]);
    assert.deepEqual(me.events("edited"), [
      {
        chat: CREW,
        from: "bob",
        id: "m0",
        payload: "new",
        cseq: 9,
        serverTs: 5,
      },
    ]);
    assert.deepEqual(acked(), [1, 2, 3]);
  });
});

describe("what is asked", () => {
  it("comes with the page of a conversation", async () => {
    const me = await online();
    const page = me.history(BOB, { before: 120, limit: 2 });
    const [asked] = server.last.of("C2C_HISTORY");
    assert.deepEqual(
      { ...asked, id: "" },
      { id: "", type: "C2C_HISTORY", to: "bob", before: 120, limit: 2 },
    );
    const messages = [
      {
        id: "m1",
        type: "C2C",
        from: "bob",
        to: "me",
        payload: null,
        server_ts: 1,
        cseq: 118,
        revoked_at: 9,
      },
      {
        id: "m2",
        type: "C2C",
        from: "me",
        to: "bob",
        payload: 2,
        created_at: 1,
        server_ts: 2,
        cseq: 119,
        edited_at: 8,
        expires_at: 99,
      },
    ];
    server.last.say({
      id: asked.id,
      type: "C2C_HISTORY_PAGE",
      to: "bob",
      messages,
      next: 118,
      more: true,
      head: 140,
    });
    assert.deepEqual(await page, {
      messages: [
        {
          id: "m1",
          type: "C2C",
          from: "bob",
          to: "me",
          chat: BOB,
          payload: null,
          serverTs: 1,
          cseq: 118,
          revokedAt: 9,
        },
        {
          id: "m2",
          type: "C2C",
          from: "me",
          to: "bob",
          chat: BOB,
          payload: 2,
          createdAt: 1,
          serverTs: 2,
          cseq: 119,
          editedAt: 8,
          expiresAt: 99,
        },
      ],
      next: 118,
      more: true,
      head: 140,
    });
  });

  it("comes with the list of conversations", async () => {
    const me = await online();
    const page = me.conversations({ limit: 10 });
    const [{ id }] = server.last.of("CONVERSATIONS");
    const conversations = [
      {
        type: "C2C",
        to: "bob",
        head: 3,
        read: 2,
        peer_read: 1,
        unread: 1,
        updated_at: 7,
        expire_ms: 0,
        last: null,
      },
      {
        type: "C2G",
        to: "crew",
        name: "Crew",
        role: "owner",
        head: 1,
        read: 1,
        unread: 0,
        updated_at: 6,
        expire_ms: 0,
        last: {
          id: "m1",
          type: "C2G",
          from: "me",
          to: "crew",
          payload: 1,
          server_ts: 1,
          cseq: 1,
        },
      },
    ];
    server.last.say({
      id,
      type: "CONVERSATIONS_PAGE",
      conversations,
      next: 6,
      more: false,
    });
    const {
      conversations: [bob, crew],
      more,
    } = await page;
    assert.deepEqual(bob, {
      chat: BOB,
      head: 3,
      read: 2,
      peerRead: 1,
      unread: 1,
      updatedAt: 7,
      expireMs: 0,
      last: null,
    });
    assert.deepEqual(
      [crew.chat, crew.name, crew.role, crew.last.chat, more],
      [CREW, "Crew", "owner", CREW, false],
    );
  });

  it("comes with who has a message of a group, and who is there", async () => {
    const me = await online();
    const receipts = me.receipts(CREW, "m1", { limit: 5 });
    await idle();
    assert.deepEqual(server.last.of("C2G_RECEIPTS"), [
      { id: "m1", type: "C2G_RECEIPTS", to: "crew", limit: 5 },
    ]);
    const members = [{ uid: "bob", delivered: true, read: false }];
    server.last.say({
      id: "m1",
      type: "C2G_RECEIPTS_PAGE",
      to: "crew",
      members,
      next: null,
      more: false,
    });
    assert.deepEqual(await receipts, { members, next: null, more: false });

    const status = me.status(CREW, ["m1", "m2"]);
    const about = [{ type: "C2G", to: "crew", id: "m1", state: "delivered" }];
    server.last.say({ type: "STATUS", of: about });
    server.last.say({
      type: "STATUS",
      of: [
        { ...about[0], count: 2 },
        { type: "C2G", to: "crew", id: "m2", state: "accepted", count: 0 },
      ],
    });
    assert.deepEqual(await status, [
      { id: "m1", state: "delivered", count: 2 },
      { id: "m2", state: "accepted", count: 0 },
    ]);

    const presence = me.presence(["bob"]);
    const [{ id, of }] = server.last.of("PRESENCE");
    assert.deepEqual(of, ["bob"]);
    server.last.say({
      id,
      type: "PRESENCE",
      of: [{ uid: "bob", state: "online" }],
    });
    assert.deepEqual(await presence, [{ uid: "bob", state: "online" }]);
  });

  it("comes with the presence of more users than the server takes at once", async () => {
    server.onframe = ({ type, id, of }, connection) => {
      if (type !== "PRESENCE") return;
      const states = of.map((uid) => ({ uid, state: "offline" }));
      connection.say({ id, type, of: states });
    };
    const me = await online();
    const uids = Array.from({ length: 600 }, (_, n) => `u${n}`);
    const states = await me.presence(uids);
    assert.deepEqual(
      states.map(({ uid }) => uid),
      uids,
    );
    assert.deepEqual(
      server.last.of("PRESENCE").map(({ of }) => of.length),
      [256, 256, 88],
    );
    assert.deepEqual(await me.presence([]), []);
  });

  it("is asked again after a reconnect", async () => {
    const me = await online();
    const page = me.history(BOB);
    server.last.end();
    await clock.advance(1_000);
    assert.equal(server.connections.length, 2);
    const [{ id }] = server.last.of("C2C_HISTORY");
    server.last.say({
      id,
      type: "C2C_HISTORY_PAGE",
      to: "bob",
      messages: [],
      next: 0,
      more: false,
      head: 0,
    });
    assert.equal((await page).head, 0);
  });

  it("is refused with what the server says, or when there is no answer", async () => {
    const me = await online();
    const page = me.history(CREW);
    const [{ id }] = server.last.of("C2G_HISTORY");
    server.last.say({
      id,
      type: "ERROR",
      to: "crew",
      code: 403,
      msg: "not a member",
    });
    await assert.rejects(page, {
      name: "YizhanError",
      code: 403,
      message: "not a member",
    });

    const late = assert.rejects(me.conversations(), { code: 0 });
    await clock.advance(30_000);
    await late;
    const ended = assert.rejects(me.conversations(), { code: 0 });
    me.disconnect();
    await ended;
    await assert.rejects(me.conversations(), { code: 0 });
  });
});

describe("what is said besides", () => {
  it("revokes an accepted message on the server", async () => {
    server.onframe = obliging;
    const me = await online();
    await me.send(BOB, 1, { id: "m1" });
    const revoked = me.revoke(BOB, "m1");
    await idle();
    assert.deepEqual(server.last.of("C2C_REVOKE"), [
      { id: "m1", type: "C2C_REVOKE", to: "bob" },
    ]);
    server.last.say({
      id: "m1",
      type: "C2C_REVOKE_ACK",
      to: "bob",
      server_ts: 9,
    });
    await revoked;

    const late = me.revoke(BOB, "m1");
    await idle();
    server.last.say({
      id: "m1",
      type: "ERROR",
      to: "bob",
      code: 403,
      msg: "too late",
    });
    await assert.rejects(late, { code: 403 });
  });

  it("takes a message back that was never sent", async () => {
    const me = client();
    await me.send(BOB, 1, { id: "m1" });
    await me.revoke(BOB, "m1");
    assert.deepEqual(
      me.events("sent").map(({ state }) => state),
      ["revoked"],
    );
    await me.connect();
    await clock.advance(10);
    assert.deepEqual(server.last.of("C2C"), []);
  });

  it("revokes a message on its way when it has arrived", async () => {
    const me = await online();
    await me.send(BOB, 1, { id: "m1" });
    const revoked = me.revoke(BOB, "m1");
    await idle();
    assert.deepEqual(server.last.of("C2C_REVOKE"), []);
    server.last.say({
      id: "m1",
      type: "C2C_SERVER_ACK",
      to: "bob",
      server_ts: 1,
    });
    await idle();
    server.last.say({
      id: "m1",
      type: "C2C_REVOKE_ACK",
      to: "bob",
      server_ts: 9,
    });
    await revoked;
  });

  it("asks who has a message when that has arrived, not while it is queued", async () => {
    const me = await online({ window: 1 });
    await me.send(CREW, 1, { id: "m1" });
    await me.send(CREW, 2, { id: "m2" });
    const receipts = me.receipts(CREW, "m2");
    const error = assert.rejects(me.receipts(CREW, "m1"), {
      code: 404,
      message: "the message was refused",
    });
    await idle();
    assert.deepEqual(server.last.of("C2G_RECEIPTS"), []);
    server.last.say({
      id: "m1",
      type: "ERROR",
      to: "crew",
      code: 403,
      msg: "muted",
    });
    await error;
    server.last.say({
      id: "m2",
      type: "C2G_SERVER_ACK",
      to: "crew",
      cseq: 1,
      server_ts: 1,
    });
    await idle();
    assert.deepEqual(
      server.last.of("C2G_RECEIPTS").map(({ id }) => id),
      ["m2"],
    );
    server.last.say({
      id: "m2",
      type: "C2G_RECEIPTS_PAGE",
      to: "crew",
      members: [],
      next: null,
      more: false,
    });
    assert.deepEqual((await receipts).members, []);
    assert.deepEqual(
      me.outbox().map(({ id, state }) => [id, state]),
      [["m2", "accepted"]],
    );
  });

  for (const [what, call] of [
    ["a revocation", (me) => me.revoke(CREW, "m1")],
    ["a change", (me) => me.edit(CREW, "m1", 2)],
    ["a question for receipts", (me) => me.receipts(CREW, "m1")],
  ]) {
    it(`gives up ${what} of a message that never arrives, in time`, async () => {
      const me = await online({ requestMs: 200 });
      await me.send(CREW, 1, { id: "m1" });
      const late = assert.rejects(call(me), {
        code: 0,
        message: "no answer in time",
      });
      await clock.advance(200);
      await late;
    });

    it(`ends ${what} of a message on its way when the client goes`, async () => {
      const me = await online();
      await me.send(CREW, 1, { id: "m1" });
      const ended = assert.rejects(call(me), {
        code: 0,
        message: "the client is closed",
      });
      await idle();
      await me.close();
      await ended;
    });
  }

  it("has as long for a revocation and for the message before it as for any request", async () => {
    const me = await online({ requestMs: 1_000 });
    await me.send(BOB, 1, { id: "m1" });
    const late = assert.rejects(me.revoke(BOB, "m1"), { code: 0 });
    await clock.advance(900);
    server.last.say({
      id: "m1",
      type: "C2C_SERVER_ACK",
      to: "bob",
      server_ts: 1,
    });
    await clock.advance(100);
    assert.equal(server.last.of("C2C_REVOKE").length, 1);
    await late;
  });

  it("edits under an id of its own", async () => {
    const me = await online();
    const edited = me.edit(CREW, "m1", { text: "better" });
    await idle();
    const [{ id, ...rest }] = server.last.of("C2G_EDIT");
    assert.deepEqual(rest, {
      type: "C2G_EDIT",
      to: "crew",
      target: "m1",
      payload: { text: "better" },
    });
    assert.notEqual(id, "m1");
    server.last.say({
      id,
      type: "C2G_EDIT_ACK",
      to: "crew",
      target: "m1",
      server_ts: 9,
    });
    await edited;
  });

  it("says how far it has read, never back, and until the server holds it", async () => {
    const store = memoryStore();
    const me = await online({ store });
    me.read(BOB, 7);
    me.read(BOB, 5);
    me.read(BOB, 9);
    assert.deepEqual(
      server.last.of("C2C_READ").map(({ up_to }) => up_to),
      [7],
    );
    server.last.say({
      id: server.last.of("C2C_READ")[0].id,
      type: "C2C_READ_OK",
      to: "bob",
      up_to: 7,
    });
    await idle();
    assert.deepEqual(
      server.last.of("C2C_READ").map(({ up_to }) => up_to),
      [7, 9],
    );
    await me.close();

    await online({ store });
    assert.deepEqual(
      server.last.of("C2C_READ").map(({ up_to }) => up_to),
      [9],
    );
    server.last.say({
      id: server.last.of("C2C_READ")[0].id,
      type: "C2C_READ_OK",
      to: "bob",
      up_to: 12,
    });
    await idle();
    assert.deepEqual(await store.entries("read/"), []);
  });

  it("goes on saying it after it was offline", async () => {
    const me = await online();
    me.read(BOB, 7);
    me.disconnect();
    await idle();
    await me.connect();
    await clock.advance(1);
    assert.deepEqual(
      server.last.of("C2C_READ").map(({ up_to }) => up_to),
      [7],
    );
  });

  it("says that it is typing every two seconds at most, and only when it is online", async () => {
    const me = client();
    me.typing(BOB);
    await me.connect();
    await clock.advance(1);
    for (const wait of [0, 1_000, 1_000, 0]) {
      await clock.advance(wait);
      me.typing(BOB);
    }
    me.typing(CREW);
    assert.deepEqual(server.last.of("C2C_TYPING"), [
      { type: "C2C_TYPING", to: "bob" },
      { type: "C2C_TYPING", to: "bob" },
    ]);
    assert.deepEqual(server.last.of("C2G_TYPING"), [
      { type: "C2G_TYPING", to: "crew" },
    ]);
  });

  it("hears of reading, typing and presence", async () => {
    const me = await online();
    server.last.say({
      type: "C2C_READ",
      from: "bob",
      to: "me",
      up_to: 7,
      server_ts: 1,
    });
    server.last.say({
      type: "C2C_READ",
      from: "me",
      to: "bob",
      up_to: 8,
      server_ts: 1,
    });
    server.last.say({
      type: "C2G_READ",
      from: "me",
      to: "crew",
      up_to: 9,
      server_ts: 1,
    });
    server.last.say({ type: "C2C_TYPING", from: "bob", to: "me" });
    server.last.say({ type: "C2G_TYPING", from: "bob", to: "crew" });
    server.last.say({
      type: "S2C",
      from: "",
      to: "me",
      payload: { msg_type: "presence", uid: "bob", state: "offline" },
    });
    server.last.say({
      type: "S2C",
      from: "",
      to: "me",
      payload: { msg_type: "resync" },
    });
    server.last.say({
      type: "S2C",
      from: "",
      to: "me",
      payload: { msg_type: "of_tomorrow" },
    });
    await idle();
    assert.deepEqual(me.events("read"), [
      { chat: BOB, by: "bob", upTo: 7 },
      { chat: BOB, by: "me", upTo: 8 },
      { chat: CREW, by: "me", upTo: 9 },
    ]);
    assert.deepEqual(me.events("typing"), [
      { chat: BOB, by: "bob" },
      { chat: CREW, by: "bob" },
    ]);
    assert.deepEqual(me.events("presence"), [{ uid: "bob", state: "offline" }]);
    assert.deepEqual(me.events("resync"), [{}]);
  });

  it("hears how many of a group have a message, as the number grows", async () => {
    server.onframe = obliging;
    const me = await online();
    await me.send(CREW, 1, { id: "m1" });
    const grown = (count) =>
      server.last.say({
        id: "m1",
        type: "C2G_DELIVERED",
        from: "crew",
        to: "crew",
        count,
        server_ts: 1,
      });
    for (const count of [1, 3, 2, 5]) grown(count);
    await idle();
    assert.deepEqual(
      me.events("sent").map(({ state, count }) => [state, count]),
      [
        ["accepted", undefined],
        ["delivered", 1],
        ["delivered", 3],
        ["delivered", 5],
      ],
    );
  });

  it("acknowledges a signal once for each copy, and shows it once", async () => {
    const me = await online({ did: "phone" });
    const signal = {
      id: "w1",
      type: "WEBRTC_OFFER",
      from: "bob",
      to: "me",
      payload: { sdp: "x" },
    };
    server.last.say(signal);
    server.last.say(signal);
    await idle();
    assert.deepEqual(me.events("signal"), [signal]);
    assert.deepEqual(
      server.last.sent.filter((frame) => typeof frame === "string"),
      Array(2).fill("CLIENT_ACK,WEBRTC_OFFER,w1,phone"),
    );

    const answered = me.signal(
      "bob",
      "WEBRTC_ANSWER",
      { sdp: "y" },
      { id: "w2" },
    );
    assert.deepEqual(server.last.of("WEBRTC_ANSWER"), [
      { id: "w2", type: "WEBRTC_ANSWER", to: "bob", payload: { sdp: "y" } },
    ]);
    server.last.say({
      id: "w2",
      type: "WEBRTC_SERVER_ACK",
      to: "bob",
      server_ts: 1,
    });
    await answered;
  });
});

describe("a signal", () => {
  for (const why of ["not_a_friend", "in_denylist"]) {
    it(`is refused at once by the notice ${why}`, async () => {
      const me = await online();
      const refused = assert.rejects(
        me.signal("bob", "WEBRTC_OFFER", 1, { id: "w1" }),
        { code: 403, message: why },
      );
      server.last.say({
        id: "w1",
        type: "S2C",
        from: "",
        to: "me",
        payload: { msg_type: why, to: "bob" },
        server_ts: 1,
      });
      await refused;
      await clock.advance(20_000);
      assert.equal(server.last.of("WEBRTC_OFFER").length, 1);
    });
  }
});

describe("a connection", () => {
  it("is renewed with growing pauses when it is lost", async () => {
    const me = await online({ backoff: { minMs: 1_000, maxMs: 8_000 } });
    server.greets = false;
    server.last.end();
    assert.equal(me.connection, "waiting");
    await clock.advance(749);
    assert.equal(server.connections.length, 1);
    await clock.advance(1);
    assert.equal(server.connections.length, 2);
    await clock.advance(10_000);
    assert.equal(
      server.last.dropped,
      true,
      "an attempt without an answer is given up",
    );
    await clock.advance(1_500);
    assert.equal(server.connections.length, 3);
  });

  it("is given up when it does not answer a ping", async () => {
    const me = await online({ heartbeatMs: 1_000, pongMs: 100 });
    await clock.advance(3_000);
    assert.equal(server.last.of("ping").length, 3);
    server.mute = true;
    await clock.advance(1_100);
    assert.equal(me.connection, "waiting");
    assert.equal(server.connections[0].dropped, true);
  });

  it("that was replaced is left to the other, and says so", async () => {
    const me = await online();
    await clock.advance(20_000);
    server.last.end(4008);
    assert.equal(me.connection, "closed");
    assert.deepEqual(
      me.events("error").map(({ code }) => code),
      [4008],
    );
    await clock.advance(100_000);
    assert.equal(server.connections.length, 1);
    await me.connect();
    await clock.advance(1);
    assert.equal(me.connection, "online");
  });

  it("that is refused with a time comes back after it", async () => {
    server.greets = false;
    const me = client();
    await me.connect();
    await clock.advance(1);
    server.last.say({
      type: "ERROR",
      code: 429,
      msg: "Too fast",
      retry_ms: 5_000,
      server_ts: 1,
    });
    server.last.end(4054);
    assert.equal(me.connection, "waiting");
    await clock.advance(4_999);
    assert.equal(server.connections.length, 1);
    await clock.advance(500);
    assert.equal(server.connections.length, 2);
  });

  it("with a token that has expired gets another", async () => {
    server.greets = false;
    const tokens = ["old", "new"].map((name) =>
      token("me", name === "old" ? 8_000_000_000_000 : 9_000_000_000_000),
    );
    const given = [...tokens];
    const me = client({ token: () => given.shift() });
    await me.connect();
    await clock.advance(1);
    server.last.say({
      type: "ERROR",
      code: 705,
      msg: "Please refresh token",
      server_ts: 1,
    });
    server.greets = true;
    server.last.end(4006);
    await clock.advance(1_000);
    assert.equal(me.connection, "online");
    assert.deepEqual(
      server.connections.map(({ url }) =>
        url.searchParams.get("authorization"),
      ),
      tokens,
    );
    assert.deepEqual(me.events("error"), []);
  });

  it("ends for good without a way to get another token", async () => {
    const me = await online();
    server.last.end(4006);
    assert.equal(me.connection, "closed");
    assert.deepEqual(
      me.events("error").map(({ code }) => code),
      [4006],
    );
  });

  it("waits for a token source that fails", async () => {
    let fails = true;
    const me = client({
      database: "x",
      token: async () => {
        if (fails) throw new Error("no network");
        return token("me");
      },
    });
    await me.connect();
    await clock.advance(0);
    assert.equal(me.connection, "waiting");
    assert.deepEqual(
      me.events("error").map(({ message }) => message),
      ["no network"],
    );
    fails = false;
    await clock.advance(1_000);
    assert.equal(me.connection, "online");
  });

  for (const database of ["x", undefined]) {
    const when = database ? "when it dials" : "before the store is open";
    it(`waits for a token source that rejects with nothing, ${when}`, async () => {
      let calls = 0;
      const me = client({
        database,
        token: () => ((calls += 1) < 3 ? Promise.reject() : token("me")),
      });
      const connected = me.connect();
      await clock.advance(5_000);
      await connected;
      assert.equal(me.connection, "online");
      assert.deepEqual(
        me.events("error").map(({ code, message }) => [code, message]),
        Array(2).fill([0, "undefined"]),
      );
    });
  }

  for (const database of ["x", undefined]) {
    const when = database ? "when it dials" : "before the store is open";
    it(`asks a token source again that never answers, ${when}`, async () => {
      let calls = 0;
      const me = client({
        database,
        token: () => ((calls += 1) < 3 ? new Promise(() => {}) : token("me")),
        openMs: 5_000,
      });
      const connected = me.connect();
      await clock.advance(15_000);
      await connected;
      assert.equal(me.connection, "online");
      assert.deepEqual(
        me.events("error").map(({ code, message }) => [code, message]),
        Array(2).fill([0, "no token came in time"]),
      );
    });
  }

  it("shows a new token before the old one ends, and when the server asks", async () => {
    const HOUR = 3_600_000;
    let given = 0;
    const me = await online({
      token: () => token("me", clock.now() + 2 * HOUR + (given += 1)),
      heartbeatMs: 10 * HOUR,
    });
    await clock.advance(2 * HOUR - 330_000);
    assert.equal(server.last.of("REFRESH").length, 0);
    await clock.advance(16_000);
    assert.equal(server.last.of("REFRESH").length, 1);
    server.last.say({ type: "REFRESH_OK", exp: clock.now() + 2 * HOUR });
    server.last.say({
      type: "S2C",
      from: "",
      to: "me",
      payload: { msg_type: "please_refresh_token", expire_at: 0 },
    });
    await clock.advance(60_000);
    assert.equal(
      server.last.of("REFRESH").length,
      2,
      "not more than once in a minute",
    );
    server.last.say({
      type: "ERROR",
      code: 706,
      msg: "Invalid token",
      server_ts: 1,
    });
    await clock.advance(1_000);
    assert.equal(server.last.of("REFRESH").length, 3);
    assert.equal(given, 4);
    assert.equal(me.connection, "online");
  });

  it("uses a refresh token when there is one", async () => {
    const calls = [];
    const fetch = async (url, { method, headers }) => {
      calls.push([method, url.pathname, headers.authorization]);
      return {
        status: 200,
        text: async () =>
          JSON.stringify({
            code: 0,
            msg: "success",
            payload: { token: token("me"), expire_at: 1 },
          }),
      };
    };
    const me = await online({
      token: undefined,
      refreshToken: "rtk",
      database: "x",
      fetch,
    });
    assert.deepEqual(calls, [["POST", "/v1/token/refresh", "Bearer rtk"]]);
    assert.equal(me.uid, "me");
  });

  it("ends for good when the refresh token is turned down", async () => {
    const fetch = async () => ({
      status: 401,
      text: async () => '{"code":706,"msg":"Invalid token","payload":{}}',
    });
    const me = client({
      token: undefined,
      refreshToken: "rtk",
      database: "x",
      fetch,
    });
    await me.connect();
    await clock.advance(1);
    assert.equal(me.connection, "closed");
    assert.deepEqual(
      me.events("error").map(({ code }) => code),
      [706],
    );
  });

  it("that is closed amid a send keeps what was queued, and its one device", async () => {
    const store = memoryStore();
    const held = new Set();
    const locks = {
      tryLock: async (name) => {
        if (held.has(name)) return undefined;
        held.add(name);
        return () => held.delete(name);
      },
    };
    const me = await online({ store, locks });
    const { did } = me;
    const sent = me.send(BOB, 1, { id: "m1" });
    const closed = me.close();
    await Promise.all([sent, closed]);
    assert.deepEqual([...held], []);
    assert.deepEqual(await store.entries("did/"), [["did/1", did]]);

    await me.connect();
    await clock.advance(1);
    assert.equal(me.did, did);
    assert.deepEqual(
      server.last.of("C2C").map(({ id }) => id),
      ["m1"],
    );
    await me.send(BOB, 2, { id: "m2" });
    assert.deepEqual(
      me.outbox().map(({ id }) => id),
      ["m1", "m2"],
    );
  });

  it("that waits for a token before the store is open is closed at once", async () => {
    const me = client({ token: () => Promise.reject(new Error("offline")) });
    const connected = me.connect();
    await clock.advance(0);
    assert.equal(me.events("error").length, 1);
    await me.close();
    await connected;
    assert.equal(me.connection, "closed");
  });

  it("that is told to come back while it closes does, with what was sent meanwhile", async () => {
    const store = memoryStore();
    const me = await online({ store });
    const closed = me.close();
    const sent = me.send(BOB, 1, { id: "m1" });
    const connected = me.connect();
    await Promise.all([closed, sent, connected]);
    await clock.advance(1);
    assert.equal(me.connection, "online");
    assert.equal((await store.entries("did/")).length, 1);
    assert.deepEqual(
      server.last.of("C2C").map(({ id }) => id),
      ["m1"],
    );
  });

  it("goes and comes as it is told", async () => {
    const me = await online();
    me.disconnect();
    assert.equal(me.connection, "offline");
    await me.send(BOB, 1);
    await me.connect();
    await clock.advance(1);
    assert.equal(me.connection, "online");
    await me.close();
    assert.equal(me.connection, "closed");
    await me.connect();
    await clock.advance(1);
    assert.deepEqual(
      me.outbox().map(({ state }) => state),
      ["queued"],
      "what was queued is still there",
    );
    assert.equal(server.last.of("C2C").length, 1);
    assert.deepEqual(me.events("connection"), [
      "connecting",
      "online",
      "offline",
      "connecting",
      "online",
      "closed",
      "connecting",
      "online",
    ]);
  });
});

describe("REST", () => {
  const answers = (...list) => {
    const calls = [];
    const fetch = async (url, init) => {
      calls.push([
        init.method,
        `${url}`,
        init.headers.authorization,
        init.body,
      ]);
      const [status, body] = list.shift();
      if (status === 0) throw new Error("connection refused");
      return { status, text: async () => body };
    };
    return { fetch, calls };
  };

  it("is called with the token, and returns the payload", async () => {
    const { fetch, calls } = answers([
      200,
      '{"code":0,"msg":"success","payload":{"gid":"g"}}',
    ]);
    assert.deepEqual(
      await client({ fetch }).rest("POST", "/v1/groups", { name: "Crew" }),
      { gid: "g" },
    );
    assert.deepEqual(calls, [
      [
        "POST",
        "http://server/v1/groups",
        `Bearer ${token("me")}`,
        '{"name":"Crew"}',
      ],
    ]);
  });

  it("throws what the server refuses, with the time to wait", async () => {
    const { fetch } = answers(
      [429, '{"code":429,"msg":"Too fast","payload":{"retry_ms":70}}'],
      [502, "<html>"],
      [0],
    );
    const me = client({ fetch });
    await assert.rejects(me.rest("GET", "/v1/groups"), {
      name: "YizhanError",
      code: 429,
      message: "Too fast",
      retryMs: 70,
    });
    await assert.rejects(me.rest("GET", "/v1/groups"), { code: 502 });
    await assert.rejects(me.rest("GET", "/v1/groups"), {
      code: 0,
      message: "no answer: connection refused",
    });
  });

  for (const body of ["<html>", "null", '{"openapi":"3.1.0"}']) {
    it(`does not take the success of somebody else for the server's: ${body}`, async () => {
      const { fetch } = answers([200, body]);
      await assert.rejects(client({ fetch }).rest("POST", "/v1/groups", {}), {
        name: "YizhanError",
        code: 0,
        message: "HTTP 200, but no answer of the REST API",
      });
    });
  }

  it("gets a new token once when the old one is refused", async () => {
    const { fetch, calls } = answers(
      [401, '{"code":705,"msg":"Please refresh token","payload":{}}'],
      [200, '{"code":0,"payload":1}'],
      [401, '{"code":706,"msg":"x"}'],
      [401, '{"code":706,"msg":"x"}'],
    );
    let given = 0;
    const me = client({
      fetch,
      token: () => token("me", 8_000_000_000_000 + (given += 1)),
    });
    assert.equal(await me.rest("GET", "/v1/groups"), 1);
    await assert.rejects(me.rest("GET", "/v1/groups"), { code: 706 });
    assert.equal(
      new Set(calls.map(([, , authorization]) => authorization)).size,
      3,
    );
  });
});
