// SPDX-License-Identifier: Apache-2.0
// A canvas that is as sharp as the screen, and lanes painted into it a pixel column at a time.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { BAND, paintLane, WHOLE } from "../lib/lanes.js";

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
 * @param {import("./theme.js").Theme} theme
 */
export function paintLanes(image, index, range, columns, mask, theme) {
  const lanes = index.rows.length;
  const context = /** @type {CanvasRenderingContext2D} */ (image.getContext("2d"));
  image.width = columns;
  image.height = lanes * 2;
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
