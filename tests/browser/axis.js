// SPDX-License-Identifier: Apache-2.0
// A run whose every second is known, and where it lies on the screen.
import assert from "node:assert/strict";

/** @param {string} host @param {number} at_s @param {string} cases */
const suite = (host, at_s, cases) => `<testsuite name="${host}${at_s}" hostname="${host}" timestamp="${new Date(Date.UTC(2016, 5, 1, 12, 0, at_s)).toISOString()}">${cases}</testsuite>`;
/** @param {string} name @param {number} length_s @param {string} [inner] */
const one = (name, length_s, inner = "") => `<testcase classname="pkg.${name.split(".")[0]}" name="${name.split(".")[1]}" time="${length_s}">${inner}</testcase>`;

/** Two lanes: 40 s of class A, 20 s in which B is set up, 40 s of B; on the other one C, idle but for 20 s and a skip at 50 s. */
export const REPORT = `<?xml version="1.0"?><testsuites>${[
  suite("one", 0, one("A.test_first", 20) + one("A.test_fails", 20, "<failure>ValueError: no</failure>")),
  suite("two", 10, one("C.test_short", 20)),
  suite("two", 50, one("C.test_zero", 0, "<skipped/>")),
  suite("one", 60, one("B.test_long", 40)),
].join("")}</testsuites>`;
export const RUN_S = 100;
/** What is shown at both ends of the run. */
export const ROOM_S = RUN_S * 0.004;
/** The middles of the lanes on their canvas, in pixels. */
export const LANE = { one: 44, two: 71 };

/**
 * The run's site, ready for hands.
 * @param {import("./rig.js").Open} open
 * @param {string} address
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function openAxis(open, address, options) {
  const opened = await open(options);
  const { page } = opened;
  await page.goto(address);
  await page.locator("#tests tbody button").first().waitFor();
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  const gutter = box.width < 560 ? 26 : 76;
  /** Where a second of the whole run lies on the canvas. @param {number} s */
  const at = (s) => gutter + ((s + ROOM_S) / (RUN_S + 2 * ROOM_S)) * (box.width - gutter);
  /** The colour at a second of a lane. @param {number} s @param {number} y @returns {Promise<string>} */
  const colour = (s, y) =>
    page.locator("canvas.lanes").evaluate((element, [px, py]) => {
      const copy = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(1, 1).getContext("2d"));
      copy.drawImage(/** @type {HTMLCanvasElement} */ (element), px, py, 1, 1, 0, 0, 1, 1);
      return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3).join(",");
    }, [Math.floor(at(s)), y]);
  /** Where a second of a lane lies on the screen. @param {number} s @param {number} y @returns {[number, number]} */
  const point = (s, y) => [box.x + at(s), box.y + y];
  return { ...opened, box, colour, point };
}

/** The range in the address, in seconds of the run; null = all of it. @param {import("playwright-core").Page} page */
export function range(page) {
  const text = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("t");
  return text === null ? null : text.split("~").map(Number);
}

/** The range, once the address tells one that is as it should be. @param {import("playwright-core").Page} page @param {(range: number[]|null) => boolean} good */
export async function rangeIs(page, good) {
  for (const until = Date.now() + 30000; Date.now() < until && !good(range(page)); ) await page.waitForTimeout(25);
  assert.ok(good(range(page)), `${range(page)}`);
  return range(page) ?? [0, RUN_S];
}

/** @param {number} a @param {number} b @param {number} [by] */
export const near = (a, b, by = 1) => Math.abs(a - b) <= by;

/** @param {number} from_s @param {number} to_s */
export const about = (from_s, to_s) => (/** @type {number[]|null} */ now) => now !== null && near(now[0], from_s) && near(now[1], to_s);

/** @param {number[]|null} now */
export const whole = (now) => now === null;
