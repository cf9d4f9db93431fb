// SPDX-License-Identifier: Apache-2.0
// Colours of a terminal as the server stores them beside a text: `start+length:code` with blanks between, where a code
// is marks (bold, italic, underlined, struck out), an ink and a ground: `B1`, `U/4`.  Which shades those are, css/sgr.css says.

/** @typedef {{start: number, end: number, classes: string}} Run */
/** @typedef {{text: string, classes: string, hit: boolean}} Piece */

const RUN = /^(\d+)\+(\d+):([BIUS]*)([0-9a-f]?)(?:\/([0-9a-f]))?$/;
const MARKS = /** @type {Record<string, string>} */ ({ B: "sgr-bold", I: "sgr-italic", U: "sgr-under", S: "sgr-struck" });

/** @param {string|undefined} stored @returns {Run[]} in order; what is none of them is passed over */
export function parseRuns(stored) {
  /** @type {Run[]} */
  const runs = [];
  for (const word of stored ? stored.split(" ") : []) {
    const match = RUN.exec(word);
    if (!match) continue;
    const [, at, length, marks, ink, ground] = match;
    const start = Number(at);
    if (start < (runs[runs.length - 1]?.end ?? 0)) continue;
    runs.push({ start, end: start + Number(length), classes: classesOf(marks, ink, ground) });
  }
  return runs;
}

/** @param {string} marks some of BIUS @param {string|undefined} ink a hexadecimal digit; "" = the usual one @param {string|undefined} ground */
export function classesOf(marks, ink, ground) {
  return [...[...marks].map((mark) => MARKS[mark]), ink && `ink-${ink}`, ground && `ground-${ground}`].filter(Boolean).join(" ");
}

/**
 * A stretch of a text, cut where its look changes.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {readonly Run[]} runs
 * @param {readonly [number, number][]} hits beginnings and lengths, in order
 * @returns {Piece[]}
 */
export function piecesOf(text, from, to, runs, hits) {
  /** @type {Piece[]} */
  const pieces = [];
  let run = 0;
  let hit = 0;
  for (let at = from; at < to; ) {
    while (run < runs.length && runs[run].end <= at) run += 1;
    while (hit < hits.length && hits[hit][0] + hits[hit][1] <= at) hit += 1;
    let next = to;
    let classes = "";
    if (run < runs.length) {
      const inside = runs[run].start <= at;
      if (inside) classes = runs[run].classes;
      next = Math.min(next, inside ? runs[run].end : runs[run].start);
    }
    const marked = hit < hits.length && hits[hit][0] <= at;
    if (hit < hits.length) next = Math.min(next, marked ? hits[hit][0] + hits[hit][1] : hits[hit][0]);
    pieces.push({ text: text.slice(at, next), classes, hit: marked });
    at = next;
  }
  return pieces;
}
