// What stands above the oldest message: that more is on its way, that it failed, or that there is no more.

import { button, byId } from "./dom.js";
import { t } from "./texts.js";

export class Older {
  host = byId("older");
  state = "idle";

  constructor(session, done) {
    this.session = session;
    this.done = done;
    this.again = button(
      t("thread.again"),
      "older-again",
      () => {
        this.reset();
        this.load();
      },
      "small",
    );
    session.connection.on(() => {
      if (session.isOnline && this.state === "failed") {
        this.reset();
        this.done();
      }
    });
  }

  reset() {
    this.state = "idle";
    this.show();
  }

  async load() {
    const { chat } = this.session;
    // What failed is asked again by hand or after a reconnect: the scroller would ask with every frame.
    if (this.state !== "idle" || !this.session.isOnline) {
      return;
    }
    this.state = "loading";
    this.show();
    const hasCome = await this.session.shelf.older(chat);
    if (this.session.chat === chat) {
      this.state = hasCome ? "idle" : "failed";
      this.show();
    }
  }

  show() {
    const { chat, timeline, shelf } = this.session;
    if (!chat) {
      return;
    }
    const isWhole = shelf.isLoaded(chat) && timeline.low !== undefined && !timeline.older;
    const state = isWhole ? "begin" : !shelf.isLoaded(chat) || this.state === "loading" ? "loading" : this.state;
    if (this.host.dataset.state === state) {
      return;
    }
    this.host.dataset.state = state;
    const said = { begin: "thread.begin", loading: "thread.loading", failed: "thread.failed" }[state];
    this.host.replaceChildren(...(said ? [t(said)] : []), ...(state === "failed" ? [this.again] : []));
  }
}
