// Node 20 has no WebSocket of its own. This is as much of RFC 6455 as the client uses, with the interface of browsers; it is
// loaded only where globalThis.WebSocket is missing.
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";

import { FrameReader, Op, encodeFrame } from "./node-frames.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** How long the other side may take to answer a close frame, milliseconds. */
const CLOSE_MS = 2_000;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** The subset of the browsers' WebSocket: text messages, `onopen`, `onmessage`, `onerror`, `onclose`. */
export class NodeSocket {
  readyState = CONNECTING;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  #request;
  #socket;
  #closeTimer;
  #code = 1006;
  #reason = "";

  /** @param {string} url @param {{ ca?: string }} [options] passed to `https.request` for `wss:` */
  constructor(url, options = {}) {
    const target = new URL(url);
    const secure = target.protocol === "wss:";
    target.protocol = secure ? "https:" : "http:";
    const key = randomBytes(16).toString("base64");
    const expected = createHash("sha1")
      .update(key + GUID)
      .digest("base64");
    this.#request = (secure ? https : http).request(target, {
      ...options,
      agent: false,
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-key": key,
        "sec-websocket-version": "13",
      },
    });
    this.#request.on("upgrade", (response, socket, head) => {
      if (response.headers["sec-websocket-accept"] !== expected) {
        socket.destroy();
        this.#ended(
          new Error("the answer to the upgrade is not for this request"),
        );
        return;
      }
      this.#upgraded(socket, head);
    });
    this.#request.on("response", (response) => {
      response.destroy();
      this.#ended(
        new Error(`the upgrade was refused with ${response.statusCode}`),
      );
    });
    this.#request.on("error", (error) => this.#ended(error));
    this.#request.end();
  }

  send(text) {
    if (this.readyState !== OPEN) return;
    this.#socket.write(encodeFrame(Op.Text, Buffer.from(text)));
  }

  close(code = 1000, reason = "") {
    if (this.readyState === CONNECTING) {
      this.#request.destroy();
      this.#ended();
    } else if (this.readyState === OPEN) {
      this.#sayClose(code, reason);
    }
  }

  #upgraded(socket, head) {
    this.#socket = socket;
    this.readyState = OPEN;
    socket.setNoDelay(true);
    const reader = new FrameReader();
    const take = (bytes) => {
      let messages;
      try {
        messages = reader.push(bytes);
      } catch (error) {
        this.#sayClose(error.closeCode ?? 1002, error.message);
        return;
      }
      for (const message of messages) this.#message(message);
    };
    socket.on("data", take);
    socket.on("error", () => {});
    socket.on("close", () => this.#ended());
    this.onopen?.({ type: "open" });
    if (head.length > 0) take(head);
  }

  #message({ op, payload }) {
    if (op === Op.Ping) {
      if (this.readyState === OPEN)
        this.#socket.write(encodeFrame(Op.Pong, payload));
    } else if (op === Op.Close) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#reason = payload.subarray(2).toString();
      if (this.readyState === OPEN)
        this.#socket.write(encodeFrame(Op.Close, payload.subarray(0, 2)));
      this.readyState = CLOSING;
      this.#socket.end();
      this.#waitForEnd();
    } else if (op === Op.Text || op === Op.Binary) {
      if (this.readyState !== OPEN) return;
      this.onmessage?.({
        type: "message",
        data: op === Op.Text ? payload.toString() : payload,
      });
    }
  }

  #sayClose(code, reason) {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSING;
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.#socket.write(
      encodeFrame(
        Op.Close,
        Buffer.concat([body, Buffer.from(reason).subarray(0, 123)]),
      ),
    );
    this.#waitForEnd();
  }

  #waitForEnd() {
    this.#closeTimer ??= setTimeout(() => this.#socket.destroy(), CLOSE_MS);
  }

  #ended(error) {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    clearTimeout(this.#closeTimer);
    if (error) this.onerror?.({ type: "error", message: error.message });
    this.onclose?.({
      type: "close",
      code: this.#code,
      reason: this.#reason,
      wasClean: this.#code !== 1006,
    });
  }
}
