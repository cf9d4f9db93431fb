// SPDX-License-Identifier: Apache-2.0
// What a pointer means on the lanes.
import { AXIS, GAP, LANES_TOP, rowSpan } from "./lanes.js";
import { TEST_STATUSES } from "./status.js";

/** @typedef {import("./lanes.js").LaneIndex} LaneIndex */
/** @typedef {import("./lanes.js").Layout} Layout */
/** @typedef {{tests: import("./testset.js").TestSet, index: LaneIndex, failures: readonly number[], layout: Layout, range: import("./range.js").Range, width: number, gutter: number}} Seen what is on the screen */

/** How far beside a test a hand may be, in pixels. */
export const SLACK = 5;

/**
 * @param {Seen} seen
 * @param {number} x in CSS pixels of the canvas of lanes
 * @param {number} y
 * @returns {number} test, or -1
 */
export function testUnder(seen, x, y) {
  const perPixel = (seen.range.to_ms - seen.range.from_ms) / (seen.width - seen.gutter);
  const ms = seen.range.from_ms + (x - seen.gutter) * perPixel;
  if (x < seen.gutter - SLACK) return -1;
  if (y < LANES_TOP) return y >= AXIS ? nearestFailure(seen, ms, SLACK * perPixel) : -1;
  const lane = laneAt(seen.layout, y);
  return lane < 0 ? -1 : testAt(seen.index, lane, ms, SLACK * perPixel);
}

/**
 * The test that a pointer means: the worst of those under it, else the nearest within `slack_ms`, -1 for none.
 * @param {LaneIndex} index
 * @param {number} lane
 * @param {number} ms
 * @param {number} slack_ms
 */
export function testAt(index, lane, ms, slack_ms) {
  let best = -1;
  let bestDistance = Infinity;
  for (const status of TEST_STATUSES) {
    const row = index.rows[lane][status];
    const { first, last } = rowSpan(row, ms - slack_ms, ms + slack_ms);
    for (let k = last - 1; k >= first; k -= 1) {
      const distance = ms < row.start[k] ? row.start[k] - ms : ms > row.end[k] ? ms - row.end[k] : 0;
      if (distance <= slack_ms && distance < bestDistance) {
        best = row.ids[k];
        bestDistance = distance;
      }
      if (bestDistance === 0) return best;
    }
  }
  return best;
}

/** @param {Layout} layout @param {number} y @returns {number} lane, -1 for none */
export function laneAt({ tops, heights }, y) {
  // The space below a lane belongs to it: between lanes there is nothing to be meant.
  for (let lane = tops.length - 1; lane >= 0; lane -= 1) if (y >= tops[lane]) return y < tops[lane] + heights[lane] + GAP ? lane : -1;
  return -1;
}

/** @param {Seen} seen @param {number} ms @param {number} slack_ms */
function nearestFailure(seen, ms, slack_ms) {
  let best = -1;
  for (const i of seen.failures) {
    const distance = Math.abs(seen.tests.end[i] - ms);
    if (distance <= slack_ms && (best < 0 || distance < Math.abs(seen.tests.end[best] - ms))) best = i;
  }
  return best;
}
