// SPDX-License-Identifier: Apache-2.0
// Regular expressions of people, over texts of strangers: whatever both are, the time grows with the text's length and
// no faster, as with RE2, and unlike RegExp, which tries all ways to fit one after the other.
//
// What fits, and where, is what RegExp says without its flag u (exprparse.js tells what is left out), with one
// exception in the length of what is found: where a repetition repeats what can be empty and prefers to be, as in
// (?:|a)(?:|b) within a (...)*.
import { parseExpression } from "./exprparse.js";
import { neededText } from "./exprneedle.js";
import { classesOf, makeProgram } from "./exprprogram.js";
import { States, TooMuchWorkError } from "./exprstates.js";

/** @typedef {ReturnType<typeof makeExpression>} Expression */

/**
 * Throws ExpressionError.
 * @param {string} source
 * @param {{anyCase: boolean, lines?: boolean}} options lines: ^ and $ mean those of each line
 */
export function makeExpression(source, { anyCase, lines = false }) {
  const tree = parseExpression(source, { anyCase, lines });
  const program = makeProgram(tree, { backwards: false, anywhere: true });
  const classes = classesOf(program);
  const any = new States(program, classes, "any");
  /** Made when places are asked for. @type {{ends: States, starts: States}|null} */
  let finder = null;

  /** The leftmost that fits, from a place on. @param {string} text @param {number} from @param {number} most work of each automaton @returns {[number, number]|null} */
  function find(text, from, most) {
    finder ??= { ends: new States(program, classes, "preferred"), starts: new States(makeProgram(tree, { backwards: true, anywhere: false }), classes, "longest") };
    const { ends, starts } = finder;
    ends.most = most;
    starts.most = most;
    const end = ends.run(text, from, text.length);
    return end < 0 ? null : [starts.run(text, end, from), end];
  }

  const work = () => any.work + (finder ? finder.ends.work + finder.starts.work : 0);

  return {
    /** In each text that it fits, in small letters where case does not count; "" = unknown. */
    needle: neededText(tree, anyCase),
    /** Characters looked at and steps gone since it was made. */
    work,
    /** Whether it fits anywhere in a text, or between two places of it that are its ends then. @param {string} text */
    fits: (text, from = 0, to = text.length) => any.fits(text, from, to),
    /**
     * All that fits and is not empty, from left to right.
     * @param {string} text
     * @param {number} [most]
     * @param {number} [mostWork] what is found with more of it is left out
     * @returns {[number, number][]} beginnings and lengths
     */
    places(text, most = Infinity, mostWork = Infinity) {
      /** @type {[number, number][]} */
      const found = [];
      const limit = work() + mostWork;
      try {
        for (let from = 0; from <= text.length && found.length < most && work() < limit; ) {
          const place = find(text, from, limit);
          if (!place) break;
          const [start, end] = place;
          if (end > start) found.push([start, end - start]);
          from = end > start ? end : end + 1;
        }
      } catch (error) {
        if (!(error instanceof TooMuchWorkError)) throw error;
      }
      return found;
    },
  };
}
