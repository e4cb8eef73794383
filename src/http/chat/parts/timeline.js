// The messages of one conversation that this page has: one stretch of it without gaps, from `low` to `high`, what came
// above it, and at the end what has no place yet. Ordered by `cseq`, each message once, in whatever order they came.

const RANK = { queued: 0, accepted: 1, delivered: 2, refused: 3 };
const ALTERATIONS_MAX = 2000;

/** What tells messages apart: ids are made by their senders. */
export function nameOfMessage({ from, id }) {
  return `${from}/${id}`;
}

/** The state that the server's word makes of this one; a message that it does not know any more has long been delivered. */
export function stateSaid(said, state) {
  const now = { expired: "accepted", unknown: "delivered" }[said] ?? said;
  return RANK[now] > (RANK[state] ?? -1) ? now : state;
}

export class Timeline {
  placed = [];
  waiting = [];
  known = new Map();
  /** Edits and revokes of messages that are not here, which a page on its way may still show as they were. */
  alterations = new Map();
  low = undefined;
  high = undefined;
  /** Whether the server has older ones. */
  older = false;
  /** When the first of them expires, Unix milliseconds. */
  soonest = Infinity;

  constructor(chat) {
    this.chat = chat;
  }

  get length() {
    return this.placed.length + this.waiting.length;
  }

  at(index) {
    return index < this.placed.length ? this.placed[index] : this.waiting[index - this.placed.length];
  }

  /** Where this message stands, or -1. */
  indexOf(message) {
    if (this.known.get(nameOfMessage(message)) !== message) {
      return -1;
    }
    if (message.cseq === undefined) {
      const index = this.waiting.indexOf(message);
      return index < 0 ? -1 : this.placed.length + index;
    }
    return this.placed.indexOf(message, this.place(message.cseq));
  }

  /** Takes a message, or what is new about it; false if that changed nothing. */
  put(message) {
    const name = nameOfMessage(message);
    const here = this.known.get(name);
    if (here) {
      return this.merge(here, message);
    }
    if (message.cseq !== undefined && message.cseq < (this.low ?? 0)) {
      return false;
    }
    const own = { ...message };
    this.alterations.get(name)?.(own);
    this.alterations.delete(name);
    this.known.set(name, own);
    this.insert(own);
    this.absorb();
    return true;
  }

  /** Takes the newest page: the stretch begins there, anew if there was one. */
  newest({ messages, next, more, head }) {
    const kept = [...this.placed, ...this.waiting];
    const low = more ? Math.min(next, messages[0]?.cseq ?? next) : 0;
    this.placed = [];
    this.waiting = [];
    this.known.clear();
    this.low = low;
    this.high = head;
    this.older = more;
    messages.forEach((message) => this.put(message));
    // What the page should hold and does not has expired or was never there.
    for (const message of kept) {
      const here = this.known.get(nameOfMessage(message));
      if (here) {
        this.merge(here, sinceThen(message, here));
      } else if (message.cseq === undefined || message.cseq > head) {
        this.put(message);
      }
    }
    this.absorb();
  }

  /** Takes the page before the stretch. */
  before({ messages, next, more }) {
    this.low = more ? Math.min(next, messages[0]?.cseq ?? next) : 0;
    this.older = more;
    messages.forEach((message) => this.put(message));
  }

  /** Takes the page after the stretch. */
  after({ messages, next, more, head }) {
    messages.forEach((message) => this.put(message));
    this.high = Math.max(this.high, more ? next : head);
    this.absorb();
  }

  /** Whether something came that does not follow the stretch. */
  get hasGap() {
    return this.high !== undefined && (this.placed.at(-1)?.cseq ?? 0) > this.high;
  }

  /** What became of an own message, as the server told. */
  became(from, { id, state, count }) {
    const message = this.known.get(nameOfMessage({ from, id }));
    if (!message) {
      return;
    }
    if (count !== undefined) {
      message.count = Math.max(count, message.count ?? 0);
    }
    message.state = stateSaid(state, message.state);
  }

  /** The last `cseq` after this one before which nothing but own messages stands. */
  throughOwn(cseq, isTheirs) {
    for (let index = this.place(cseq + 1); index < this.placed.length && !isTheirs(this.placed[index]); index += 1) {
      cseq = this.placed[index].cseq;
    }
    return cseq;
  }

  revoke(from, id, revokedAt) {
    return this.alter(from, id, (message) => Object.assign(message, { payload: null, revokedAt }));
  }

  edit(from, id, payload, editedAt) {
    return this.alter(from, id, (message) => {
      if (!message.revokedAt && editedAt >= (message.editedAt ?? 0)) {
        Object.assign(message, { payload, editedAt });
      }
    });
  }

  alter(from, id, change) {
    const name = nameOfMessage({ from, id });
    const here = this.known.get(name);
    if (here) {
      change(here);
      return true;
    }
    const earlier = this.alterations.get(name);
    this.alterations.set(name, earlier ? (message) => (earlier(message), change(message)) : change);
    if (this.alterations.size > ALTERATIONS_MAX) {
      this.alterations.delete(this.alterations.keys().next().value);
    }
    return false;
  }

  /** Removes a message that has come to nothing. */
  remove(message) {
    const index = this.waiting.findIndex((other) => nameOfMessage(other) === nameOfMessage(message));
    if (index >= 0) {
      this.known.delete(nameOfMessage(message));
      this.waiting.splice(index, 1);
    }
  }

  /** Removes those that have expired. */
  expire(now) {
    this.soonest = Infinity;
    const stays = (message) => {
      const at = message.expiresAt ?? Infinity;
      if (at <= now) {
        this.known.delete(nameOfMessage(message));
        return false;
      }
      this.soonest = Math.min(this.soonest, at);
      return true;
    };
    this.placed = this.placed.filter(stays);
    this.waiting = this.waiting.filter(stays);
  }

  merge(here, said) {
    let isNew = false;
    const { state, cseq, revokedAt, ...rest } = said;
    if (state === "queued" && here.state === "accepted") {
      this.unplace(here);
      isNew = true;
    }
    if (state !== undefined && RANK[state] > (RANK[here.state] ?? -1)) {
      here.state = state;
      isNew = true;
    }
    if (cseq !== undefined && here.cseq === undefined) {
      this.waiting.splice(this.waiting.indexOf(here), 1);
      if (cseq < (this.low ?? 0)) {
        // Its place is among those that are not loaded.
        this.known.delete(nameOfMessage(here));
        return true;
      }
      here.cseq = cseq;
      this.insert(here);
      this.absorb();
      isNew = true;
    }
    if (revokedAt && !here.revokedAt) {
      Object.assign(here, { payload: null, revokedAt });
      isNew = true;
    }
    const isOlder = here.revokedAt || (rest.editedAt ?? 0) < (here.editedAt ?? 0);
    for (const [name, value] of Object.entries(rest)) {
      const isText = name === "payload" || name === "editedAt";
      if (value !== undefined && here[name] !== value && !(isText && isOlder)) {
        here[name] = value;
        isNew = true;
      }
    }
    return isNew;
  }

  /** A server that came back from a backup does not know this message: it is sent again, and gets another place. */
  unplace(message) {
    if (message.cseq !== undefined) {
      this.placed.splice(this.indexOf(message), 1);
      delete message.cseq;
      this.waiting.push(message);
    }
    message.state = "queued";
  }

  insert(message) {
    this.soonest = Math.min(this.soonest, message.expiresAt ?? Infinity);
    if (message.cseq === undefined) {
      this.waiting.push(message);
    } else if (message.cseq > (this.placed.at(-1)?.cseq ?? -1)) {
      this.placed.push(message);
    } else {
      this.placed.splice(this.place(message.cseq), 0, message);
    }
  }

  /** Lets the stretch grow over what follows it. */
  absorb() {
    if (this.high === undefined) {
      return;
    }
    for (let index = this.place(this.high + 1); this.placed[index]?.cseq === this.high + 1; index += 1) {
      this.high += 1;
    }
  }

  /** The first index whose `cseq` is not below this one. */
  place(cseq) {
    let [low, high] = [0, this.placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.placed[middle].cseq < cseq) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** What is known here of a message that the server's page cannot say, or could not yet. */
function sinceThen({ state, count, revokedAt, payload, editedAt = 0 }, said) {
  return { state, count, revokedAt, ...(editedAt > (said.editedAt ?? 0) ? { payload, editedAt } : {}) };
}
