// SPDX-License-Identifier: Apache-2.0
// Every line of a console, in chunks of its text as it comes: which lines a question fits, and the level of each.
// What is searched is a line's text alone, never its date or the JSON around it.
import { ENTRY, LEVELS } from "./consolelines.js";
import { readQuestion } from "./question.js";

/** @typedef {import("./question.js").Question} Question */

const OPEN = '","line":"';
const SUFFIXES = LEVELS.map((level) => (level ? `","level":"${level}` : ""));

/** Numbers that grow: arrays of objects would take five times as much. */
class Numbers {
  constructor() {
    this.array = new Uint32Array(1024);
    this.length = 0;
  }

  /** @param {number} value */
  push(value) {
    if (this.length === this.array.length) {
      const larger = new Uint32Array(this.length * 2);
      larger.set(this.array);
      this.array = larger;
    }
    this.array[this.length++] = value;
  }

  done() {
    return this.array.slice(0, this.length);
  }
}

/**
 * Throws ExpressionError for a question that is none.
 * @param {Question|null} question null: levels alone
 * @param {number} lines how many there are
 */
export function makeScan(question, lines) {
  const hits = new Numbers();
  const levels = new Uint8Array(lines);
  const wanted = question && readQuestion(question);
  // In the escaped text a needle stands escaped: where this is not found, the line need not be looked at.
  const needle = wanted ? JSON.stringify(wanted.needle).slice(1, -1) : "";
  let number = 0;
  let rest = "";

  /** @param {string} text whole rows */
  function scan(text) {
    let searched = "";
    // Where the needle, and a backslash, are next.
    let next = -1;
    let slash = -1;
    if (needle && question) {
      searched = question.exact ? text : text.toLowerCase();
      // Letters that change their length with their case: no place of the one is a place of the other.
      if (searched.length !== text.length) searched = "";
      else next = after(searched, needle, 0);
    }
    for (let start = 0; start < text.length; ) {
      let end = text.indexOf("\n", start);
      if (end < 0) end = text.length;
      if (text.startsWith(ENTRY, start)) {
        const close = text.charCodeAt(end - 1) === 44 ? end - 3 : end - 2;
        const level = levelAt(text, close);
        levels[number] = level;
        if (wanted && (!searched || next < end)) {
          const last = level ? close - SUFFIXES[level].length : close;
          const from = text.indexOf(OPEN, start) + OPEN.length;
          if (slash < from) slash = after(text, "\\", from);
          if (slash < last) {
            // Looked at as it is: nothing tells where in an escaped text a needle really begins.
            const line = JSON.parse(`"${text.slice(from, last)}"`);
            if (wanted.fits(line, 0, line.length)) hits.push(number);
          } else {
            if (searched && next < from) next = after(searched, needle, from);
            // Of an expression the needle is but a part.
            if (searched ? next + needle.length <= last && (!wanted.partial || wanted.fits(text, from, last)) : wanted.fits(text, from, last)) hits.push(number);
          }
          if (searched && next < end) next = after(searched, needle, end);
        }
        number += 1;
      }
      start = end + 1;
    }
  }

  return {
    /** @param {string} chunk of the console's text */
    feed(chunk) {
      const end = chunk.lastIndexOf("\n");
      if (end < 0) {
        rest += chunk;
        return;
      }
      scan(rest + chunk.slice(0, end));
      rest = chunk.slice(end + 1);
    },
    done() {
      if (rest) scan(rest);
      rest = "";
      return { hits: hits.done(), levels, lines: number };
    },
  };
}

/** @param {string} text @param {string} wanted @param {number} from @returns {number} Infinity when there is none */
function after(text, wanted, from) {
  const at = text.indexOf(wanted, from);
  return at < 0 ? Infinity : at;
}

/** @param {string} text @param {number} close where its last string ends */
function levelAt(text, close) {
  const code = text.charCodeAt(close - 1);
  // The last letters of WARNING, ERROR and CRITICAL.
  const level = code === 71 ? 1 : code === 82 ? 2 : code === 76 ? 3 : 0;
  return level && text.startsWith(SUFFIXES[level], close - SUFFIXES[level].length) ? level : 0;
}
