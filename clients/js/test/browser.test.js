import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { Browser, CHROMIUM } from "./support/browser.js";
import { people } from "./support/people.js";
import { BINARY, Server } from "./support/server.js";
import { next } from "./support/wait.js";

const skip =
  BINARY && CHROMIUM
    ? false
    : "YIZHAN_BIN and YIZHAN_CHROMIUM name no server and no browser";

describe("in a real browser", { skip }, () => {
  let server;
  let browser;
  let crowd;
  let token;
  before(async () => {
    server = await Server.start();
    browser = await Browser.start();
    crowd = people(server);
    token = await server.token(1);
  });
  after(async () => {
    await crowd?.leave();
    await browser?.stop();
    await server?.stop();
  });
  /** What opens the client in a page, and keeps what it shows. */
  const open = () => `
    globalThis.shown = [];
    globalThis.client = new Client({ url: '${server.url}', token: '${token}' });
    client.on('message', ({ payload }) => void shown.push(payload));
    await client.connect();
    if (client.connection !== 'online') await new Promise((resolve) => client.on('connection', (state) => state === 'online' && resolve()));
    return [client.uid, client.did];
  `;

  it("tabs are devices of their own, and a reload stays the same one", async () => {
    const [first, second] = [await browser.tab(), await browser.tab()];
    const [[uid, did], [, other]] = [
      await first.run(open()),
      await second.run(open()),
    ];
    assert.equal(
      uid,
      JSON.parse(Buffer.from(token.split(".")[1], "base64url")).uid,
    );
    assert.notEqual(did, other);
    await first.reload();
    assert.deepEqual(await first.run(open()), [uid, did]);
    await Promise.all([first.close(), second.close()]);
  });

  it("what was queued when a page was closed is sent by the next one", async () => {
    const friend = await crowd.person().client();
    const tab = await browser.tab();
    await tab.run(open());
    await tab.run(
      `client.disconnect(); await client.send({ type: 'C2C', to: '${friend.uid}' }, { text: 'later' }, { id: 'm1' })`,
    );
    await tab.reload();
    assert.deepEqual(friend.got, []);
    const came = next(friend, "message");
    await tab.run(open());
    assert.deepEqual((await came).payload, { text: "later" });
    await tab.run(
      `if (client.outbox().length > 0) await new Promise((resolve) => client.on('sent', ({ state }) => state === 'delivered' && resolve()))`,
    );
    await tab.reload();
    await tab.run(open());
    assert.deepEqual(await tab.run("return client.outbox()"), []);
    await tab.close();
  });

  it("what a closed tab has left is sent by the one that opens next", async () => {
    const friend = await crowd.person().client();
    const [first, second] = [await browser.tab(), await browser.tab()];
    await first.run(open());
    await second.run(open());
    await second.run(
      `client.disconnect(); await client.send({ type: 'C2C', to: '${friend.uid}' }, 'left', { id: 'm2' })`,
    );
    await first.reload();
    await second.close();
    const came = next(friend, "message");
    const third = await browser.tab();
    await third.run(open());
    assert.equal((await came).payload, "left");
    await Promise.all([first.close(), third.close()]);
  });

  it("a message is shown once, also when the page was reloaded before the server heard of it", async () => {
    const friend = await crowd.person().client();
    const tab = await browser.tab();
    const [uid] = await tab.run(open());
    await tab.run(`
      // From here on the server hears nothing of this page.
      WebSocket.prototype.send = () => {};
      globalThis.came = new Promise((resolve) => client.on('message', resolve));
    `);
    await friend.send({ type: "C2C", to: uid }, "once");
    await tab.run(`
      await came;
      const store = await indexedDbStore('yizhan-' + client.uid);
      while ((await store.entries('had/')).length === 0);
    `);
    assert.deepEqual(await tab.run("return shown"), ["once"]);
    await tab.reload();
    await tab.run(open());
    await friend.send({ type: "C2C", to: uid }, "twice");
    await tab.run(
      `if (!shown.includes('twice')) await new Promise((resolve) => client.on('message', ({ payload }) => payload === 'twice' && resolve()))`,
    );
    assert.deepEqual(await tab.run("return shown"), ["twice"]);
    await tab.close();
  });
});
