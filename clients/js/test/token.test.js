import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Refresh } from "../src/refresh.js";
import { Tokens, readToken } from "../src/token.js";
import { FakeClock } from "./support/clock.js";
import { token } from "./support/fake.js";

describe("a token", () => {
  it("says whose it is and how long it is good", () => {
    assert.deepEqual(readToken(token("bob", 5)), { uid: "bob", exp: 5 });
    assert.deepEqual(readToken(`Bearer ${token("bob", 5)}`), {
      uid: "bob",
      exp: 5,
    });
    assert.deepEqual(readToken("nonsense"), {});
  });

  it("is used until it is worn out or nearly over", async () => {
    const clock = new FakeClock();
    const given = [
      clock.now() + 60_000,
      clock.now() + 120_000,
      clock.now() + 180_000,
    ].map((exp) => token("bob", exp));
    const left = [...given];
    const tokens = new Tokens({ token: () => left.shift(), clock });
    assert.equal(await tokens.current(), given[0]);
    assert.equal(await tokens.current(), given[0]);
    await clock.advance(56_000);
    assert.equal(await tokens.current(), given[1]);
    tokens.wornOut();
    assert.equal(await tokens.current(), given[2]);
    assert.equal(tokens.uid, "bob");
  });

  it("is fetched once for all who want one", async () => {
    let calls = 0;
    const tokens = new Tokens({
      token: async () => token("bob", (calls += 1)),
      clock: new FakeClock(),
    });
    await Promise.all([tokens.renew(), tokens.renew()]);
    assert.equal(calls, 1);
  });

  it("is asked for again after its source failed", async () => {
    let calls = 0;
    const tokens = new Tokens({
      token: async () => {
        calls += 1;
        if (calls === 1) throw new Error("offline");
        return token("bob");
      },
      clock: new FakeClock(),
    });
    await assert.rejects(tokens.current(), /offline/);
    assert.equal(await tokens.current(), token("bob"));
  });

  it("is asked for again when it does not come in time, and is taken also when it is late", async () => {
    const clock = new FakeClock();
    const calls = [];
    const tokens = new Tokens({
      token: () => new Promise((resolve) => calls.push(resolve)),
      clock,
      fetchMs: 100,
    });
    const late = () =>
      assert.rejects(tokens.current(), { message: "no token came in time" });
    const first = late();
    await clock.advance(100);
    await first;
    const second = late();
    await clock.advance(100);
    await second;
    assert.equal(calls.length, 2);
    calls[1](token("bob", clock.now() + 20_000));
    await clock.advance(0);
    calls[0](token("bob", clock.now() + 10_000));
    await clock.advance(0);
    assert.equal(await tokens.current(), token("bob", clock.now() + 20_000));
    assert.equal(calls.length, 2);
  });

  it("that is fixed is used to its end", async () => {
    const fixed = token("bob", 5);
    const tokens = new Tokens({ token: fixed, clock: new FakeClock() });
    assert.equal(await tokens.current(), fixed);
    assert.equal(tokens.canRenew, false);
  });
});

describe("the exchange of a token", () => {
  const HOUR = 3_600_000;
  const begun = () => {
    const refresh = new Refresh({
      resendMs: 100,
      backoff: { minMs: 10, maxMs: 80 },
      random: () => 1,
    });
    refresh.connected(0, 2 * HOUR);
    return refresh;
  };

  const fetching = (refresh) => {
    refresh.asked(HOUR);
    assert.deepEqual(refresh.poll(HOUR), { fetch: true });
  };

  it("begins five minutes before the end, not everywhere at once", () => {
    assert.equal(begun().due(), 2 * HOUR - 330_000);
  });

  it("begins at half of the life of a short one", () => {
    const refresh = new Refresh({ random: () => 0 });
    refresh.connected(0, 60_000);
    assert.equal(refresh.due(), 30_000);
  });

  it("begins when the server asks for it", () => {
    const refresh = begun();
    refresh.asked(HOUR);
    assert.deepEqual(refresh.poll(HOUR), { fetch: true });
    assert.equal(refresh.poll(HOUR + 1), undefined);
  });

  it("is not begun again and again by a server whose tokens are short", () => {
    const refresh = new Refresh({ random: () => 0 });
    refresh.connected(0, 10_000);
    refresh.asked(1);
    assert.equal(refresh.due(), 5_000);
    refresh.connected(0, 1);
    refresh.asked(1);
    assert.ok(refresh.due() >= 0.5);
  });

  it("leaves a clock that is wrong alone, until the server asks", () => {
    const refresh = new Refresh();
    refresh.connected(2 * HOUR, HOUR);
    assert.equal(refresh.due(), Infinity);
    refresh.asked(2 * HOUR);
    assert.deepEqual(refresh.poll(2 * HOUR + 1_000), { fetch: true });
  });

  it("shows the new token until there is an answer", () => {
    const refresh = begun();
    fetching(refresh);
    refresh.fetched(HOUR, "new");
    assert.deepEqual(refresh.poll(HOUR), { show: "new" });
    assert.deepEqual(refresh.poll(HOUR + 100), { show: "new" });
    refresh.connected(HOUR + 120, 4 * HOUR);
    assert.equal(refresh.due(), 4 * HOUR - 330_000);
  });

  it("shows it again after a 500, and gets another one after a 706", () => {
    const refresh = begun();
    fetching(refresh);
    refresh.fetched(HOUR, "new");
    refresh.poll(HOUR);
    refresh.refused(HOUR + 1, { code: 500 });
    assert.deepEqual(refresh.poll(HOUR + 11), { show: "new" });
    refresh.refused(HOUR + 12, { code: 706 });
    assert.deepEqual(refresh.poll(refresh.due()), { fetch: true });
  });

  it("tries again when there is none to be had", () => {
    const refresh = begun();
    fetching(refresh);
    refresh.failed(HOUR + 5);
    assert.equal(refresh.due(), HOUR + 15);
    assert.deepEqual(refresh.poll(HOUR + 15), { fetch: true });
  });
});
