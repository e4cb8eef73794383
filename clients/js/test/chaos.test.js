import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { chaos } from "./support/chaos.js";
import { Server, needsServer } from "./support/server.js";

const ONE =
  process.env.YIZHAN_SEED === undefined
    ? undefined
    : Number(process.env.YIZHAN_SEED);
const RUNS = Number(process.env.YIZHAN_RUNS ?? 500);
const AT_ONCE = Number(process.env.YIZHAN_AT_ONCE ?? 32);
/** The gaps between the server's copies, short as everything else here. */
const SCHEDULE = { "delivery.schedule_ms": "[0, 60, 60, 120, 240, 480]" };

describe("two clients with a bad network between them", needsServer, () => {
  let server;
  before(async () => (server = await Server.start(SCHEDULE)));
  after(() => server.stop());

  it(`have every message once, in order, and know it (${ONE === undefined ? `${RUNS} seeds` : `seed ${ONE}`})`, async (test) => {
    const seeds =
      ONE === undefined
        ? Array.from({ length: RUNS }, (_, at) => at + 1)
        : [ONE];
    const failures = [];
    const total = {};
    const worker = async () => {
      for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
        try {
          for (const [what, times] of Object.entries(await chaos(seed, server)))
            total[what] = (total[what] ?? 0) + times;
        } catch (error) {
          failures.push(`YIZHAN_SEED=${seed}: ${error.message}`);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    test.diagnostic(JSON.stringify(total));
    assert.deepEqual(failures, []);
    if (ONE === undefined)
      for (const [what, times] of Object.entries(total))
        assert.ok(times > 0, `nothing was ${what}`);
  });
});

describe("two clients of a server that is killed", needsServer, () => {
  for (const seed of [1, 2, 3]) {
    it(`have every message once, in order, and know it (seed ${seed})`, async () => {
      const server = await Server.start(SCHEDULE);
      try {
        const kill = () => server.killAndRestart();
        await chaos(seed, server, { count: 12, disasters: [kill, kill] });
      } finally {
        await server.stop();
      }
    });
  }
});
