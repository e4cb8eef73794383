// The timelines that this page holds: the open one, and a few that were open before.

import { keyOf } from "./chats.js";
import { Signal } from "./signal.js";
import { nameOfMessage, Timeline } from "./timeline.js";

const KEPT = 6;
const PAGE = 50;
const GAP_PAGE = 100;
/** Behind by more than this, the newest page is shown anew: what lies between comes when it is scrolled to. */
const GAP_MAX = 400;
/** An own message's place may be said a moment after the message that follows it. */
const GAP_PATIENCE_MS = 300;

export class Shelf {
  /** What is shown of a chat is another; with its name. */
  changed = new Signal();
  places = new Map();

  constructor(client) {
    this.client = client;
  }

  /** The timeline of this chat, now the latest used. */
  of(chat) {
    const key = keyOf(chat);
    const place = this.places.get(key) ?? { timeline: new Timeline(chat), isStale: true, isLoaded: false };
    this.places.delete(key);
    this.places.set(key, place);
    if (this.places.size > KEPT) {
      this.places.delete(this.places.keys().next().value);
    }
    return place.timeline;
  }

  /** Whether the newest page was shown, or cannot be had. */
  isLoaded(chat) {
    return Boolean(this.places.get(keyOf(chat))?.isLoaded);
  }

  /** Why there is no history, if the server said so. */
  refusalOf(chat) {
    return this.places.get(keyOf(chat))?.refusal;
  }

  /** This message of that chat, if it is here. */
  find(chat, message) {
    return this.places.get(keyOf(chat))?.timeline.known.get(nameOfMessage(message));
  }

  put(message) {
    const place = this.places.get(keyOf(message.chat));
    if (!place?.timeline.put(message)) {
      return false;
    }
    this.changed.emit(keyOf(message.chat));
    if (place.timeline.hasGap) {
      this.mend(message.chat, place);
    }
    return true;
  }

  /** As `put`, of a chat that is not open: it is made whole when it is. */
  putIfThere(message) {
    const place = this.places.get(keyOf(message.chat));
    if (place?.timeline.put(message) && place.timeline.hasGap) {
      place.isStale = true;
    }
  }

  alter(chat, change) {
    const place = this.places.get(keyOf(chat));
    if (place) {
      change(place.timeline);
      this.changed.emit(keyOf(chat));
    }
  }

  /** All but this chat may have missed something. */
  others(chat) {
    const key = chat && keyOf(chat);
    for (const [name, place] of this.places) {
      place.isStale ||= name !== key;
    }
  }

  /** Nothing here can be trusted any more, but for what waits to be sent. */
  forget() {
    for (const place of this.places.values()) {
      place.timeline.high = undefined;
      place.isStale = true;
    }
  }

  /** Makes the timeline end where the conversation does. */
  async refresh(chat) {
    const place = this.place(chat);
    place.isStale = false;
    try {
      await this.alone(place, () =>
        place.timeline.high === undefined ? this.newest(chat, place) : this.follow(chat, place),
      );
      place.refusal = undefined;
    } catch (error) {
      place.isStale = true;
      place.refusal = error;
    }
    place.isLoaded = true;
    this.changed.emit(keyOf(chat));
  }

  /** As `refresh`, if something may be missing. */
  async refreshIfStale(chat) {
    if (this.place(chat).isStale) {
      await this.refresh(chat);
    }
  }

  /** Loads the page before; false if it failed. */
  async older(chat) {
    const place = this.place(chat);
    if (!place.timeline.older || place.isOlder) {
      return true;
    }
    place.isOlder = true;
    try {
      await this.alone(place, async () => {
        const before = place.timeline.low;
        place.timeline.before(await this.client.history(chat, { before, limit: PAGE }));
      });
      return true;
    } catch {
      return false;
    } finally {
      place.isOlder = false;
      this.changed.emit(keyOf(chat));
    }
  }

  place(chat) {
    this.of(chat);
    return this.places.get(keyOf(chat));
  }

  /** One after another: a page is taken where the timeline ended when it was asked for. */
  alone(place, ask) {
    const turn = (place.turn ?? Promise.resolve()).then(ask);
    place.turn = turn.catch(() => {});
    return turn;
  }

  async newest(chat, { timeline }) {
    timeline.newest(await this.client.history(chat, { limit: PAGE }));
  }

  async follow(chat, place) {
    const { timeline } = place;
    const begin = timeline.high;
    for (let more = true; more;) {
      const page = await this.client.history(chat, { after: timeline.high, limit: GAP_PAGE });
      if (page.head - begin > GAP_MAX) {
        await this.newest(chat, place);
        return;
      }
      timeline.after(page);
      more = page.more;
      this.changed.emit(keyOf(chat));
    }
  }

  mend(chat, place) {
    if (place.mending) {
      return;
    }
    place.mending = setTimeout(async () => {
      place.mending = undefined;
      if (place.timeline.hasGap) {
        await this.refresh(chat);
      }
    }, GAP_PATIENCE_MS);
  }
}
