import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";

import { Client, memoryStore } from "../src/index.js";
import { people } from "./support/people.js";
import { Server, needsServer } from "./support/server.js";
import { next } from "./support/wait.js";

const chatWith = ({ uid }) => ({ type: "C2C", to: uid });
const delivered = ({ state }) => state === "delivered";
/** Waits until so many messages have come. */
const got = (client, count) =>
  client.got.length >= count
    ? undefined
    : next(client, "message", () => client.got.length >= count);
/** Waits until nothing is left to be sent or told. */
const settled = (client) =>
  client.outbox().length === 0
    ? undefined
    : next(client, "sent", () => client.outbox().length === 0);

describe("with a real server", needsServer, () => {
  let server;
  let crowd;
  before(async () => {
    server = await Server.start({
      "delivery.schedule_ms": "[0, 200, 400]",
      "limits.messages_per_s": 40,
    });
    crowd = people(server);
  });
  afterEach(() => crowd.leave());
  after(() => server.stop());

  it("a message goes from one to the other, and its sender is told", async () => {
    const [alice, bob] = [
      await crowd.person().client(),
      await crowd.person().client(),
    ];
    const payload = { text: "hi", n: 1.5, nested: [null, { ä: "\u2028" }] };
    const { id } = await alice.send(chatWith(bob), payload);
    await next(alice, "sent", delivered);
    assert.deepEqual(alice.states, [
      [id, "accepted"],
      [id, "delivered"],
    ]);
    const [message] = bob.got;
    assert.deepEqual(
      [message.id, message.from, message.chat, message.payload],
      [id, alice.uid, chatWith(alice), payload],
    );
    assert.deepEqual(alice.outbox(), []);
  });

  it("a message waits for a reader who is away, and its sender learns by STATUS that it came", async () => {
    const [aliceAt, bobAt] = [crowd.person(), crowd.person()];
    const store = memoryStore();
    const away = await bobAt.client({ did: "phone" });
    await away.close();
    const alice = await aliceAt.client({ store });
    const { id } = await alice.send(chatWith(away), 1);
    await next(alice, "sent", ({ state }) => state === "accepted");
    await alice.close();

    const bob = await bobAt.client({ did: "phone" });
    await got(bob, 1);
    const again = await aliceAt.client({ store, offline: true });
    const told = next(again, "sent", delivered);
    await again.connect();
    assert.equal((await told).id, id);
  });

  it("every device of the reader gets it", async () => {
    const [aliceAt, bobAt] = [crowd.person(), crowd.person()];
    const [alice, phone, laptop] = [
      await aliceAt.client(),
      await bobAt.client({ did: "phone" }),
      await bobAt.client({ did: "laptop" }),
    ];
    await alice.send(chatWith(phone), 1);
    await Promise.all([got(phone, 1), got(laptop, 1)]);
  });

  it("more messages than a second may have arrive, all of them", async () => {
    const [alice, bob] = [
      await crowd.person().client(),
      await crowd.person().client(),
    ];
    const texts = Array.from({ length: 100 }, (_, at) => `message ${at}`);
    await Promise.all(texts.map((text) => alice.send(chatWith(bob), { text })));
    await got(bob, 100);
    // Of those on their way when the first was refused, later ones may have been accepted before it.
    assert.deepEqual(
      bob.got.map(({ payload }) => payload.text).sort(),
      [...texts].sort(),
    );
    await settled(alice);
    assert.deepEqual(alice.errors, []);
  });

  it("what the server will never take is refused, and the rest arrives", async () => {
    const [alice, bob] = [
      await crowd.person().client(),
      await crowd.person().client(),
    ];
    const refused = [];
    alice.on(
      "sent",
      ({ id, state, error }) =>
        void (state === "refused" && refused.push([id, error.code])),
    );
    await alice.send(chatWith(bob), "x".repeat(70_000), { id: "long" });
    await alice.send({ type: "C2C", to: "nobody" }, 1, { id: "lost" });
    await alice.send(chatWith(bob), 1, { id: "good" });
    await settled(alice);
    await alice.send(chatWith(bob), 2, { id: "good" });
    await settled(alice);
    await alice.send(chatWith(bob), "x".repeat(200_000), { id: "endless" });
    await alice.send(chatWith(bob), 3, { id: "last" });
    await settled(alice);
    assert.deepEqual(refused, [
      ["long", 413],
      ["lost", 400],
      ["good", 409],
      ["endless", 413],
    ]);
    await got(bob, 2);
    assert.deepEqual(
      bob.got.map(({ id }) => id),
      ["good", "last"],
    );
  });

  it("a second connection of a device takes over from the first, which stays away", async () => {
    const alice = crowd.person();
    const first = await alice.client({ did: "phone" });
    const error = next(first, "error");
    await alice.client({ did: "phone" });
    assert.equal((await error).code, 4008);
    assert.equal(first.connection, "closed");
  });

  it("a token that is not good is told as such", async () => {
    const alice = new Client({
      url: server.url,
      token: "nonsense",
      did: "phone",
    });
    const error = next(alice, "error");
    await alice.connect();
    assert.equal((await error).code, 706);
    assert.equal(alice.connection, "closed");
  });

  it("a signal reaches who is online, and nobody else", async () => {
    const [alice, bob] = [
      await crowd.person().client(),
      await crowd.person().client(),
    ];
    const came = next(bob, "signal");
    await alice.signal(bob.uid, "WEBRTC_OFFER", { sdp: "x" });
    const { from, type, payload } = await came;
    assert.deepEqual(
      [from, type, payload],
      [alice.uid, "WEBRTC_OFFER", { sdp: "x" }],
    );
    await bob.close();
    await assert.rejects(alice.signal(bob.uid, "WEBRTC_OFFER", { sdp: "x" }), {
      code: 404,
    });
  });

  it("a frame that a server does not know is refused, and costs nothing else", async () => {
    const alice = await crowd.person().client();
    await assert.rejects(alice.signal(alice.uid, "NO_SUCH_TYPE", 1), {
      code: 400,
    });
    assert.equal(alice.connection, "online");
  });
});

describe("with a real server of short tokens", needsServer, () => {
  it("a connection outlives its token", async (test) => {
    const life = 1_000;
    const server = await Server.start({ "auth.token_ttl_ms": life });
    test.after(() => server.stop());
    const times = [];
    let last;
    const enough = new Promise((resolve) => (last = resolve));
    const client = new Client({
      url: server.url,
      token: async () => {
        times.push(performance.now());
        if (times.length === 8) last();
        return server.freshToken(1);
      },
    });
    const states = [];
    client.on("connection", (state) => void states.push(state));
    test.after(() => client.close());
    await client.connect();
    await enough;
    assert.ok(
      times[7] - times[0] > 2 * life,
      "several lives of a token have passed",
    );
    assert.deepEqual(states, ["connecting", "online"]);
  });
});

describe("with a real server that ends", needsServer, () => {
  it("clients wait for it, and what they queued meanwhile arrives", async () => {
    const server = await Server.start();
    const crowd = people(server);
    try {
      const [alice, bob] = [
        await crowd.person().client(),
        await crowd.person().client(),
      ];
      const waiting = next(alice, "connection", (state) => state === "waiting");
      await server.end();
      await waiting;
      await alice.send(chatWith(bob), 1, { id: "m1" });
      await server.restart();
      await Promise.all([got(bob, 1), next(alice, "sent", delivered)]);
      assert.deepEqual(
        bob.got.map(({ id }) => id),
        ["m1"],
      );
    } finally {
      await crowd.leave();
      await server.stop();
    }
  });
});
