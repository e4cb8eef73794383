// The messages of the open chat: a window of rows over the timeline, moved as one scrolls. What is read stays where it is
// while rows come and go above and below it.

import { nameOfMessage } from "./timeline.js";
import { byId } from "./dom.js";
import { framed } from "./frame.js";
import { rowsOf } from "./rows.js";

const BEGIN = 60;
const STEP = 50;
/** The most messages that are in the document. */
const MOST = 160;
const NEAR = 700;
const AT_END = 40;

export class Scroller {
  host = byId("log");
  body = byId("rows");
  shown = new Map();
  timeline = null;
  /** The window is from `start` up to, but without, `end`. */
  start = 0;
  end = 0;
  /** The first and last message of the window: where they stand changes as others come. */
  edges = null;
  /** Whether what is read is the end, so that it stays the end as more comes. */
  isPinned = true;
  showsLast = true;

  /** `context()`: what rows need to know; `older()`: asks for the page before; `seen()`: something else is in sight. */
  constructor({ context, older, seen }) {
    Object.assign(this, { context, older, seen });
    this.touch = framed(() => this.draw());
    this.host.addEventListener("scroll", () => this.scrolled(), { passive: true });
    const resized = new ResizeObserver(() => this.isPinned && this.toEnd());
    resized.observe(this.host);
    resized.observe(this.body);
  }

  /** Shows this timeline from its end; null shows nothing. */
  show(timeline) {
    this.timeline = timeline;
    this.shown.forEach((row) => row.element.remove());
    this.shown.clear();
    this.start = 0;
    this.end = 0;
    this.edges = null;
    this.isPinned = true;
    this.draw();
  }

  draw() {
    const { timeline, host } = this;
    if (!timeline) {
      return;
    }
    const anchor = this.isPinned ? null : this.anchor();
    this.locate();
    this.fill();
    if (this.isPinned) {
      this.toEnd();
    } else if (anchor) {
      const moved = anchor.element.isConnected ? anchor.element.offsetTop - anchor.top : 0;
      if (moved !== 0) {
        host.scrollTop += moved;
      }
    }
    this.reach();
    this.seen();
  }

  /** Finds the window again after messages came, went or took another place. */
  locate() {
    const { timeline, edges } = this;
    const length = timeline.length;
    if (!edges || this.isPinned) {
      const size = Math.max(BEGIN, Math.min(MOST, this.end - this.start));
      this.end = length;
      this.start = Math.max(0, length - size);
    } else {
      const size = this.end - this.start;
      this.start = Math.min(this.found(edges.first, this.start), Math.max(0, length - 1));
      // At the end of the timeline the window grows with it, as far as it may.
      const last = edges.isLast && size < MOST ? length - 1 : this.found(edges.last, this.start + size - 1);
      this.end = Math.min(length, Math.max(this.start, last) + 1);
      if (this.end - this.start > MOST * 2) {
        this.end = this.start + MOST;
      }
    }
    this.remember();
  }

  found(name, otherwise) {
    const message = this.timeline.known.get(name);
    const index = message ? this.timeline.indexOf(message) : -1;
    return index < 0 ? Math.max(0, otherwise) : index;
  }

  remember() {
    const { timeline, start, end } = this;
    this.edges =
      end > start
        ? {
            first: nameOfMessage(timeline.at(start)),
            last: nameOfMessage(timeline.at(end - 1)),
            isLast: end === timeline.length,
          }
        : null;
  }

  /** Makes the document hold the rows of the window. */
  fill() {
    this.showsLast = this.end === this.timeline.length;
    const wanted = rowsOf(this.timeline, this.start, this.end, this.context());
    const stay = new Set(wanted.map(({ name }) => name));
    const focused = document.activeElement;
    const held = this.body.contains(focused) ? focused : null;
    for (const [name, row] of this.shown) {
      if (!stay.has(name)) {
        row.element.remove();
        this.shown.delete(name);
      }
    }
    let place = this.body.firstChild;
    for (const { name, make, view } of wanted) {
      let row = this.shown.get(name);
      if (!row) {
        row = make();
        this.shown.set(name, row);
      }
      row.show(view);
      if (row.element === place) {
        place = place.nextSibling;
      } else {
        this.body.insertBefore(row.element, place);
      }
    }
    if (held && document.activeElement !== held) {
      (held.isConnected ? held : this.host).focus({ preventScroll: true });
    }
  }

  /** The first row in sight, and where it is. */
  anchor() {
    const top = this.host.scrollTop;
    for (const element of this.body.children) {
      if (element.offsetTop + element.offsetHeight > top && element.dataset.id) {
        return { element, top: element.offsetTop };
      }
    }
    return null;
  }

  scrolled() {
    if (!this.timeline) {
      return;
    }
    // Messages that came since are not drawn yet: it counts whether the last of the drawn ones was the last.
    this.isPinned = this.showsLast && this.below <= AT_END;
    this.reach();
    this.seen();
  }

  get below() {
    return this.host.scrollHeight - this.host.clientHeight - this.host.scrollTop;
  }

  /** Moves the window where the eye nears its edge. */
  reach() {
    const { timeline, host } = this;
    if (host.clientHeight === 0) {
      return;
    }
    let [start, end] = [this.start, this.end];
    if (host.scrollTop < NEAR) {
      if (start > 0) {
        start = Math.max(0, start - STEP);
        end = this.isPinned ? end : Math.min(end, start + MOST);
      } else if (timeline.older) {
        this.older();
      }
    }
    if (this.below < NEAR && end < timeline.length && end === this.end) {
      end = Math.min(timeline.length, end + STEP);
      start = Math.max(start, end - MOST);
    }
    if (start === this.start && end === this.end) {
      return;
    }
    this.start = start;
    this.end = end;
    this.remember();
    this.touch();
  }

  /** Goes to the newest message. */
  newest() {
    this.isPinned = true;
    this.edges = null;
    this.draw();
  }

  toEnd() {
    this.host.scrollTop = this.host.scrollHeight;
  }

  /** The messages whose end is in sight, from above. */
  inSight() {
    const { scrollTop, clientHeight } = this.host;
    const names = [];
    for (const element of this.body.children) {
      const end = element.offsetTop + element.offsetHeight;
      if (element.dataset.id && end > scrollTop && end <= scrollTop + clientHeight + AT_END) {
        names.push(element.dataset.name);
      }
    }
    return names.map((name) => this.timeline.known.get(name)).filter(Boolean);
  }

  /** Puts the focus on the message so many below the focused one, or on the last. */
  step(by) {
    const rows = [...this.body.querySelectorAll("[data-id]")];
    const at = rows.indexOf(document.activeElement);
    const next = at < 0 ? rows.at(-1) : rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    if (next) {
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    }
    return next;
  }
}
