// The lines that were evaluated, for the arrows. Lines that may hold a secret are not kept.

import { token } from "./api.js";

const KEY = "yizhan.history";
const LINES_MAX = 500;
const LONG = /[A-Za-z0-9_+/=-]{24,}/g;

export class History {
  constructor() {
    this.lines = load();
    this.at = this.lines.length;
    this.draft = "";
  }

  /** Notes a line; the walk starts from the end again. */
  add(line) {
    if (line !== this.lines.at(-1)) {
      this.lines = [...this.lines, line].slice(-LINES_MAX);
      save(this.lines.filter((kept) => !hasSecret(kept)));
    }
    this.at = this.lines.length;
  }

  /** The line before the one shown, or null at the first; `shown` is kept as the draft to come back to. */
  back(shown) {
    if (this.at === 0) {
      return null;
    }
    if (this.at === this.lines.length) {
      this.draft = shown;
    }
    this.at -= 1;
    return this.lines[this.at];
  }

  /** The line after the one shown, the draft after the last, or null at the draft. */
  forth() {
    if (this.at === this.lines.length) {
      return null;
    }
    this.at += 1;
    return this.at === this.lines.length ? this.draft : this.lines[this.at];
  }
}

/** Whether a line has something like a token in it: a long word of mixed characters, or the very one in use. */
export function hasSecret(line) {
  const own = token();
  if (line.includes("eyJ") || (own && line.includes(own))) {
    return true;
  }
  const mixed = (word) => /\d/.test(word) || (/[a-z]/.test(word) && /[A-Z]/.test(word));
  return (line.match(LONG) || []).some(mixed);
}

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    return Array.isArray(kept) ? kept.filter((line) => typeof line === "string") : [];
  } catch {
    return [];
  }
}

function save(lines) {
  try {
    localStorage.setItem(KEY, JSON.stringify(lines));
  } catch {
    // A browser without storage has no history after a reload, and everything else.
  }
}
