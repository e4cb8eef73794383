// The shell's connection: it says who it is in its first frame, and comes back by itself, to the same session.

const WAITS_MS = [500, 1000, 2000, 4000, 8000];
const REFUSED = 4001;

export class ReplSocket {
  /** `on`: `{ hello(frame), frame(frame), lost(waitMs), refused() }`. */
  constructor({ token, session, on }) {
    Object.assign(this, { token, session, on });
    this.ready = false;
    this.losses = 0;
    this.open();
  }

  open() {
    this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/repl/ws`);
    this.socket.onopen = () =>
      this.socket.send(JSON.stringify({ type: "auth", token: this.token, session: this.session }));
    this.socket.onmessage = ({ data }) => this.heard(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.closed(code);
  }

  heard(frame) {
    if (frame.type === "hello") {
      this.ready = true;
      this.losses = 0;
      this.on.hello(frame);
    } else {
      this.on.frame(frame);
    }
  }

  closed(code) {
    this.ready = false;
    if (code === REFUSED) {
      this.on.refused();
      return;
    }
    const wait = WAITS_MS[Math.min(this.losses, WAITS_MS.length - 1)];
    this.losses += 1;
    this.on.lost(wait);
    setTimeout(() => this.open(), wait);
  }

  /** Sends a frame; false if there is no connection to send it on. */
  send(frame) {
    if (!this.ready) {
      return false;
    }
    this.socket.send(JSON.stringify(frame));
    return true;
  }
}
