// The one socket that counts at a time. What an earlier one still says is not heard.
import { Socket, socketClass, socketUrl } from "./socket.js";

export class Line {
  #attempt = 0;
  #socket;
  #longest;

  /**
   * Dials with what `address()` resolves to, `{base, token, did, dtype}`; false if somebody else has dialled or hung up
   * meanwhile. `heard(text)` and `lost(code)` tell what comes of it.
   */
  async dial({ WebSocket, address, heard, lost }) {
    this.hangUp();
    const attempt = this.#attempt;
    const stale = () => attempt !== this.#attempt;
    let made;
    let target;
    try {
      made = await socketClass(WebSocket);
      target = await address();
    } catch (error) {
      if (stale()) return false;
      throw error;
    }
    if (stale()) return false;
    this.#longest = undefined;
    this.#socket = new Socket(made, socketUrl(target.base, target), {
      message: (text) => stale() || heard(text),
      closed: (code) => stale() || lost(code),
    });
    return true;
  }

  hangUp() {
    this.#attempt += 1;
    this.#socket?.drop();
    this.#socket = undefined;
  }

  /** Sends a frame; `refuse` is called if the server turns out to find it too long. */
  write(text, refuse = () => {}) {
    if (!this.#socket) return;
    if (text.length > (this.#longest?.length ?? 0)) {
      this.#longest = { length: text.length, refuse };
    }
    this.#socket.send(text);
  }

  /** The server says that a frame was too long, and not which: no other can be than the longest of this connection. */
  tooLong() {
    this.#longest?.refuse();
  }
}
