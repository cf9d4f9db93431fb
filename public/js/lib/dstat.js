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
  const most = countLines(text);
  /** @type {string[]} */
  let keys = [];
  let timeAt = -1;
  let previous = "";
  const time = new Float64Array(most);
  /** @type {Map<string, Float32Array>} */
  const columns = new Map();
  /** @type {(Float32Array|null)[]} */
  let targets = [];
  let count = 0;
  for (let at = 0, end = 0; at < text.length; at = end + 1) {
    end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (text.charCodeAt(at) === 34 /* " */) {
      const line = text.slice(at, end);
      const header = cells(line);
      timeAt = header.findIndex((cell) => cell === "time" || cell === "epoch");
      if (timeAt >= 0 && previous) {
        keys = joinHeader(cells(previous), header);
        targets = keys.map((key, i) => (i === timeAt ? null : columnFor(columns, key, most)));
      }
      previous = line;
      continue;
    }
    if (timeAt < 0 || end - at < 3) {
      previous = text.slice(at, end);
      continue;
    }
    const ms = parseTime(cellAt(text, at, end, timeAt), near_ms);
    if (Number.isNaN(ms) || (count > 0 && ms < time[count - 1])) continue;
    time[count] = ms;
    readRow(text, at, end, targets, count);
    count += 1;
  }
  if (count === 0) return null;
  for (const [key, values] of columns) columns.set(key, values.slice(0, count));
  const cut = time.slice(0, count);
  return { time: cut, columns, step_ms: usualStep(cut) };
}

/** @param {string} text */
function countLines(text) {
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines;
}

/** @param {string} text @param {number} at @param {number} end @param {number} column */
function cellAt(text, at, end, column) {
  let from = at;
  for (let n = 0; n < column; n += 1) {
    from = text.indexOf(",", from) + 1;
    if (from === 0 || from > end) return "";
  }
  const comma = text.indexOf(",", from);
  return text.slice(from, comma < 0 || comma > end ? end : comma);
}

/**
 * The numbers of a row, read where they stand: to cut a million cells out first would cost more than all the rest.
 * @param {string} text
 * @param {number} at
 * @param {number} end
 * @param {(Float32Array|null)[]} targets
 * @param {number} row
 */
function readRow(text, at, end, targets, row) {
  let from = at;
  for (let i = 0; i < targets.length && from <= end; i += 1) {
    let value = 0;
    let scale = 0;
    let plain = true;
    let to = from;
    for (; to < end; to += 1) {
      const code = text.charCodeAt(to);
      if (code === 44 /* , */) break;
      const digit = code - 48;
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit;
        scale *= 10;
      } else if (code === 46 /* . */ && scale === 0) {
        scale = 1;
      } else {
        plain = false;
      }
    }
    const target = targets[i];
    if (target !== null) {
      // Signs, exponents and spaces are rare, and digits past 2^53 would lose their scale.
      if (plain && to > from && value < 9e15) target[row] = scale > 1 ? value / scale : value;
      else if (to > from) target[row] = numberOf(text.slice(from, to));
    }
    from = to + 1;
  }
}

/** @param {string} cell */
function numberOf(cell) {
  return cell.trim() === "" ? NaN : Number(cell);
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
