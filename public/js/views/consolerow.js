// SPDX-License-Identifier: Apache-2.0
// A line of the console as an element.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { dateMs, lastState, toneOf } from "../lib/consolelines.js";
import { tester } from "../lib/logscan.js";
import { terminalLine } from "../lib/text.js";
import { counted, formatCount } from "../lib/ticks.js";
import { formatMoment } from "../lib/times.js";

const LONG = 2000;
const MOST_MARKS = 200;

/** @typedef {import("../lib/consolelines.js").ConsoleLine} ConsoleLine */
/** @typedef {import("../lib/logscan.js").Question} Question */
/** @typedef {{question: Question|null, zone: import("../lib/times.js").Zone, origin_ms: number}} Look origin_ms: NaN where no test run is beside the console */

/** A line that is on its way. @param {number} number */
export function emptyRow(number) {
  return h("div", { class: `${C.consoleLine} ${C.consoleComing}`, "data-line": number }, h("span", { class: C.consoleNumber }, number + 1));
}

/**
 * @param {ConsoleLine} line
 * @param {Look} look
 */
export function lineRow(line, { question, zone, origin_ms }) {
  const ms = dateMs(line.date);
  const clock = Number.isNaN(ms) ? "" : zone === "start" && Number.isNaN(origin_ms) ? line.date.slice(11, 19) : formatMoment(ms, zone, origin_ms);
  const time = clock && !Number.isNaN(origin_ms) ? h("button", { type: "button", class: C.consoleTime, tabindex: "-1", title: `${line.date} UTC: show in the timeline` }, clock) : h("span", { class: C.consoleTime, title: line.date ? `${line.date} UTC` : null }, clock);
  return h(
    "div",
    { class: `${C.consoleLine} ${toneOf(line.level)}`, "data-line": line.number },
    h("a", { class: C.consoleNumber, href: `#L${line.number + 1}`, tabindex: "-1" }, line.number + 1),
    time,
    textElement(line.text, question),
  );
}

/** @param {string} whole @param {Question|null} question */
function textElement(whole, question) {
  const state = lastState(whole);
  // What was searched for may be in what was written over.
  const folded = state.hidden > 0 && !(question && tester(question)(whole) && !tester(question)(state.text));
  const text = terminalLine(folded ? state.text : whole);
  const element = h("span", { class: C.consoleText });
  /** @param {string} label @param {string} all */
  const opener = (label, all) => h("button", { type: "button", class: C.consoleOpen, onclick: () => {
    fill(element);
    mark(element, all, question);
  } }, label);
  mark(element, text.slice(0, LONG), question);
  if (text.length > LONG) element.append(opener(`show all: ${formatCount(text.length - LONG)} more characters`, text));
  if (folded) element.append(opener(`${counted(state.hidden, "earlier state")} of this line`, terminalLine(whole)));
  return element;
}

/** Text with what was searched for marked. @param {HTMLElement} element @param {string} text @param {Question|null} question */
function mark(element, text, question) {
  let from = 0;
  if (question) {
    for (const [at, size] of places(text, question)) {
      element.append(text.slice(from, at), h("mark", null, text.slice(at, at + size)));
      from = at + size;
    }
  }
  element.append(text.slice(from) || (from ? "" : " "));
}

/** @param {string} text @param {Question} question @returns {[number, number][]} beginnings and lengths */
function places(text, { text: wanted, exact, pattern }) {
  const low = exact ? text : text.toLowerCase();
  /** @type {[number, number][]} */
  const found = [];
  if (pattern) {
    // A line that takes an expression long would hold up the page: such lines are not marked, only found.
    if (!/[*+{].*[*+{]/.test(wanted)) for (const match of text.matchAll(new RegExp(wanted, exact ? "g" : "gi"))) {
      if (match[0]) found.push([match.index, match[0].length]);
      if (found.length >= MOST_MARKS) break;
    }
    return found;
  }
  const needle = exact ? wanted : wanted.toLowerCase();
  if (low.length !== text.length) return found;
  for (let at = low.indexOf(needle); at >= 0 && found.length < MOST_MARKS; at = low.indexOf(needle, at + needle.length)) found.push([at, needle.length]);
  return found;
}
