// SPDX-License-Identifier: Apache-2.0
// The text of a regular expression as a tree.  It is JavaScript's without its flag u, less what cannot be matched in
// linear time (references to groups, looking ahead and behind), and less its forgiveness: an escaped letter that means
// nothing is an error, not that letter.
import { anyCase, DIGITS, NEWLINES, others, SPACES, unite, WORD } from "./charsets.js";

/** @typedef {import("./charsets.js").CharSet} CharSet */
/** @typedef {{kind: "set", set: CharSet}} SetNode */
/** @typedef {{kind: "assert", what: number}} AssertNode */
/** @typedef {{kind: "all", parts: readonly Node[]}|{kind: "either", parts: readonly Node[]}} PartsNode one after the other, or one of them */
/** @typedef {{kind: "repeat", part: Node, least: number, most: number, lazy: boolean, source: string}} RepeatNode */
/** @typedef {SetNode|AssertNode|PartsNode|RepeatNode} Node */

/** What an expression asks of a place; the mirror of the first four is their number ^ 1. */
export const BEGIN = 0;
export const END = 1;
export const LINE_BEGIN = 2;
export const LINE_END = 3;
export const EDGE_OF_WORD = 4;
export const NO_EDGE_OF_WORD = 5;

/** In characters: what a person writes is shorter by far, and each level of brackets takes room on the stack. */
const MOST_SOURCE = 2000;

const ESCAPED_SETS = /** @type {Record<string, CharSet>} */ ({ d: DIGITS, D: others(DIGITS), w: WORD, W: others(WORD), s: SPACES, S: others(SPACES) });
const ESCAPED_UNITS = /** @type {Record<string, number>} */ ({ n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 });
const COUNTS = /^\{(\d+)(,(\d*))?\}/;

/** What is wrong with an expression, in a sentence for the person who wrote it. */
export class ExpressionError extends Error {}

/** @param {string} part @param {string} what */
const slow = (part, what) => new ExpressionError(`Expressions are matched in linear time, and ${what} (${part}) cannot be.`);

/**
 * Throws ExpressionError.
 * @param {string} source
 * @param {{anyCase: boolean, lines: boolean}} options lines: ^ and $ mean those of each line
 * @returns {Node}
 */
export function parseExpression(source, { anyCase: folded, lines }) {
  let at = 0;
  if (source.length > MOST_SOURCE) throw new ExpressionError(`The expression is longer than ${MOST_SOURCE} characters.`);

  /** @param {string} text */
  function take(text) {
    if (!source.startsWith(text, at)) return false;
    at += text.length;
    return true;
  }

  /** @param {CharSet} set of what was written as such @returns {CharSet} */
  const written = (set) => (folded ? anyCase(set) : set);

  /** @returns {Node} */
  function either() {
    const parts = [all()];
    while (take("|")) parts.push(all());
    return parts.length === 1 ? parts[0] : { kind: "either", parts };
  }

  /** @returns {Node} */
  function all() {
    /** @type {Node[]} */
    const parts = [];
    while (at < source.length && source[at] !== "|" && source[at] !== ")") parts.push(repeated());
    return parts.length === 1 ? parts[0] : { kind: "all", parts };
  }

  /** @returns {Node} */
  function repeated() {
    const start = at;
    const part = atom();
    const counts = quantifier();
    if (!counts) return part;
    if (part.kind === "assert" && source[start] !== "(") throw new ExpressionError(`“${source.slice(start, at)}” repeats a place, which has no length.`);
    const [least, most] = counts;
    if (least > most) throw new ExpressionError(`The numbers in “${source.slice(start, at)}” are the wrong way round.`);
    const lazy = take("?");
    if (quantifier()) throw new ExpressionError(`In “${source.slice(start, at)}” what is repeated already is repeated: put it into brackets.`);
    return { kind: "repeat", part, least, most, lazy, source: source.slice(start, at) };
  }

  /** @returns {[least: number, most: number]|null} */
  function quantifier() {
    if (take("*")) return [0, Infinity];
    if (take("+")) return [1, Infinity];
    if (take("?")) return [0, 1];
    const counts = COUNTS.exec(source.slice(at, at + 50));
    if (!counts) return null;
    at += counts[0].length;
    return [Number(counts[1]), counts[2] === undefined ? Number(counts[1]) : counts[3] ? Number(counts[3]) : Infinity];
  }

  /** @returns {Node} */
  function atom() {
    const start = at;
    if (quantifier()) throw new ExpressionError(`There is nothing before “${source.slice(start, at)}” to repeat.`);
    const unit = source[at];
    at += 1;
    if (unit === "(") return group(start);
    if (unit === "[") return { kind: "set", set: oneOf(start) };
    if (unit === ".") return { kind: "set", set: others(NEWLINES) };
    if (unit === "^") return { kind: "assert", what: lines ? LINE_BEGIN : BEGIN };
    if (unit === "$") return { kind: "assert", what: lines ? LINE_END : END };
    if (unit === "\\") {
      if (take("b")) return { kind: "assert", what: EDGE_OF_WORD };
      if (take("B")) return { kind: "assert", what: NO_EDGE_OF_WORD };
      const set = escapedSet();
      if (set) return { kind: "set", set };
      const code = escapedUnit(start);
      return { kind: "set", set: written([code, code]) };
    }
    const code = unit.charCodeAt(0);
    return { kind: "set", set: written([code, code]) };
  }

  /** @param {number} start of its bracket @returns {Node} */
  function group(start) {
    const look = /^\?<?[=!]/.exec(source.slice(at, at + 3));
    if (look) throw slow(`(${look[0]}`, look[0].length > 2 ? "what is to stand before" : "what is to follow");
    if (take("?") && !take(":")) {
      const name = /^<[\p{L}$_][\p{L}\p{N}$_]*>/u.exec(source.slice(at));
      if (!name) throw new ExpressionError(`“(?${source.slice(at, at + 1)}” is not known here.`);
      at += name[0].length;
    }
    const inner = either();
    if (!take(")")) throw new ExpressionError(`The bracket “${source.slice(start, start + 10)}” is not closed.`);
    return inner;
  }

  /** After a backslash. @returns {CharSet|null} */
  function escapedSet() {
    const set = ESCAPED_SETS[source[at]];
    if (!set) return null;
    at += 1;
    return set;
  }

  /** After a backslash. @param {number} start of it */
  function escapedUnit(start) {
    const hex = /^(?:x([\da-f]{2})|u([\da-f]{4}))/i.exec(source.slice(at, at + 5));
    if (hex) {
      at += hex[0].length;
      return parseInt(hex[1] ?? hex[2], 16);
    }
    if (at >= source.length) throw new ExpressionError("The expression ends with a single backslash.");
    const unit = source[at];
    at += 1;
    if (/[1-9k]/.test(unit)) throw slow(`\\${unit}`, "a reference to a group");
    const code = ESCAPED_UNITS[unit];
    if (code !== undefined && !(unit === "0" && /\d/.test(source[at] ?? ""))) return code;
    if (/[A-Za-z\d]/.test(unit)) throw new ExpressionError(`“${source.slice(start, at)}” is not known here.`);
    return unit.charCodeAt(0);
  }

  /** @param {number} start of its bracket @returns {CharSet} */
  function oneOf(start) {
    const inverted = take("^");
    /** @type {number[]} */
    const plain = [];
    /** @type {number[]} */
    const sets = [];
    while (!take("]")) {
      const begun = at;
      const first = member(start);
      // A minus at an end, or beside a set, is a minus.
      const range = source[at] === "-" && at + 1 < source.length && source[at + 1] !== "]" && take("-");
      const last = range ? member(start) : first;
      if (typeof first === "number" && typeof last === "number") {
        if (first > last) throw new ExpressionError(`The range “${source.slice(begun, at)}” is the wrong way round.`);
        plain.push(first, last);
        continue;
      }
      for (const one of range ? [first, last] : [first]) {
        if (typeof one === "number") plain.push(one, one);
        else sets.push(...one);
      }
      if (range) plain.push(45, 45);
    }
    // Sets of escapes have both cases of all that they have.
    const set = unite([...written(unite(plain)), ...sets]);
    return inverted ? others(set) : set;
  }

  /** @param {number} start of the whole @returns {number|CharSet} */
  function member(start) {
    const from = at;
    if (at >= source.length) throw new ExpressionError(`The bracket “${source.slice(start, start + 10)}” is not closed.`);
    if (!take("\\")) {
      at += 1;
      return source.charCodeAt(from);
    }
    if (take("b")) return 8;
    return escapedSet() ?? escapedUnit(from);
  }

  const tree = either();
  if (at < source.length) throw new ExpressionError(`“${source.slice(at, at + 10)}” closes a bracket that was not opened.`);
  return tree;
}
