// SPDX-License-Identifier: Apache-2.0
// The tree of an expression as steps (Thompson's construction), forwards or backwards, and its units in classes: two
// units that no part of it tells apart are the same to it.
import { ANY, LAST_UNIT, NEWLINES, WORD } from "./charsets.js";
import { BEGIN, ExpressionError, LINE_END } from "./exprparse.js";

/** @typedef {import("./charsets.js").CharSet} CharSet */
/** @typedef {import("./exprparse.js").Node} Node */

/** Kinds of steps. */
export const TAKE = 0;
export const FORK = 1;
export const ASK = 2;
export const FIT = 3;

/** Kinds of units beside a place; beyond the text's ends there is an edge. */
export const EDGE = 0;
export const OF_WORD = 1;
export const OF_NEWLINE = 2;
export const OTHER = 3;

/** With all repetitions written out: each unit of a text may cost as many steps. */
const MOST_STEPS = 2000;

/**
 * Steps by number: TAKE a unit of set `arg` and go to `next`; FORK to `next`, or else to `arg`; ASK `arg` of the place
 * and go to `next`; FIT.
 * @typedef {{kinds: Uint8Array, next: Int32Array, arg: Int32Array, entry: number, sets: readonly CharSet[], asks: boolean,
 *   backwards: boolean}} Program
 */
/** @typedef {{of: Uint16Array, count: number, sample: Uint16Array}} Classes of: each unit's class; sample: a unit of each class */

/** @param {Node} node @returns {boolean} whether it can fit without taking a unit */
function canBeEmpty(node) {
  if (node.kind === "set") return false;
  if (node.kind === "assert") return true;
  if (node.kind === "repeat") return node.least === 0 || canBeEmpty(node.part);
  return node.kind === "all" ? node.parts.every(canBeEmpty) : node.parts.some(canBeEmpty);
}

/** Whether a part that is taken at least so often can be a ring that is entered at once. @param {Node} part @param {number} least */
const ring = (part, least) => least > 0 && !canBeEmpty(part);

/**
 * How many steps it takes; throws ExpressionError for too many, which names the smallest part that has them.
 * @param {Node} node
 * @returns {number}
 */
export function stepsOf(node) {
  if (node.kind === "set" || node.kind === "assert") return 1;
  if (node.kind !== "repeat") return node.parts.reduce((sum, part) => sum + stepsOf(part), node.kind === "either" ? node.parts.length - 1 : 0);
  const { part, least, most, source } = node;
  const one = stepsOf(part);
  const steps = most < Infinity ? least * one + (most - least) * (one + 1) : Math.max(1, ring(part, least) ? least : least + 1) * one + 1;
  if (steps > MOST_STEPS) throw new ExpressionError(`“${source.length > 40 ? `${source.slice(0, 40)}…` : source}” is too large: written out it has more than ${MOST_STEPS} parts.`);
  return steps;
}

/** Whether it fits at the beginning of a text alone. @param {Node} node @returns {boolean} */
function anchored(node) {
  if (node.kind === "assert") return node.what === BEGIN;
  if (node.kind === "set") return false;
  if (node.kind === "repeat") return node.least > 0 && anchored(node.part);
  if (node.kind === "either") return node.parts.every(anchored);
  return node.parts.length > 0 && anchored(node.parts[0]);
}

/**
 * @param {Node} tree
 * @param {{backwards: boolean, anywhere: boolean}} options anywhere: it need not fit from the first unit on
 * @returns {Program}
 */
export function makeProgram(tree, { backwards, anywhere }) {
  if (stepsOf(tree) > MOST_STEPS) throw new ExpressionError(`The expression is too large: written out it has more than ${MOST_STEPS} parts.`);
  /** @type {number[]} */
  const kinds = [];
  /** @type {number[]} */
  const next = [];
  /** @type {number[]} */
  const arg = [];
  /** @type {CharSet[]} */
  const sets = [];
  /** @type {Map<string, number>} */
  const numbers = new Map();
  let asks = false;

  /** @param {number} kind @param {number} to @param {number} what */
  function step(kind, to, what) {
    kinds.push(kind);
    next.push(to);
    return arg.push(what) - 1;
  }

  /** @param {CharSet} set @param {number} to */
  function take(set, to) {
    const key = set.join();
    let number = numbers.get(key);
    if (number === undefined) {
      number = sets.push(set) - 1;
      numbers.set(key, number);
    }
    return step(TAKE, to, number);
  }

  /** @param {number} first @param {number} second @param {boolean} lazy the second is preferred */
  const fork = (first, second, lazy) => (lazy ? step(FORK, second, first) : step(FORK, first, second));

  /** A part again and again: where it is entered, and where one comes who took it. @param {Node} part @param {boolean} lazy @param {number} to */
  function again(part, lazy, to) {
    const gate = step(FORK, to, to);
    const inside = write(part, gate);
    (lazy ? arg : next)[gate] = inside;
    return { gate, inside };
  }

  /** @param {Node} node @param {number} to the step after it @returns {number} its first step */
  function write(node, to) {
    if (node.kind === "set") return take(node.set, to);
    if (node.kind === "assert") {
      asks = true;
      return step(ASK, to, backwards && node.what <= LINE_END ? node.what ^ 1 : node.what);
    }
    if (node.kind === "all") return (backwards ? node.parts : node.parts.toReversed()).reduce((after, part) => write(part, after), to);
    if (node.kind === "either") {
      const entries = node.parts.map((part) => write(part, to));
      return entries.reduceRight((rest, entry) => fork(entry, rest, false));
    }
    const { part, least, most, lazy } = node;
    let entry = to;
    let before = least;
    if (most === Infinity) {
      const { gate, inside } = again(part, lazy, to);
      if (ring(part, least)) before -= 1;
      entry = ring(part, least) ? inside : gate;
    } else {
      for (let n = least; n < most; n += 1) entry = fork(write(part, entry), to, lazy);
    }
    for (let n = 0; n < before; n += 1) entry = write(part, entry);
    return entry;
  }

  let entry = write(tree, step(FIT, 0, 0));
  if (anywhere && !anchored(tree)) {
    // Later beginnings come last.
    const gate = step(FORK, entry, entry);
    arg[gate] = take(ANY, gate);
    entry = gate;
  }
  return { kinds: Uint8Array.from(kinds), next: Int32Array.from(next), arg: Int32Array.from(arg), entry, sets, asks, backwards };
}

/** @param {number} unit */
export function kindOf(unit) {
  if ((unit >= 48 && unit <= 57) || (unit >= 65 && unit <= 90) || unit === 95 || (unit >= 97 && unit <= 122)) return OF_WORD;
  return unit === 10 || unit === 13 || unit === 0x2028 || unit === 0x2029 ? OF_NEWLINE : OTHER;
}

/** @param {Program} program @returns {Classes} */
export function classesOf({ sets, asks }) {
  const all = asks ? [...sets, WORD, NEWLINES] : sets;
  const borders = new Set([0]);
  for (const set of all) set.forEach((unit, i) => borders.add(i % 2 ? unit + 1 : unit));
  const starts = [...borders].filter((unit) => unit <= LAST_UNIT).sort((a, b) => a - b);
  // Set by set what was one class becomes two, where the set has a part of it.
  let of = new Array(starts.length).fill(0);
  let count = 1;
  for (const set of all) {
    /** @type {Map<number, number>} */
    const renamed = new Map();
    let i = 0;
    of = of.map((old, n) => {
      while (i < set.length && set[i + 1] < starts[n]) i += 2;
      const key = old * 2 + (i < set.length && set[i] <= starts[n] ? 1 : 0);
      if (!renamed.has(key)) renamed.set(key, renamed.size);
      return renamed.get(key) ?? 0;
    });
    count = renamed.size;
  }
  const table = new Uint16Array(LAST_UNIT + 1);
  const sample = new Uint16Array(count);
  starts.forEach((unit, n) => {
    table.fill(of[n], unit, starts[n + 1] ?? LAST_UNIT + 1);
    sample[of[n]] = unit;
  });
  return { of: table, count, sample };
}
