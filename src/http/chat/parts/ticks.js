// What became of an own message, as a mark.

import { element, mark, say } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./texts.js";

/** `queued`, `accepted`, `delivered`, `read` or `refused`, of an own message. */
export function fate(message, state, conversation) {
  const isRead = !conversation.isGroup && message.cseq !== undefined && message.cseq <= conversation.peerRead;
  return isRead && state !== "refused" ? "read" : state;
}

/** A mark that `show` turns into this or that. */
export class Ticks {
  element = element("span", { className: "ticks", role: "img" });
  count = element("span", { className: "count", "aria-hidden": "true" });

  /** `count`: how many members of a group have it. */
  show(state, count) {
    if (state === this.state && count === this.counted) {
      return;
    }
    this.state = state;
    this.counted = count;
    this.element.hidden = !state;
    if (!state) {
      return;
    }
    say(this.count, count || "");
    this.element.replaceChildren(...(count ? [this.count] : []), icon(state));
    mark(this.element, "data-tick", state);
    mark(this.element, "aria-label", state === "delivered" && count ? t("tick.count", count) : t(`tick.${state}`));
  }
}
