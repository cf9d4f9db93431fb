// SPDX-License-Identifier: Apache-2.0
// What a worker did when no test ran: it set up the next class, or it had nothing to do.
import { fullClassOf } from "./testset.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** Between tests of different classes: the one is torn down and the other set up, and nothing says where one ends. */
export const BETWEEN = 1;
/** Between tests of one class. */
export const INSIDE = 2;
/** Before the worker's first test, while others ran already. */
export const BEFORE = 3;
/** After its last, while others still ran. */
export const AFTER = 4;

/** @typedef {{lane: number, kind: number, from_ms: number, to_ms: number, before: number, after: number}} Gap before, after: tests, -1 for none */

/**
 * @typedef {object} LaneTime how a worker spent the run; the four lengths add up to the run's
 * @property {number} lane
 * @property {number} tests
 * @property {number} busy_ms at least one test ran
 * @property {number} between_ms classes were torn down and set up
 * @property {number} inside_ms idle between tests of one class
 * @property {number} edge_ms idle before the first and after the last test
 * @property {number} end_ms of its last test
 */

const LEAST_MS = 1;

/**
 * @param {TestSet} tests
 * @returns {{lanes: LaneTime[], gaps: Gap[]}} gaps by lane and time
 */
export function findGaps(tests) {
  const lanes = tests.workers.map((_, lane) => ({ lane, tests: 0, busy_ms: 0, between_ms: 0, inside_ms: 0, edge_ms: 0, end_ms: tests.from_ms }));
  /** @type {Gap[][]} */
  const gaps = tests.workers.map(() => []);
  /** The test that ended last so far on each lane. */
  const last = new Int32Array(tests.workers.length).fill(-1);
  for (const i of tests.byStart) {
    const lane = tests.lane[i];
    const time = lanes[lane];
    const before = last[lane];
    const reached = before < 0 ? tests.from_ms : tests.end[before];
    time.tests += 1;
    const gap_ms = tests.start[i] - reached;
    if (gap_ms >= LEAST_MS) {
      const kind = before < 0 ? BEFORE : fullClassOf(tests.names[before]) === fullClassOf(tests.names[i]) ? INSIDE : BETWEEN;
      gaps[lane].push({ lane, kind, from_ms: reached, to_ms: tests.start[i], before, after: i });
      if (kind === BETWEEN) time.between_ms += gap_ms;
      else if (kind === INSIDE) time.inside_ms += gap_ms;
      else time.edge_ms += gap_ms;
    }
    time.busy_ms += Math.max(0, tests.end[i] - Math.max(reached, tests.start[i]));
    if (before < 0 || tests.end[i] >= reached) last[lane] = i;
    time.end_ms = Math.max(time.end_ms, tests.end[i]);
  }
  for (const time of lanes) {
    const left = tests.to_ms - time.end_ms;
    time.edge_ms += left;
    if (left >= LEAST_MS) gaps[time.lane].push({ lane: time.lane, kind: AFTER, from_ms: time.end_ms, to_ms: tests.to_ms, before: last[time.lane], after: -1 });
  }
  return { lanes, gaps: gaps.flat() };
}
