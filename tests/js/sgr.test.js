// SPDX-License-Identifier: Apache-2.0
// Colours of terminals: what is stored, how a text is cut by them, and that each of them can be read.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { stretch } from "../../public/js/lib/consolelines.js";
import { parseRuns, piecesOf } from "../../public/js/lib/sgr.js";

const sheet = (/** @type {string} */ name) => readFileSync(new URL(`../../public/css/${name}.css`, import.meta.url), "utf8");
const PAINT = sheet("sgr");
const BASE = sheet("base");

test("runs as the server stores them; what is none, and what lies over another, is passed over", () => {
  assert.deepEqual(parseRuns("0+3:B1 5+2:/4 9+1:US"), [
    { start: 0, end: 3, classes: "sgr-bold ink-1" },
    { start: 5, end: 7, classes: "ground-4" },
    { start: 9, end: 10, classes: "sgr-under sgr-struck" },
  ]);
  for (const words of [undefined, "", "x", "1:2", "0+3:Z", "0+3:1 x", "0+3:1 2+4:2"]) assert.ok(parseRuns(words).length < 2, words ?? "nothing");
});

test("a text is cut where its look changes, hits included", () => {
  const runs = parseRuns("2+4:1 8+99:B");
  const pieces = (/** @type {number} */ from, /** @type {number} */ to, /** @type {[number, number][]} */ hits) => piecesOf("0123456789", from, to, runs, hits).map(({ text, classes, hit }) => `${text}${classes && `(${classes})`}${hit ? "!" : ""}`);
  assert.deepEqual(pieces(0, 10, []), ["01", "2345(ink-1)", "67", "89(sgr-bold)"]);
  assert.deepEqual(pieces(3, 9, [[1, 3], [5, 2]]), ["3(ink-1)!", "4(ink-1)", "5(ink-1)!", "6!", "7", "8(sgr-bold)"]);
  assert.deepEqual(pieces(4, 4, []), []);
});

test("of a long line the beginning is shown, or what is around a place", () => {
  assert.deepEqual(stretch(0, 50, 40, 100), [0, 50]);
  assert.deepEqual(stretch(0, 1000, 0, 100), [0, 100]);
  assert.deepEqual(stretch(0, 1000, 500, 100), [475, 575]);
  assert.deepEqual(stretch(0, 1000, 990, 100), [965, 1000]);
});

/** Both schemes' values of a variable. @param {string} css @param {string} name @returns {[string, string]} */
function shades(css, name) {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\);`).exec(css);
  assert.ok(found, name);
  return [found[1], found[2]];
}

/** WCAG's. @param {string} colour */
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

test("any ink can be read on any ground and on each background that a line can have, light and dark", () => {
  const inks = [shades(BASE, "ink"), ...[..."0123456789abcdef"].map((digit) => shades(PAINT, `ink-${digit}`))];
  const grounds = [...["sunken", "surface", "bad-soft", "warn-soft", "accent-soft"].map((name) => shades(BASE, name)), ...[..."01234567"].map((digit) => shades(PAINT, `ground-${digit}`))];
  for (const digit of "0123456789abcdef") assert.match(PAINT, new RegExp(`\\.ground-${digit}[ ,]`));
  for (const scheme of [0, 1]) {
    for (const ink of inks) {
      for (const ground of grounds) {
        const [dark, light] = [luminance(ink[scheme]), luminance(ground[scheme])].sort((a, b) => a - b);
        assert.ok((light + 0.05) / (dark + 0.05) >= 4.5, `${ink[scheme]} on ${ground[scheme]}`);
      }
    }
  }
});
