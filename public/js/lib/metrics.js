// SPDX-License-Identifier: Apache-2.0
// Which charts a dstat file can fill, and what they show of it.
import { formatBytes, formatNumber, formatPercent, formatRate, niceMax } from "./format.js";
import { lowerBound } from "./testset.js";

/** @typedef {import("./dstat.js").Dstat} Dstat */

/** @typedef {{label: string, values: Float32Array, colour: number}} Series colour: 1 to 4, of the theme */

/**
 * @typedef {object} Chart
 * @property {string} key
 * @property {string} name
 * @property {boolean} stacked the series are parts of one whole
 * @property {Series[]} series
 * @property {(value: number) => string} format
 * @property {(most: number) => number} top of the scale, given the largest value that is shown
 */

/** @typedef {{key: string, name: string, stacked: boolean, series: [string, number, string[]][], format: (value: number) => string, top: (most: number) => number}} Wanted */

/** @type {readonly Wanted[]} */
export const CHARTS = [
  {
    key: "cpu",
    name: "CPU",
    stacked: true,
    series: [
      ["user", 1, ["total_cpu_usage/usr"]],
      ["system", 3, ["total_cpu_usage/sys"]],
      ["wait", 2, ["total_cpu_usage/wai"]],
      ["steal", 4, ["total_cpu_usage/stl"]],
    ],
    format: formatPercent,
    top: () => 100,
  },
  { key: "memory", name: "Memory", stacked: false, series: [["used", 1, ["memory_usage/used"]]], format: formatBytes, top: (most) => niceMax(most, 1024) },
  {
    key: "load",
    name: "Load",
    stacked: false,
    series: [
      ["1 min", 1, ["load_avg/1m"]],
      ["5 min", 3, ["load_avg/5m"]],
      ["15 min", 4, ["load_avg/15m"]],
    ],
    format: formatNumber,
    top: (most) => niceMax(most, 1000),
  },
  {
    key: "disk",
    name: "Disk",
    stacked: false,
    series: [
      ["read", 1, ["dsk_total/read"]],
      ["write", 2, ["dsk_total/writ"]],
    ],
    format: formatRate,
    top: (most) => niceMax(most, 1024),
  },
  {
    key: "network",
    name: "Network",
    stacked: false,
    series: [
      ["receive", 1, ["net_total/recv"]],
      ["send", 2, ["net_total/send"]],
    ],
    format: formatRate,
    top: (most) => niceMax(most, 1024),
  },
  {
    key: "processes",
    name: "Processes",
    stacked: false,
    series: [
      ["running", 1, ["procs/run"]],
      ["blocked", 2, ["procs/blk"]],
      ["new", 4, ["procs/new"]],
    ],
    format: formatNumber,
    top: (most) => niceMax(most, 1000),
  },
];

/** @param {Float32Array} values */
export function hasNumbers(values) {
  return values.some((value) => !Number.isNaN(value));
}

/**
 * @param {Dstat} dstat
 * @returns {Chart[]} only those of which there is a number
 */
export function chartsOf(dstat) {
  const charts = [];
  for (const wanted of CHARTS) {
    /** @type {Series[]} */
    const series = [];
    for (const [label, colour, keys] of wanted.series) {
      const values = keys.map((key) => dstat.columns.get(key)).find((found) => found !== undefined);
      if (values && hasNumbers(values)) series.push({ label, values, colour });
    }
    if (series.length) charts.push({ ...wanted, series });
  }
  return charts;
}

/**
 * The rows that fall on each pixel of a range: column x holds rows edges[x] to edges[x + 1].
 * @param {Float64Array} time
 * @param {{from_ms: number, to_ms: number}} range
 * @param {number} width
 */
export function columnEdges(time, range, width) {
  const edges = new Uint32Array(width + 1);
  const step = (range.to_ms - range.from_ms) / width;
  let row = lowerBound(time, range.from_ms);
  for (let x = 0; x <= width; x += 1) {
    const from = range.from_ms + x * step;
    while (row < time.length && time[row] < from) row += 1;
    edges[x] = row;
  }
  return edges;
}

/**
 * @typedef {object} Columns what is left of a series when many rows fall on a pixel; NaN where there is none
 * @property {Float32Array} low
 * @property {Float32Array} high
 * @property {Float32Array} mean
 */

/** Rows that are looked at as one when many fall on a pixel. */
const BUCKET = 8;

/** @typedef {{low: Float32Array, high: Float32Array, sum: Float64Array, count: Uint8Array}} Buckets */

/** @type {WeakMap<Float32Array, Buckets>} */
const known = new WeakMap();

/** @param {Float32Array} values @returns {Buckets} of its whole buckets; an empty one has the least and most of nothing */
function bucketsOf(values) {
  const found = known.get(values);
  if (found) return found;
  const length = Math.floor(values.length / BUCKET);
  const made = { low: new Float32Array(length).fill(Infinity), high: new Float32Array(length).fill(-Infinity), sum: new Float64Array(length), count: new Uint8Array(length) };
  for (let row = 0; row < length * BUCKET; row += 1) {
    const value = values[row];
    if (Number.isNaN(value)) continue;
    const at = (row / BUCKET) | 0;
    if (value < made.low[at]) made.low[at] = value;
    if (value > made.high[at]) made.high[at] = value;
    made.sum[at] += value;
    made.count[at] += 1;
  }
  known.set(values, made);
  return made;
}

/**
 * @param {Float32Array} values
 * @param {Uint32Array} edges
 * @returns {Columns}
 */
export function reduceColumns(values, edges) {
  const width = edges.length - 1;
  const low = new Float32Array(width).fill(NaN);
  const high = new Float32Array(width).fill(NaN);
  const mean = new Float32Array(width).fill(NaN);
  const sums = edges[width] - edges[0] > width * BUCKET * 2 ? bucketsOf(values) : null;
  for (let x = 0; x < width; x += 1) {
    let least = Infinity;
    let most = -Infinity;
    let sum = 0;
    let n = 0;
    for (let row = edges[x]; row < edges[x + 1]; ) {
      if (sums !== null && row % BUCKET === 0 && row + BUCKET <= edges[x + 1]) {
        const at = row / BUCKET;
        if (sums.low[at] < least) least = sums.low[at];
        if (sums.high[at] > most) most = sums.high[at];
        sum += sums.sum[at];
        n += sums.count[at];
        row += BUCKET;
        continue;
      }
      const value = values[row];
      row += 1;
      if (Number.isNaN(value)) continue;
      if (value < least) least = value;
      if (value > most) most = value;
      sum += value;
      n += 1;
    }
    if (n > 0) {
      low[x] = least;
      high[x] = most;
      mean[x] = sum / n;
    }
  }
  return { low, high, mean };
}

/** @typedef {{width: number, x: Float64Array, reduce: (values: Float32Array) => Columns}} Sample of a plot of this width; x: where on it, in pixels */

/**
 * What there is to draw of a range: columns of pixels when many rows fall on each, else the rows themselves, with
 * their neighbours on both sides, so that lines do not end at the edge.
 * @param {Dstat} dstat
 * @param {{from_ms: number, to_ms: number}} range
 * @param {number} width in pixels
 * @returns {Sample}
 */
export function sampleRange({ time, step_ms }, range, width) {
  const perPixel = (range.to_ms - range.from_ms) / width;
  if (step_ms < perPixel * 2) {
    const edges = columnEdges(time, range, width);
    return { width, x: Float64Array.from({ length: width }, (_, x) => x + 0.5), reduce: (values) => reduceColumns(values, edges) };
  }
  const first = Math.max(0, lowerBound(time, range.from_ms) - 1);
  const last = Math.min(time.length, lowerBound(time, range.to_ms) + 1);
  const x = Float64Array.from(time.subarray(first, last), (ms) => (ms - range.from_ms) / perPixel);
  return {
    width,
    x,
    reduce(values) {
      const rows = values.subarray(first, last);
      return { low: rows, high: rows, mean: rows };
    },
  };
}

/**
 * The rows of stacked series added up, so that their peaks are those of moments that were.
 * @param {Series[]} series
 */
export function total(series) {
  const sum = new Float32Array(series[0].values.length);
  for (const { values } of series) for (let i = 0; i < sum.length; i += 1) sum[i] += Number.isNaN(values[i]) ? 0 : values[i];
  return sum;
}
