// A small live chart: one or two curves over the last five minutes, with a scale that can be read.

import { element, say } from "./dom.js";
import { SPAN_MS } from "./meter.js";

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 1, right: 1, top: 14, bottom: 15 };

/** Samples further apart than this are not joined. */
const JOIN_MS = 3500;

export class Chart {
  /**
   * `curves`: `[{ name, label }]`, names of sample fields; `format` prints a value with its unit; `least`: the lowest
   * full scale; `decades`: a logarithmic scale, for what may lie orders of magnitude apart.
   */
  constructor({ title, curves, format, least, decades = false, wide = false }) {
    this.curves = curves;
    this.format = format;
    this.scale = decades ? byDecades : fromZero(least);
    this.values = curves.map(() => element("span", { className: "value" }));
    const readings = curves.map(({ label }, index) =>
      element(
        "span",
        { className: "reading" },
        ...(label ? [element("span", { className: `key key-${index}` }, label)] : []),
        this.values[index],
      ),
    );
    this.svg = svg("svg", { role: "img", "aria-label": `${title}, the last five minutes` });
    this.root = element(
      "figure",
      { className: wide ? "chart wide" : "chart" },
      element("figcaption", {}, element("h2", {}, title), element("span", { className: "readings" }, ...readings)),
      this.svg,
    );
    this.grid = svg("path", { class: "gridline" });
    this.area = svg("path", { class: "area" });
    this.lines = curves.map((_, index) => svg("path", { class: `curve curve-${index}` }));
    this.high = svg("text", { class: "axis", x: EDGE.left, y: 10 });
    this.low = svg("text", { class: "axis", x: EDGE.left });
    this.from = svg("text", { class: "axis", x: EDGE.left });
    this.middle = svg("text", { class: "axis", "text-anchor": "middle" });
    this.till = svg("text", { class: "axis", "text-anchor": "end" });
    this.from.textContent = "−5 min";
    this.middle.textContent = "−2:30";
    this.till.textContent = "now";
    this.svg.append(
      this.grid,
      this.area,
      ...[...this.lines].reverse(),
      this.high,
      this.low,
      this.from,
      this.middle,
      this.till,
    );
    this.samples = [];
    this.now = 0;
    this.width = 0;
    new ResizeObserver(([entry]) => {
      this.width = Math.round(entry.contentRect.width);
      this.height = Math.round(entry.contentRect.height);
      this.draw();
    }).observe(this.svg);
  }

  /** Shows these samples up to `now`. */
  show(samples, now) {
    this.samples = samples;
    this.now = now;
    this.curves.forEach(({ name }, index) => {
      const value = samples.at(-1)?.[name];
      say(this.values[index], value === undefined ? "–" : this.format(value));
    });
    this.draw();
  }

  draw() {
    if (this.width < 20) {
      return;
    }
    const { left, right, top, bottom } = EDGE;
    const [width, height] = [this.width - left - right, this.height - top - bottom];
    const values = this.curves.flatMap(({ name }) =>
      this.samples.map((sample) => sample[name]).filter((value) => value !== undefined),
    );
    const { low, high, place, rules } = this.scale(values);
    const x = (at) => (left + width * (1 - (this.now - at) / SPAN_MS)).toFixed(1);
    const y = (value) => (top + height * (1 - place(value))).toFixed(1);
    const base = top + height;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.grid.setAttribute(
      "d",
      rules.map((share) => `M${left} ${Math.round(base - height * share) + 0.5}h${width}`).join(""),
    );
    this.lines.forEach((line, index) => {
      const runs = joined(this.samples, this.curves[index].name);
      const path = (run) => run.map(([at, value], n) => `${n ? "L" : "M"}${x(at)} ${y(value)}`).join("");
      line.setAttribute("d", runs.map(path).join(""));
      if (index === 0) {
        const under = (run) => `${path(run)}L${x(run.at(-1)[0])} ${base}L${x(run[0][0])} ${base}Z`;
        this.area.setAttribute("d", runs.map(under).join(""));
      }
    });
    say(this.high, this.format(high));
    say(this.low, low > 0 ? this.format(low) : "");
    this.low.setAttribute("y", base - 3);
    this.middle.setAttribute("x", left + width / 2);
    this.till.setAttribute("x", left + width);
    for (const label of [this.from, this.middle, this.till]) {
      label.setAttribute("y", this.height - 3);
    }
  }
}

/** The stretches of a curve without a gap, as `[at, value]` pairs. */
function joined(samples, name) {
  const runs = [];
  let last = -Infinity;
  for (const { at, [name]: value } of samples) {
    if (value === undefined) {
      last = -Infinity;
      continue;
    }
    if (at - last > JOIN_MS) {
      runs.push([]);
    }
    runs.at(-1).push([at, value]);
    last = at;
  }
  return runs;
}

/** A scale from nothing to the next of 1, 2, 5, 10, 20, 50 … at or above the most, and never below `least`. */
function fromZero(least) {
  return (values) => {
    const most = Math.max(least, ...values);
    const power = 10 ** Math.floor(Math.log10(most));
    const high = power * [1, 2, 5, 10].find((times) => times * power >= most * 0.999999);
    return { low: 0, high, place: (value) => value / high, rules: [0, 0.5, 1] };
  };
}

/** A scale of whole decades around the values, two at least. */
function byDecades(values) {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const bottom = logs.length ? Math.floor(Math.min(...logs)) : -4;
  const count = Math.max(2, (logs.length ? Math.ceil(Math.max(...logs)) : -2) - bottom);
  const place = (value) => Math.min(1, Math.max(0, (Math.log10(value) - bottom) / count));
  const rules = Array.from({ length: count + 1 }, (_, decade) => decade / count);
  return { low: 10 ** bottom, high: 10 ** (bottom + count), place, rules };
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}
