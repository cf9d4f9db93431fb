// SPDX-License-Identifier: Apache-2.0
// The pages around the viewer, by hand and by key.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { colours, openPage, skip, startBrowser, themeColour } from "./daemon.js";
import { startWorld } from "./states.js";

/** @type {import("./states.js").World} */
let world;
/** @type {import("playwright-core").Browser} */
let browser;

before(async () => {
  if (skip) return;
  world = await startWorld();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await world?.stop();
});

test("the first page leads to what was scraped last, but not to what somebody sent, nor to what is gone", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser);
  await page.goto(`${world.url}/`);
  const sites = page.getByRole("region", { name: "Recent sites of this server" }).getByRole("link");
  await sites.first().waitFor();
  const { broken, site } = world.tasks;
  assert.deepEqual(await sites.evaluateAll((links) => links.map((link) => link.getAttribute("href"))), [`/s/${broken}/`, `/s/${site}/`]);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("href")), `/s/${site}/`);
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowUp");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "q");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${world.url}/s/${site}/`);
  assert.deepEqual(troubles, []);
  await close();
});

test("by keys alone: the sheet, the look-up, a job of its answer", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser);
  await page.goto(`${world.url}/`);
  await page.keyboard.type("what?");
  assert.equal(await page.locator("#q").inputValue(), "what?", "a question mark can be typed");
  await page.getByRole("button", { name: "Keys" }).focus();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type(`${world.gerrit}269624`);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.equal(await page.locator("#said").textContent(), "4 jobs");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "gate-tempest-dsvm-neutron-full", "what failed stands first");
  assert.deepEqual(troubles, []);
  await close();
});

test("what is pasted anywhere is what is looked up", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser);
  await page.goto(`${world.url}/`);
  await page.getByRole("link", { name: "Try the sample job" }).focus();
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "  271726,1\nand more");
    document.activeElement?.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  assert.equal(await page.locator("#q").inputValue(), "271726,1");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "q");
  assert.deepEqual(troubles, []);
  await close();
});

test("a look-up that waits for a slow server says so, and can be given up", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser);
  await page.goto(`${world.url}/?q=${encodeURIComponent(`${world.silent}271726`)}`);
  await page.getByText(`Still no answer from ${new URL(world.silent).host}`).waitFor();
  await page.getByText(/· \d+ s/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Recent sites of this server").waitFor();
  assert.equal(page.url(), `${world.url}/`);
  assert.deepEqual(troubles, []);
  await close();
});

test("the colours that somebody chose hold on every page, in what is drawn as well", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser, { colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.goto(`${world.url}/`);
  const light = await ground();
  await page.getByRole("combobox", { name: "Colours" }).selectOption("dark");
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.goto(`${world.url}/s/${world.tasks.site}/`);
  const lanes = page.locator("canvas.lanes");
  await lanes.waitFor();
  await page.waitForFunction(() => performance.getEntriesByName("timeline frame").length > 0);
  assert.equal(await ground(), dark);
  const fail = await themeColour(page, "fill-fail");
  assert.ok((await colours(lanes))[fail] > 20);
  await page.getByRole("combobox", { name: "Colours" }).selectOption("system");
  await page.evaluate(
    () =>
      new Promise((drawn) => {
        requestAnimationFrame(() => requestAnimationFrame(drawn));
      }),
  );
  assert.equal(await ground(), light);
  assert.notEqual(await themeColour(page, "fill-fail"), fail);
  assert.ok((await colours(lanes))[await themeColour(page, "fill-fail")] > 20);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await ground(), dark, "the system's again");
  assert.deepEqual(troubles, []);
  await close();
});

test("on paper it is dark on light, whatever the screen shows, and without what can be pressed", { skip, timeout: 60000 }, async () => {
  const { page, close } = await openPage(browser, { colorScheme: "dark" });
  await page.goto(`${world.url}/s/${world.tasks.expired}/`);
  await page.getByRole("button", { name: "Scrape again" }).waitFor();
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), "rgb(24, 33, 43)");
  assert.equal(await page.getByRole("button", { name: "Scrape again" }).isVisible(), false);
  assert.equal(await page.getByText("This site has expired").isVisible(), true);
  await close();
});

test("what is drawn in the dark is printed light, and dark again afterwards", { skip, timeout: 60000 }, async () => {
  const { page, troubles, close } = await openPage(browser, { colorScheme: "dark" });
  await page.goto(`${world.url}/s/${world.tasks.site}/`);
  const lanes = page.locator("canvas.lanes");
  await page.locator(".cause .test-link").first().waitFor();
  const dark = await themeColour(page, "fill-fail");
  assert.ok((await colours(lanes))[dark] > 20);
  await page.emulateMedia({ media: "print" });
  const light = await themeColour(page, "fill-fail");
  assert.notEqual(light, dark);
  assert.ok((await colours(lanes))[light] > 20);
  await page.emulateMedia({ media: "screen" });
  assert.ok((await colours(lanes))[dark] > 20);
  // And as the browser itself prints, which draws no further frame.
  await page.evaluate(() => {
    addEventListener("beforeprint", () => {
      const image = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas.lanes"));
      const copy = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true }));
      copy.drawImage(image, 0, 0);
      const { data } = copy.getImageData(0, 0, image.width, image.height);
      const found = new Set();
      for (let i = 0; i < data.length; i += 4) found.add(data.slice(i, i + 3).join());
      document.body.dataset.printed = [...found].join(" ");
    });
  });
  await page.pdf();
  const printed = ((await page.locator("body").getAttribute("data-printed")) ?? "").split(" ");
  assert.ok(printed.includes(light) && !printed.includes(dark), "the paper's colours alone");
  assert.ok((await colours(lanes))[dark] > 20);
  assert.deepEqual(troubles, []);
  await close();
});
