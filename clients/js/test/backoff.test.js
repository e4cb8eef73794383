import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Backoff } from "../src/backoff.js";

const ceilings = (backoff, times) =>
  Array.from({ length: times }, () => backoff.next());

describe("pauses between attempts", () => {
  it("grow to a ceiling", () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1_000, random: () => 1 });
    assert.deepEqual(ceilings(backoff, 6), [100, 200, 400, 800, 1_000, 1_000]);
  });

  it("are drawn from the upper half", () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1_000, random: () => 0 });
    assert.deepEqual(ceilings(backoff, 3), [50, 100, 200]);
  });

  it("begin again after a success", () => {
    const backoff = new Backoff({ minMs: 100, maxMs: 1_000, random: () => 1 });
    ceilings(backoff, 4);
    backoff.reset();
    assert.equal(backoff.next(), 100);
  });

  it("never undercut what the server advises, and spread above it", () => {
    for (const random of [0, 0.5, 1]) {
      const pause = new Backoff({
        minMs: 100,
        maxMs: 1_000,
        random: () => random,
      }).next(5_000);
      assert.equal(pause, 5_000 + random * 100);
    }
  });
});
