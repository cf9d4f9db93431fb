// SPDX-License-Identifier: Apache-2.0
// Where the lanes lie, and which status each pixel of one shows.  The worst that touches a pixel wins it, and every test touches at least
// one, so nothing can vanish however far one zooms out.  Skips take no time and there are many: they are painted in a
// band of their own in the middle of the lane, where they hide nothing and nothing but a failure hides them.
import { lowerBound } from "./testset.js";
import { BETWEEN } from "./gaps.js";
import { BETWEEN_CLASSES, FAIL, PASS, SKIP, UNFINISHED } from "./status.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{ids: Uint32Array, start: Float64Array, end: Float64Array, reach: Float64Array}} Row tests by start; reach = latest end so far */

/** @typedef {{rows: Row[][], width: number, next: Int32Array}} LaneIndex rows[lane][status] */

/** Added to a status in a painted column: all its tests are filtered out. */
export const DIMMED = 8;

/** Who wins a pixel of the whole lane, and who of its middle. */
export const WHOLE = Object.freeze([FAIL, UNFINISHED, PASS, SKIP, BETWEEN_CLASSES]);
export const BAND = Object.freeze([FAIL, UNFINISHED, SKIP, PASS, BETWEEN_CLASSES]);

/**
 * @param {TestSet} tests
 * @param {readonly import("./gaps.js").Gap[]} [gaps] in order of time; those between classes are painted where no test is
 * @returns {LaneIndex}
 */
export function indexLanes(tests, gaps = []) {
  /** @type {number[][][]} */
  const lists = tests.workers.map(() => Array.from({ length: 5 }, () => []));
  for (const i of tests.byStart) lists[tests.lane[i]][tests.status[i]].push(i);
  const rows = lists.map((byStatus) => byStatus.map((ids) => makeRow(ids, (i) => tests.start[i], (i) => tests.end[i])));
  rows.forEach((byStatus, lane) => {
    const mine = gaps.filter((gap) => gap.lane === lane && gap.kind === BETWEEN);
    const of = new Map(mine.map((gap) => [gap.after, gap]));
    byStatus[BETWEEN_CLASSES] = makeRow(mine.map((gap) => gap.after), (i) => of.get(i)?.from_ms ?? 0, (i) => of.get(i)?.to_ms ?? 0);
  });
  return { rows, width: 0, next: new Int32Array(0) };
}

/**
 * @param {number[]} list
 * @param {(i: number) => number} from
 * @param {(i: number) => number} to
 * @returns {Row}
 */
function makeRow(list, from, to) {
  const ids = Uint32Array.from(list);
  const start = Float64Array.from(ids, from);
  const end = Float64Array.from(ids, to);
  const reach = new Float64Array(ids.length);
  let latest = -Infinity;
  for (let k = 0; k < ids.length; k += 1) {
    latest = Math.max(latest, end[k]);
    reach[k] = latest;
  }
  return { ids, start, end, reach };
}

/**
 * The part of a row that can touch the range; both ends by binary search.
 * @param {Row} row
 * @param {number} from_ms
 * @param {number} to_ms
 */
export function rowSpan(row, from_ms, to_ms) {
  const last = lowerBound(row.start, to_ms);
  return { first: Math.min(lowerBound(row.reach, from_ms), last), last };
}

/**
 * Paint a lane into columns: `into[x]` becomes a status (plus DIMMED), 0 where nothing ran.
 * Each column is written once: columns that are taken are skipped by links, so that a lane of tests that all overlap
 * costs no more than one in which none do.
 * @param {LaneIndex} index
 * @param {number} lane
 * @param {{from_ms: number, to_ms: number}} range
 * @param {Uint8Array} into one byte a pixel
 * @param {Uint8Array|null} mask 1 = the filter lets this test through; null: all
 * @param {readonly number[]} ranks the first wins
 */
export function paintLane(index, lane, range, into, mask, ranks) {
  const width = into.length;
  if (index.width !== width) {
    index.width = width;
    index.next = new Int32Array(width + 1);
  }
  const next = index.next;
  for (let x = 0; x <= width; x += 1) next[x] = x;
  into.fill(0);
  const scale = width / (range.to_ms - range.from_ms);
  for (const dimmed of mask ? [false, true] : [false]) {
    for (const status of ranks) {
      const row = index.rows[lane][status];
      const { first, last } = rowSpan(row, range.from_ms, range.to_ms);
      const value = dimmed ? status + DIMMED : status;
      for (let k = first; k < last; k += 1) {
        if (row.end[k] < range.from_ms || (mask !== null && (mask[row.ids[k]] === 1) === dimmed)) continue;
        const x0 = Math.max(0, Math.floor((row.start[k] - range.from_ms) * scale));
        const x1 = Math.min(width, Math.max(x0 + 1, Math.floor((row.end[k] - range.from_ms) * scale)));
        for (let x = free(next, x0); x < x1; x = free(next, x + 1)) {
          into[x] = value;
          next[x] = x + 1;
        }
      }
    }
  }
}

/** The first column from x on that is not painted yet. @param {Int32Array} next @param {number} x */
function free(next, x) {
  let root = x;
  while (next[root] !== root) root = next[root];
  for (let at = x; next[at] !== root; ) {
    const step = next[at];
    next[at] = root;
    at = step;
  }
  return root;
}

/**
 * The columns in which something failed, over all lanes, at least `apart` pixels from each other.
 * @param {LaneIndex} index
 * @param {readonly number[]} statuses
 * @param {{from_ms: number, to_ms: number}} range
 * @param {number} width
 * @param {number} apart
 * @param {Uint8Array|null} [mask] only these tests
 * @returns {number[]}
 */
export function markerColumns(index, statuses, range, width, apart, mask = null) {
  const scale = width / (range.to_ms - range.from_ms);
  const hit = new Uint8Array(width + 1);
  for (const byStatus of index.rows) {
    for (const status of statuses) {
      const row = byStatus[status];
      const { first, last } = rowSpan(row, range.from_ms, range.to_ms);
      for (let k = first; k < last; k += 1) {
        // A failure stands where it ended: that is when it failed.
        const x = Math.floor((row.end[k] - range.from_ms) * scale);
        if (row.end[k] >= range.from_ms && (mask === null || mask[row.ids[k]] === 1)) hit[Math.min(width, Math.max(0, x))] = 1;
      }
    }
  }
  const columns = [];
  for (let x = 0; x <= width; x += 1) {
    if (hit[x] && (columns.length === 0 || x - columns[columns.length - 1] >= apart)) columns.push(x);
  }
  return columns;
}

// Where each lane lies: thinner ones the more there are, and folded ones the thinnest.

/** Above the lanes are the axis and the markers of failures. */
export const AXIS = 20;
export const MARKERS = 12;
export const LANES_TOP = AXIS + MARKERS;
export const FOLDED = 5;
export const GAP = 3;

/** @typedef {{tops: number[], heights: number[], whole: number}} Layout in CSS pixels */

/**
 * @param {readonly string[]} labels of the lanes
 * @param {readonly string[]} folded labels of those that are
 * @returns {Layout}
 */
export function layoutLanes(labels, folded) {
  const thin = new Set(folded);
  const open = labels.filter((label) => !thin.has(label)).length;
  const tall = open <= 8 ? 24 : open <= 16 ? 18 : open <= 40 ? 13 : 8;
  const heights = labels.map((label) => (thin.has(label) ? FOLDED : tall));
  let y = LANES_TOP;
  const tops = heights.map((height) => {
    const top = y;
    y += height + GAP;
    return top;
  });
  return { tops, heights, whole: y + GAP };
}
