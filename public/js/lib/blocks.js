// SPDX-License-Identifier: Apache-2.0
// Reading parts of a blob: which block, and what its text means when the rest is not there.

/** @typedef {import("./types.js").BlockIndex} BlockIndex */

/**
 * The blocks in which the line or test can be: the last that begins at or before it, and those that begin with it.
 * @param {BlockIndex} index
 * @param {number} ordinal
 * @returns {{first: number, last: number}} block numbers
 */
export function blocksOf(index, ordinal) {
  const { blocks } = index;
  let last = 0;
  for (let low = 0, high = blocks.length - 1; low <= high; ) {
    const middle = (low + high) >> 1;
    if (blocks[middle][4] <= ordinal) {
      last = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  let first = last;
  while (first > 0 && blocks[first][4] === ordinal && blocks[first - 1][4] === ordinal) first -= 1;
  return { first, last };
}

const KEY = /^"(?:[^"\\]|\\.)*"/;

/**
 * A test's attachments out of a block of `subunit-details`, whose lines are `"<name>":{...},`.
 * @param {string} text
 * @param {string} name
 * @returns {Record<string, string>|null} null: not in this block
 */
export function findDetails(text, name) {
  for (const line of text.split("\n")) {
    const key = KEY.exec(line)?.[0];
    if (key === undefined || JSON.parse(key) !== name) continue;
    const value = line.slice(key.length).replace(/^\s*:/, "").replace(/,\s*$/, "");
    return JSON.parse(value);
  }
  return null;
}
