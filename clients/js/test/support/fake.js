// A server in memory, as the client sees it: every connection is an object that tells what was sent and says what it is told.
import { idle } from "./clock.js";

export class FakeServer {
  connections = [];
  /** Answers frames by itself: called with each frame and its connection. */
  onframe = () => {};
  /** Whether a connection is let in and greeted. */
  greets = true;
  waiting = 0;

  get WebSocket() {
    const server = this;
    return class {
      readyState = 0;
      sent = [];

      constructor(url) {
        this.url = new URL(url);
        server.connections.push(this);
        setImmediate(() => {
          if (this.readyState !== 0) return;
          this.readyState = 1;
          this.onopen?.({});
          if (server.greets)
            this.say({
              type: "S2C",
              from: "",
              to: "me",
              payload: { msg_type: "offline_summary", count: server.waiting },
            });
        });
      }

      send(text) {
        const frame = text.startsWith("{") ? JSON.parse(text) : text;
        this.sent.push(frame);
        if (text === "ping" && !server.mute) this.say("pong");
        else server.onframe(frame, this);
      }

      close() {
        this.dropped = true;
        this.readyState = 3;
      }

      say(frame) {
        this.onmessage?.({
          data: typeof frame === "string" ? frame : JSON.stringify(frame),
        });
      }

      /** The server ends it, or the network does (1006). */
      end(code = 1006) {
        this.readyState = 3;
        this.onclose?.({ code });
      }

      /** What was sent of one type. */
      of(type) {
        return this.sent.filter((frame) => (frame.type ?? frame) === type);
      }
    };
  }

  get last() {
    return this.connections.at(-1);
  }
}

/** A token as the server makes them, but for the signature. */
export function token(uid, exp = 9_000_000_000_000) {
  const part = (value) =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ uid, exp, sub: "tk" })}.x`;
}

/** Accepts every message, and says that it was delivered. */
export function obliging(frame, connection) {
  const { type, id, to } = frame;
  if (type === "C2C" || type === "C2G") {
    connection.say({
      id,
      type: `${type}_SERVER_ACK`,
      to,
      cseq: 1,
      server_ts: 5,
    });
    connection.say({
      id,
      type: `${type}_DELIVERED`,
      from: to,
      to,
      did: "d",
      count: type === "C2G" ? 1 : undefined,
      server_ts: 6,
    });
  }
  if (type === "CLIENT_ACK")
    connection.say({ type: "CLIENT_ACK_OK", seqs: frame.seqs });
}

export { idle };
