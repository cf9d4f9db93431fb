// SPDX-License-Identifier: Apache-2.0
// One measurement of the machine, on the timeline's axis.
import { append, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { reduceColumns, total } from "../lib/metrics.js";
import { makeSurface } from "./surface.js";

/** @typedef {import("./timeline.js").Scene} Scene */
/** @typedef {import("../lib/metrics.js").Chart} Chart */
/** @typedef {import("../lib/metrics.js").Columns} Columns */

const HEIGHT = 46;

/** @param {Chart} chart */
export function makeChartView(chart) {
  const surface = makeSurface(C.chartCanvas);
  const values = chart.series.map(() => h("span", { class: C.chartValue }));
  const scale = h("span", { class: C.chartScale });
  const head = h("div", { class: C.chartHead }, h("span", { class: C.chartName }, chart.name));
  chart.series.forEach((series, i) => {
    append(head, h("span", { class: C.chartKey }, h("span", { class: `${C.swatch} m${series.colour}` }), `${series.label} `, values[i]));
  });
  append(head, scale);
  const sum = chart.stacked ? total(chart.series) : null;

  return {
    element: h("div", { class: C.chart }, head, surface.canvas),
    canvas: surface.canvas,

    /**
     * @param {Scene} scene
     * @param {Uint32Array} edges of its pixels in the rows
     */
    draw(scene, edges) {
      const { theme, gutter, width } = scene;
      surface.begin(width, HEIGHT);
      const c = surface.context;
      const columns = chart.series.map((series) => reduceColumns(series.values, edges));
      const whole = sum ? reduceColumns(sum, edges) : null;
      const most = whole ? largest([whole]) : largest(columns);
      const top = chart.top(most);
      /** @param {number} value */
      const y = (value) => HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 3);
      c.fillStyle = theme.css["fill-idle"];
      c.fillRect(gutter, 0, width - gutter, HEIGHT);
      if (whole) drawStack(c, scene, chart, columns, whole, y);
      else columns.forEach((column, i) => drawLine(c, scene, column, theme.css[`metric-${chart.series[i].colour}`], y));
      const label = most === -Infinity ? "no data here" : chart.format(top);
      scale.textContent = gutter < 50 ? `to ${label}` : "";
      if (gutter < 50) return;
      c.fillStyle = theme.css.muted;
      c.font = "11px system-ui, sans-serif";
      c.textAlign = "right";
      c.textBaseline = "top";
      c.fillText(label, gutter - 6, 2, gutter - 8);
      c.textBaseline = "bottom";
      c.fillText("0", gutter - 6, HEIGHT);
    },

    /** @param {number} row of the dstat file, -1 for none */
    values(row) {
      chart.series.forEach((series, i) => {
        const text = row < 0 ? "" : chart.format(series.values[row]);
        if (values[i].textContent !== text) values[i].textContent = text;
      });
    },
  };
}

/** @param {Columns[]} columns */
function largest(columns) {
  let most = -Infinity;
  for (const { high } of columns) for (const value of high) if (value > most) most = value;
  return most;
}

/**
 * Means stacked, and above them the peaks of the sum.
 * @param {CanvasRenderingContext2D} c
 * @param {Scene} scene
 * @param {Chart} chart
 * @param {Columns[]} columns
 * @param {Columns} whole
 * @param {(value: number) => number} y
 */
function drawStack(c, scene, chart, columns, whole, y) {
  const { theme, gutter } = scene;
  const width = whole.mean.length;
  const reach = reachOf(scene);
  const base = new Float32Array(width);
  chart.series.forEach((series, i) => {
    const from = base.slice();
    for (let x = 0; x < width; x += 1) base[x] += Number.isNaN(columns[i].mean[x]) ? 0 : columns[i].mean[x];
    c.fillStyle = theme.css[`metric-${series.colour}`];
    c.beginPath();
    for (const [first, last] of spans(whole.mean, reach)) {
      const filled = [];
      for (let x = first; x <= last; x += 1) if (!Number.isNaN(whole.mean[x])) filled.push(x);
      filled.forEach((x, k) => (k ? c.lineTo(gutter + x, y(base[x])) : c.moveTo(gutter + x, y(base[x]))));
      c.lineTo(gutter + last + 1, y(base[last]));
      c.lineTo(gutter + last + 1, y(from[last]));
      for (const x of filled.reverse()) c.lineTo(gutter + x, y(from[x]));
      c.closePath();
    }
    c.fill();
  });
  c.globalAlpha = 0.45;
  c.fillStyle = theme.css["metric-1"];
  for (let x = 0; x < width; x += 1) if (whole.high[x] > whole.mean[x]) c.fillRect(gutter + x, y(whole.high[x]), 1, y(whole.mean[x]) - y(whole.high[x]));
  c.globalAlpha = 1;
}

/**
 * The band from least to most, and the mean through it.
 * @param {CanvasRenderingContext2D} c
 * @param {Scene} scene
 * @param {Columns} column
 * @param {string} colour
 * @param {(value: number) => number} y
 */
function drawLine(c, scene, column, colour, y) {
  const { gutter } = scene;
  c.fillStyle = colour;
  c.globalAlpha = 0.4;
  for (let x = 0; x < column.high.length; x += 1) {
    if (column.high[x] > column.low[x]) c.fillRect(gutter + x, y(column.high[x]), 1, Math.max(1, y(column.low[x]) - y(column.high[x])));
  }
  c.globalAlpha = 1;
  c.strokeStyle = colour;
  c.lineWidth = 1.25;
  c.beginPath();
  for (const [first, last] of spans(column.mean, reachOf(scene))) {
    let pen = false;
    for (let x = first; x <= last; x += 1) {
      if (Number.isNaN(column.mean[x])) continue;
      if (pen) c.lineTo(gutter + x + 0.5, y(column.mean[x]));
      else c.moveTo(gutter + x, y(column.mean[x]));
      pen = true;
    }
    c.lineTo(gutter + last + 1, y(column.mean[last]));
  }
  c.stroke();
  c.lineWidth = 1;
}

/** How many empty pixels two neighbouring rows may be apart. @param {Scene} scene */
function reachOf(scene) {
  const perPixel = (scene.range.to_ms - scene.range.from_ms) / (scene.width - scene.gutter);
  return Math.ceil(((scene.dstat?.step_ms ?? 1000) * 3.5) / perPixel) + 1;
}

/**
 * Stretches without a hole: a hole in the measurements is not bridged.
 * @param {Float32Array} values
 * @param {number} reach
 * @returns {[number, number][]} first and last column, both with a value
 */
function spans(values, reach) {
  /** @type {[number, number][]} */
  const found = [];
  for (let x = 0; x < values.length; x += 1) {
    if (Number.isNaN(values[x])) continue;
    const current = found[found.length - 1];
    if (current && x - current[1] <= reach) current[1] = x;
    else found.push([x, x]);
  }
  return found;
}
