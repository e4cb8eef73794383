import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";

import { people } from "./support/people.js";
import { Server, needsServer } from "./support/server.js";
import { next } from "./support/wait.js";

const chatWith = ({ uid }) => ({ type: "C2C", to: uid });
const delivered = ({ state }) => state === "delivered";

/** Sends, and returns the message once it is delivered. */
async function deliver(client, chat, payload, options) {
  const { id } = await client.send(chat, payload, options);
  return next(
    client,
    "sent",
    (sent) => sent.id === id && sent.state === "delivered",
  );
}

describe("conversations of a real server", needsServer, () => {
  let server;
  let crowd;
  before(async () => {
    server = await Server.start();
    crowd = people(server);
  });
  afterEach(() => crowd.leave());
  after(() => server.stop());

  const both = async () => {
    const [aliceAt, bobAt] = [crowd.person(), crowd.person()];
    const [alice, bob] = [await aliceAt.client(), await bobAt.client()];
    return { aliceAt, bobAt, alice, bob };
  };
  const crew = async (owner, ...others) => {
    const { gid } = await owner.rest("POST", "/v1/groups", {
      id: `g-${owner.uid}`,
      name: "Crew",
      members: others.map(({ uid }) => uid),
    });
    return { type: "C2G", to: gid };
  };

  it(
    "a message has one place in its conversation, for both and in history",
    async () => {
      const { alice, bob } = await both();
      const [one, two] = [
        await deliver(alice, chatWith(bob), "one"),
        await deliver(bob, chatWith(alice), "two"),
      ];
      assert.deepEqual([one.cseq, two.cseq], [1, 2]);
      assert.deepEqual([bob.got[0].cseq, alice.got[0].cseq], [1, 2]);
      for (const [client, other] of [
        [alice, bob],
        [bob, alice],
      ]) {
        const { messages, head, more } = await client.history(chatWith(other));
        assert.deepEqual(
          messages.map(({ payload, cseq, from, chat }) => [
            payload,
            cseq,
            from,
            chat,
          ]),
          [
            ["one", 1, alice.uid, chatWith(other)],
            ["two", 2, bob.uid, chatWith(other)],
          ],
        );
        assert.deepEqual([head, more], [2, false]);
      }
    },
  );

  it("history comes in pages, forwards and backwards", async () => {
    const { alice, bob } = await both();
    for (let n = 1; n <= 5; n += 1) await deliver(alice, chatWith(bob), n);
    const newest = await bob.history(chatWith(alice), { limit: 2 });
    assert.deepEqual(
      [newest.messages.map(({ payload }) => payload), newest.more],
      [[4, 5], true],
    );
    const before = await bob.history(chatWith(alice), {
      before: newest.next,
      limit: 2,
    });
    assert.deepEqual(
      before.messages.map(({ payload }) => payload),
      [2, 3],
    );
    const after = await bob.history(chatWith(alice), { after: 0, limit: 3 });
    assert.deepEqual(
      [after.messages.map(({ payload }) => payload), after.more],
      [[1, 2, 3], true],
    );
  });

  it(
    "what one device sends comes to the other devices of its user",
    async () => {
      const { aliceAt, alice, bob } = await both();
      const laptop = await aliceAt.client();
      const copy = next(laptop, "message");
      await deliver(alice, chatWith(bob), "hi");
      const { from, chat, payload } = await copy;
      assert.deepEqual([from, chat, payload], [alice.uid, chatWith(bob), "hi"]);
      assert.deepEqual(alice.got, []);
    },
  );

  it("a message is taken back everywhere", async () => {
    const { aliceAt, alice, bob } = await both();
    const laptop = await aliceAt.client();
    const { id, cseq } = await deliver(alice, chatWith(bob), "oops");
    const gone = [next(bob, "revoked"), next(laptop, "revoked")];
    await alice.revoke(chatWith(bob), id);
    await alice.revoke(chatWith(bob), id);
    const [there, here] = await Promise.all(gone);
    assert.deepEqual(there, {
      chat: chatWith(alice),
      from: alice.uid,
      id,
      cseq,
    });
    assert.deepEqual(here, { chat: chatWith(bob), from: alice.uid, id, cseq });
    const { messages } = await bob.history(chatWith(alice));
    assert.deepEqual(
      messages.map(({ payload, revokedAt }) => [payload, typeof revokedAt]),
      [[null, "number"]],
    );
    await assert.rejects(bob.revoke(chatWith(alice), "no such message"), {
      code: 404,
    });
  });

  it("a message is edited", async () => {
    const { alice, bob } = await both();
    const { id } = await deliver(alice, chatWith(bob), "helo");
    const edited = next(bob, "edited");
    await alice.edit(chatWith(bob), id, "hello");
    const edit = await edited;
    assert.deepEqual(
      [edit.chat, edit.from, edit.id, edit.payload],
      [chatWith(alice), alice.uid, id, "hello"],
    );
    const { messages } = await bob.history(chatWith(alice));
    assert.deepEqual(
      messages.map(({ payload, editedAt }) => [payload, typeof editedAt]),
      [["hello", "number"]],
    );
  });

  it(
    "how far one has read is known to the other and to the list",
    async () => {
      const { alice, bob } = await both();
      await deliver(alice, chatWith(bob), 1);
      const { cseq } = await deliver(alice, chatWith(bob), 2);
      const {
        conversations: [before],
      } = await bob.conversations();
      assert.deepEqual(
        [
          before.chat,
          before.unread,
          before.read,
          before.head,
          before.last.payload,
        ],
        [chatWith(alice), 2, 0, 2, 2],
      );
      const read = next(alice, "read");
      bob.read(chatWith(alice), cseq);
      assert.deepEqual(await read, {
        chat: chatWith(bob),
        by: bob.uid,
        upTo: cseq,
      });
      const {
        conversations: [after],
      } = await bob.conversations();
      assert.deepEqual([after.unread, after.read], [0, 2]);
      const {
        conversations: [peer],
      } = await alice.conversations();
      assert.equal(peer.peerRead, 2);
    },
  );

  it("that one is typing reaches the other", async () => {
    const { alice, bob } = await both();
    const typing = next(bob, "typing");
    alice.typing(chatWith(bob));
    assert.deepEqual(await typing, { chat: chatWith(alice), by: alice.uid });
  });

  it("a message expires before it is sent, or in history", async () => {
    const { alice, bob } = await both();
    const expired = next(alice, "sent", ({ state }) => state === "expired");
    await alice.send(chatWith(bob), "late", { expiresAt: Date.now() - 1 });
    await expired;
    const { expiresAt } = await deliver(alice, chatWith(bob), "soon", {
      expiresAt: Date.now() + 60_000,
    });
    assert.equal(bob.got[0].expiresAt, expiresAt);
  });

  it("a group is made, written to, and knows who has what", async () => {
    const { alice, bob } = await both();
    const carol = await crowd.person().client();
    const notice = next(bob, "message", ({ type }) => type === "S2C");
    const chat = await crew(alice, bob, carol);
    assert.deepEqual(
      [(await notice).chat, (await notice).payload.msg_type],
      [chat, "group_created"],
    );
    const all = next(alice, "sent", ({ count }) => count === 2);
    const came = Promise.all(
      [bob, carol].map((client) =>
        next(client, "message", ({ type }) => type === "C2G"),
      ),
    );
    const { id } = await alice.send(chat, "all hands");
    for (const message of await came)
      assert.deepEqual(
        [message.from, message.chat, message.payload],
        [alice.uid, chat, "all hands"],
      );
    assert.equal((await all).state, "delivered");
    const { members } = await alice.receipts(chat, id);
    assert.deepEqual(
      members.map(({ delivered }) => delivered),
      [true, true],
    );
    const { messages } = await carol.history(chat);
    assert.equal(messages.at(-1).payload, "all hands");
    const { conversations } = await carol.conversations();
    assert.deepEqual(
      [conversations[0].chat, conversations[0].name],
      [chat, "Crew"],
    );
  });

  it("a group is closed to those who are no members", async () => {
    const { alice, bob } = await both();
    const chat = await crew(alice);
    await assert.rejects(bob.history(chat), { code: 403 });
    const refused = next(bob, "sent", ({ state }) => state === "refused");
    await bob.send(chat, "let me in");
    assert.equal((await refused).error.code, 403);
  });

  it("what became of a message is told to another device of its author", async () => {
    const { aliceAt, alice, bob } = await both();
    const carol = await crowd.person().client();
    const chat = await crew(alice, bob, carol);
    const all = next(alice, "sent", ({ count }) => count === 2);
    const group = await alice.send(chat, "all");
    await all;
    const { id } = await deliver(alice, chatWith(bob), "one");
    const laptop = await aliceAt.client();
    assert.deepEqual(await laptop.status(chatWith(bob), [id, "none"]), [
      { id, state: "delivered" },
      { id: "none", state: "unknown" },
    ]);
    assert.deepEqual(await laptop.status(chat, [group.id]), [
      { id: group.id, state: "delivered", count: 2 },
    ]);
  });

  it("presence is known among contacts only", async () => {
    const { alice, bob } = await both();
    assert.deepEqual(await alice.presence([bob.uid]), [
      { uid: bob.uid, state: "unknown" },
    ]);
    await alice.rest("PUT", `/v1/contacts/${bob.uid}`, {});
    await bob.rest("PUT", `/v1/contacts/${alice.uid}`, {});
    assert.deepEqual(await alice.presence([bob.uid]), [
      { uid: bob.uid, state: "online" },
    ]);
    const gone = next(alice, "presence", ({ state }) => state === "offline");
    await bob.close();
    assert.equal((await gone).uid, bob.uid);
  });

  it("a blocked sender is refused for good", async () => {
    const { alice, bob } = await both();
    await bob.rest("PUT", `/v1/blocks/${alice.uid}`);
    const refused = next(alice, "sent", ({ state }) => state === "refused");
    await alice.send(chatWith(bob), "hello?");
    assert.deepEqual((await refused).error, { code: 403, msg: "in_denylist" });
  });

  it("a blocked author changes nothing they have said", async () => {
    const { alice, bob } = await both();
    const { id } = await deliver(alice, chatWith(bob), "hello");
    await bob.rest("PUT", `/v1/blocks/${alice.uid}`);
    await assert.rejects(alice.edit(chatWith(bob), id, "hello?"), {
      code: 403,
      message: "in_denylist",
    });
  });
});
