import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Link } from "../src/link.js";

const OPTIONS = {
  heartbeatMs: 1_000,
  pongMs: 300,
  openMs: 500,
  stableMs: 2_000,
  backoff: { minMs: 100, maxMs: 800 },
  random: () => 1,
};
const connected = (options) => {
  const link = new Link({ ...OPTIONS, ghosts: 0, ...options });
  link.start();
  link.poll(0);
  link.dialled(0);
  link.heard(0);
  return link;
};
const dialling = () => {
  const link = new Link(OPTIONS);
  link.start();
  link.poll(0);
  link.dialled(0);
  return link;
};

describe("the link", () => {
  it("is online with the first word, not with the open socket", () => {
    const link = dialling();
    assert.equal(link.state, "connecting");
    assert.equal(link.heard(10), true);
    assert.equal(link.state, "online");
    assert.equal(link.heard(20), false);
  });

  it("gives up an attempt that says nothing", () => {
    const link = dialling();
    assert.equal(link.due(), 500);
    assert.deepEqual(link.poll(500), ["drop"]);
    assert.equal(link.state, "waiting");
  });

  it("asks for a sign of life when nothing was heard, and leaves without one", () => {
    const link = connected();
    assert.deepEqual(link.poll(999), []);
    assert.deepEqual(link.poll(1_000), ["ping"]);
    assert.equal(link.due(), 1_300);
    link.heard(1_100);
    assert.equal(link.due(), 2_100);
    assert.deepEqual(link.poll(2_100), ["ping"]);
    assert.deepEqual(link.poll(2_400), ["drop"]);
    assert.equal(link.state, "waiting");
  });

  for (const code of [
    1000, 1001, 1005, 1006, 4050, 4051, 4052, 4053, 4054, 4099,
  ]) {
    it(`comes back after ${code}`, () => {
      const link = connected();
      assert.equal(link.lost(10, code, true), undefined);
      assert.equal(link.state, "waiting");
      assert.equal(link.due(), 110);
      assert.deepEqual(link.poll(110), ["open"]);
    });
  }

  for (const code of [4000, 4008, 4013, 4049]) {
    it(`stays away after ${code} and says why`, () => {
      const link = connected();
      const error = link.lost(10, code, true);
      assert.equal(error.code, code);
      assert.equal(link.state, "closed");
      assert.equal(link.due(), 0);
      link.poll(10);
      assert.equal(link.due(), Infinity);
    });
  }

  it("waits longer after each attempt that failed, and short again after a connection that held", () => {
    const link = dialling();
    const pauses = [];
    let now = 0;
    for (let at = 0; at < 5; at += 1) {
      link.lost(now, 1006, true);
      pauses.push(link.due() - now);
      now = link.due();
      link.poll(now);
      link.dialled(now);
    }
    assert.deepEqual(pauses, [100, 200, 400, 800, 800]);
    link.heard(now);
    link.lost(now + 1_999, 1006, true);
    assert.equal(link.due() - now - 1_999, 800, "a short life proves nothing");
    now = link.due();
    link.poll(now);
    link.dialled(now);
    link.heard(now);
    link.lost(now + 2_000, 1006, true);
    assert.equal(link.due() - now - 2_000, 100);
  });

  it("follows the advice of the ERROR before the close", () => {
    const link = dialling();
    link.refused({ code: 429, msg: "too many", retry_ms: 5_000 });
    assert.equal(link.lost(10, 4054, true), undefined);
    assert.ok(link.due() >= 5_010);
  });

  for (const code of [705, 706]) {
    it(`gets another token after ${code}, if it can`, () => {
      const link = dialling();
      link.refused({ code, msg: "token" });
      link.lost(10, 4006, true);
      assert.equal(link.state, "waiting");
      assert.deepEqual(link.poll(110), ["renew", "open"]);

      const helpless = dialling();
      helpless.refused({ code, msg: "token" });
      assert.equal(helpless.lost(10, 4006, false).code, code);
      assert.equal(helpless.state, "closed");
    });
  }

  it("gets another token when the old one ran out during the connection", () => {
    const link = connected();
    assert.equal(link.lost(10, 4006, true), undefined);
    assert.deepEqual(link.poll(110), ["renew", "open"]);
  });

  it("stays away when the login was refused for another reason than the token", () => {
    const link = dialling();
    link.refused({ code: 400, msg: "did" });
    assert.equal(link.lost(10, 4006, true).code, 400);
    assert.equal(link.state, "closed");
  });

  const back = (link) => {
    link.poll(link.due());
    link.dialled(0);
    link.heard(0);
  };

  it("comes back a few times when it was replaced young: it may have been by an attempt of its own", () => {
    const link = connected({ ghosts: 2 });
    for (let time = 1; time <= 2; time += 1) {
      assert.equal(link.lost(10, 4008, true), undefined);
      assert.ok(link.due() >= 110, "and not at once");
      back(link);
    }
    assert.equal(link.lost(10, 4008, true).code, 4008);
    assert.equal(link.state, "closed");
  });

  it("believes it at once when it was replaced after a while", () => {
    const link = connected({ ghosts: 2 });
    assert.equal(link.lost(20_000, 4008, true).code, 4008);
    assert.equal(link.state, "closed");
  });

  it("tries at once when the network is back, and checks a connection that may be dead", () => {
    const waiting = dialling();
    waiting.lost(0, 1006, true);
    waiting.nudge(5);
    assert.deepEqual(waiting.poll(5), ["open"]);

    const online = connected();
    online.nudge(5);
    assert.deepEqual(online.poll(5), ["ping"]);
    assert.deepEqual(online.poll(305), ["drop"]);
  });

  it("stays away when it was told to", () => {
    const link = connected();
    link.stop("offline");
    assert.deepEqual(link.poll(0), ["drop"]);
    link.nudge(1);
    assert.deepEqual(link.poll(10_000), []);
    link.start();
    assert.deepEqual(link.poll(10_000), ["open"]);
  });
});
