import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Inbox } from "../src/inbox.js";
import { Seen } from "../src/seen.js";

const frame = (seq, rest = {}) => ({
  type: "C2C",
  from: "alice",
  to: "bob",
  id: `m${seq}`,
  seq,
  ...rest,
});
const through = (inbox, now = 0) => {
  const handled = [];
  for (let one = inbox.next(); one; one = inbox.next()) {
    handled.push(one.seq);
    inbox.handled(one, true);
  }
  inbox.stored(now, inbox.marks().frames);
  return handled;
};

describe("the inbox", () => {
  it("hands over what waits in the order of seq, and waits for no gap", () => {
    const inbox = new Inbox();
    for (const seq of [9, 4, 2]) inbox.take(0, frame(seq));
    assert.deepEqual(through(inbox), [2, 4, 9]);
  });

  it("hands over what comes late when it comes", () => {
    const inbox = new Inbox();
    inbox.take(0, frame(5));
    assert.deepEqual(through(inbox), [5]);
    inbox.take(0, frame(3));
    assert.deepEqual(through(inbox), [3]);
  });

  it("acknowledges only what was handled and marked, together", () => {
    const inbox = new Inbox({ ackMs: 20 });
    inbox.take(0, frame(1));
    inbox.take(0, frame(2));
    assert.deepEqual(inbox.poll(100), []);
    assert.deepEqual(through(inbox, 100), [1, 2]);
    assert.equal(inbox.due(), 120);
    assert.deepEqual(inbox.poll(120), [[1, 2]]);
  });

  it("drops repeats and acknowledges them again", () => {
    const inbox = new Inbox({ ackMs: 0 });
    inbox.take(0, frame(1));
    assert.equal(inbox.take(0, frame(1)), false);
    assert.deepEqual(through(inbox), [1]);
    assert.deepEqual(inbox.poll(0), [[1]]);
    inbox.confirmed({ seqs: [1] });
    assert.equal(inbox.take(1, frame(1)), false);
    assert.deepEqual(through(inbox), []);
    assert.deepEqual(inbox.poll(1), [[1]]);
  });

  it("knows a message by its sender, its reader, its type and its id", () => {
    const inbox = new Inbox();
    const same = { id: "m1" };
    for (const [seq, other] of [
      {},
      { from: "carol" },
      { type: "C2C_REVOKE" },
      { type: "C2G", to: "crew" },
      { type: "C2G", to: "club" },
    ].entries()) {
      assert.equal(inbox.take(0, frame(seq + 1, { ...same, ...other })), true);
    }
    assert.equal(
      inbox.take(0, frame(99, same)),
      false,
      "and never by its number",
    );
  });

  it("acknowledges again what is not confirmed in time", () => {
    const inbox = new Inbox({ ackMs: 0, repeatMs: 50 });
    inbox.take(0, frame(1));
    inbox.take(0, frame(2));
    through(inbox);
    inbox.poll(0);
    inbox.confirmed({ seqs: [1] });
    assert.equal(inbox.due(), 50);
    assert.deepEqual(inbox.poll(50), [[2]]);
    inbox.confirmed({ seqs: [2] });
    assert.equal(inbox.due(), Infinity);
  });

  it("repeats an ack that was refused, after the time it was told", () => {
    const inbox = new Inbox({ ackMs: 0 });
    inbox.take(0, frame(1));
    through(inbox);
    inbox.poll(0);
    inbox.refused(1, 500);
    assert.deepEqual(inbox.poll(400), []);
    assert.deepEqual(inbox.poll(501), [[1]]);
  });

  it("acknowledges nothing on a connection that did not bring it", () => {
    const inbox = new Inbox({ ackMs: 0 });
    inbox.take(0, frame(1));
    through(inbox);
    inbox.connected();
    assert.deepEqual(inbox.poll(0), []);
    inbox.take(1, frame(1));
    assert.deepEqual(inbox.poll(1), [[1]]);
  });

  it("has a message again that its listeners failed on", () => {
    const inbox = new Inbox({ ackMs: 0 });
    inbox.take(0, frame(1));
    inbox.handled(inbox.next(), false);
    assert.deepEqual(inbox.poll(0), []);
    assert.equal(inbox.take(1, frame(1)), true);
  });

  it("puts at most 256 numbers into one acknowledgement", () => {
    const inbox = new Inbox({ ackMs: 0 });
    for (let seq = 1; seq <= 300; seq += 1) inbox.take(0, frame(seq));
    through(inbox);
    assert.deepEqual(
      inbox.poll(0).map(({ length }) => length),
      [256, 44],
    );
  });
});

describe("what a device has had", () => {
  it("is written in pieces, of which only the last is written again", () => {
    const seen = new Seen({ size: 2, pieces: 10 });
    for (const key of ["a", "b", "c"]) seen.add(key, () => false);
    assert.deepEqual(seen.changes().put, [
      [1, ["a", "b"]],
      [2, ["c"]],
    ]);
    seen.add("d", () => false);
    assert.deepEqual(seen.changes().put, [[2, ["c", "d"]]]);
  });

  it("is known again after a reload, which goes on in the last piece", () => {
    const seen = new Seen({ size: 2, pieces: 10 });
    seen.load([
      [3, ["a", "b"]],
      [4, ["c"]],
    ]);
    assert.ok(seen.has("a") && seen.has("c"));
    seen.add("d", () => false);
    assert.deepEqual(seen.changes().put, [[4, ["c", "d"]]]);
  });

  it("is bounded, and keeps what is not confirmed", () => {
    const seen = new Seen({ size: 2, pieces: 2 });
    for (const key of ["a", "b", "c", "d", "e"])
      seen.add(key, (one) => one === "b");
    assert.ok(seen.has("a"), "the piece of a pinned key stays");
    for (const key of ["f", "g"]) seen.add(key, () => false);
    assert.ok(!seen.has("a") && !seen.has("c") && seen.has("e"));
    assert.deepEqual(seen.changes().drop, [1, 2]);
  });
});
