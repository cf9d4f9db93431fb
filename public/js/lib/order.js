// SPDX-License-Identifier: Apache-2.0
// In which order tests are shown.

/** @typedef {import("./testset.js").TestSet} TestSet */
/** @typedef {import("./urlstate.js").SortKey} SortKey */

/**
 * @param {TestSet} tests
 * @param {Uint8Array|null} mask
 * @param {SortKey} key
 * @param {boolean} descending
 * @returns {Uint32Array} the tests to show; equal ones in order of start
 */
export function sortTests(tests, mask, key, descending) {
  const order = mask ? tests.byStart.filter((i) => mask[i] === 1) : tests.byStart.slice();
  if (key === "start") return descending ? order.reverse() : order;
  const sign = descending ? -1 : 1;
  if (key === "name") return byName(tests, order, sign);
  /** @type {(i: number) => number} */
  const value = key === "duration" ? (i) => tests.end[i] - tests.start[i] : key === "status" ? (i) => tests.status[i] : (i) => tests.lane[i];
  return order.sort((a, b) => sign * (value(a) - value(b)) || tests.start[a] - tests.start[b] || a - b);
}

/** @param {TestSet} tests @param {Uint32Array} order @param {number} sign */
function byName(tests, order, sign) {
  const { names } = tests;
  return order.sort((a, b) => (names[a] < names[b] ? -sign : names[a] > names[b] ? sign : a - b));
}

/**
 * The longest tests, the longest first, without sorting all.
 * @param {TestSet} tests
 * @param {number} most
 */
export function slowestTests(tests, most) {
  /** @type {number[]} */
  const best = [];
  /** @param {number} i */
  const length = (i) => tests.end[i] - tests.start[i];
  for (const i of tests.byStart) {
    if (best.length === most && length(i) <= length(best[most - 1])) continue;
    let at = best.length;
    while (at > 0 && length(best[at - 1]) < length(i)) at -= 1;
    best.splice(at, 0, i);
    if (best.length > most) best.pop();
  }
  return best;
}
