import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Outbox } from "../src/outbox.js";

let next = 0;
const entry = (
  id,
  { to = "bob", type = "C2C", fresh = true, ...rest } = {},
) => ({
  n: (next += 1),
  id,
  type,
  to,
  body: "{}",
  createdAt: 0,
  state: "queued",
  fresh,
  ...rest,
});
const ids = (entries) => entries.map(({ id }) => id);
const filled = (count, options) => {
  const outbox = new Outbox({ random: () => 0.5, ...options });
  for (let at = 1; at <= count; at += 1) outbox.add(entry(`m${at}`));
  outbox.connected();
  return outbox;
};
const ack = (id, to = "bob") => ({
  type: "C2C_SERVER_ACK",
  id,
  to,
  cseq: 7,
  server_ts: 1,
});
const error = (id, code, retry_ms) => ({
  type: "ERROR",
  id,
  to: "bob",
  code,
  msg: "why",
  retry_ms,
});
const states = (outbox, now) =>
  outbox
    .poll(now)
    .changed.map(({ entry: { id, state }, finished }) => [id, state, finished]);

describe("the outbox", () => {
  it("sends nothing while there is no connection", () => {
    const outbox = new Outbox();
    outbox.add(entry("m1"));
    assert.deepEqual(outbox.poll(0).send, []);
    assert.equal(outbox.due(), Infinity);
  });

  it("sends in order, and no more than its window without an answer", () => {
    const outbox = filled(5, { window: 3 });
    assert.deepEqual(ids(outbox.poll(0).send), ["m1", "m2", "m3"]);
    outbox.take(1, ack("m2"));
    assert.deepEqual(ids(outbox.poll(1).send), ["m4"]);
  });

  it("keeps an accepted message until it is delivered", () => {
    const outbox = filled(1);
    outbox.poll(0);
    outbox.take(1, ack("m1"));
    assert.deepEqual(states(outbox, 1), [["m1", "accepted", false]]);
    assert.equal(outbox.entries()[0].cseq, 7);
    outbox.take(2, { type: "C2C_DELIVERED", id: "m1", to: "bob", from: "bob" });
    assert.deepEqual(states(outbox, 2), [["m1", "delivered", true]]);
    assert.deepEqual(outbox.entries(), []);
    assert.equal(outbox.due(), Infinity);
  });

  it("takes a receipt for an acceptance too", () => {
    const outbox = filled(1);
    outbox.poll(0);
    outbox.take(1, { type: "C2C_DELIVERED", id: "m1", to: "bob", from: "bob" });
    assert.deepEqual(states(outbox, 1), [["m1", "delivered", true]]);
  });

  it("ignores receipts of what other devices sent", () => {
    const outbox = filled(1);
    outbox.poll(0);
    assert.equal(
      outbox.take(1, {
        type: "C2C_DELIVERED",
        id: "other",
        to: "bob",
        from: "bob",
      }),
      false,
    );
    assert.equal(
      outbox.take(1, {
        type: "C2C_DELIVERED",
        id: "m1",
        to: "carol",
        from: "carol",
      }),
      false,
    );
    assert.deepEqual(states(outbox, 1), []);
  });

  it("waits until the first member of a group has it", () => {
    const outbox = new Outbox();
    outbox.add(entry("g1", { type: "C2G", to: "crew" }));
    outbox.connected();
    outbox.poll(0);
    outbox.take(1, { type: "C2G_DELIVERED", id: "g1", to: "crew", count: 0 });
    assert.deepEqual(states(outbox, 1), []);
    outbox.take(2, { type: "C2G_DELIVERED", id: "g1", to: "crew", count: 2 });
    assert.deepEqual(states(outbox, 2), [["g1", "delivered", true]]);
  });

  it("sends again what has no answer in time, with the same id", () => {
    const outbox = filled(2, { resendMs: 100 });
    outbox.poll(0);
    outbox.take(50, ack("m1"));
    assert.equal(outbox.due(), 100);
    assert.deepEqual(outbox.poll(99).send, []);
    assert.deepEqual(ids(outbox.poll(100).send), ["m2"]);
    assert.equal(outbox.due(), 200);
  });

  it("sends everything without an answer again after a reconnect, in the old order", () => {
    const outbox = filled(4, { window: 3 });
    outbox.poll(0);
    outbox.take(1, ack("m2"));
    outbox.poll(1);
    outbox.disconnected();
    outbox.connected();
    assert.deepEqual(ids(outbox.poll(2).send), ["m1", "m3", "m4"]);
  });

  it("asks about what is accepted and not known to be delivered, 256 at a time", () => {
    const outbox = new Outbox();
    for (let at = 0; at < 300; at += 1)
      outbox.add(entry(`m${at}`, { state: "accepted" }));
    assert.deepEqual(outbox.poll(0).ask, []);
    outbox.connected();
    const first = outbox.poll(0).ask;
    assert.equal(first.length, 256);
    assert.deepEqual(outbox.poll(1).ask, []);
    outbox.take(2, {
      type: "STATUS",
      of: first.map(({ id, to }) => ({ id, to, state: "delivered" })),
    });
    assert.equal(outbox.poll(2).ask.length, 44);
  });

  it("sends again what STATUS does not know, and lets go of what has expired or was revoked", () => {
    const outbox = new Outbox();
    for (const id of ["m1", "m2", "m3", "m4"])
      outbox.add(entry(id, { state: "accepted", fresh: false }));
    outbox.connected();
    outbox.poll(0);
    const answer = (id, state) => ({ id, to: "bob", state });
    outbox.take(1, {
      type: "STATUS",
      of: [
        answer("m1", "unknown"),
        answer("m2", "expired"),
        answer("m3", "revoked"),
        answer("m4", "accepted"),
      ],
    });
    const { send, changed } = outbox.poll(1);
    assert.deepEqual(ids(send), ["m1"]);
    assert.deepEqual(
      changed.map(({ entry: { id, state } }) => [id, state]),
      [
        ["m1", "queued"],
        ["m2", "expired"],
        ["m3", "revoked"],
      ],
    );
    assert.deepEqual(ids(outbox.entries()), ["m1", "m4"]);
  });

  it("does not send again what the server may have forgotten: after a week it has expired either way", () => {
    const DAY = 86_400_000;
    const outbox = new Outbox();
    const accepted = { state: "accepted", fresh: false };
    outbox.add(entry("old", { ...accepted, serverTs: 1_000 }));
    outbox.add(entry("young", { ...accepted, serverTs: 1_001 }));
    outbox.add(entry("bare", { ...accepted, createdAt: 1_000 }));
    outbox.connected();
    outbox.poll(5);
    const of = ["old", "young", "bare"].map((id) => ({
      id,
      to: "bob",
      state: "unknown",
    }));
    outbox.take(6, { type: "STATUS", of }, 1_000 + 7 * DAY);
    const { send, changed } = outbox.poll(6, 1_000 + 7 * DAY);
    assert.deepEqual(ids(send), ["young"]);
    assert.deepEqual(
      changed.map(({ entry: { id, state }, finished }) => [
        id,
        state,
        finished,
      ]),
      [
        ["old", "expired", true],
        ["young", "queued", false],
        ["bare", "expired", true],
      ],
    );
  });

  it("asks about a receipt that does not come, less and less often", () => {
    const outbox = filled(1, { statusMs: 1_000 });
    outbox.poll(0);
    outbox.take(0, ack("m1"));
    const asked = [];
    for (let now = 0; now <= 10_000; now += 500) {
      const { ask } = outbox.poll(now);
      if (ask.length === 0) continue;
      asked.push(now);
      outbox.take(now, {
        type: "STATUS",
        of: [{ id: "m1", to: "bob", state: "accepted" }],
      });
    }
    assert.deepEqual(asked, [1_000, 3_000, 7_000]);
  });

  it("asks again when STATUS has no answer or was refused", () => {
    const outbox = new Outbox({ resendMs: 100 });
    outbox.add(entry("m1", { state: "accepted" }));
    outbox.connected();
    assert.equal(outbox.poll(0).ask.length, 1);
    assert.equal(outbox.due(), 100);
    assert.equal(outbox.poll(100).ask.length, 1);
    outbox.statusFailed(110, 500);
    assert.equal(outbox.poll(600).ask.length, 0);
    assert.equal(outbox.poll(610).ask.length, 1);
  });

  it("after a 429 waits, and then sends one after the other until those who were refused are through", () => {
    const outbox = filled(5, { window: 3 });
    outbox.poll(0);
    outbox.take(1, error("m2", 429, 1_000));
    outbox.take(1, error("m3", 429, 900));
    outbox.take(2, ack("m1"));
    assert.deepEqual(outbox.poll(3).send, []);
    assert.equal(outbox.due(), 1_001);
    assert.deepEqual(ids(outbox.poll(1_001).send), ["m2"]);
    assert.deepEqual(outbox.poll(1_002).send, []);
    outbox.take(1_003, ack("m2"));
    assert.deepEqual(ids(outbox.poll(1_003).send), ["m3"]);
    outbox.take(1_004, error("m3", 429, 500));
    assert.deepEqual(outbox.poll(1_005).send, []);
    assert.deepEqual(ids(outbox.poll(1_504).send), ["m3"]);
    outbox.take(1_505, ack("m3"));
    assert.deepEqual(ids(outbox.poll(1_505).send), ["m4", "m5"]);
  });

  it("does not repeat on its timer what may not be sent yet", () => {
    const outbox = filled(2, { resendMs: 100 });
    outbox.poll(0);
    outbox.take(1, error("m1", 429, 1_000));
    assert.deepEqual(outbox.poll(500).send, []);
    assert.ok(outbox.due() > 500, "and its owner is not called in vain");
  });

  it("after a 503 comes back later than it was told, and not with everybody else", () => {
    const outbox = filled(1);
    outbox.poll(0);
    outbox.take(0, error("m1", 503, 1_000));
    assert.equal(outbox.due(), 1_250);
  });

  it("after a 500 sends the same again, more and more slowly", () => {
    const outbox = filled(1);
    const pauses = [];
    for (let now = 0; pauses.length < 4; now = outbox.due()) {
      assert.deepEqual(ids(outbox.poll(now).send), ["m1"]);
      outbox.take(now, error("m1", 500));
      pauses.push(outbox.due() - now);
    }
    assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000]);
  });

  it("after a 507 leaves that reader in peace for long, and nobody else", () => {
    const outbox = filled(1);
    outbox.add(entry("m2"));
    outbox.add(entry("c1", { to: "carol" }));
    assert.deepEqual(ids(outbox.poll(0).send), ["m1", "m2", "c1"]);
    outbox.take(1, error("m1", 507));
    outbox.take(1, error("m2", 507));
    outbox.add(entry("m3"));
    outbox.add(entry("c2", { to: "carol" }));
    assert.deepEqual(ids(outbox.poll(2).send), ["c2"]);
    outbox.take(3, ack("c1", "carol"));
    outbox.take(3, { type: "C2C_DELIVERED", id: "c1", to: "carol" });
    outbox.take(3, { type: "C2C_DELIVERED", id: "c2", to: "carol" });
    outbox.poll(3);
    assert.equal(outbox.due(), 60_001);
    assert.deepEqual(ids(outbox.poll(60_001).send), ["m1", "m2", "m3"]);
  });

  for (const code of [400, 403, 404, 409, 413]) {
    it(`takes a ${code} for the last word`, () => {
      const outbox = filled(1);
      outbox.poll(0);
      assert.equal(outbox.take(1, error("m1", code)), true);
      const [{ entry: refused, finished }] = outbox.poll(1).changed;
      assert.equal(finished, true);
      assert.deepEqual(
        [refused.state, refused.error],
        ["refused", { code, msg: "why" }],
      );
      assert.deepEqual(outbox.entries(), []);
    });
  }

  it("leaves an ERROR about an accepted message to others: it is about a revocation", () => {
    const outbox = filled(1);
    outbox.poll(0);
    outbox.take(1, ack("m1"));
    assert.equal(outbox.take(2, error("m1", 403)), false);
  });

  it("leaves an ERROR about a message that it never sent to others: it is about a question", () => {
    const outbox = filled(2, { window: 1 });
    outbox.poll(0);
    assert.equal(outbox.take(1, error("m2", 404)), false);
    outbox.refuse("bob", "m2", { code: 403, msg: "in_denylist" });
    outbox.take(2, ack("m1"));
    assert.deepEqual(ids(outbox.poll(2).send), ["m2"]);
    assert.equal(outbox.take(3, error("m2", 404)), true);
  });

  it("leaves an ERROR about another reader alone, whose id is that of a message", () => {
    const outbox = filled(1);
    outbox.poll(0);
    assert.equal(outbox.take(1, { ...error("m1", 403), to: "carol" }), false);
    const { to, ...nobody } = error("m1", 403);
    assert.equal(outbox.take(2, nobody), true);
  });

  it("takes an ERROR for that of the message on its way, when a group and a user share a name", () => {
    const outbox = new Outbox({ window: 1 });
    outbox.add(entry("m1", { type: "C2G" }));
    outbox.add(entry("m1"));
    outbox.connected();
    outbox.poll(0);
    assert.equal(outbox.take(1, error("m1", 403)), true);
    assert.deepEqual(
      outbox.poll(1).changed.map(({ entry: { type } }) => type),
      ["C2G"],
    );
  });

  it("takes back what was never sent, and nothing else", () => {
    const outbox = filled(2, { window: 1 });
    outbox.add(entry("old", { fresh: false }));
    outbox.poll(0);
    assert.equal(outbox.cancel("C2C", "bob", "m1"), false);
    assert.equal(outbox.cancel("C2C", "bob", "old"), false);
    assert.equal(outbox.cancel("C2C", "bob", "m2"), true);
    assert.deepEqual(states(outbox, 1), [["m2", "revoked", true]]);
  });

  it("does not send what has expired before its turn", () => {
    const outbox = new Outbox();
    outbox.add(entry("m1", { expiresAt: 10 }));
    outbox.add(entry("m2", { expiresAt: 30 }));
    outbox.connected();
    const { send, changed } = outbox.poll(20);
    assert.deepEqual(ids(send), ["m2"]);
    assert.deepEqual(
      changed.map(({ entry: { id, state } }) => [id, state]),
      [["m1", "expired"]],
    );
  });

  it("knows messages of one id to two readers apart", () => {
    const outbox = new Outbox();
    outbox.add(entry("m1"));
    outbox.add(entry("m1", { to: "carol" }));
    outbox.connected();
    outbox.poll(0);
    outbox.take(1, { ...error("m1", 404), to: "carol" });
    assert.deepEqual(
      outbox.entries().map(({ to }) => to),
      ["bob"],
    );
  });
});
