// SPDX-License-Identifier: Apache-2.0
// The lanes of the timeline: failure markers, the axis of time, one lane a worker.
import { C } from "../lib/classes.js";
import { labelRooms } from "../lib/labels.js";
import { AXIS, FOLDED, MARKERS, markerColumns, rowSpan } from "../lib/lanes.js";
import { FAIL, TEST_STATUSES, UNFINISHED } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { timeTicks, visible } from "../lib/format.js";
import { makeSurface, paintLanes } from "./canvas.js";

/** @typedef {import("./timeline.js").Scene} Scene */

/** Of a name in its box, in pixels. */
const PADDING = 4.5;
const LEAST_ROOM = 57;
const LEAST_TALL = 12;

export function makeLanesView() {
  const surface = makeSurface(C.lanes);
  const image = document.createElement("canvas");

  /** @param {Scene} scene */
  function draw(scene) {
    const { tests, index, theme, width, gutter } = scene;
    const plot = width - gutter;
    const { tops, heights, whole } = scene.layout;
    const ratio = surface.begin(width, whole);
    const c = surface.context;
    drawAxis(c, scene, plot);
    const columns = Math.max(1, Math.round(plot * ratio));
    paintLanes(image, index, scene.range, columns, scene.mask, theme);
    c.imageSmoothingEnabled = false;
    c.textBaseline = "middle";
    for (let lane = 0; lane < tests.workers.length; lane += 1) {
      const y = tops[lane];
      const tall = heights[lane];
      c.font = `${Math.max(8, Math.min(12, tall))}px system-ui, sans-serif`;
      c.drawImage(image, 0, lane * 2, columns, 1, gutter, y, plot, tall);
      c.drawImage(image, 0, lane * 2 + 1, columns, 1, gutter, y + tall * 0.3, plot, tall * 0.4);
      c.fillStyle = theme.css.muted;
      c.textAlign = "right";
      const label = gutter < 50 ? tests.workers[lane].replace(/^.*\D(?=\d+$)/, "") : tests.workers[lane];
      if (tall > FOLDED) c.fillText(visible(label), gutter - 6, y + tall / 2 + 0.5, gutter - 8);
      drawBoxes(c, scene, lane, y, tall, plot);
    }
    drawMarkers(c, scene, plot);
    drawSelected(c, scene, plot);
  }

  return { canvas: surface.canvas, draw };
}

/** @param {CanvasRenderingContext2D} c @param {Scene} scene @param {number} plot */
function drawAxis(c, scene, plot) {
  const { theme, gutter, range } = scene;
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  c.textAlign = "center";
  for (const tick of timeTicks(range.from_ms, range.to_ms, plot / 90, scene.zone, scene.run_ms)) {
    const x = Math.round(scene.x(tick.ms)) + 0.5;
    c.fillStyle = theme.css.line;
    c.fillRect(x - 0.5, AXIS - 5, 1, 5);
    c.fillStyle = theme.css.muted;
    const half = c.measureText(tick.label).width / 2;
    if (x - half > gutter - 20 && x + half < gutter + plot) c.fillText(tick.label, x, AXIS / 2 - 2);
  }
  c.fillStyle = theme.css.line;
  c.fillRect(gutter, AXIS, plot, 1);
}

/**
 * Borders, hatches and names, for tests that are wide enough to have them.
 * @param {CanvasRenderingContext2D} c
 * @param {Scene} scene
 * @param {number} lane
 * @param {number} y
 * @param {number} tall
 * @param {number} plot
 */
function drawBoxes(c, scene, lane, y, tall, plot) {
  const { tests, theme, range, mask } = scene;
  /** @type {import("../lib/labels.js").Box[]} */
  const boxes = [];
  for (const status of TEST_STATUSES) {
    const row = scene.index.rows[lane][status];
    const { first, last } = rowSpan(row, range.from_ms, range.to_ms);
    if (last - first > plot && status !== UNFINISHED) continue;
    for (let k = first; k < last; k += 1) {
      const x0 = scene.x(row.start[k]);
      const x1 = scene.x(row.end[k]);
      if (x1 - x0 < 4) continue;
      c.fillStyle = theme.css.surface;
      if (x0 > scene.gutter) c.fillRect(x0, y, 1, tall);
      if (x1 < scene.width) c.fillRect(x1 - 0.5, y, 1, tall);
      const dimmed = mask !== null && mask[row.ids[k]] === 0;
      if (status === UNFINISHED && !dimmed) hatch(c, Math.max(x0, scene.gutter), Math.min(x1, scene.width), y, tall, theme.css.surface);
      const ink = status === UNFINISHED ? "" : dimmed ? theme.css.muted : status === FAIL ? theme.css.surface : theme.css.ink;
      boxes.push({ x0: Math.max(x0, scene.gutter), x1: Math.min(x1, scene.width), id: row.ids[k], ink });
    }
  }
  if (tall < LEAST_TALL) return;
  c.textAlign = "left";
  for (const { box, from, room } of labelRooms(boxes, LEAST_ROOM)) {
    c.fillStyle = box.ink;
    // The guess may be too short for the width of some letters: then they are drawn closer.
    c.fillText(clip(splitName(tests.names[box.id]).short, room - PADDING * 2), from + PADDING, y + tall / 2 + 0.5, room - PADDING * 2);
  }
}

/** Cut by a width that is guessed: measuring each name in each frame would cost more than it is worth. @param {string} text @param {number} room */
function clip(text, room) {
  const most = Math.floor(room / 6.3);
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {number} x0
 * @param {number} x1
 * @param {number} y
 * @param {number} tall
 * @param {string} colour
 */
function hatch(c, x0, x1, y, tall, colour) {
  c.save();
  c.beginPath();
  c.rect(x0, y, x1 - x0, tall);
  c.clip();
  c.strokeStyle = colour;
  c.globalAlpha = 0.75;
  c.beginPath();
  for (let x = x0 - tall; x < x1; x += 7) {
    c.moveTo(x, y + tall);
    c.lineTo(x + tall, y);
  }
  c.stroke();
  c.restore();
}

/** @param {CanvasRenderingContext2D} c @param {Scene} scene @param {number} plot */
function drawMarkers(c, scene, plot) {
  const { css } = scene.theme;
  if (scene.mask) marks(c, scene, plot, null, css["fill-between"]);
  marks(c, scene, plot, scene.mask, css["fill-fail"]);
}

/** @param {CanvasRenderingContext2D} c @param {Scene} scene @param {number} plot @param {Uint8Array|null} mask @param {string} colour */
function marks(c, scene, plot, mask, colour) {
  c.fillStyle = colour;
  c.beginPath();
  for (const x of markerColumns(scene.index, [FAIL, UNFINISHED], scene.range, Math.floor(plot), 3, mask)) {
    const middle = scene.gutter + x;
    c.moveTo(middle - 4, AXIS + 2);
    c.lineTo(middle + 4, AXIS + 2);
    c.lineTo(middle, AXIS + MARKERS - 2);
  }
  c.fill();
}

/** @param {CanvasRenderingContext2D} c @param {Scene} scene @param {number} plot */
function drawSelected(c, scene, plot) {
  if (scene.selected < 0) return;
  const { tests } = scene;
  const x0 = Math.max(scene.gutter, scene.x(tests.start[scene.selected]));
  const x1 = Math.min(scene.gutter + plot, scene.x(tests.end[scene.selected]));
  if (x1 < scene.gutter || x0 > scene.gutter + plot) return;
  const y = scene.layout.tops[tests.lane[scene.selected]];
  const tall = scene.layout.heights[tests.lane[scene.selected]];
  c.lineWidth = 2;
  c.strokeStyle = scene.theme.css.surface;
  c.strokeRect(x0 - 3.5, y - 2.5, Math.max(7, x1 - x0 + 7), tall + 5);
  c.strokeStyle = scene.theme.css.ink;
  c.strokeRect(x0 - 2, y - 1, Math.max(4, x1 - x0 + 4), tall + 2);
  c.lineWidth = 1;
}
