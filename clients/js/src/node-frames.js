import { randomBytes } from "node:crypto";

/** The opcodes of RFC 6455. */
export const Op = Object.freeze({
  Continuation: 0,
  Text: 1,
  Binary: 2,
  Close: 8,
  Ping: 9,
  Pong: 10,
});

/** The longest message that is put together, bytes: far above what any server is set to send. */
const LONGEST = 128 * 1024 * 1024;

/** Encodes one whole frame with a mask, as clients have to. */
export function encodeFrame(op, payload, mask = randomBytes(4)) {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + extended + 4 + length);
  frame[0] = 0x80 | op;
  frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(length, 2);
  if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  const start = 2 + extended + 4;
  mask.copy(frame, start - 4);
  for (let at = 0; at < length; at += 1)
    frame[start + at] = payload[at] ^ mask[at & 3];
  return frame;
}

/** Takes bytes as they come, and returns whole messages; fragments are joined, control frames may stand between them. */
export class FrameReader {
  #chunks = [];
  #size = 0;
  #fragments = [];
  #fragmented;
  #total = 0;

  push(bytes) {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    const messages = [];
    for (let frame = this.#frame(); frame; frame = this.#frame()) {
      const message = this.#join(frame);
      if (message) messages.push(message);
    }
    return messages;
  }

  #frame() {
    if (this.#size < 2) return undefined;
    let head = this.#peek(2);
    if (head[1] & 0x80) throw broken("a server does not mask");
    if (head[0] & 0x70) throw broken("a reserved bit is set");
    const short = head[1] & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#size < 2 + extended) return undefined;
    head = this.#peek(2 + extended);
    const length =
      extended === 2
        ? head.readUInt16BE(2)
        : extended === 8
          ? Number(head.readBigUInt64BE(2))
          : short;
    if (length > LONGEST) throw broken("the frame is too long", 1009);
    if (this.#size < 2 + extended + length) return undefined;
    const whole = this.#take(2 + extended + length);
    return {
      fin: (whole[0] & 0x80) !== 0,
      op: whole[0] & 0x0f,
      payload: whole.subarray(2 + extended),
    };
  }

  #join({ fin, op, payload }) {
    if (op >= 8) {
      if (!fin || payload.length > 125 || op > Op.Pong)
        throw broken("a control frame is not well formed");
      return { op, payload };
    }
    if (op > Op.Binary) throw broken("an unknown opcode");
    if ((op === Op.Continuation) !== (this.#fragmented !== undefined))
      throw broken("fragments are out of order");
    if (op !== Op.Continuation) this.#fragmented = op;
    this.#fragments.push(payload);
    this.#total += payload.length;
    if (this.#total > LONGEST) throw broken("the message is too long", 1009);
    if (!fin) return undefined;
    const message = {
      op: this.#fragmented,
      payload: Buffer.concat(this.#fragments),
    };
    this.#fragments = [];
    this.#fragmented = undefined;
    this.#total = 0;
    return message;
  }

  #peek(count) {
    if (this.#chunks[0].length < count)
      this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take(count) {
    const first = this.#peek(count);
    this.#size -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
    return first.subarray(0, count);
  }
}

function broken(reason, closeCode = 1002) {
  return Object.assign(new Error(reason), { closeCode });
}
