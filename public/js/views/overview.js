// SPDX-License-Identifier: Apache-2.0
// The whole run in a strip, and which part of it is shown.
import { C } from "../lib/classes.js";
import { markerColumns } from "../lib/lanes.js";
import { FAIL, UNFINISHED } from "../lib/status.js";
import { makeSurface, paintLanes } from "./canvas.js";

/** @typedef {import("./timeline.js").Scene} Scene */

const HEIGHT = 40;
const TICKS = 9;

export function makeOverview() {
  const surface = makeSurface(C.overview);
  const image = document.createElement("canvas");
  /** What the image was painted from; it is painted again only when that changes. @type {unknown[]} */
  let painted = [];
  /** @type {number[]} */
  let ticks = [];
  /** Those that the filter takes out, under the others. @type {number[]} */
  let dimmed = [];

  return {
    canvas: surface.canvas,
    /** @param {Scene} scene */
    draw(scene) {
      const { width, gutter, theme, run } = scene;
      const plot = width - gutter;
      const ratio = surface.begin(width, HEIGHT);
      const columns = Math.max(1, Math.round(plot * ratio));
      const from = [scene.index, scene.mask, theme, columns];
      if (from.some((value, i) => value !== painted[i])) {
        painted = from;
        paintLanes(image, scene.index, run, columns, scene.mask, theme);
        [ticks, dimmed] = [scene.mask, null].map((mask) => markerColumns(scene.index, [FAIL, UNFINISHED], run, Math.floor(plot), 1, mask));
      }
      const c = surface.context;
      c.imageSmoothingEnabled = false;
      c.drawImage(image, gutter, TICKS, plot, HEIGHT - TICKS);
      c.fillStyle = theme.css["fill-between"];
      if (scene.mask) for (const x of dimmed) c.fillRect(gutter + x, 0, 1.5, TICKS - 1);
      c.fillStyle = theme.css["fill-fail"];
      for (const x of ticks) c.fillRect(gutter + x, 0, 1.5, TICKS - 1);
      const scale = plot / (run.to_ms - run.from_ms);
      const x0 = gutter + (scene.range.from_ms - run.from_ms) * scale;
      const x1 = gutter + (scene.range.to_ms - run.from_ms) * scale;
      c.globalAlpha = 0.72;
      c.fillStyle = theme.css.surface;
      c.fillRect(gutter, 0, x0 - gutter, HEIGHT);
      c.fillRect(x1, 0, width - x1, HEIGHT);
      c.globalAlpha = 1;
      c.strokeStyle = theme.css.accent;
      c.lineWidth = 2;
      c.strokeRect(x0 + 1, 1, Math.max(2, x1 - x0 - 2), HEIGHT - 2);
      if (scene.selected >= 0) {
        c.fillStyle = theme.css.ink;
        c.fillRect(gutter + (scene.tests.start[scene.selected] - run.from_ms) * scale - 1, 0, 2, HEIGHT);
      }
    },
  };
}
