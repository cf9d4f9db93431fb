// SPDX-License-Identifier: Apache-2.0
// A line of the console as an element.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { dateMs, lastState, stretch, toneOf } from "../lib/consolelines.js";
import { parseRuns } from "../lib/sgr.js";
import { counted, formatCount, formatMoment } from "../lib/format.js";
import { painted } from "./painted.js";

/** So many characters of a line are shown at first, and so many at a further click. */
const LONG = 2000;
const MORE = 100000;

/** @typedef {import("../lib/consolelines.js").ConsoleLine} ConsoleLine */
/** @typedef {((text: string) => [number, number][])|null} Places beginnings and lengths of what was searched for */
/** @typedef {{places: Places, zone: import("../lib/format.js").Zone, origin_ms: number}} Look origin_ms: NaN where no test run is beside the console */

/** A line that is on its way. @param {number} number */
export function emptyRow(number) {
  return h("div", { class: `${C.consoleLine} ${C.consoleComing}`, "data-line": number }, h("span", { class: C.consoleNumber }, number + 1));
}

/**
 * @param {ConsoleLine} line
 * @param {Look} look
 */
export function lineRow(line, { places, zone, origin_ms }) {
  const ms = dateMs(line.date);
  const clock = Number.isNaN(ms) ? "" : zone === "start" && Number.isNaN(origin_ms) ? line.date.slice(11, 19) : formatMoment(ms, zone, origin_ms);
  const time = clock && !Number.isNaN(origin_ms) ? h("button", { type: "button", class: C.consoleTime, tabindex: "-1", title: `${line.date} UTC: show in the timeline` }, clock) : h("span", { class: C.consoleTime, title: line.date ? `${line.date} UTC` : null }, clock);
  return h(
    "div",
    { class: `${C.consoleLine} ${toneOf(line.level)}`, "data-line": line.number },
    h("a", { class: C.consoleNumber, href: `#L${line.number + 1}`, tabindex: "-1" }, line.number + 1),
    time,
    textElement(line, places),
  );
}

/**
 * The last state of a line, of a long one a stretch: that with what was searched for, or the beginning.
 * @param {ConsoleLine} line
 * @param {Places} places
 */
function textElement({ text, sgr }, places) {
  const element = h("span", { class: C.consoleText });
  const runs = parseRuns(sgr);
  const state = lastState(text);
  const hits = places ? places(text) : [];
  // What was searched for may be in what was written over.
  const folded = state.hidden > 0 && !(hits.length && !hits.some(([at]) => at >= state.from && at < state.to));
  /** @param {number} from @param {number} to @param {number} first @param {number} end what of it is shown */
  const show = (from, to, first, end) => {
    fill(element);
    const more = (/** @type {string} */ label, /** @type {number} */ new_first, /** @type {number} */ new_end) => h("button", { type: "button", class: C.consoleOpen, onclick: () => show(from, to, new_first, new_end) }, label);
    if (first > from) element.append(more(`${formatCount(first - from)} characters before`, Math.max(from, first - MORE), end));
    const pieces = painted(text, runs, hits, first, end);
    element.append(...(pieces.length ? pieces : [" "]));
    if (end < to) element.append(more(`show ${to - end > MORE ? "" : "all: "}${formatCount(Math.min(MORE, to - end))} more characters${to - end > MORE ? ` of ${formatCount(to - end)}` : ""}`, first, Math.min(to, end + MORE)));
    if (from > 0 || to < text.length) element.append(h("button", { type: "button", class: C.consoleOpen, onclick: () => show(0, text.length, 0, Math.min(text.length, LONG + MORE)) }, `${counted(state.hidden, "earlier state")} of this line`));
  };
  const [from, to] = folded ? [state.from, state.to] : [0, text.length];
  show(from, to, ...stretch(from, to, hits.find(([at]) => at >= from && at < to)?.[0] ?? from, LONG));
  return element;
}
