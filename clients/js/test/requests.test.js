import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Requests } from "../src/requests.js";

const asked = (
  requests,
  id,
  { to = "bob", answer = "PAGE", deadline = Infinity } = {},
) =>
  new Promise((resolve, reject) =>
    requests.add({ id, to, answer, frame: id, deadline, resolve, reject }),
  );
const open = (options) => {
  const requests = new Requests(options);
  requests.connected();
  return requests;
};

describe("requests", () => {
  it("wait for a connection, and are sent again on the next one", () => {
    const requests = new Requests();
    void asked(requests, "r1");
    assert.deepEqual(requests.poll(0), []);
    requests.connected();
    assert.deepEqual(requests.poll(0), ["r1"]);
    assert.deepEqual(requests.poll(1), []);
    requests.disconnected();
    requests.connected();
    assert.deepEqual(requests.poll(2), ["r1"]);
  });

  it("are answered by the frame of their type with their id", async () => {
    const requests = open();
    const one = asked(requests, "r1");
    const two = asked(requests, "r2");
    requests.poll(0);
    assert.equal(requests.take(1, { type: "PAGE", id: "r2", n: 2 }), true);
    assert.equal(requests.take(1, { type: "OTHER", id: "r1" }), false);
    assert.equal(requests.take(1, { type: "PAGE", id: "r1", n: 1 }), true);
    assert.deepEqual([(await one).n, (await two).n], [1, 2]);
  });

  it("take answers without an id in their order", async () => {
    const requests = open();
    const all = [
      asked(requests, "r1"),
      asked(requests, "r2", { to: "carol" }),
      asked(requests, "r3"),
    ];
    requests.poll(0);
    for (const [to, n] of [
      ["bob", 1],
      ["bob", 3],
      ["carol", 2],
    ])
      requests.take(1, { type: "PAGE", to, n });
    assert.deepEqual(
      (await Promise.all(all)).map(({ n }) => n),
      [1, 2, 3],
    );
  });

  it("are sent again when no answer comes, until their deadline", async () => {
    const requests = open({ resendMs: 100 });
    const one = asked(requests, "r1", { deadline: 250 });
    assert.deepEqual(requests.poll(0), ["r1"]);
    assert.equal(requests.due(), 100);
    assert.deepEqual(requests.poll(100), ["r1"]);
    assert.equal(requests.due(), 200);
    requests.poll(200);
    requests.poll(250);
    await assert.rejects(one, { code: 0, message: "no answer in time" });
  });

  it("are refused by an ERROR with their id", async () => {
    const requests = open();
    const one = asked(requests, "r1");
    requests.poll(0);
    requests.take(1, {
      type: "ERROR",
      id: "r1",
      code: 403,
      msg: "not a member",
    });
    await assert.rejects(one, { code: 403, message: "not a member" });
  });

  it("wait as long as they are told after a 429", () => {
    const requests = open();
    void asked(requests, "r1");
    requests.poll(0);
    requests.take(1, {
      type: "ERROR",
      id: "r1",
      code: 429,
      msg: "too fast",
      retry_ms: 500,
    });
    assert.equal(requests.due(), 501);
    assert.deepEqual(requests.poll(400), []);
    assert.deepEqual(requests.poll(501), ["r1"]);
  });

  it("are not under way in greater number than the server takes", () => {
    const requests = open({ limit: 2 });
    for (const id of ["r1", "r2", "r3"]) void asked(requests, id);
    assert.deepEqual(requests.poll(0), ["r1", "r2"]);
    requests.take(1, { type: "PAGE", id: "r1" });
    assert.deepEqual(requests.poll(1), ["r3"]);
  });
});
