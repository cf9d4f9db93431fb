// SPDX-License-Identifier: Apache-2.0
// An expression's program run over texts in one pass: which steps it can be at is a state, and where a unit leads from a
// state is found out once and remembered (a DFA that is built as it is needed).  What is remembered is bounded, and
// forgotten as a whole when it is full: a unit never costs more than each step of the program once.
import { BEGIN, EDGE_OF_WORD, END, LINE_BEGIN, LINE_END } from "./exprparse.js";
import { ASK, EDGE, FIT, FORK, kindOf, OF_NEWLINE, OF_WORD } from "./exprprogram.js";

/** @typedef {import("./exprprogram.js").Program} Program */
/** @typedef {import("./exprprogram.js").Classes} Classes */

/** Cells of the table (4 bytes each), and steps that all states together are at. */
const MOST_CELLS = 1 << 20;
const MOST_HELD = 1 << 19;

const UNKNOWN = -1;
/** Nothing can fit any more. */
const DEAD = 0;
/** A cell is the next state's first cell, which is even; with this in it, the expression fits up to before the unit. */
const FITS = 1;

/** The work that was allowed is done. */
export class TooMuchWorkError extends Error {}

/** @param {number} what @param {number} before @param {number} after kinds of the units at a place */
function holds(what, before, after) {
  if (what === BEGIN) return before === EDGE;
  if (what === END) return after === EDGE;
  if (what === LINE_BEGIN) return before === EDGE || before === OF_NEWLINE;
  if (what === LINE_END) return after === EDGE || after === OF_NEWLINE;
  return ((before === OF_WORD) !== (after === OF_WORD)) === (what === EDGE_OF_WORD);
}

export class States {
  /**
   * @param {Program} program
   * @param {Classes} classes
   * @param {"any"|"preferred"|"longest"} wanted any: whether it fits, no matter where; preferred: what comes first in the program
   */
  constructor(program, classes, wanted) {
    this.program = program;
    this.wanted = wanted;
    this.of = classes.of;
    /** The class of no unit: the end of what is looked at. */
    this.end = classes.count;
    this.stride = (classes.count + 2) & ~1;
    this.kinds = Uint8Array.from([...classes.sample, 0], (unit, i) => (program.asks && i < classes.count ? kindOf(unit) : EDGE));
    /** By set and class, whether the set has it. */
    this.has = program.sets.map((set) => Uint8Array.from([...classes.sample, 0], (unit, i) => (i < classes.count && set.some((first, n) => n % 2 === 0 && first <= unit && unit <= set[n + 1]) ? 1 : 0)));
    /** Units that were looked at and steps that were gone: what it took. */
    this.work = 0;
    /** When there was so much of it, TooMuchWorkError is thrown. */
    this.most = Infinity;
    this.table = new Int32Array(this.stride * 16);
    this.seen = new Uint32Array(program.kinds.length);
    this.turn = 0;
    this.stack = new Int32Array(program.kinds.length * 2 + 2);
    /** Steps that a unit can be taken at, in their order. */
    this.open = new Int32Array(program.kinds.length);
    /** At which steps each state is, and after which kind of unit; the first is DEAD. @type {Int32Array[]} */
    this.steps = [new Int32Array()];
    this.before = [EDGE];
    /** @type {Map<string, number>} */
    this.numbers = new Map();
    this.held = 0;
    /** Where everything begins, by the kind of the unit before it; UNKNOWN until it is asked for. */
    this.firsts = [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN];
  }

  forget() {
    this.steps.length = 1;
    this.before.length = 1;
    this.numbers = new Map();
    this.held = 0;
    this.firsts.fill(UNKNOWN);
  }

  /** @param {Int32Array} steps @param {number} before @returns {number} its first cell */
  state(steps, before) {
    const key = `${before},${steps.join()}`;
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    if ((this.steps.length + 1) * this.stride > MOST_CELLS || this.held + steps.length > MOST_HELD) this.forget();
    const at = this.steps.push(steps) * this.stride - this.stride;
    this.before.push(before);
    this.held += steps.length;
    this.numbers.set(key, at);
    if (at + this.stride > this.table.length) {
      const larger = new Int32Array(Math.min(MOST_CELLS, Math.max(at + this.stride, this.table.length * 2)));
      larger.set(this.table);
      this.table = larger;
    }
    this.table.fill(UNKNOWN, at, at + this.stride);
    return at;
  }

  /** Where everything begins. @param {number} before the kind of the unit before it */
  first(before) {
    const kind = this.program.asks ? before : EDGE;
    if (this.firsts[kind] === UNKNOWN) {
      const at = this.state(Int32Array.of(this.program.entry), kind);
      this.firsts[kind] = at;
    }
    return this.firsts[kind];
  }

  /** Which steps can be reached without a unit. @param {Int32Array} from @param {number} before @param {number} after @returns {{open: number, fits: boolean}} */
  reach(from, before, after) {
    const { kinds, next, arg } = this.program;
    const { seen, stack } = this;
    const turn = (this.turn += 1);
    let open = 0;
    let fits = false;
    for (let i = 0; i < from.length; i += 1) {
      let depth = 0;
      stack[depth++] = from[i];
      while (depth > 0) {
        const step = stack[--depth];
        if (seen[step] === turn) continue;
        seen[step] = turn;
        this.work += 1;
        const kind = kinds[step];
        if (kind === FORK) {
          stack[depth++] = arg[step];
          stack[depth++] = next[step];
        } else if (kind === ASK) {
          if (holds(arg[step], before, after)) stack[depth++] = next[step];
        } else if (kind === FIT) {
          fits = true;
          // What comes after it is not preferred to it.
          if (this.wanted !== "longest") return { open, fits };
        } else {
          this.open[open++] = step;
        }
      }
    }
    return { open, fits };
  }

  /** Where a unit leads, which was not known. @param {number} at the state's first cell @param {number} unit's class @returns {number} the cell */
  follow(at, unit) {
    if (this.work > this.most) throw new TooMuchWorkError();
    const number = at / this.stride;
    const from = this.steps[number];
    const { open, fits } = this.reach(from, this.before[number], this.kinds[unit]);
    let cell = DEAD;
    if (!(fits && this.wanted === "any")) {
      const turn = (this.turn += 1);
      const reached = [];
      for (let i = 0; i < open; i += 1) {
        const step = this.open[i];
        const to = this.program.next[step];
        if (!this.has[this.program.arg[step]][unit] || this.seen[to] === turn) continue;
        this.seen[to] = turn;
        reached.push(to);
      }
      const steps = Int32Array.from(reached);
      // Where the order tells nothing, the same steps are the same state.
      if (this.wanted !== "preferred") steps.sort();
      const known = this.numbers;
      if (steps.length) cell = this.state(steps, this.kinds[unit]);
      if (this.numbers !== known) return fits ? cell | FITS : cell;
    }
    if (fits) cell |= FITS;
    this.table[at + unit] = cell;
    return cell;
  }

  /**
   * Whether it fits anywhere between two places, which are the ends of the text to it; for "any".
   * @param {string} text
   * @param {number} from
   * @param {number} to
   */
  fits(text, from, to) {
    const { of } = this;
    let { table } = this;
    let state = this.first(EDGE);
    this.work += to - from;
    for (let i = from; i < to; i += 1) {
      const unit = of[text.charCodeAt(i)];
      let cell = table[state + unit];
      if (cell <= FITS) {
        if (cell === UNKNOWN) {
          cell = this.follow(state, unit);
          table = this.table;
        }
        if (cell <= FITS) return cell === FITS;
      }
      state = cell;
    }
    const cell = table[state + this.end];
    return (cell === UNKNOWN ? this.follow(state, this.end) : cell) === FITS;
  }

  /**
   * Where it ends to fit, from a place on in the program's direction; for "preferred" and "longest".
   * @param {string} text
   * @param {number} from
   * @param {number} to where no more units are taken; what is beyond it is only looked at
   * @returns {number} -1: nowhere
   */
  run(text, from, to) {
    const { of } = this;
    const { backwards } = this.program;
    const by = backwards ? -1 : 1;
    // A place is before its unit: backwards the unit that is taken is the one before the place.
    const shift = backwards ? -1 : 0;
    const behind = text.charCodeAt(from - 1 - shift);
    let state = this.first(Number.isNaN(behind) ? EDGE : kindOf(behind));
    let last = -1;
    for (let i = from; i !== to; i += by) {
      this.work += 1;
      const unit = of[text.charCodeAt(i + shift)];
      let cell = this.table[state + unit];
      if (cell === UNKNOWN) cell = this.follow(state, unit);
      if (cell & FITS) last = i;
      state = cell & ~FITS;
      if (state === DEAD) return last;
    }
    const beyond = text.charCodeAt(to + shift);
    const unit = Number.isNaN(beyond) ? this.end : of[beyond];
    const cell = this.table[state + unit];
    return (cell === UNKNOWN ? this.follow(state, unit) : cell) & FITS ? to : last;
  }
}
