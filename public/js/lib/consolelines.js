// SPDX-License-Identifier: Apache-2.0
// Lines of a console as the server lays them out: one line object a text line, so that any block can be read alone.

/** @typedef {0|1|2|3} Level 0 = none of its own, then as in LEVELS */
/** @typedef {{number: number, date: string, text: string, level: Level, sgr: string}} ConsoleLine number counts from 0 over the whole console; sgr: its colours (sgr.js) */

export const LEVELS = Object.freeze(["", "WARNING", "ERROR", "CRITICAL"]);
export const ENTRY = '{"date":';

/**
 * The lines in a block; section heads and brackets between them are passed over.
 * @param {string} text
 * @param {number} first number of the first line
 * @returns {ConsoleLine[]}
 */
export function consoleLines(text, first) {
  /** @type {ConsoleLine[]} */
  const lines = [];
  for (const row of text.split("\n")) {
    if (!row.startsWith(ENTRY)) continue;
    const { date, line, level, sgr } = JSON.parse(row.endsWith(",") ? row.slice(0, -1) : row);
    lines.push({ number: first + lines.length, date: date ?? "", text: line, level: /** @type {Level} */ (Math.max(0, LEVELS.indexOf(level ?? ""))), sgr: sgr ?? "" });
  }
  return lines;
}

/** How a line is marked. @param {Level} level @returns {"error"|"warning"|""} */
export function toneOf(level) {
  return level >= 2 ? "error" : level === 1 ? "warning" : "";
}

/** @param {string} date of a line, UTC @returns {number} ms, NaN when it has none */
export function dateMs(date) {
  return date ? Date.parse(`${date.slice(0, 10)}T${date.slice(11, 23)}Z`) : NaN;
}

/** What the server writes for a carriage return inside a line. */
const RETURN = "␍";

/**
 * What a terminal would have left of a line that wrote over itself.
 * @param {string} text
 * @returns {{from: number, to: number, hidden: number}} where that is in the text; hidden: how many earlier states of it
 */
export function lastState(text) {
  if (!text.includes(RETURN)) return { from: 0, to: text.length, hidden: 0 };
  let [from, to, count] = [0, 0, 0];
  for (let at = 0; at <= text.length; ) {
    const next = text.indexOf(RETURN, at);
    const end = next < 0 ? text.length : next;
    if (text.slice(at, end).trim() !== "") [from, to, count] = [at, end, count + 1];
    at = end + 1;
  }
  return { from, to, hidden: Math.max(0, count - 1) };
}

/**
 * What of a long line is shown: its beginning, or what is around a place in it.
 * @param {number} from @param {number} to of what there is
 * @param {number} place @param {number} most characters
 * @returns {[number, number]}
 */
export function stretch(from, to, place, most) {
  const first = place + most / 4 < from + most ? from : Math.max(from, place - most / 4);
  return [first, Math.min(to, first + most)];
}

/** @typedef {[number, number]} Span first and last line, from 0 */

/** `L10` or `L10-L20`, counted from 1. @param {string} word @returns {Span|null} */
export function parseLines(word) {
  const match = /^L?(\d{1,8})(?:-L?(\d{1,8}))?$/i.exec(word.trim());
  if (!match) return null;
  const [a, b] = [Number(match[1]), Number(match[2] ?? match[1])];
  return a > 0 && b > 0 ? [Math.min(a, b) - 1, Math.max(a, b) - 1] : null;
}

/** @param {Span} span */
export function formatLines([first, last]) {
  return first === last ? `L${first + 1}` : `L${first + 1}-L${last + 1}`;
}

/**
 * The numbers of the lines that are shown, in order.
 * @typedef {{count: number, at: (row: number) => number, rowOf: (line: number) => number}} Rows rowOf: the row that shows a line, or the next after it
 */

/** @param {number} from @param {number} to @returns {Rows} */
export function allRows(from, to) {
  const count = Math.max(0, to - from);
  return { count, at: (row) => from + row, rowOf: (line) => Math.max(0, Math.min(count - 1, line - from)) };
}

/** @param {Uint32Array} numbers ascending @returns {Rows} */
export function someRows(numbers) {
  return {
    count: numbers.length,
    at: (row) => numbers[row],
    rowOf(line) {
      let low = 0;
      for (let high = numbers.length; low < high; ) {
        const middle = (low + high) >> 1;
        if (numbers[middle] < line) low = middle + 1;
        else high = middle;
      }
      return Math.max(0, Math.min(numbers.length - 1, low));
    },
  };
}

/**
 * The lines of a console that are at least of a level; null = there is nothing to leave out.
 * @param {Uint8Array} levels of all lines
 * @param {number} least
 * @param {number} from
 * @param {number} to
 */
export function leveledLines(levels, least, from, to) {
  let count = 0;
  for (let n = from; n < to; n += 1) if (levels[n] >= least) count += 1;
  const numbers = new Uint32Array(count);
  for (let n = from, at = 0; n < to; n += 1) if (levels[n] >= least) numbers[at++] = n;
  return numbers;
}

/**
 * The blocks in which a moment can be: those that begin with the last block that began before it.
 * @param {readonly (readonly [number, number, number, number, number, number|null])[]} blocks
 * @param {number} ms
 */
export function blockAtTime(blocks, ms) {
  let at = 0;
  for (let n = 0; n < blocks.length; n += 1) {
    const began = blocks[n][5];
    if (began === null) continue;
    if (began >= ms) break;
    at = n;
  }
  return at;
}
