// One seeded run: two users write to each other through a proxy each, while frames are lost, doubled and late, connections are
// cut and pages die. Then the faults stop, and everything has to be as if there had been none.
import assert from "node:assert/strict";

import { memoryStore } from "../../src/index.js";
import { between, prng, subseed } from "./prng.js";
import { Browser } from "./page.js";
import { Proxy } from "./proxy.js";
import { Waiter } from "./wait.js";

const PLANS = [
  // What a network does to TCP: what passes is in order and whole up to a cut.
  {
    name: "cuts",
    drop: 0,
    double: 0,
    delay: 0.2,
    cut: 0.05,
    refuse: 0.1,
    delayMs: 40,
  },
  {
    name: "losses",
    drop: 0.15,
    double: 0.15,
    delay: 0.2,
    cut: 0,
    refuse: 0,
    delayMs: 40,
  },
  {
    name: "everything",
    drop: 0.1,
    double: 0.1,
    delay: 0.2,
    cut: 0.03,
    refuse: 0.1,
    delayMs: 40,
  },
];

/**
 * Short, so that a run takes a second where people would wait for minutes, and long enough for a machine that is busy: who gives
 * up sooner than the server can answer only makes it busier.
 */
const QUICK = {
  resendMs: 200,
  statusMs: 200,
  heartbeatMs: 300,
  pongMs: 600,
  openMs: 1_000,
  ackMs: 3,
  backoff: { minMs: 5, maxMs: 500 },
};

export async function chaos(
  seed,
  server,
  { count, disasters = [], reloads = 0.1 } = {},
) {
  const random = prng(subseed(seed, "run"));
  const plan = PLANS[seed % PLANS.length];
  const waiter = new Waiter();
  const sides = await Promise.all(
    ["left", "right"].map((name, at) =>
      Side.start({
        name,
        seed,
        server,
        plan,
        waiter,
        number: 10_000 + 2 * seed + at,
      }),
    ),
  );
  try {
    const [left, right] = sides;
    left.peer = right;
    right.peer = left;
    for (const side of sides) side.load();
    const total = count ?? between(random, 4, 12);
    await Promise.all(
      sides.map((side) =>
        side.talk({ total, random: prng(subseed(seed, side.name)), reloads }),
      ),
    );
    for (const disaster of disasters) {
      await disaster();
      await Promise.all(
        sides.map((side) =>
          side.talk({
            total,
            random: prng(subseed(seed, side.name, "again")),
            reloads,
          }),
        ),
      );
    }
    const all = () => sides.every((side) => side.done());
    // Most runs come to their end against all odds; the others, in which something goes on getting lost, are helped.
    await waiter.until(all, "the end", 1_500).catch(() => {});
    const alone = all();
    for (const side of sides) {
      side.proxy.heal();
      side.dies = undefined;
    }
    // What has used up its schedule waits for a login.
    for (const side of sides) side.proxy.cutAll();
    await waiter.until(all, () =>
      sides.map((side) => side.missing()).join("; "),
    );
    for (const side of sides) side.check(plan.name === "cuts");
    const sum = (of) => sides.reduce((total, side) => total + of(side), 0);
    return {
      alone: alone ? 1 : 0,
      messages: sum((side) => side.sent.length),
      reloads: sum((side) => side.reloads),
      dropped: sum((side) => side.proxy.faults.dropped),
      doubled: sum((side) => side.proxy.faults.doubled),
      delayed: sum((side) => side.proxy.faults.delayed),
      cut: sum((side) => side.proxy.faults.cut),
      refused: sum((side) => side.proxy.faults.refused),
    };
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}

class Side {
  peer;
  proxy;
  page;
  sent = [];
  got = [];
  reloads = 0;
  dies;
  #browser = new Browser(memoryStore());
  #states = new Map();
  #wrong = [];

  static async start({ name, seed, server, plan, waiter, number }) {
    const side = Object.assign(new Side(), {
      name,
      waiter,
      dies: prng(subseed(seed, name, "dies")),
    });
    side.proxy = await Proxy.start({
      target: server.url,
      seed: subseed(seed, name),
      plan,
    });
    side.token = await server.token(number);
    return side;
  }

  reload() {
    this.reloads += 1;
    this.page.die();
    this.load();
  }

  /** A page opens on what the one before has left. */
  load() {
    this.page = this.#browser.open({
      ...QUICK,
      url: this.proxy.url,
      token: this.token,
    });
    const said = new Map();
    this.page.on("message", (message) => {
      this.got.push(message);
      // After it was shown and marked, and before the server has heard of it.
      if (this.dies !== undefined && this.dies() < 0.1)
        setImmediate(() => this.dies && this.reload());
      this.waiter.poke();
    });
    this.page.on("sent", (message) => {
      const before = said.get(message.id);
      if (before === "delivered" || message.state === "refused")
        this.#wrong.push(`${message.id}: ${before} to ${message.state}`);
      said.set(message.id, message.state);
      if (this.#states.get(message.id) !== "delivered")
        this.#states.set(message.id, message.state);
      // The outbox is empty once the listeners have returned.
      queueMicrotask(() => this.waiter.poke());
    });
    this.page.on("error", (error) => {
      if (error.code !== 0)
        this.#wrong.push(`error ${error.code} ${error.message}`);
    });
    this.page.on("connection", (state) => {
      if (state === "closed") this.#wrong.push("closed");
      this.waiter.poke();
    });
    void this.page.client.connect();
  }

  /** Sends its messages at its own pace, alone or in bursts; now and then its page dies, also in the middle of sending. */
  async talk({ total, random, reloads }) {
    const chat = { type: "C2C", to: this.peer.uid };
    const message = () => {
      const id = `${this.name}-${this.sent.length}`;
      const payload = {
        from: this.name,
        text: "x".repeat(between(random, 0, 300)),
      };
      this.sent.push(id);
      return () =>
        this.#post((page) => page.client.send(chat, payload, { id }));
    };
    for (const end = this.sent.length + total; this.sent.length < end;) {
      const pace = between(random, 0, 60);
      if (pace > 15) await new Promise((resolve) => setTimeout(resolve, pace));
      if (random() < reloads) {
        const sent = message()();
        this.reload();
        await sent;
      } else if (random() < 0.2) {
        await Promise.all(
          [message(), message(), message()].map((send) => send()),
        );
      } else {
        await message()();
        if (random() < reloads) this.reload();
      }
    }
  }

  /** A page that dies while it sends leaves it open whether it has; the next one sends the same again. */
  async #post(send) {
    for (let queued = false; !queued;) {
      const { page } = this;
      queued = await Promise.race([send(page).then(() => true), page.death]);
    }
  }

  get uid() {
    return JSON.parse(Buffer.from(this.token.split(".")[1], "base64url")).uid;
  }

  done() {
    return (
      this.page.client.outbox().length === 0 &&
      this.sent.every((id) => this.#states.get(id) === "delivered") &&
      this.peer.got.length >= this.sent.length
    );
  }

  missing() {
    const undelivered = this.sent.filter(
      (id) => this.#states.get(id) !== "delivered",
    );
    return (
      `${this.name} (${this.page.client.connection}) sent ${this.sent.length}, undelivered ${undelivered.length}, ` +
      `outbox ${JSON.stringify(this.page.client.outbox().map(({ state }) => state))}, peer got ${this.peer.got.length}, wrong ${this.#wrong}`
    );
  }

  check(inOrder) {
    assert.deepEqual(this.#wrong, [], `${this.name} heard of nothing wrong`);
    const got = this.peer.got;
    assert.equal(
      new Set(got.map(({ seq }) => seq)).size,
      got.length,
      `no number came twice to the peer of ${this.name}`,
    );
    const bySeq = [...got].sort((a, b) => a.seq - b.seq);
    assert.deepEqual(
      [...got.map(({ id }) => id)].sort(),
      [...this.sent].sort(),
      `the peer of ${this.name} has each message once`,
    );
    for (const message of got) assert.equal(message.from, this.uid);
    if (!inOrder) return;
    assert.deepEqual(
      bySeq.map(({ id }) => id),
      this.sent,
      `what ${this.name} sent was accepted in its order`,
    );
    assert.deepEqual(
      got.map(({ id }) => id),
      this.sent,
      `what ${this.name} sent was shown in its order`,
    );
  }

  async stop() {
    this.dies = undefined;
    this.page?.die();
    await this.proxy.stop();
  }
}
