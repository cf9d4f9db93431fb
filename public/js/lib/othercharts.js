// SPDX-License-Identifier: Apache-2.0
// The columns of a dstat file that no usual chart shows: somebody may want to see them.
import { formatBytes, formatNumber, formatPercent, formatRate, niceMax } from "./format.js";
import { CHARTS, hasNumbers } from "./metrics.js";

/** @typedef {import("./dstat.js").Dstat} Dstat */
/** @typedef {import("./metrics.js").Chart} Chart */

/** How the columns of a group are written; others are plain numbers. @type {[RegExp, (value: number) => string, 1000|1024][]} */
const FORMATS = [
  [/cpu_usage|\/util$/, formatPercent, 1000],
  [/^(?:memory|swap|virtual)/, formatBytes, 1024],
  [/^(?:dsk|net|paging)/, formatRate, 1024],
];

/**
 * Each column that no usual chart shows, as a chart of its own.
 * @param {Dstat} dstat
 * @returns {Chart[]}
 */
export function otherCharts(dstat) {
  const shown = new Set(CHARTS.flatMap((chart) => chart.series.flatMap(([, , keys]) => keys)));
  const charts = [];
  for (const [key, values] of dstat.columns) {
    if (shown.has(key) || !hasNumbers(values)) continue;
    const [, format, base] = FORMATS.find(([pattern]) => pattern.test(key)) ?? [null, formatNumber, /** @type {1000} */ (1000)];
    const [group, column] = [key.slice(0, key.lastIndexOf("/")), key.slice(key.lastIndexOf("/") + 1)];
    charts.push({ key, name: group.replace(/_/g, " "), stacked: false, series: [{ label: column, values, colour: 1 }], format, top: (/** @type {number} */ most) => niceMax(most, base) });
  }
  return charts;
}
