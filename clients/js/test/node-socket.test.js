import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";
import { after, before, describe, it } from "node:test";

import { FrameReader, Op, encodeFrame } from "../src/node-frames.js";
import { NodeSocket } from "../src/node-socket.js";

/** A frame as servers send it: without a mask. */
function plain(op, payload, { fin = true } = {}) {
  const body = Buffer.from(payload);
  const { length } = body;
  const head =
    length < 126
      ? Buffer.from([0, length])
      : length < 65536
        ? Buffer.from([0, 126, length >> 8, length & 255])
        : Buffer.from([
            0,
            127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 255,
            (length >> 8) & 255,
            length & 255,
          ]);
  head[0] = (fin ? 0x80 : 0) | op;
  return Buffer.concat([head, body]);
}

/** What a client has sent, without its mask. */
function unmasked(bytes) {
  assert.ok(bytes[1] & 0x80, "clients mask");
  const short = bytes[1] & 0x7f;
  const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  const mask = bytes.subarray(start, start + 4);
  return Buffer.from(
    bytes.subarray(start + 4).map((byte, at) => byte ^ mask[at & 3]),
  );
}

describe("frames", () => {
  for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
    it(`of ${length} bytes are encoded and read`, () => {
      const payload = Buffer.alloc(length, "a");
      assert.deepEqual(unmasked(encodeFrame(Op.Text, payload)), payload);
      assert.deepEqual(new FrameReader().push(plain(Op.Text, payload)), [
        { op: Op.Text, payload },
      ]);
    });
  }

  it("are put together from single bytes", () => {
    const reader = new FrameReader();
    const bytes = Buffer.concat([
      plain(Op.Text, "one"),
      plain(Op.Text, "x".repeat(300)),
      plain(Op.Ping, ""),
    ]);
    const messages = [...bytes].flatMap((byte) =>
      reader.push(Buffer.from([byte])),
    );
    assert.deepEqual(
      messages.map(({ payload }) => payload.length),
      [3, 300, 0],
    );
  });

  it("in fragments are joined, with control frames in between", () => {
    const reader = new FrameReader();
    const bytes = [
      plain(Op.Text, "he", { fin: false }),
      plain(Op.Ping, "p"),
      plain(Op.Continuation, "l", { fin: false }),
      plain(Op.Continuation, "lo"),
    ];
    const messages = reader.push(Buffer.concat(bytes));
    assert.deepEqual(
      messages.map(({ op, payload }) => [op, payload.toString()]),
      [
        [Op.Ping, "p"],
        [Op.Text, "hello"],
      ],
    );
  });

  for (const [what, bytes] of [
    ["a mask", encodeFrame(Op.Text, Buffer.from("x"))],
    ["a reserved bit", Buffer.from([0xc1, 0])],
    ["an unknown opcode", Buffer.from([0x83, 0])],
    ["a continuation of nothing", plain(Op.Continuation, "x")],
    [
      "a new message amid fragments",
      Buffer.concat([plain(Op.Text, "x", { fin: false }), plain(Op.Text, "x")]),
    ],
    ["a long control frame", plain(Op.Ping, "x".repeat(126))],
  ]) {
    it(`with ${what} are refused`, () => {
      assert.throws(() => new FrameReader().push(bytes), { closeCode: 1002 });
    });
  }
});

describe("the socket for Node", () => {
  let server;
  let url;
  let serve;
  before(async () => {
    server = http.createServer((request, response) =>
      response.writeHead(503).end(),
    );
    server.on("upgrade", (request, socket) => {
      const accept = createHash("sha1")
        .update(
          `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
        )
        .digest("base64");
      const head = `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
      socket.on("error", () => {});
      serve(socket, head);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `ws://127.0.0.1:${server.address().port}/`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const event = (socket, name) =>
    new Promise((resolve) => (socket[`on${name}`] = resolve));

  it("reads what comes with the answer to the upgrade", async () => {
    serve = (socket, head) =>
      socket.write(Buffer.concat([Buffer.from(head), plain(Op.Text, "hello")]));
    const socket = new NodeSocket(url);
    assert.equal((await event(socket, "message")).data, "hello");
    socket.close();
  });

  it("answers a ping, and says what it sends under a mask", async () => {
    const said = [];
    const both = new Promise((resolve) => {
      serve = (socket, head) => {
        socket.write(head);
        socket.write(plain(Op.Ping, "beat"));
        socket.on("data", (bytes) => {
          said.push(bytes);
          if (Buffer.concat(said).length >= 10 + 8)
            resolve(Buffer.concat(said));
        });
      };
    });
    const socket = new NodeSocket(url);
    await event(socket, "open");
    socket.send("hä");
    const bytes = await both;
    const frames =
      bytes[0] === 0x8a
        ? [bytes.subarray(0, 10), bytes.subarray(10)]
        : [bytes.subarray(9), bytes.subarray(0, 9)];
    assert.equal(unmasked(frames[0]).toString(), "beat");
    assert.equal(unmasked(frames[1]).toString(), "hä");
    socket.close();
  });

  it("tells the code of the close frame, and answers it", async () => {
    let answered;
    const answer = new Promise((resolve) => (answered = resolve));
    serve = (socket, head) => {
      socket.write(head);
      socket.write(
        plain(
          Op.Close,
          Buffer.concat([
            Buffer.from([4052 >> 8, 4052 & 255]),
            Buffer.from("draining"),
          ]),
        ),
      );
      socket.once("data", (bytes) => {
        answered(unmasked(bytes).readUInt16BE(0));
        socket.end();
      });
    };
    const { code, reason } = await event(new NodeSocket(url), "close");
    assert.deepEqual([code, reason, await answer], [4052, "draining", 4052]);
  });

  it("tells 1006 when the connection only ends, or was refused", async () => {
    serve = (socket, head) => {
      socket.write(head);
      socket.destroySoon();
    };
    assert.equal((await event(new NodeSocket(url), "close")).code, 1006);
    serve = (socket) =>
      socket.end("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n");
    assert.equal((await event(new NodeSocket(url), "close")).code, 1006);
    assert.equal(
      (await event(new NodeSocket("ws://127.0.0.1:1/"), "close")).code,
      1006,
    );
  });

  it("does not take an answer that was meant for somebody else", async () => {
    serve = (socket) =>
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: x\r\n\r\n",
      );
    assert.equal((await event(new NodeSocket(url), "close")).code, 1006);
  });
});
