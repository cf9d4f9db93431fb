// SPDX-License-Identifier: Apache-2.0
// The pages around the viewer, by hand and by key.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { colours, skip, themeColour } from "./daemon.js";
import { rigBrowser } from "./rig.js";
import { startWorld } from "./states.js";

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

test("the first page leads to what was scraped last, but not to what somebody sent, nor to what is gone", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
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
});

test("by keys alone: the sheet, the look-up, a job of its answer", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
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
});

test("each address shows its own answer, not the one before it: back, forward, asked again", { skip, timeout: 60000 }, async () => {
  // What is not understood is a 400, and the browser says so.
  const { page } = await open({}, /status of 400/);
  const box = page.locator("#q");
  await page.goto(`${world.url}/`);
  await box.fill(`${world.gerrit}269624`);
  await box.press("Enter");
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  await box.fill("what is this?");
  await box.press("Enter");
  await page.getByRole("alert").waitFor();
  assert.equal(await page.locator(".job").count(), 0);
  await page.goBack();
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal(await box.inputValue(), `${world.gerrit}269624`);
  await page.goBack();
  await page.getByText("Recent sites of this server").waitFor();
  assert.deepEqual([await page.locator("#results .found, #results .notice").count(), await box.inputValue(), await page.title()], [0, "", "StackViz"]);
  await page.goForward();
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.equal(await page.getByText("Recent sites of this server").count(), 0);
  // To a site and back: what is on its way there is not what is shown.
  await page.goto(`${world.url}/s/${world.tasks.site}/`);
  await page.locator(".plot").waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.equal(await page.locator("button.job-open[disabled]").count(), 0);
});

test("who wants no motion has none: nothing is animated, scrolled smoothly or faded", { skip, timeout: 60000 }, async () => {
  for (const [reducedMotion, moves] of /** @type {const} */ ([["no-preference", true], ["reduce", false]])) {
    const { page, close } = await open({ reducedMotion });
    const animated = () => page.evaluate(() => document.getAnimations().length > 0);
    await page.goto(`${world.url}/?q=${encodeURIComponent(`${world.silent}271726`)}`);
    await page.locator(".skeleton").first().waitFor();
    assert.equal(await animated(), moves, `${reducedMotion}: a look-up`);
    await page.goto(`${world.url}/s/${world.tasks.slow}/`);
    await page.getByText("KiB of").waitFor();
    if (!moves) assert.equal(await animated(), false, "a scrape");
    await page.goto(`${world.url}/s/${world.tasks.site}/`);
    await page.locator(".cause .test-link").first().waitFor();
    await page.locator(".cause .test-link").first().click();
    if (!moves) {
      assert.equal(await animated(), false, "a site");
      const top = () => page.evaluate(() => scrollY);
      await page.locator("#details .attachment").first().waitFor();
      const at = await top();
      await page.evaluate(() => new Promise((drawn) => {
        requestAnimationFrame(() => requestAnimationFrame(drawn));
      }));
      assert.equal(await top(), at, "the details are there at once");
    }
    await close();
  }
});

test("a screen reader is told of the look-up, of the scrape's stages and of the selection", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  /** @type {string[]} */
  const heard = [];
  await page.exposeFunction("hear", (/** @type {string} */ text) => heard.push(text));
  await page.addInitScript(() => {
    const live = "[role=status], [role=alert], [aria-live]";
    new MutationObserver((records) => {
      for (const { target } of records) {
        const region = (target instanceof Element ? target : target.parentElement)?.closest(live);
        if (region?.textContent) Reflect.get(window, "hear")(region.textContent.trim());
      }
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await page.goto(`${world.url}/`);
  await page.locator("#q").fill(`${world.gerrit}269624`);
  await page.locator("#q").press("Enter");
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.ok(heard.includes("4 jobs"), heard.join("|"));
  await page.goto(`${world.url}/s/${world.tasks.slow}/`);
  await page.getByText("KiB of").waitFor();
  assert.ok(heard.includes("Fetching logs"), heard.join("|"));
  await page.goto(`${world.url}/s/${world.tasks.site}/`);
  await page.locator(".cause .test-link").first().waitFor();
  await page.keyboard.press("n");
  await page.locator("#details .attachment").first().waitFor();
  assert.ok(heard.some((text) => /^(Failed|Unfinished): \w+/.test(text)), heard.join("|"));
  await page.keyboard.press("/");
  await page.keyboard.type("ports");
  await page.getByText(/^\d+ of [\d,]+ tests$/).first().waitFor();
  for (const until = Date.now() + 30000; Date.now() < until && !heard.some((text) => /^\d+ of [\d,]+ tests$/.test(text)); ) await page.waitForTimeout(25);
  assert.ok(heard.some((text) => /^\d+ of [\d,]+ tests$/.test(text)), heard.join("|"));
});

test("a look-up that waits for a slow server says so, and can be given up", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${world.url}/?q=${encodeURIComponent(`${world.silent}271726`)}`);
  await page.getByText(`Still no answer from ${new URL(world.silent).host}`).waitFor();
  await page.getByText(/· \d+ s/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Recent sites of this server").waitFor();
  assert.equal(page.url(), `${world.url}/`);
});

test("the colours that somebody chose hold on every page, in what is drawn as well", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ colorScheme: "light" });
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
});

test("on paper it is dark on light, whatever the screen shows, and without what can be pressed", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ colorScheme: "dark" }, /status of 410/);
  await page.goto(`${world.url}/s/${world.tasks.expired}/`);
  await page.getByRole("button", { name: "Scrape again" }).waitFor();
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), "rgb(24, 33, 43)");
  assert.equal(await page.getByRole("button", { name: "Scrape again" }).isVisible(), false);
  assert.equal(await page.getByText("This site has expired").isVisible(), true);
});

test("what is drawn in the dark is printed light, and dark again afterwards", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ colorScheme: "dark" });
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
});

test("what can be done stands side by side, with a little room between", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ viewport: { width: 1280, height: 900 } }, /status of 422/);
  /** Between each of these and the next, in a row. @param {string} selector */
  const rooms = (selector) => page.locator(selector).evaluateAll((all) => {
    const boxes = all.map((one) => one.getBoundingClientRect()).filter(({ width }) => width > 0);
    return boxes.slice(1).flatMap(({ left, top, bottom }, n) => (boxes[n].top < bottom && boxes[n].bottom > top ? [Math.round(left - boxes[n].right)] : []));
  });
  await page.goto(`${world.url}/s/${world.tasks.cancelled}/`);
  await page.getByRole("button", { name: "Scrape again" }).waitFor();
  assert.deepEqual(await rooms(".actions > *"), [8]);
  assert.ok((await page.locator(".actions").last().evaluate((element) => element.getBoundingClientRect().top - (element.previousElementSibling?.getBoundingClientRect().bottom ?? 0))) >= 8);
  await page.goto(`${world.url}/s/${world.tasks.site}/#test=tempest.api.network.test_floating_ips.FloatingIpsTestJSON.test_detach_floating_ips`);
  await page.locator("#details .log-line").first().waitFor();
  await page.locator("#console").scrollIntoViewIfNeeded();
  await page.locator(".line:not(.coming)").first().waitFor();
  for (const row of [".top > :is(.top-link, button, select)", ".cause:first-of-type .cause-copy > *", ".attachment[open] .attachment-bar > button", ".console-bar > button"]) {
    const between = await rooms(row);
    assert.ok(between.length > 0 && between.every((room) => room >= 0 && room <= 24), `${row}: ${between.join()}`);
  }
});

test("a site without a test leads to none of its parts; an expression that is wrong is told in words of its own", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ viewport: { width: 390, height: 844 } });
  await page.goto(`${world.url}/s/${world.tasks.broken}/`);
  await page.getByText("No test ran").waitFor();
  await page.getByRole("button", { name: "Save as one file" }).waitFor();
  assert.equal(await page.getByRole("navigation", { name: "Parts of this page" }).count(), 0);
  await page.goto(`${world.url}/s/${world.tasks.build}/#log-find=%28&log-regex`);
  await page.locator(".console-note.bad-text").waitFor();
  assert.equal(await page.locator(".console-note.bad-text").innerText(), "The bracket “(” is not closed.");
});
