// Times, days and spans as the page shows them.

import { language, t } from "./texts.js";

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const weekday = new Intl.DateTimeFormat(language, { weekday: "short" });
const short = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
const long = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
const longer = new Intl.DateTimeFormat(language, { day: "numeric", month: "long", year: "numeric" });

const DAY_MS = 86_400_000;

// Characters that would be invisible or turn the text around them, and have no place in a name.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** The time of day. */
export function time(ms) {
  return clock.format(ms);
}

/** The day that a moment falls on here, as a word that tells days apart. */
export function dayKey(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/** The day of a separator. */
export function day(ms) {
  const near = nearDay(ms);
  if (near) {
    return near;
  }
  return (new Date(ms).getFullYear() === new Date().getFullYear() ? long : longer).format(ms);
}

/** When, in few characters: the time today, else the day. */
export function when(ms) {
  const age = Date.now() - ms;
  if (dayKey(ms) === dayKey(Date.now())) {
    return time(ms);
  }
  return age >= 0 && age < 6 * DAY_MS ? weekday.format(ms) : short.format(ms);
}

/** A length of time in the largest unit that leaves no rest. */
export function span(ms) {
  const seconds = Math.round(ms / 1000);
  const units = [
    ["span.days", 86_400],
    ["span.hours", 3600],
    ["span.minutes", 60],
  ];
  const [name, size] = units.find(([, size]) => seconds >= size && seconds % size === 0) ?? ["span.seconds", 1];
  return t(name, seconds / size);
}

/** A name that a stranger chose, without what could not be seen in it. */
export function name(text) {
  return String(text).replace(UNSEEN, " ").trim();
}

/** A count in a badge. */
export function badge(count) {
  return count > 9999 ? "9999+" : String(count);
}

function nearDay(ms) {
  const today = Date.now();
  if (dayKey(ms) === dayKey(today)) {
    return t("today");
  }
  return dayKey(ms) === dayKey(today - DAY_MS) ? t("yesterday") : null;
}
