// SPDX-License-Identifier: Apache-2.0
// dstat's CSV as columns of numbers.

/** @typedef {{time: Float64Array, columns: Map<string, Float32Array>, step_ms: number}} Dstat keys are "group/column"; step = usual distance of rows */

/**
 * Any dialect that names its columns: a row of groups, a row of columns, then data; a header may come again.
 * dstat writes no year: it is taken from `near_ms`, and a December before a January is of the year before.
 * @param {string} text
 * @param {number} near_ms a moment of the run
 * @returns {Dstat|null} null when there is no row of numbers
 */
export function parseDstat(text, near_ms) {
  const lines = text.split("\n");
  /** @type {string[]} */
  let keys = [];
  let timeAt = -1;
  const time = new Float64Array(lines.length);
  /** @type {Map<string, Float32Array>} */
  const columns = new Map();
  /** @type {(Float32Array|null)[]} */
  let targets = [];
  let count = 0;
  for (let n = 0; n < lines.length; n += 1) {
    const line = lines[n];
    if (line.charCodeAt(0) === 34 /* " */) {
      const header = cells(line);
      timeAt = header.findIndex((cell) => cell === "time" || cell === "epoch");
      if (timeAt >= 0 && n > 0) {
        keys = joinHeader(cells(lines[n - 1]), header);
        targets = keys.map((key, i) => (i === timeAt ? null : columnFor(columns, key, lines.length)));
      }
      continue;
    }
    if (timeAt < 0 || line.length < 3) continue;
    const row = line.split(",");
    const ms = parseTime(row[timeAt], near_ms);
    if (Number.isNaN(ms) || (count > 0 && ms < time[count - 1])) continue;
    time[count] = ms;
    for (let i = 0; i < targets.length; i += 1) {
      const cell = row[i];
      const target = targets[i];
      if (target !== null) target[count] = cell === undefined || cell.trim() === "" ? NaN : Number(cell);
    }
    count += 1;
  }
  if (count === 0) return null;
  for (const [key, values] of columns) columns.set(key, values.slice(0, count));
  const cut = time.slice(0, count);
  return { time: cut, columns, step_ms: usualStep(cut) };
}

/** @param {string} line */
function cells(line) {
  return line.trim().split(",").map((cell) => cell.replace(/^"|"$/g, "").trim());
}

/** @param {string[]} groups @param {string[]} names */
function joinHeader(groups, names) {
  let group = "";
  return names.map((name, i) => {
    group = groups[i] || group;
    return `${group.replace(/[ /]/g, "_")}/${name}`;
  });
}

/**
 * @param {Map<string, Float32Array>} columns
 * @param {string} key
 * @param {number} length
 */
function columnFor(columns, key, length) {
  let values = columns.get(key);
  if (!values) {
    values = new Float32Array(length).fill(NaN);
    columns.set(key, values);
  }
  return values;
}

const DAY = /^"?(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)/;

/** @param {string|undefined} cell @param {number} near_ms */
function parseTime(cell, near_ms) {
  if (!cell) return NaN;
  const match = DAY.exec(cell);
  if (!match) {
    const epoch = Number(cell);
    return epoch > 1e8 ? epoch * 1000 : NaN;
  }
  const [, day, month, hour, minute, second] = match.map(Number);
  const year = new Date(near_ms).getUTCFullYear();
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  // The year that brings the row nearest to the run.
  if (ms - near_ms > 183 * 86400e3) return Date.UTC(year - 1, month - 1, day, hour, minute, second);
  if (near_ms - ms > 183 * 86400e3) return Date.UTC(year + 1, month - 1, day, hour, minute, second);
  return ms;
}

/** @param {Float64Array} time */
function usualStep(time) {
  const steps = [];
  for (let i = 1; i < time.length && steps.length < 501; i += 1) steps.push(time[i] - time[i - 1]);
  steps.sort((a, b) => a - b);
  return steps.length ? Math.max(1, steps[steps.length >> 1]) : 1000;
}
