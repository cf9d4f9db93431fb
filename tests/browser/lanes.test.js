// SPDX-License-Identifier: Apache-2.0
// Which lanes there are, what is written in them, and how the strip above them is taken hold of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LANE, near, rangeIs } from "./axis.js";
import { colours, skip, themeColour, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const daemon = rigDaemon({ yaml: "zuuls: []\n" });
const open = rigBrowser();

const limits = { skip, timeout: 60000 };

test("a run that took no time says so, and has an axis all the same", limits, async () => {
  const address = await upload(daemon.url, { "none.xml": `<?xml version="1.0"?><testsuite name="none" timestamp="2016-06-01T12:00:00Z"><testcase classname="pkg.A" name="test_one" time="0"/></testsuite>` });
  const { page } = await open();
  await page.goto(address);
  await page.locator("#workers").waitFor();
  const head = await page.locator(".run-head").innerText();
  assert.match(head, /1 test\s+0 s on 1 worker/);
  assert.doesNotMatch(await page.locator("#main").innerText(), /NaN|Infinity|1\.00 s|busy| % /);
  const pass = await themeColour(page, "fill-pass");
  assert.ok((await colours(page.locator("canvas.lanes")))[pass] > 0, "the test is drawn");
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  await page.mouse.click(box.x + 76 + (box.width - 76) / 2, box.y + LANE.one);
  await page.locator("#details h2").getByText("test_one").waitFor();
  await page.locator(".plot").focus();
  await page.keyboard.press("ArrowUp");
  await rangeIs(page, (now) => now !== null && near(now[0], -1 / 3, 0.01) && near(now[1], 1 / 3, 0.01));
});

test("names of tests that overlap in one lane stand on no other test, and inside of their own", limits, async () => {
  const at = (/** @type {number} */ s) => `time: 2016-06-01 12:00:${String(s).padStart(2, "0")}.000000Z\n`;
  const long = "with_a_name_that_is_longer_than_its_own_box_will_ever_be";
  const wide = `wide_${"\u5bbd".repeat(17)}`;
  /** @param {string} name @param {number} from_s @param {number} to_s @param {string} [end] */
  const one = (name, from_s, to_s, end = "success") => `${at(from_s)}test: pkg.A.${name}\n${at(to_s)}${end}: pkg.A.${name}\n`;
  const stream = `tags: worker-0\n${one(`first_${long}`, 0, 30)}${one(`second_${long}`, 20, 50)}${one(`third_${long}`, 30, 40)}${one(wide, 50, 59, "failure")}`;
  const address = await upload(daemon.url, { "testrepository.subunit": stream });
  const { page } = await open();
  await page.addInitScript(() => {
    /** @type {[string, number, number][]} */
    const names = [];
    Reflect.set(window, "names", names);
    const native = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function fillText(text, x, y, most) {
      if (/^(?:first|second|third|wide)/.test(text)) names.push([text.split("_")[0], x, x + Math.min(this.measureText(text).width, most ?? Infinity)]);
      return native.call(this, text, x, y, most);
    };
  });
  await page.goto(address);
  await page.locator("#tests tbody button").first().waitFor();
  const width = Number((await page.locator("canvas.lanes").boundingBox())?.width);
  const second = (/** @type {number} */ x) => ((x - 76) / (width - 76)) * (59 * 1.008) - 59 * 0.004;
  const drawn = /** @type {[string, number, number][]} */ (await page.evaluate(() => Reflect.get(window, "names")));
  assert.deepEqual([...new Set(drawn.map(([name]) => name))], ["first", "wide"], "what has no place of its own has no name");
  for (const [name, from, to] of drawn) {
    const [least, most] = name === "first" ? [0, 20] : [50, 59];
    assert.ok(second(from) >= least && second(to) <= most, `${name} stands from ${second(from)} to ${second(to)} s`);
  }
});
