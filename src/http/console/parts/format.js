// Numbers, times and names as the page shows them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

// Characters that would be invisible, or would turn the text around them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A whole number with thousands separated. */
export function count(number) {
  return whole.format(number);
}

/** A rate per second: small ones with a decimal. */
export function rate(number) {
  return number < 9.95 && !Number.isInteger(number) ? number.toFixed(1) : count(number);
}

/** A length of time in one unit, as short as a column is narrow. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours] = [seconds / 60, seconds / 3600];
  if (seconds < 60) {
    return `${seconds} s`;
  }
  if (minutes < 60) {
    return `${Math.floor(minutes)} min`;
  }
  return hours < 48 ? `${(Math.floor(hours * 10) / 10).toFixed(1)} h` : `${Math.floor(hours / 24)} d`;
}

/** What is left until a moment, in tenths below a minute. */
export function countdown(ms) {
  const left = Math.max(0, ms);
  return left < 60_000 ? `${(left / 1000).toFixed(1)} s` : span(left);
}

/** A latency in the unit that fits it. */
export function latency(seconds) {
  const [value, unit] = seconds < 0.001 ? [seconds * 1e6, "µs"] : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
  return `${value < 9.95 && unit !== "µs" ? Number(value.toFixed(1)) : Math.round(value)} ${unit}`;
}

export function bytes(number) {
  return number < 1024 ** 3 ? `${(number / 1024 ** 2).toFixed(0)} MiB` : `${(number / 1024 ** 3).toFixed(2)} GiB`;
}

/** A name that a stranger chose, with what could not be seen in it made visible. */
export function name(text) {
  return String(text).replace(UNSEEN, (unseen) => `\\x{${unseen.charCodeAt(0).toString(16)}}`);
}
