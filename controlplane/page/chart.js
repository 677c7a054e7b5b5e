// SPDX-License-Identifier: Apache-2.0
//
// A small line chart over the last hour, or over what is known of it. Lines differ in colour and in dashes. It says in words what it shows, to
// screen readers and to the pointer alike.
"use strict";

const SPANS_S = [600, 1200, 1800, 3600];  // what a chart may show; the shortest that holds all there is
const PLOT = {height: 150, left: 4, right: 4, top: 18, bottom: 18};
const SERIES_MAX = 6;  // more lines than this cannot be told apart

/** The next "round" number from `value` up: 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((digit) => digit * power).find((round) => round >= value * 0.999);
}

class Chart {
  /** `show(value)`: a value in words. */
  constructor(title, show) {
    this.show = show;
    this.title = title;
    this.peak = el("span");
    this.plot = svg("svg", {class: "plot", role: "img"});
    this.legend = el("ul", {class: "legend"});
    this.element = el("figure", {}, el("figcaption", {}, title, this.peak), this.plot, this.legend);
    this.data = {times: [], series: []};
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.draw());
  }

  /** `times`: Unix seconds, rising. `series`: [{name, values}], values as many as times, null where nothing is known. */
  update(times, series) {
    this.data = {times, series: series.slice(0, SERIES_MAX)};
    this.draw();
  }

  draw(at = null) {
    const {times, series} = this.data;
    const width = Math.max(this.plot.clientWidth, 120);
    const end = times.at(-1) ?? Date.now() / 1000;
    this.span = SPANS_S.find((span) => end - (times[0] ?? end) <= span) ?? SPANS_S.at(-1);
    const top = Math.max(...series.flatMap((one) => one.values.filter(isNumber)), 0);
    const bound = top > 0 ? roundUp(top) : 1;
    const x = (time) => PLOT.left + (width - PLOT.left - PLOT.right) * (1 - (end - time) / this.span);
    const y = (value) => PLOT.height - PLOT.bottom - (PLOT.height - PLOT.top - PLOT.bottom) * (value / bound);
    this.plot.setAttribute("viewBox", `0 0 ${width} ${PLOT.height}`);
    this.plot.replaceChildren(...this.frame(width, y, bound), ...series.map((one, i) => this.trace(one.values, i, x, y)),
                              ...(at === null ? [] : [svg("line", {class: "cursor", x1: x(times[at]), x2: x(times[at]), y1: PLOT.top, y2: y(0)})]));
    this.plot.setAttribute("aria-label", this.words());
    setText(this.peak, at === null ? `peak ${this.show(top)}` : new Date(times[at] * 1000).toLocaleTimeString("en-GB"));
    this.drawLegend(at ?? times.length - 1);
  }

  frame(width, y, bound) {
    const line = (value) => svg("line", {class: "grid", x1: 0, x2: width, y1: y(value), y2: y(value)});
    const label = (x, at, anchor, text) => svg("text", {x, y: at, "text-anchor": anchor}, text);
    return [line(0), line(bound / 2), line(bound), label(PLOT.left, y(bound) - 5, "start", this.show(bound)),
            label(PLOT.left, PLOT.height - 4, "start", `${age(this.span)} ago`),
            label(width / 2, PLOT.height - 4, "middle", age(this.span / 2)),
            label(width - PLOT.right, PLOT.height - 4, "end", "now")];
  }

  /** A line through the values that are known; a gap where they are not. */
  trace(values, index, x, y) {
    let path = "", pen = "M";
    values.forEach((value, i) => {
      if (isNumber(value)) path += `${pen}${x(this.data.times[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = isNumber(value) ? "L" : "M";
    });
    return svg("path", {class: `trace c${index} d${index}`, d: path});
  }

  drawLegend(at) {
    keep(this.legend, this.data.series.map((one, index) => ({...one, index})), (one) => `${one.index} ${one.name}`,
         (one) => el("li", {}, svg("svg", {viewBox: "0 0 24 8", "aria-hidden": "true"},
                                   svg("path", {class: `trace c${one.index} d${one.index}`, d: "M0 4H24", "stroke-width": 2.5})),
                     `${one.name} `, el("b")),
         (item, one) => setText(item.lastElementChild, this.show(one.values[at])));
  }

  words() {
    const lines = this.data.series.map(({name, values}) => {
      const known = values.filter(isNumber);
      if (known.length === 0) return `${name}: nothing known`;
      return `${name}: ${this.show(known.at(-1))} now, ${this.show(Math.min(...known))} to ${this.show(Math.max(...known))}`;
    });
    return `${this.title}, last ${age(this.span)}. ${lines.join(". ")}`;
  }

  point(event) {
    const {times} = this.data;
    if (times.length === 0) return;
    const box = this.plot.getBoundingClientRect();
    const time = times.at(-1) - this.span * (1 - (event.clientX - box.left) / box.width);
    let nearest = 0;
    times.forEach((one, i) => { if (Math.abs(one - time) < Math.abs(times[nearest] - time)) nearest = i; });
    this.draw(nearest);
  }
}
