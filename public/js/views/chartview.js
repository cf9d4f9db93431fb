// SPDX-License-Identifier: Apache-2.0
// One measurement of the machine, on the timeline's axis.
import { append, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { total } from "../lib/metrics.js";
import { makeSurface } from "./surface.js";

/** @typedef {import("./timeline.js").Scene} Scene */
/** @typedef {import("../lib/metrics.js").Chart} Chart */
/** @typedef {import("../lib/metrics.js").Columns} Columns */
/** @typedef {import("../lib/metrics.js").Sample} Sample */

const HEIGHT = 46;

/**
 * @param {Chart} chart
 * @param {import("../lib/dstat.js").Dstat} dstat that it is of
 */
export function makeChartView(chart, dstat) {
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
     * @param {Sample} sample
     */
    draw(scene, sample) {
      const { theme, gutter, width } = scene;
      surface.begin(width, HEIGHT);
      const c = surface.context;
      const columns = chart.series.map((series) => sample.reduce(series.values));
      const whole = sum ? sample.reduce(sum) : null;
      const most = whole ? largest([whole]) : largest(columns);
      const top = chart.top(most);
      /** @param {number} value */
      const y = (value) => HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 3);
      c.fillStyle = theme.css["fill-idle"];
      c.fillRect(gutter, 0, width - gutter, HEIGHT);
      c.save();
      c.beginPath();
      c.rect(gutter, 0, width - gutter, HEIGHT);
      c.clip();
      c.translate(gutter, 0);
      if (whole) drawStack(c, scene, chart, sample.x, columns, whole, y, reachOf(scene, dstat));
      else columns.forEach((column, i) => drawLine(c, sample.x, column, theme.css[`metric-${chart.series[i].colour}`], y, reachOf(scene, dstat)));
      c.restore();
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
 * @param {Float64Array} at
 * @param {Columns[]} columns
 * @param {Columns} whole
 * @param {(value: number) => number} y
 * @param {number} reach
 */
function drawStack(c, scene, chart, at, columns, whole, y, reach) {
  const base = new Float32Array(at.length);
  const stretches = spans(at, whole.mean, reach);
  chart.series.forEach((series, i) => {
    const from = base.slice();
    for (let k = 0; k < at.length; k += 1) base[k] += Number.isNaN(columns[i].mean[k]) ? 0 : columns[i].mean[k];
    c.fillStyle = scene.theme.css[`metric-${series.colour}`];
    c.beginPath();
    for (const stretch of stretches) {
      stretch.forEach((k, n) => (n ? c.lineTo(at[k], y(base[k])) : c.moveTo(at[k], y(base[k]))));
      for (let n = stretch.length - 1; n >= 0; n -= 1) c.lineTo(at[stretch[n]], y(from[stretch[n]]));
      c.closePath();
    }
    c.fill();
  });
  c.globalAlpha = 0.45;
  c.fillStyle = scene.theme.css["metric-1"];
  for (let k = 0; k < at.length; k += 1) {
    if (whole.high[k] > whole.mean[k]) c.fillRect(at[k] - 0.5, y(whole.high[k]), 1, y(whole.mean[k]) - y(whole.high[k]));
  }
  c.globalAlpha = 1;
}

/**
 * The band from least to most, and the mean through it.
 * @param {CanvasRenderingContext2D} c
 * @param {Float64Array} at
 * @param {Columns} column
 * @param {string} colour
 * @param {(value: number) => number} y
 * @param {number} reach
 */
function drawLine(c, at, column, colour, y, reach) {
  c.fillStyle = colour;
  c.globalAlpha = 0.4;
  for (let k = 0; k < at.length; k += 1) {
    if (column.high[k] > column.low[k]) c.fillRect(at[k] - 0.5, y(column.high[k]), 1, Math.max(1, y(column.low[k]) - y(column.high[k])));
  }
  c.globalAlpha = 1;
  c.strokeStyle = colour;
  c.lineWidth = 1.25;
  c.beginPath();
  for (const stretch of spans(at, column.mean, reach)) {
    c.moveTo(at[stretch[0]] - 0.5, y(column.mean[stretch[0]]));
    for (const k of stretch) c.lineTo(at[k], y(column.mean[k]));
  }
  c.stroke();
}

/** How many pixels two neighbouring rows may be apart. @param {Scene} scene @param {import("../lib/dstat.js").Dstat} dstat */
function reachOf(scene, dstat) {
  const perPixel = (scene.range.to_ms - scene.range.from_ms) / (scene.width - scene.gutter);
  return (dstat.step_ms * 3.5) / perPixel + 1.5;
}

/**
 * Stretches without a hole: a hole in the measurements is not bridged.
 * @param {Float64Array} at
 * @param {Float32Array} values
 * @param {number} reach
 * @returns {number[][]} indices that have a value
 */
function spans(at, values, reach) {
  /** @type {number[][]} */
  const found = [];
  for (let k = 0; k < at.length; k += 1) {
    if (Number.isNaN(values[k])) continue;
    const current = found[found.length - 1];
    if (current && at[k] - at[current[current.length - 1]] <= reach) current.push(k);
    else found.push([k]);
  }
  return found;
}
