// From snapshots to curves: what happened per second, and how long an acceptance took.

/** How much of the past is shown, in milliseconds. */
export const SPAN_MS = 300_000;

/** A pause longer than this is shown as a gap and not as a rate. */
const GAP_MS = 5000;

/** Latencies are those of so many polls: one second alone is too few messages for a 99th percentile. */
const LATENCY_POLLS = 5;

const COUNTED = ["accepted", "delivered", "redelivered", "parked"];

export class Meter {
  constructor() {
    this.samples = [];
    this.recent = [];
  }

  /** Takes one snapshot. */
  take(seen) {
    const last = this.recent.at(-1);
    const restarted = last && (last.node.started_at !== seen.node.started_at || seen.now <= last.now);
    if (restarted || (last && seen.now - last.now > GAP_MS)) {
      this.recent = [];
      this.samples.push({ at: seen.now });
    } else if (last) {
      this.samples.push(between(last, this.recent[0], seen));
    }
    this.recent = [...this.recent, seen].slice(-LATENCY_POLLS);
    const oldest = seen.now - SPAN_MS;
    while (this.samples.length && (this.samples[0].at < oldest || this.samples[0].at > seen.now)) {
      this.samples.shift();
    }
  }
}

function between(last, first, seen) {
  const seconds = (seen.now - last.now) / 1000;
  const sample = { at: seen.now };
  for (const name of COUNTED) {
    sample[name] = Math.max(0, seen.counters[name] - last.counters[name]) / seconds;
  }
  sample.p50 = quantile(first.accept_seconds, seen.accept_seconds, 0.5);
  sample.p99 = quantile(first.accept_seconds, seen.accept_seconds, 0.99);
  return sample;
}

/** A quantile of what two cumulative histograms differ by, in seconds; undefined if nothing happened between them. */
export function quantile(before, after, q) {
  const total = after.count - before.count;
  if (total <= 0) {
    return undefined;
  }
  const rank = q * total;
  let below = 0;
  let lower = 0;
  for (const [index, [bound, cumulative]] of after.buckets.entries()) {
    const within = cumulative - (before.buckets[index]?.[1] ?? 0);
    if (within >= rank && within > below) {
      return lower + ((bound - lower) * (rank - below)) / (within - below);
    }
    below = within;
    lower = bound;
  }
  return lower;
}
