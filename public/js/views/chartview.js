// SPDX-License-Identifier: Apache-2.0
// One measurement of the machine, on the timeline's axis.
import { append, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { total } from "../lib/metrics.js";
import { drawCurve, fillColumn, toColumns } from "../lib/plot.js";
import { makeSurface, pixel } from "./canvas.js";

/** @typedef {import("./timeline.js").Scene} Scene */
/** @typedef {import("../lib/metrics.js").Chart} Chart */
/** @typedef {import("../lib/metrics.js").Columns} Columns */
/** @typedef {import("../lib/metrics.js").Sample} Sample */
/** @typedef {import("../lib/plot.js").Picture} Picture */

/** @typedef {{picture: Picture, colours: number[], ratio: number, reach: number, y: (value: number) => number}} Plot in pixels of the device */

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
  /** Kept from frame to frame while the size stays. @type {(Picture & {image: ImageData})|null} */
  let kept = null;

  /** @param {CanvasRenderingContext2D} c @param {number} width @param {number} height */
  function pictureOf(c, width, height) {
    if (kept?.width !== width || kept.height !== height) {
      const image = c.createImageData(width, height);
      kept = { width, height, image, words: new Uint32Array(image.data.buffer) };
    }
    return kept;
  }

  return {
    element: h("div", { class: C.chart }, head, surface.canvas),
    canvas: surface.canvas,

    /**
     * @param {Scene} scene
     * @param {Sample} sample
     */
    draw(scene, sample) {
      const { theme, gutter, width } = scene;
      const ratio = surface.begin(width, HEIGHT);
      const c = surface.context;
      const columns = chart.series.map((series) => sample.reduce(series.values));
      const whole = sum ? sample.reduce(sum) : null;
      const most = whole ? largest([whole]) : largest(columns);
      const top = chart.top(most);
      const picture = pictureOf(c, sample.width, Math.round(HEIGHT * ratio));
      picture.words.fill(pixel(theme.css["fill-idle"]));
      const colours = chart.series.map((series) => pixel(theme.css[`metric-${series.colour}`]));
      const floor = picture.height - ratio;
      const scaled = (picture.height - 3 * ratio) / top;
      /** @type {Plot} */
      const plot = {
        picture, colours, ratio,
        reach: reachOf(scene, dstat, sample.width),
        y: (value) => floor - Math.min(value, top) * scaled,
      };
      if (whole) drawStack(plot, sample.x, columns, whole);
      else columns.forEach((column, i) => drawLine(plot, sample.x, column, colours[i]));
      c.putImageData(picture.image, Math.round(gutter * ratio), 0);
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
 * @param {Plot} plot
 * @param {Float64Array} at
 * @param {Columns[]} columns
 * @param {Columns} whole
 */
function drawStack({ picture, colours, reach, y }, at, columns, whole) {
  const sum = toColumns(at, whole.mean, reach, picture.width);
  const base = new Float32Array(picture.width);
  columns.forEach(({ mean }, i) => {
    const values = toColumns(at, mean, reach, picture.width);
    for (let x = 0; x < base.length; x += 1) {
      if (Number.isNaN(sum[x]) || Number.isNaN(values[x])) continue;
      fillColumn(picture, x, y(base[x] + values[x]), y(base[x]), colours[i], 1);
      base[x] += values[x];
    }
  });
  for (let k = 0; k < at.length; k += 1) {
    if (whole.high[k] > whole.mean[k]) fillColumn(picture, Math.floor(at[k]), y(whole.high[k]), y(whole.mean[k]), colours[0], 0.45);
  }
}

/**
 * The band from least to most, and the mean through it.
 * @param {Plot} plot
 * @param {Float64Array} at
 * @param {Columns} column
 * @param {number} colour
 */
function drawLine({ picture, ratio, reach, y }, at, column, colour) {
  for (let k = 0; k < at.length; k += 1) {
    if (column.high[k] > column.low[k]) fillColumn(picture, Math.floor(at[k]), y(column.high[k]), Math.max(y(column.low[k]), y(column.high[k]) + 1), colour, 0.4);
  }
  drawCurve(picture, toColumns(at, column.mean, reach, picture.width).map(y), 1.25 * ratio, colour);
}

/** How many pixels two neighbouring rows may be apart. @param {Scene} scene @param {import("../lib/dstat.js").Dstat} dstat @param {number} width of the plot in these pixels */
function reachOf(scene, dstat, width) {
  return (dstat.step_ms * 3.5 * width) / (scene.range.to_ms - scene.range.from_ms) + 1.5;
}
