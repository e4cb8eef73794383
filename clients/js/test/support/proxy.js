// A proxy between client and server that understands WebSocket frames, so that it can lose a whole one without breaking the
// stream: it drops, doubles, delays and cuts, all of it by a seed.
import net from "node:net";

import { prng, subseed } from "./prng.js";

export class Proxy {
  /** How many of each fault there were. */
  faults = { dropped: 0, doubled: 0, delayed: 0, cut: 0, refused: 0 };
  #server;
  #target;
  #seed;
  #plan;
  #connections = 0;
  #open = new Set();

  /** `plan` has chances from 0 to 1: `{ drop, double, delay, cut, refuse }`, and `delayMs`, the longest delay. */
  static async start({ target, seed, plan }) {
    const proxy = new Proxy();
    proxy.#target = target;
    proxy.#seed = seed;
    proxy.#plan = plan;
    proxy.#server = net.createServer((client) => proxy.#connect(client));
    await new Promise((resolve) =>
      proxy.#server.listen(0, "127.0.0.1", resolve),
    );
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** The server has come back at another address. */
  moveTo(target) {
    this.#target = target;
  }

  /** From here on everything passes as it is. */
  heal() {
    this.#plan = {
      drop: 0,
      double: 0,
      delay: 0,
      cut: 0,
      refuse: 0,
      delayMs: 0,
    };
  }

  cutAll() {
    for (const cut of [...this.#open]) cut();
  }

  async stop() {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connect(client) {
    const number = (this.#connections += 1);
    const random = (way) => prng(subseed(this.#seed, number, way));
    client.on("error", () => {});
    if (random("connect")() < this.#plan.refuse) {
      this.faults.refused += 1;
      client.destroy();
      return;
    }
    const { hostname, port } = new URL(this.#target);
    const server = net.connect(Number(port), hostname);
    const cut = () => {
      client.destroy();
      server.destroy();
      this.#open.delete(cut);
    };
    this.#open.add(cut);
    client.setNoDelay(true);
    server.setNoDelay(true);
    server.on("error", cut);
    this.#pipe(client, server, random("up"), cut);
    this.#pipe(server, client, random("down"), cut);
  }

  #pipe(from, to, random, cut) {
    const lane = new Lane(to);
    let rest = Buffer.alloc(0);
    let upgraded = false;
    from.on("data", (bytes) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      if (!upgraded) {
        const end = rest.indexOf("\r\n\r\n");
        if (end < 0) return;
        upgraded = true;
        lane.put(rest.subarray(0, end + 4), 0);
        rest = rest.subarray(end + 4);
      }
      for (
        let length = frameLength(rest);
        length > 0;
        length = frameLength(rest)
      ) {
        this.#frame(lane, rest.subarray(0, length), random, cut);
        rest = rest.subarray(length);
      }
    });
    from.on("end", () => lane.end());
    from.on("close", () => lane.end());
  }

  #frame(lane, frame, random, cut) {
    const { drop, double, delay, cut: cutting, delayMs } = this.#plan;
    // Always as many numbers for each frame, so that one decision does not shift the others.
    const [lost, twice, late, howLate, ends, where] = Array.from(
      { length: 6 },
      random,
    );
    const control = (frame[0] & 0x08) !== 0;
    const wait = late < delay ? Math.floor(howLate * delayMs) : 0;
    if (wait > 0) this.faults.delayed += 1;
    if (ends < cutting) {
      this.faults.cut += 1;
      // In the middle of the frame, so that each side has seen another half of the truth.
      lane.put(frame.subarray(0, Math.floor(where * frame.length)), wait, cut);
    } else if (!control && lost < drop) {
      this.faults.dropped += 1;
    } else {
      lane.put(frame, wait);
      if (!control && twice < double) {
        this.faults.doubled += 1;
        lane.put(frame, 0);
      }
    }
  }
}

/** Keeps the order of what goes one way, whatever each piece waits for. */
class Lane {
  #to;
  #queue = [];
  #timer;

  constructor(to) {
    this.#to = to;
  }

  put(bytes, wait, then) {
    this.#queue.push({ bytes, at: performance.now() + wait, then });
    this.#flush();
  }

  end() {
    this.put(Buffer.alloc(0), 0, () => this.#to.end());
  }

  #flush() {
    if (this.#timer) return;
    while (this.#queue.length > 0) {
      const wait = this.#queue[0].at - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#flush();
        }, wait);
        return;
      }
      const { bytes, then } = this.#queue.shift();
      if (bytes.length > 0 && this.#to.writable) this.#to.write(bytes);
      then?.();
    }
  }
}

/** The length of the first frame, or 0 if it is not all there. */
function frameLength(bytes) {
  if (bytes.length < 2) return 0;
  const short = bytes[1] & 0x7f;
  const mask = bytes[1] & 0x80 ? 4 : 0;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + extended) return 0;
  const payload =
    extended === 2
      ? bytes.readUInt16BE(2)
      : extended === 8
        ? Number(bytes.readBigUInt64BE(2))
        : short;
  const length = 2 + extended + mask + payload;
  return bytes.length < length ? 0 : length;
}
