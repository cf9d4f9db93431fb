// SPDX-License-Identifier: Apache-2.0
// The one state of the page, kept in the address: what is shown survives a reload, back and forward, and being sent.
import { formatState, parseState } from "./lib/urlstate.js";

/** @typedef {import("./lib/urlstate.js").ViewState} ViewState */
/** @typedef {(now: ViewState, before: ViewState) => void} Listener */

const QUIET_MS = 150;
const SAME_MOVE_MS = 1500;
const PLACE_MS = 300;

/** Changes that come in bursts: the burst is one step in the history. */
const GRADUAL = ["range", "text", "find"];

/** @type {ViewState} */
let state = parseState(location.hash);
/** @type {Set<Listener>} */
const listeners = new Set();
let waiting = 0;
let placing = 0;
/** Which keys the last step in the history changed, and when. */
let lastKeys = "";
let lastAt = -Infinity;

export const getState = () => state;

/**
 * Change what is shown; each change can be gone back from, the moves of one drag together.
 * @param {Partial<ViewState>} change
 */
export function setState(change) {
  const before = state;
  state = { ...state, ...change };
  const keys = Object.keys(change).filter((key) => JSON.stringify(Reflect.get(before, key)) !== JSON.stringify(Reflect.get(state, key)));
  if (!keys.length) return;
  const gradual = keys.every((key) => GRADUAL.includes(key));
  if (placing && !waiting) replace(before);
  clearTimeout(waiting);
  if (gradual) waiting = window.setTimeout(() => write(keys.join(), true), QUIET_MS);
  else write(keys.join(), false);
  tell(before);
}

/**
 * Where one is in a list is no step that is gone back from: it goes into the address of the step at hand, once the
 * list stands still.
 * @param {Pick<ViewState, "row">} place
 */
export function notePlace(place) {
  if (place.row === state.row) return;
  state = { ...state, ...place };
  clearTimeout(placing);
  placing = window.setTimeout(() => {
    if (!waiting) replace(state);
  }, PLACE_MS);
}

/** @param {ViewState} said */
function replace(said) {
  clearTimeout(placing);
  placing = 0;
  history.replaceState(null, "", location.pathname + location.search + formatState(said));
}

/** @param {string} keys @param {boolean} gradual */
function write(keys, gradual) {
  waiting = 0;
  const hash = formatState(state);
  if (hash === (location.hash === "#" ? "" : location.hash)) return;
  const again = gradual && keys === lastKeys && performance.now() - lastAt < SAME_MOVE_MS;
  const address = location.pathname + location.search + hash;
  if (again) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  lastKeys = keys;
  lastAt = performance.now();
}

/** @param {ViewState} before */
function tell(before) {
  for (const listener of [...listeners]) listener(state, before);
}

/**
 * @param {Listener} listener
 * @returns {() => void} to hear no more
 */
export function onState(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** When the run began whose seconds `range` counts; NaN until it is known. */
let origin_ms = NaN;

/** @param {number} ms */
export function setOrigin(ms) {
  origin_ms = ms;
}

/** NaN until it is known. */
export const getOrigin = () => origin_ms;

/** The stretch of time that is shown, as moments; null = all of it, or no run is known. @returns {{from_ms: number, to_ms: number}|null} */
export function rangeMs() {
  const { range } = state;
  return range && !Number.isNaN(origin_ms) ? { from_ms: origin_ms + range[0] * 1000, to_ms: origin_ms + range[1] * 1000 } : null;
}

/** Show a stretch of time, in the timeline and wherever else times are. @param {number} from_ms @param {number} to_ms */
export function showTime(from_ms, to_ms) {
  if (!Number.isNaN(origin_ms)) setState({ range: [(from_ms - origin_ms) / 1000, (to_ms - origin_ms) / 1000] });
}

/** The address of this page in a state. @param {Partial<ViewState>} [change] */
export function addressOf(change) {
  return location.href.split("#")[0] + formatState({ ...state, ...change });
}

addEventListener("popstate", () => {
  clearTimeout(waiting);
  clearTimeout(placing);
  waiting = placing = 0;
  lastKeys = "";
  const before = state;
  state = parseState(location.hash);
  tell(before);
});
