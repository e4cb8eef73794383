// One connection. After `drop` nothing is heard of it any more, whatever the socket below still says: a browser may take
// minutes to notice that the other side is gone.
import { addressOf } from "./address.js";

/** The address of the WebSocket; tokens go into the query because browsers cannot set headers. */
export function socketUrl(base, { token, did, dtype }) {
  const url = addressOf(base, "/ws");
  url.protocol =
    url.protocol === "https:" || url.protocol === "wss:" ? "wss:" : "ws:";
  const query = { authorization: token, did, dtype, errors: "close" };
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) url.searchParams.set(name, value);
  return url.href;
}

/** What makes sockets: the one that was given, the engine's own, or in Node before 22 the one beside this file. */
export async function socketClass(given) {
  if (given) return given;
  if (globalThis.WebSocket) return globalThis.WebSocket;
  return (await import("./node-socket.js")).NodeSocket;
}

export class Socket {
  #ws;

  constructor(WebSocket, url, { message, closed }) {
    this.#ws = new WebSocket(url);
    this.#ws.onmessage = ({ data }) => message(data);
    this.#ws.onclose = ({ code }) => closed(code);
    // What an error means is told by the close that follows it.
    this.#ws.onerror = () => {};
  }

  send(text) {
    if (this.#ws.readyState === 1) this.#ws.send(text);
  }

  drop() {
    this.#ws.onmessage = null;
    this.#ws.onclose = null;
    this.#ws.close();
  }
}
