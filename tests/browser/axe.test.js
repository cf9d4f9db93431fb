// SPDX-License-Identifier: Apache-2.0
// WCAG 2.2 AA, as far as axe-core can tell: every page, every state, wide and narrow, light and dark.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { skip } from "./daemon.js";
import { rigBrowser } from "./rig.js";
import { STATES, startWorld } from "./states.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** What axe-core calls experimental: buttons are called by what is written on them, for those who speak to the page. */
const ALSO = ["label-content-name-mismatch"];
const SIZES = [{ width: 1280, height: 900 }, { width: 360, height: 740 }];

/** @type {import("./states.js").World} */
let world;
const open = rigBrowser();

before(async () => {
  if (skip) return;
  world = await startWorld();
});

after(async () => {
  await world?.stop();
});

/**
 * What axe finds that keeps somebody out.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
async function faults(page) {
  await page.evaluate(AXE);
  return await page.evaluate(async ([tags, more]) => {
    const rules = Object.fromEntries(more.map((rule) => [rule, { enabled: true }]));
    const { violations } = await Reflect.get(window, "axe").run(document, { runOnly: tags, rules });
    /** @type {{id: string, impact: string, nodes: {target: string[], failureSummary: string}[]}[]} */
    const grave = violations.filter((/** @type {{impact: string}} */ one) => ["serious", "critical"].includes(one.impact));
    return grave.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary.split("\n").slice(1).join(" ").trim()}`));
  }, [TAGS, ALSO]);
}

for (const state of STATES) {
  test(`${state.name}: nothing serious, nothing wider than the window, a heading and a title`, { skip, timeout: 90000 }, async () => {
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      for (const viewport of SIZES) {
        const where = `${viewport.width} ${colorScheme}`;
        const { page, close } = await open({ viewport, colorScheme, reducedMotion: "reduce" }, /status of 4\d\d/);
        await state.open(page, world);
        // The bar at the top edge covers what has been scrolled under it, which is no fault of what lies there.
        await page.evaluate(() => window.scrollTo({ top: 0, behavior: "instant" }));
        assert.deepEqual(await faults(page), [], where);
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= viewport.width, `${where}: wider than the window`);
        assert.match(await page.title(), /StackViz$/, where);
        await close();
      }
    }
  });
}
