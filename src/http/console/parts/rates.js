// The charts, from one meter.

import { byId } from "./dom.js";
import { Chart } from "./chart.js";
import { latency, rate } from "./format.js";
import { Meter } from "./meter.js";

const perSecond = (value) => `${rate(value)}/s`;

export class Rates {
  constructor() {
    this.meter = new Meter();
    const counted = (name, title) => new Chart({ title, curves: [{ name }], format: perSecond, least: 1 });
    this.charts = [
      counted("accepted", "Accepted"),
      counted("delivered", "Delivered"),
      counted("redelivered", "Redelivered"),
      counted("parked", "Parked"),
      new Chart({
        title: "Accept latency",
        curves: [
          { name: "p50", label: "p50" },
          { name: "p99", label: "p99" },
        ],
        format: latency,
        decades: true,
        wide: true,
      }),
    ];
    byId("rates").append(...this.charts.map(({ root }) => root));
  }

  show(seen) {
    this.meter.take(seen);
    for (const chart of this.charts) {
      chart.show(this.meter.samples, seen.now);
    }
  }
}
