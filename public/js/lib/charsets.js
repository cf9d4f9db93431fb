// SPDX-License-Identifier: Apache-2.0
// Sets of UTF-16 units, as expressions name them.  A set is a list of first and last units of its ranges, in order,
// apart from each other: [48, 57, 95, 95].

/** @typedef {readonly number[]} CharSet */

export const LAST_UNIT = 0xffff;

/** @type {CharSet} */
export const ANY = [0, LAST_UNIT];
/** @type {CharSet} */
export const DIGITS = [48, 57];
/** As `\w` and `\b` have it, which know no letters but these. @type {CharSet} */
export const WORD = [48, 57, 65, 90, 95, 95, 97, 122];
/** @type {CharSet} */
export const SPACES = [9, 13, 32, 32, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff];
/** @type {CharSet} */
export const NEWLINES = [10, 10, 13, 13, 0x2028, 0x2029];

/** @param {CharSet} ranges in any order, that may overlap @returns {CharSet} */
export function unite(ranges) {
  /** @type {[number, number][]} */
  const pairs = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i], ranges[i + 1]]);
  pairs.sort((a, b) => a[0] - b[0]);
  /** @type {number[]} */
  const set = [];
  for (const [first, last] of pairs) {
    if (set.length && first <= set[set.length - 1] + 1) set[set.length - 1] = Math.max(set[set.length - 1], last);
    else set.push(first, last);
  }
  return set;
}

/** All units that a set has not. @param {CharSet} set @returns {CharSet} */
export function others(set) {
  /** @type {number[]} */
  const rest = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i] > next) rest.push(next, set[i] - 1);
    next = set[i + 1] + 1;
  }
  if (next <= LAST_UNIT) rest.push(next, LAST_UNIT);
  return rest;
}

/** What each unit is compared as where case does not count. @type {Uint16Array|null} */
let capitals = null;

/** As RegExp does it without its flag u: one unit for one, and none of ASCII for one that is not. */
function capitalTable() {
  if (capitals) return capitals;
  capitals = new Uint16Array(LAST_UNIT + 1);
  for (let unit = 0; unit <= LAST_UNIT; unit += 1) {
    const large = String.fromCharCode(unit).toUpperCase();
    const code = large.charCodeAt(0);
    capitals[unit] = large.length > 1 || (unit > 127 && code < 128) ? unit : code;
  }
  return capitals;
}

/** A set with the same letters in the other case. @param {CharSet} set @returns {CharSet} */
export function anyCase(set) {
  /** @type {number[]} */
  const more = [...set];
  if (set.length && set[set.length - 1] > 127) {
    const table = capitalTable();
    const wanted = new Uint8Array(LAST_UNIT + 1);
    for (let i = 0; i < set.length; i += 2) for (let unit = set[i]; unit <= set[i + 1]; unit += 1) wanted[table[unit]] = 1;
    for (let unit = 0; unit <= LAST_UNIT; unit += 1) if (wanted[table[unit]]) more.push(unit, unit);
  } else {
    for (let i = 0; i < set.length; i += 2) {
      for (const first of [65, 97]) {
        const [from, to] = [Math.max(set[i], first), Math.min(set[i + 1], first + 25)];
        if (from <= to) more.push(from ^ 32, to ^ 32);
      }
    }
  }
  return unite(more);
}
