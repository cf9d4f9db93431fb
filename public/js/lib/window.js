// SPDX-License-Identifier: Apache-2.0
// What the machine did at a moment, and during a stretch of time as one number a series.
import { lowerBound } from "./testset.js";

/** @typedef {import("./dstat.js").Dstat} Dstat */
/** @typedef {import("./metrics.js").Chart} Chart */

/**
 * Mean and peak of each series over the rows of a stretch; of a stretch between two rows, the one before it.
 * @param {Dstat} dstat
 * @param {readonly Chart[]} charts
 * @param {number} from_ms
 * @param {number} to_ms
 * @returns {{name: string, label: string, mean: string, peak: string}[]} empty where nothing was measured
 */
export function overStretch({ time, step_ms }, charts, from_ms, to_ms) {
  const last = Math.min(time.length, lowerBound(time, to_ms) + 1);
  const first = Math.min(lowerBound(time, from_ms), Math.max(0, last - 1));
  if (last <= first || time[first] > to_ms + step_ms * 2 || time[last - 1] < from_ms - step_ms * 2) return [];
  return charts.flatMap((chart) =>
    chart.series.flatMap(({ label, values }) => {
      const rows = values.subarray(first, last).filter((value) => !Number.isNaN(value));
      if (!rows.length) return [];
      const mean = rows.reduce((sum, value) => sum + value, 0) / rows.length;
      return [{ name: chart.name, label, mean: chart.format(mean), peak: chart.format(rows.reduce((most, value) => Math.max(most, value), -Infinity)) }];
    }),
  );
}

/**
 * The row that was measured at a moment, -1 when the nearest is more than two steps off.
 * @param {Dstat} dstat
 * @param {number} ms
 */
export function rowAt(dstat, ms) {
  const after = lowerBound(dstat.time, ms);
  const before = Math.max(0, after - 1);
  const at = after < dstat.time.length && Math.abs(dstat.time[after] - ms) <= Math.abs(dstat.time[before] - ms) ? after : before;
  return Math.abs(dstat.time[at] - ms) <= dstat.step_ms * 2 ? at : -1;
}
