// SPDX-License-Identifier: Apache-2.0
// What a terminal would have made of a text: its colours as runs beside each line, all other sequences gone.  As
// parsers/sgr.py does it for consoles; what tests attach is stored as it was written.
import { classesOf } from "./sgr.js";

/** @typedef {{marks: string, ink: number|null, ground: number|null, dim: boolean, swapped: boolean}} Style marks: some of BIUS in this order */

/** Runs of a line; what comes after them has no colour. */
const MOST_RUNS = 100;
/** Lines without a sequence that one which nobody ended reaches over. */
const MOST_CARRIED = 1000;

const E = String.fromCharCode(27);
const BELL = String.fromCharCode(7);
// Kept: colours (group 1).  A string without an end is text: nothing behind it may vanish.
const SEQUENCE = new RegExp(
  [
    `${E}\\[8mha:[^${E}\\n]*${E}\\[0m`, // Jenkins' hidden notes
    `(${E}\\[[0-9;:]{0,64}m)`,
    `${E}\\[[0-?]*[ -/]*(?:[@-~]|(?=\\n|$))`, // movements of the cursor; also torn by the end of the line
    `${E}\\][^${BELL}${E}\\n]{0,8192}(?:${BELL}|${E}\\\\)`, // titles, links
    `${E}[PX^_][^${E}\\n]{0,8192}${E}\\\\`,
    `${E}(?:[ -/]{1,4}[0-~]|[\\]PX^_78=>cM\\\\])?`,
  ].join("|"),
  "g",
);
/** To the first column: how some programs begin a line of progress anew. */
const HOME = new RegExp(`${E}\\[[01]?G`, "g");
const SGR = new RegExp(`${E}\\[([0-9;:]*)m`);

/** @type {Readonly<Style>} */
const PLAIN = Object.freeze({ marks: "", ink: null, ground: null, dim: false, swapped: false });
/** @type {Record<number, string>} */
const ON = { 1: "B", 3: "I", 4: "U", 9: "S", 21: "U" };
/** @type {Record<number, string>} */
const OFF = { 22: "B", 23: "I", 24: "U", 29: "S" };

/** @param {string} text without anything that is meant for a terminal */
export function plainText(text) {
  return text.includes(E) ? takeColours(text).text : text;
}

/**
 * @param {string} text of any number of lines
 * @returns {{text: string, runs: Map<number, import("./sgr.js").Run[]>}} without its sequences; the runs by line, from 0
 */
export function takeColours(text) {
  /** @type {Map<number, import("./sgr.js").Run[]>} */
  const runs = new Map();
  if (!text.includes(E)) return { text, runs };
  /** @type {Style} */
  let style = PLAIN;
  let left = 0;
  const lines = text.replace(HOME, "\r").replace(SEQUENCE, "$1").split("\n").map((line, n) => {
    const parts = line.split(SGR);
    if (parts.length === 1 && style === PLAIN) return line;
    left = parts.length > 1 ? MOST_CARRIED : left - 1;
    const painted = paint(parts, style);
    style = left > 0 ? painted.style : PLAIN;
    if (painted.runs.length) runs.set(n, painted.runs);
    return painted.text;
  });
  return { text: lines.join("\n"), runs };
}

/** @param {readonly string[]} parts of a line; each second one is a sequence's parameters @param {Style} style */
function paint(parts, style) {
  /** @type {import("./sgr.js").Run[]} */
  const runs = [];
  let text = "";
  parts.forEach((part, at) => {
    if (at % 2) style = apply(style, part);
    else if (part) {
      const classes = lookOf(style);
      const last = runs[runs.length - 1];
      if (last && last.end === text.length && last.classes === classes) last.end += part.length;
      else if (classes && runs.length < MOST_RUNS) runs.push({ start: text.length, end: text.length + part.length, classes });
      text += part;
    }
  });
  return { text, runs, style };
}

/** @param {Style} style */
function lookOf({ marks, ink, ground, dim, swapped }) {
  // The usual colours swapped: a grey, and on it what can be read there.
  if (swapped) [ink, ground] = [ground, ink ?? 7];
  if (dim && ink === null) ink = 8;
  return classesOf(marks, ink?.toString(16) ?? "", ground?.toString(16) ?? "");
}

/** The style after a sequence; what it does not know changes nothing. @param {Style} style @param {string} parameters @returns {Style} */
function apply(style, parameters) {
  const words = parameters.split(";");
  for (let at = 0; at < words.length; ) {
    // With colons, what belongs together is one word.
    const [first, ...own] = words[at].split(":");
    at += 1;
    const code = first.length < 5 ? Number(first) : -1;
    if (code === 38 || code === 48 || code === 58) {
      const { colour, used } = extended(own.length ? own : words.slice(at), own.length > 0);
      if (!own.length) at += used;
      if (code === 38) style = { ...style, ink: colour };
      else if (code === 48) style = { ...style, ground: colour };
    } else if (!own.length) style = simple(style, code);
    // 4:0 is no line, 4:3 a wavy one.
    else if (code === 4) style = simple(style, own[0] === "0" ? 24 : 4);
  }
  return style;
}

/** @param {Style} style @param {number} code @returns {Style} */
function simple(style, code) {
  if (code === 0) return PLAIN;
  const { marks } = style;
  if (code in ON) return { ...style, marks: [..."BIUS"].filter((mark) => (marks + ON[code]).includes(mark)).join("") };
  if (code in OFF) return { ...style, marks: marks.replace(OFF[code], ""), dim: style.dim && code !== 22 };
  if (code === 2) return { ...style, dim: true };
  if (code === 7 || code === 27) return { ...style, swapped: code === 7 };
  for (const [base, first] of [[30, 0], [90, 8]]) {
    if (code >= base && code < base + 8) return { ...style, ink: code - base + first };
    if (code >= base + 10 && code < base + 18) return { ...style, ground: code - base - 10 + first };
  }
  if (code === 39) return { ...style, ink: null };
  return code === 49 ? { ...style, ground: null } : style;
}

/**
 * A colour by `5;n` or `2;r;g;b`, and how many words it has.
 * @param {readonly string[]} words
 * @param {boolean} whole `2::r:g:b`, too
 * @returns {{colour: number|null, used: number}}
 */
function extended(words, whole) {
  const numbers = words.slice(0, 6).map((word) => (/^\d{1,4}$/.test(word) ? Number(word) : 0));
  if (numbers[0] === 5 && numbers.length > 1) return { colour: of256(numbers[1]), used: 2 };
  if (numbers[0] === 2 && numbers.length > 3) {
    const [red, green, blue] = whole && numbers.length > 4 ? numbers.slice(2) : numbers.slice(1);
    return { colour: nearest(red, green, blue), used: 4 };
  }
  return { colour: null, used: words.length };
}

/** @param {number} number */
function of256(number) {
  if (number < 16) return number;
  if (number < 232) {
    const at = number - 16;
    const steps = [0, 95, 135, 175, 215, 255];
    return nearest(steps[Math.floor(at / 36)], steps[Math.floor(at / 6) % 6], steps[at % 6]);
  }
  const grey = 8 + 10 * (number - 232);
  return number < 256 ? nearest(grey, grey, grey) : null;
}

/** Of the sixteen: a grey by how light it is, a colour by what it has most of. @param {number} red @param {number} green @param {number} blue */
function nearest(red, green, blue) {
  const high = Math.max(red, green, blue);
  const low = Math.min(red, green, blue);
  if (high > 255) return null;
  if (high - low < 48 || high < 40) return high < 64 ? 0 : high < 150 ? 8 : high < 230 ? 7 : 15;
  const middle = (high + low) / 2;
  const hue = Number(red > middle) + 2 * Number(green > middle) + 4 * Number(blue > middle);
  return hue + (low > 70 || (high > 230 && low > 40) ? 8 : 0);
}
