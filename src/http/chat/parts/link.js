// Whether there is a connection, in words, and the button that ends or begins it.

import { byId, mark, say } from "./dom.js";
import { framed } from "./frame.js";
import { t } from "./texts.js";

/** A connection that comes within this is not worth a banner. */
const QUICK_MS = 800;
/** The close code that says that this device is connected somewhere else. */
const ELSEWHERE = 4008;

export class LinkState {
  host = byId("connection");
  text = byId("connection-text");
  toggle = byId("offline-toggle");
  banner = byId("banner");

  constructor(session) {
    this.session = session;
    this.touch = framed(() => this.draw());
    session.connection.on(this.touch);
    this.toggle.addEventListener("click", () => this.press());
    this.draw();
  }

  get state() {
    return this.session.client.connection;
  }

  /** Whether the client is away until it is told otherwise. */
  get isAway() {
    return this.state === "offline" || this.state === "closed";
  }

  press() {
    const { client, failed } = this.session;
    if (this.isAway) {
      client.connect().catch((error) => failed.emit(error));
    } else {
      client.disconnect();
    }
    this.touch();
  }

  words() {
    const { refusal } = this.session;
    if (this.state !== "closed" || !refusal) {
      return t(`connection.${this.state}`);
    }
    return refusal.code === ELSEWHERE ? t("connection.elsewhere") : t("connection.refused", refusal.message);
  }

  /** Whether a first attempt to connect has just begun. */
  isQuick() {
    if (this.shown !== this.state && !(this.shown === "waiting" && this.state === "connecting")) {
      this.shown = this.state;
      this.since = performance.now();
      setTimeout(this.touch, QUICK_MS + 50);
    }
    return this.shown === "connecting" && performance.now() - this.since < QUICK_MS;
  }

  draw() {
    const { queued, refusal } = this.session;
    const isElsewhere = this.state === "closed" && refusal?.code === ELSEWHERE;
    mark(this.host, "data-state", this.state);
    mark(this.host, "data-queued", queued);
    say(this.text, this.words());
    say(this.toggle, isElsewhere ? t("connection.here") : this.isAway ? t("connection.return") : t("connection.leave"));
    const waits = queued > 0 && this.state !== "online" ? t("connection.queued", queued) : "";
    this.banner.hidden = this.state === "online" || this.isQuick();
    mark(this.banner, "data-state", this.state);
    say(this.banner, [this.words(), waits].filter(Boolean).join(" · "));
  }
}
