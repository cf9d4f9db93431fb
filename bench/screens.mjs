// SPDX-License-Identifier: Apache-2.0
// Pictures of every page in every state, wide and narrow, light and dark, and as printed, in bench/out/screens/.
//
//   node bench/screens.mjs [NAME...]      (all; with the virtual environment active, Debian's chromium installed)
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage, skip, startBrowser } from "../tests/browser/daemon.js";
import { STATES, startWorld } from "../tests/browser/states.js";

const OUT = join(dirname(fileURLToPath(import.meta.url)), "out/screens");
const wanted = process.argv.slice(2);

if (skip) throw new Error(skip);
await mkdir(OUT, { recursive: true });
const world = await startWorld();
const browser = await startBrowser();
try {
  for (const state of STATES.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    for (const [width, height] of [[1280, 900], [360, 740]]) {
      for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
        const { page, troubles, close } = await openPage(browser, { viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
        const name = `${state.name}-${width}-${colorScheme}`;
        try {
          await state.open(page, world);
          await page.screenshot({ path: join(OUT, `${name}.png`) });
          if (width === 1280 && colorScheme === "light") await page.pdf({ path: join(OUT, `${state.name}.pdf`) });
        } catch (error) {
          troubles.push(String(error));
          await page.screenshot({ path: join(OUT, `${name}.png`) });
        }
        console.log([name, ...troubles].join("\n    "));
        await close();
      }
    }
  }
} finally {
  await browser.close();
  await world.stop();
}
