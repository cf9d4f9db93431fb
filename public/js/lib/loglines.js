// SPDX-License-Identifier: Apache-2.0
// An attachment as lines with levels.  A line without a level of its own belongs to the record before it and shares
// its level, so that a filter by level can never take a traceback apart.

/** Levels in ascending order; what stands before the first record has none and is always shown. */
const NO_LEVEL = 0;
/** @type {Record<string, number>} */
const LEVEL_OF = { trace: 1, debug: 1, info: 2, audit: 2, notice: 2, warn: 3, warning: 3, error: 4, critical: 4, fatal: 4 };
/** @type {Record<string, number>} the choices of the filter */
export const LEAST = { "": 0, info: 2, warning: 3, error: 4 };

// oslo.log and python's own: a moment, perhaps a process, then the level; or the level alone and a bracket or colon.
const TIMED = /^\s*\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?\]?,?\s+(?:\[?\d+\]?:?\s+)?\[?(TRACE|DEBUG|INFO|AUDIT|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b/i;
const BARE = /^(TRACE|DEBUG|INFO|AUDIT|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)(?::|\s+\[|\s{2,})/;

/** @typedef {{lines: string[], levels: Uint8Array, leveled: boolean}} LogText leveled: some line has a level */

/**
 * @param {string} text
 * @returns {LogText}
 */
export function logLines(text) {
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const levels = new Uint8Array(lines.length);
  let level = NO_LEVEL;
  let leveled = false;
  for (let n = 0; n < lines.length; n += 1) {
    const word = (TIMED.exec(lines[n]) ?? BARE.exec(lines[n]))?.[1];
    if (word !== undefined) {
      level = LEVEL_OF[word.toLowerCase()] ?? LEVEL_OF.info;
      leveled = true;
    }
    levels[n] = level;
  }
  return { lines, levels, leveled };
}

/**
 * The numbers of the lines that are at least of a level.
 * @param {LogText} log
 * @param {string} least one of LEAST
 * @returns {Uint32Array}
 */
export function linesOf({ levels }, least) {
  const floor = LEAST[least] ?? 0;
  const all = Uint32Array.from(levels, (_, n) => n);
  return floor === 0 ? all : all.filter((n) => levels[n] === NO_LEVEL || levels[n] >= floor);
}

/**
 * @param {LogText} log
 * @param {Uint32Array} rows
 * @param {string} words any case; looked for as they stand
 * @returns {number[]} places in `rows`
 */
export function findRows({ lines }, rows, words) {
  const wanted = words.toLowerCase();
  /** @type {number[]} */
  const found = [];
  if (wanted) rows.forEach((n, at) => lines[n].toLowerCase().includes(wanted) && found.push(at));
  return found;
}

/** @param {number} level @returns {"error"|"warning"|""} how a line is marked */
export function toneOf(level) {
  return level >= 4 ? "error" : level === 3 ? "warning" : "";
}

/**
 * Where a text is in a line.
 * @param {string} line
 * @param {string} words any case; looked for as they stand
 * @returns {[number, number][]} beginnings and lengths, in order
 */
export function hitsIn(line, words) {
  const low = line.toLowerCase();
  const wanted = words.toLowerCase();
  /** @type {[number, number][]} */
  const hits = [];
  // Some letters change their length with their case: then nothing can be pointed at.
  if (!wanted || low.length !== line.length) return hits;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, at + wanted.length)) hits.push([at, wanted.length]);
  return hits;
}
