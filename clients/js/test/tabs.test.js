import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import { Client, memoryStore } from "../src/index.js";
import { processLocks } from "../src/locks.js";
import { FakeClock, idle } from "./support/clock.js";
import { FakeServer, obliging, token } from "./support/fake.js";

const BOB = { type: "C2C", to: "bob" };

let server;
let clock;
let store;
let tabs;
beforeEach(() => {
  server = new FakeServer();
  clock = new FakeClock();
  store = memoryStore();
  tabs = [];
});
afterEach(() => Promise.all(tabs.map((tab) => tab.close())));

/** A tab of one browser: clients that share a store. */
async function open(options) {
  const tab = new Client({
    url: "http://server",
    token: token("me"),
    WebSocket: server.WebSocket,
    clock,
    store,
    ...options,
  });
  tabs.push(tab);
  await tab.connect();
  await idle();
  await idle();
  return tab;
}

describe("tabs of one browser", () => {
  it("are devices of their own", async () => {
    const [first, second] = [await open(), await open()];
    assert.notEqual(first.did, second.did);
    assert.deepEqual(
      [first.connection, second.connection],
      ["online", "online"],
    );
  });

  it("take the devices of closed ones again", async () => {
    const [first, second] = [await open(), await open()];
    const { did } = first;
    await first.close();
    assert.equal((await open()).did, did);
    assert.notEqual(second.did, did);
    assert.equal((await store.entries("did/")).length, 2);
  });

  it("do not send what another one has queued", async () => {
    const first = await open();
    await first.send(BOB, 1);
    const second = await open();
    assert.deepEqual(second.outbox(), []);
    assert.deepEqual(server.last.of("C2C"), []);
  });

  it("send what a closed one has left, under the same ids", async () => {
    const first = await open();
    first.disconnect();
    server.onframe = obliging;
    const second = await open();
    await first.send(BOB, "one", { id: "m1" });
    await first.send(BOB, "two", { id: "m2" });
    await second.send(BOB, "mine", { id: "m3" });
    await first.close();
    await clock.advance(61_000);
    assert.deepEqual(
      server.last.of("C2C").map(({ id }) => id),
      ["m3", "m1", "m2"],
    );
    assert.deepEqual(second.outbox(), []);
    assert.deepEqual(await store.entries("out/"), []);
  });

  it("send it at once when they are opened later", async () => {
    const first = await open({ did: "a/b" });
    await first.send(BOB, "one", { id: "m1" });
    await first.close();
    server.onframe = obliging;
    await open({ did: "a" });
    assert.deepEqual(
      server.last.of("C2C").map(({ id }) => id),
      ["m1"],
    );
    assert.deepEqual(await store.entries("out/"), []);
  });

  describe("whose locks are not shared", () => {
    const indexedDb = Object.getOwnPropertyDescriptor(globalThis, "indexedDB");
    beforeEach(() => {
      Object.defineProperty(globalThis, "indexedDB", {
        value: {},
        configurable: true,
      });
    });
    afterEach(() => {
      delete globalThis.indexedDB;
      if (indexedDb) Object.defineProperty(globalThis, "indexedDB", indexedDb);
    });
    // A table of this process is kept for each store: with stores of their own over the same values, tabs know nothing of
    // each other, as in a page without Web Locks.
    const apart = () => ({ ...store });

    it("leave each other's outboxes alone", async () => {
      const first = await open({ did: "a", store: apart() });
      first.disconnect();
      await first.send(BOB, 1, { id: "m1" });
      const second = await open({ did: "b", store: apart() });
      await clock.advance(61_000);
      assert.deepEqual(second.outbox(), []);
      assert.deepEqual(server.last.of("C2C"), []);
      await first.close();
      await second.close();
      await open({ did: "a", store: apart() });
      assert.deepEqual(
        server.last.of("C2C").map(({ id }) => id),
        ["m1"],
      );
    });

    it("take over what closed ones have left when they are given locks", async () => {
      const locks = processLocks({});
      const first = await open({ did: "a", store: apart(), locks });
      first.disconnect();
      await first.send(BOB, 1, { id: "m1" });
      await first.close();
      const second = await open({ did: "b", store: apart(), locks });
      assert.deepEqual(
        second.outbox().map(({ id }) => id),
        ["m1"],
      );
    });
  });

  it("keep apart what each has shown", async () => {
    const [first, second] = [await open(), await open()];
    const shown = [];
    for (const tab of [first, second])
      tab.on("message", ({ id }) => void shown.push(id));
    for (const connection of server.connections)
      connection.say({
        id: "m1",
        type: "C2C",
        from: "bob",
        to: "me",
        payload: 1,
        server_ts: 1,
        seq: 1,
      });
    await idle();
    assert.deepEqual(shown, ["m1", "m1"]);
  });
});
