// SPDX-License-Identifier: Apache-2.0
// What else ran, on every worker, while a test did.

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{lane: number, during: number[], before: number, after: number}} Neighbours tests; before, after: the nearest of that worker, -1 for none */

/**
 * @param {TestSet} tests
 * @param {number} i
 * @returns {Neighbours[]} one a lane, its own first
 */
export function neighboursOf(tests, i) {
  const [from, to] = [tests.start[i], tests.end[i]];
  const own = tests.lane[i];
  /** @type {Neighbours[]} */
  const found = tests.workers.map((_, lane) => ({ lane, during: [], before: -1, after: -1 }));
  for (const j of tests.byStart) {
    if (j === i) continue;
    const here = found[tests.lane[j]];
    if (tests.lane[j] === own ? isBefore(tests, j, i) : tests.end[j] < from || (tests.end[j] === from && tests.start[j] < from)) {
      if (here.before < 0 || tests.end[j] >= tests.end[here.before]) here.before = j;
    } else if (tests.start[j] > to || (tests.lane[j] === own && tests.start[j] >= to)) {
      if (here.after < 0) here.after = j;
    } else {
      here.during.push(j);
    }
  }
  return [found[own], ...found.filter((_, lane) => lane !== own)];
}

/** Tests of one worker follow each other, those that took no time too. @param {TestSet} tests @param {number} j @param {number} i */
function isBefore(tests, j, i) {
  return tests.end[j] <= tests.start[i] && (tests.start[j] < tests.start[i] || j < i);
}
