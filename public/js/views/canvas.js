// SPDX-License-Identifier: Apache-2.0
// Canvases that are as sharp as the screen, in the style sheet's colours, and lanes painted a pixel column at a time.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { BAND, DIMMED, paintLane, WHOLE } from "../lib/lanes.js";
import { BETWEEN_CLASSES, FAIL, PASS, SKIP, UNFINISHED } from "../lib/status.js";

/** @typedef {import("../lib/range.js").Range} Range */

/**
 * @param {string} name for the style sheet
 */
export function makeSurface(name) {
  const canvas = h("canvas", { class: `${C.canvas} ${name}`, "aria-hidden": "true" });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  return {
    canvas,
    context,
    /**
     * Make it this large (in CSS pixels) and clear it.
     * @param {number} width
     * @param {number} height
     */
    begin(width, height) {
      const ratio = devicePixelRatio || 1;
      const w = Math.max(1, Math.round(width * ratio));
      const t = Math.max(1, Math.round(height * ratio));
      if (canvas.width !== w || canvas.height !== t) {
        canvas.width = w;
        canvas.height = t;
        canvas.style.height = `${height}px`;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      return ratio;
    },
  };
}

/**
 * Lanes as an image of two rows each (whole lane, and its middle), one pixel a column of the device.
 * @param {HTMLCanvasElement} image is resized as needed
 * @param {import("../lib/lanes.js").LaneIndex} index
 * @param {Range} range
 * @param {number} columns
 * @param {Uint8Array|null} mask
 * @param {Theme} theme
 */
export function paintLanes(image, index, range, columns, mask, theme) {
  const lanes = index.rows.length;
  const context = /** @type {CanvasRenderingContext2D} */ (image.getContext("2d"));
  // Setting a size empties a canvas, at a cost: also when it is the size that it has.
  if (image.width !== columns) image.width = columns;
  if (image.height !== lanes * 2) image.height = lanes * 2;
  const data = context.createImageData(columns, lanes * 2);
  const pixels = new Uint32Array(data.data.buffer);
  const painted = new Uint8Array(columns);
  for (let lane = 0; lane < lanes; lane += 1) {
    const at = lane * 2 * columns;
    paintLane(index, lane, range, painted, mask, WHOLE);
    for (let x = 0; x < columns; x += 1) pixels[at + x] = theme.full[painted[x]];
    paintLane(index, lane, range, painted, mask, BAND);
    for (let x = 0; x < columns; x += 1) pixels[at + columns + x] = theme.band[painted[x]];
  }
  context.putImageData(data, 0, 0);
}

/**
 * @typedef {object} Theme
 * @property {Record<string, string>} css custom properties by name, without the dashes
 * @property {Uint32Array} full colour of each painted status as the bytes of a pixel
 * @property {Uint32Array} band the same for the middle of a lane, where a skip shows
 */

/** What is drawn is coloured by these custom properties of css/base.css. */
export const COLOURS = ["surface", "ink", "muted", "line", "accent", "dim", "focus", "fill-pass", "fill-fail", "fill-skip", "fill-skip-soft", "fill-unfinished", "fill-idle", "fill-between", "metric-1", "metric-2", "metric-3", "metric-4"];

export const DARK = "(prefers-color-scheme: dark)";

/**
 * @param {boolean} [printing] paper is light; the style sheet says so only while the page is laid out for it, which is too late to draw
 * @returns {Theme}
 */
export function readTheme(printing = false) {
  const style = getComputedStyle(document.documentElement);
  const dark = !printing && isDark(style);
  const css = Object.fromEntries(COLOURS.map((name) => [name, schemed(style.getPropertyValue(`--${name}`), dark)]));
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

/** What the page is shown in, by the system or by the person's choice. @param {CSSStyleDeclaration} style of the root */
function isDark(style) {
  return style.colorScheme === "dark" || (style.colorScheme !== "light" && matchMedia(DARK).matches);
}

/** The colour that light-dark(#rrggbb, #rrggbb) stands for. @param {string} value @param {boolean} dark */
function schemed(value, dark) {
  const colours = value.match(/#[0-9a-f]{6}/g) ?? ["#000000"];
  return colours[dark ? colours.length - 1 : 0];
}

/** #rrggbb as a pixel in the machine's byte order. @param {string} hex */
export function pixel(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  const bytes = new Uint8ClampedArray([value >> 16, (value >> 8) & 255, value & 255, 255]);
  return new Uint32Array(bytes.buffer)[0];
}
