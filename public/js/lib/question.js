// SPDX-License-Identifier: Apache-2.0
// What a person searches a log for: words, or an expression.
import { makeExpression } from "./expression.js";

/** @typedef {{text: string, exact: boolean, pattern: boolean}} Question exact: capitals count */

/**
 * `needle`: in each text that fits, in small letters unless capitals count, "" = unknown; `partial`: not all that have it
 * fit; `fits`: whether a text does between two places; `places`: beginnings and lengths of what fits, the first ones and
 * as far as they are found with little work.
 * @typedef {{needle: string, partial: boolean, fits: (text: string, from: number, to: number) => boolean, places: (text: string) => [number, number][]}} Wanted
 */

const MOST_MARKS = 200;
/** Units looked at and steps gone for the marks of one line: some milliseconds. */
const MOST_WORK = 2e6;

/**
 * Throws ExpressionError.
 * @param {Question} question
 * @returns {Wanted}
 */
export function readQuestion({ text, exact, pattern }) {
  if (!pattern) return readWords(exact ? text : text.toLowerCase(), exact);
  const { needle, fits, places } = makeExpression(text, { anyCase: !exact });
  return { needle, partial: true, fits, places: (line) => places(line, MOST_MARKS, MOST_WORK) };
}

/** @param {string} needle @param {boolean} exact @returns {Wanted} */
function readWords(needle, exact) {
  return {
    needle,
    partial: false,
    fits(text, from, to) {
      const line = text.slice(from, to);
      return (exact ? line : line.toLowerCase()).includes(needle);
    },
    places(text) {
      /** @type {[number, number][]} */
      const found = [];
      const low = exact ? text : text.toLowerCase();
      // Some letters change their length with their case: then nothing can be pointed at.
      if (low.length !== text.length) return found;
      for (let at = low.indexOf(needle); at >= 0 && found.length < MOST_MARKS; at = low.indexOf(needle, at + needle.length)) found.push([at, needle.length]);
      return found;
    },
  };
}
