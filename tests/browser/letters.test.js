// SPDX-License-Identifier: Apache-2.0
// Letters of twice the size, as somebody may set in their browser: all pages follow, and fit a phone (WCAG 1.4.4, 1.4.10).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { skip } from "./daemon.js";
import { rigBrowser } from "./rig.js";
import { startWorld, STATES } from "./states.js";

/** @type {import("./states.js").World} */
let world;
before(async () => {
  if (!skip) world = await startWorld();
});
after(() => world?.stop());

const open = rigBrowser(["--blink-settings=defaultFontSize=32,defaultFixedFontSize=26"]);
const NAMES = ["index", "index-jobs", "index-choices", "go-refused", "status-working", "status-expired", "viewer", "viewer-keys", "viewer-test", "viewer-console-failed", "viewer-console-search"];

for (const { name, open: show } of STATES.filter((state) => NAMES.includes(state.name))) {
  test(`${name}: letters are twice as large, and nothing is wider than a phone`, { skip, timeout: 60000 }, async () => {
    const { page } = await open({ viewport: { width: 360, height: 740 }, reducedMotion: "reduce" }, /status of 4\d\d/);
    await show(page, world);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, "wider than the window");
    // Whatever is words has grown with them; drawings have not.
    const small = await page.evaluate(() => {
      const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, (node) => (node.textContent?.trim() && node.parentElement?.checkVisibility({ visibilityProperty: true }) && !node.parentElement.closest("script, noscript, .visually-hidden, .brand") ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT));
      const found = new Set();
      while (words.nextNode()) {
        const parent = /** @type {HTMLElement} */ (words.currentNode.parentElement);
        if (parseFloat(getComputedStyle(parent).fontSize) < 22) found.add(`${parent.className || parent.tagName}: ${parent.textContent?.slice(0, 40)}`);
      }
      return [...found];
    });
    assert.deepEqual(small, []);
  });
}

test("rows of the table and lines of the console are as high as their letters, and each is reached", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${world.url}/s/${world.tasks.site}/#L1500`);
  const rows = page.locator("#tests tbody tr:not(.spacer)");
  await rows.first().waitFor();
  const heights = await rows.evaluateAll((all) => all.map((row) => row.getBoundingClientRect().height));
  assert.ok(heights.every((height) => height === heights[0]) && heights[0] >= 50, heights.join());
  await page.locator(".table-box").evaluate((box) => {
    box.scrollTop = box.scrollHeight;
  });
  const last = Number(await page.locator("#tests table").getAttribute("aria-rowcount"));
  await page.locator(`#tests tr[aria-rowindex="${last}"]`).waitFor();
  const bottoms = await page.locator("#tests").evaluate((element, index) => [...element.querySelectorAll(`tr[aria-rowindex="${index}"], .table-box`)].map((one) => Math.round(one.getBoundingClientRect().bottom)), last);
  assert.ok(Math.abs(bottoms[0] - bottoms[1]) <= 1, bottoms.join());
  await page.locator("#console").scrollIntoViewIfNeeded();
  const line = page.locator('.line[data-line="1499"]:not(.coming)');
  await line.waitFor();
  const boxes = await page.locator(".line").evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
  for (let n = 1; n < boxes.length; n += 1) assert.ok(boxes[n][0] >= boxes[n - 1][1] - 1, "no line lies over another");
});
