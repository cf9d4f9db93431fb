// SPDX-License-Identifier: Apache-2.0
// The style sheet's colours, for what is drawn on canvases.
import { DIMMED } from "../lib/lanes.js";
import { BETWEEN_CLASSES, FAIL, PASS, SKIP, UNFINISHED } from "../lib/status.js";

/**
 * @typedef {object} Theme
 * @property {Record<string, string>} css custom properties by name, without the dashes
 * @property {Uint32Array} full colour of each painted status as the bytes of a pixel
 * @property {Uint32Array} band the same for the middle of a lane, where a skip shows
 */

const NAMES = ["surface", "ink", "muted", "line", "accent", "dim", "focus", "fill-pass", "fill-fail", "fill-skip", "fill-skip-soft", "fill-unfinished", "fill-idle", "fill-between", "metric-1", "metric-2", "metric-3", "metric-4"];

/** @returns {Theme} */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const css = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const full = new Uint32Array(16).fill(pixel(css["fill-idle"]));
  const dim = pixel(css.dim);
  full[PASS] = pixel(css["fill-pass"]);
  full[SKIP] = pixel(css["fill-skip-soft"]);
  full[UNFINISHED] = pixel(css["fill-unfinished"]);
  full[FAIL] = pixel(css["fill-fail"]);
  for (const status of [PASS, SKIP, UNFINISHED, FAIL]) full[status + DIMMED] = dim;
  const band = full.slice();
  band[SKIP] = pixel(css["fill-skip"]);
  band[BETWEEN_CLASSES] = pixel(css["fill-between"]);
  return { css, full, band };
}

/** #rrggbb as a pixel in the machine's byte order. @param {string} hex */
function pixel(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  const bytes = new Uint8ClampedArray([value >> 16, (value >> 8) & 255, value & 255, 255]);
  return new Uint32Array(bytes.buffer)[0];
}

/**
 * Call when the system turns light or dark.
 * @param {() => void} changed
 * @returns {() => void} to call no longer
 */
export function onThemeChange(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", changed);
  return () => dark.removeEventListener("change", changed);
}
