// SPDX-License-Identifier: Apache-2.0
// Which tests are meant, and in which order the table shows them.
import { TEST_STATUS, TEST_STATUSES } from "./status.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{text: string, statuses: readonly string[]}} Filter no statuses = all of them */

/**
 * @param {TestSet} tests
 * @param {Filter} filter words that must all be in the name or a tag, any case
 * @returns {{mask: Uint8Array|null, count: number}} null when everything is meant
 */
export function applyFilter(tests, filter) {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Uint8Array(8);
  for (const status of TEST_STATUSES) if (!filter.statuses.length || filter.statuses.includes(TEST_STATUS[status].key)) wanted[status] = 1;
  if (words.length === 0 && filter.statuses.length === 0) return { mask: null, count: tests.count };
  const mask = new Uint8Array(tests.count);
  let count = 0;
  for (let i = 0; i < tests.count; i += 1) {
    if (wanted[tests.status[i]] === 0 || !matches(tests, i, words)) continue;
    mask[i] = 1;
    count += 1;
  }
  return { mask, count };
}

/** @param {TestSet} tests @param {number} i @param {string[]} words */
function matches(tests, i, words) {
  if (words.length === 0) return true;
  const name = tests.names[i].toLowerCase();
  return words.every((word) => name.includes(word) || tests.tags[i].some((tag) => tag.toLowerCase().includes(word)));
}

/** @typedef {"start"|"duration"|"status"|"name"|"worker"} SortKey */

/** @type {readonly SortKey[]} */
export const SORT_KEYS = ["status", "name", "worker", "start", "duration"];

/**
 * @param {TestSet} tests
 * @param {Uint8Array|null} mask
 * @param {SortKey} key
 * @param {boolean} descending
 * @returns {Uint32Array} the tests to show; equal ones in order of start
 */
export function sortTests(tests, mask, key, descending) {
  const order = mask ? tests.byStart.filter((i) => mask[i] === 1) : tests.byStart.slice();
  const sign = descending ? -1 : 1;
  if (key === "name") return byName(tests, order, sign);
  /** @type {(i: number) => number} */
  const value =
    key === "start" ? (i) => tests.start[i] : key === "duration" ? (i) => tests.end[i] - tests.start[i] : key === "status" ? (i) => tests.status[i] : (i) => tests.lane[i];
  return order.sort((a, b) => sign * (value(a) - value(b)) || tests.start[a] - tests.start[b] || a - b);
}

/** @param {TestSet} tests @param {Uint32Array} order @param {number} sign */
function byName(tests, order, sign) {
  const { names } = tests;
  return order.sort((a, b) => (names[a] < names[b] ? -sign : names[a] > names[b] ? sign : a - b));
}
