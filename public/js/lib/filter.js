// SPDX-License-Identifier: Apache-2.0
// Which tests are meant.
import { TEST_STATUS, TEST_STATUSES } from "./status.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{text: string, statuses: readonly string[], tag: string, least: number}} Filter no statuses = all of them; least in seconds */

/**
 * A filter's text that is written as /regular expression/ or /…/i, with or without its end; null: it is words.
 * @param {string} text
 * @returns {{source: string, anyCase: boolean}|null}
 */
export function patternOf(text) {
  const match = /^\/(.+?)(?:\/(i?))?$/s.exec(text.trim());
  return match ? { source: match[1], anyCase: match[2] === "i" } : null;
}

/** What an expression is tried on: the name and each tag in a line of its own, so that ^ and $ mean their ends. @param {TestSet} tests @param {number} i */
export function searchText(tests, i) {
  return tests.tags[i].length ? `${tests.names[i]}\n${tests.tags[i].join("\n")}` : tests.names[i];
}

/**
 * @param {TestSet} tests
 * @param {Filter} filter words that must all be in the name or a tag, any case
 * @param {Uint8Array|null} [hits] of the regular expression that the text is; without them such a text is passed over
 * @returns {{mask: Uint8Array|null, count: number}} null when everything is meant
 */
export function applyFilter(tests, filter, hits = null) {
  const words = patternOf(filter.text) ? [] : filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const { statuses, tag } = filter;
  if (words.length === 0 && !hits && statuses.length === 0 && !tag && !(filter.least > 0)) return { mask: null, count: tests.count };
  const wanted = new Uint8Array(8);
  for (const status of TEST_STATUSES) if (!statuses.length || statuses.includes(TEST_STATUS[status].key)) wanted[status] = 1;
  const least_ms = filter.least * 1000;
  const mask = new Uint8Array(tests.count);
  let count = 0;
  for (let i = 0; i < tests.count; i += 1) {
    if (wanted[tests.status[i]] === 0 || tests.end[i] - tests.start[i] < least_ms || (hits && hits[i] === 0)) continue;
    if ((tag && !tests.tags[i].includes(tag)) || (words.length > 0 && !matches(tests, i, words))) continue;
    mask[i] = 1;
    count += 1;
  }
  return { mask, count };
}

/** @param {TestSet} tests @param {number} i @param {string[]} words */
function matches(tests, i, words) {
  const name = tests.names[i].toLowerCase();
  return words.every((word) => name.includes(word) || tests.tags[i].some((tag) => tag.toLowerCase().includes(word)));
}
