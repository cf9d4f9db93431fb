// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { drawCurve, fillColumn, toColumns } from "../../public/js/lib/plot.js";
import { COLOURS } from "../../public/js/views/canvas.js";

const BLACK = 0xff000000;
const WHITE = 0xffffffff;

/** @param {number} width @param {number} height */
const blank = (width, height) => ({ width, height, words: new Uint32Array(width * height).fill(BLACK) });

/** The least significant channel of each pixel. @param {{words: Uint32Array}} picture */
const levels = ({ words }) => [...words].map((word) => word & 255);

test("a curve is straight between its points, keeps each of them, and ends at a hole", () => {
  const at = Float64Array.of(-2, 2, 4, 9);
  const curve = toColumns(at, Float32Array.of(0, 8, 2, 5), 4, 8);
  assert.deepEqual([...curve], [5, 7, 8, 3.5, 2, NaN, NaN, NaN]);
});

test("what is not a number is no point: its neighbours are joined when they are near enough", () => {
  assert.deepEqual([...toColumns(Float64Array.of(0.5, 1.5, 2.5), Float32Array.of(1, NaN, 3), 2, 3)], [1, 2, 3]);
  assert.deepEqual([...toColumns(Float64Array.of(0.5, 1.5, 2.5), Float32Array.of(1, NaN, 3), 1, 3)], [1, NaN, 3]);
});

test("a pixel at an end gets its share, and nothing is painted outside", () => {
  const picture = blank(2, 4);
  fillColumn(picture, 1, 0.5, 2.25, WHITE, 1);
  assert.deepEqual(levels(picture), [0, 127, 0, 255, 0, 63, 0, 0]);
  fillColumn(picture, 0, -9, 99, WHITE, 1);
  assert.deepEqual(levels(picture).filter((_, i) => i % 2 === 0), [255, 255, 255, 255]);
  fillColumn(picture, 0, 3, 1, BLACK, 1);
  assert.equal(picture.words[2], WHITE);
});

test("colours are laid over each other channel by channel, and stay opaque", () => {
  const picture = { width: 1, height: 1, words: Uint32Array.of(0xff204060) };
  fillColumn(picture, 0, 0, 1, 0xff60a0e0, 0.5);
  assert.equal(picture.words[0].toString(16), "ff4070a0");
});

test("a line has no gap however steep it is, and none is drawn through a hole", () => {
  const picture = blank(4, 8);
  drawCurve(picture, Float32Array.of(1, 7, NaN, 4), 1, WHITE);
  const painted = (/** @type {number} */ x) => levels(picture).filter((level, i) => i % 4 === x && level > 0).length;
  assert.ok(painted(0) + painted(1) >= 8, "each row between the two is touched");
  assert.equal(painted(2), 0);
  assert.ok(painted(3) >= 1 && painted(3) <= 2);
});

test("each colour that is read by its name stands in the style sheet", () => {
  const sheet = readFileSync(new URL("../../public/css/base.css", import.meta.url), "utf8");
  assert.deepEqual(COLOURS.filter((name) => !sheet.includes(`\n  --${name}: `)), []);
});
