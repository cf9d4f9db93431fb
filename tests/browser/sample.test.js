// SPDX-License-Identifier: Apache-2.0
// The main job as a person does it: open the page, take the sample job, watch it, see what failed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { colours, skip, themeColour } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const daemon = rigDaemon();
const open = rigBrowser();
/** Where the sample's site is, once it was made. */
let site = "";

/** @param {string} path @param {unknown} body */
async function api(path, body) {
  const answer = await fetch(daemon.url + path, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return await answer.json();
}

/** What the daemon itself says that the sample holds. */
async function truth() {
  const task = await api("/api/task", { q: /\/s\/([^/]+)\//.exec(site)?.[1] });
  /** @param {string} type */
  const blob = (type) => api(`/api/blob/${task.artifacts.find((/** @type {{artifact_type: string}} */ one) => one.artifact_type === type).id}`, undefined);
  return { task, tests: await blob("subunit"), stats: await blob("subunit-stats") };
}

test("from the first page over the progress to the site", { skip, timeout: 90000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/`);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "q");
  /** @type {string[]} */
  const seen = [];
  await page.exposeFunction("sawText", (/** @type {string} */ text) => seen.push(text));
  await page.addInitScript(() => {
    new MutationObserver(() => Reflect.get(window, "sawText")(document.querySelector("main")?.textContent ?? "")).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await page.getByRole("link", { name: "Try the sample job" }).click();
  await page.waitForURL(/\/s\/[^/]+\/$/);
  site = page.url();
  await page.locator(".plot").waitFor();
  assert.ok(seen.some((text) => text.includes("Parsing results") && text.includes("so far")), "the progress was shown");
  // The page of the way is not in the history: going back leads to the look-up.
  await page.goBack();
  await page.locator("#q").waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
});

test("the site tells what the job was, how many tests failed, and why", { skip, timeout: 60000 }, async () => {
  const { task, tests, stats } = await truth();
  const { page } = await open();
  await page.goto(site);
  await page.locator(".plot").waitFor();
  assert.match(await page.title(), new RegExp(task.name));
  assert.equal(await page.locator("h1").textContent(), task.name);
  const unfinished = tests.filter((/** @type {{tags: string[]}} */ one) => one.tags.includes("unfinished")).length;
  const expected = { failed: stats.failures.length - unfinished, unfinished, skipped: stats.skips.length, passed: stats.count - stats.failures.length - stats.skips.length };
  for (const [word, count] of Object.entries(expected)) {
    assert.equal(await page.getByRole("link", { name: `${count}${word}` }).or(page.getByRole("link", { name: `${count} ${word}` })).count(), 1, `${count} ${word}`);
  }
  assert.equal(await page.locator("#failures").textContent(), `${stats.failures.length} failures`);
  assert.equal(await page.locator(".cause .test-link").count(), stats.failures.length);
  assert.equal(await page.getByRole("table", { name: "Tests" }).getAttribute("aria-rowcount"), String(stats.count + 1));

  await page.locator(".cause .test-link").first().click();
  const traceback = page.locator(".attachment .log-line").first();
  await traceback.waitFor();
  assert.match((await traceback.textContent()) ?? "", /^Traceback \(most recent call last\)/);
  assert.match(page.url(), /#.*test=/);
  const name = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("test");
  assert.ok(stats.failures.some((/** @type {{name: string}} */ failure) => failure.name === name));

  await page.reload();
  await traceback.waitFor();
  assert.equal(await page.locator(".cause .test-link.selected").count(), 1);
});

test("the timeline is drawn: what passed, what failed, the machine", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(site);
  const lanes = page.locator("canvas.lanes");
  await lanes.waitFor();
  await page.waitForFunction(() => performance.getEntriesByName("timeline frame").length > 0);
  const [pass, fail] = [await themeColour(page, "fill-pass"), await themeColour(page, "fill-fail")];
  for (const canvas of [lanes, page.locator("canvas.overview")]) {
    const seen = await colours(canvas);
    assert.ok(seen[pass] > 500 && seen[fail] > 20, JSON.stringify({ pass: seen[pass], fail: seen[fail] }));
  }
  assert.deepEqual(await page.locator(".chart-name").allTextContents(), ["CPU", "Memory", "Load", "Disk", "Network", "Processes"]);
  for (let i = 0; i < 4; i += 1) assert.ok(Object.keys(await colours(page.locator(".chart canvas").nth(i))).length > 3);

  const box = await lanes.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + box.width * 0.5, box.y + 45);
  assert.match((await page.locator(".tip").textContent()) ?? "", /\d\d:\d\d:\d\d/);
  assert.match((await page.locator(".chart-value").first().textContent()) ?? "", /%$/);
  await page.mouse.wheel(0, -400);
  await page.waitForFunction(() => /t=/.test(location.hash));
  assert.ok((await colours(lanes))[pass] > 200);
  await page.locator(".plot").dblclick({ position: { x: 300, y: 20 } });
  await page.waitForFunction(() => !/t=/.test(location.hash));
});

/**
 * Open the site; what knows the keys is held back until the function given back is called.
 * @param {import("playwright-core").Page} page
 */
async function openWithoutKeys(page) {
  /** @type {(value?: unknown) => void} */
  let release = () => {};
  const released = new Promise((resolve) => {
    release = resolve;
  });
  await page.route("**/js/views/keys.js", (route) => released.then(() => route.continue()));
  await page.goto(site);
  await page.locator(".plot").waitFor();
  return release;
}

test("by keys alone: failures, filter, table", { skip, timeout: 60000 }, async () => {
  const { tests } = await truth();
  const { page } = await open();
  // What is pressed as soon as there is something to see is not lost, however late what knows the keys comes.
  const release = await openWithoutKeys(page);
  await page.keyboard.press("n");
  release();
  await page.waitForFunction(() => /test=/.test(location.hash));
  const first = /test=[^&]*/.exec(page.url())?.[0] ?? "";
  await page.keyboard.press("n");
  await page.waitForFunction((one) => /test=[^&]*/.exec(location.hash)?.[0] !== one, first);
  await page.keyboard.press("p");
  await page.waitForFunction((one) => /test=[^&]*/.exec(location.hash)?.[0] === one, first);
  await page.keyboard.press("/");
  await page.keyboard.type("ports");
  const hits = tests.filter((/** @type {{name: string}} */ one) => one.name.toLowerCase().includes("ports")).length;
  await page.locator("#tests").getByText(`${hits} of `).waitFor();
  // An arrow in the filter moves the caret there and nothing else.
  const selected = page.url();
  await page.keyboard.press("ArrowLeft");
  assert.equal(new URL(page.url()).hash.includes("test="), new URL(selected).hash.includes("test="));
  await page.getByRole("button", { name: "Duration" }).click();
  assert.equal(await page.locator("th.col-duration").getAttribute("aria-sort"), "descending");
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
});

test("what follows the key of the filter is the filter's text, also before the keys are known", { skip, timeout: 60000 }, async () => {
  const { tests } = await truth();
  const { page } = await open();
  const release = await openWithoutKeys(page);
  await page.evaluate(() => {
    addEventListener("keydown", (event) => document.body.setAttribute("data-taken", String(event.defaultPrevented)), { once: true });
  });
  await page.keyboard.press("/");
  assert.equal(await page.locator("body").getAttribute("data-taken"), "true", "nor does it open the browser's own search");
  await page.keyboard.type("np0d-");
  for (let n = 0; n < 5; n += 1) await page.keyboard.press("Backspace");
  await page.keyboard.type("ports");
  release();
  const hits = tests.filter((/** @type {{name: string}} */ one) => one.name.toLowerCase().includes("ports")).length;
  await page.locator("#tests").getByText(`${hits} of `).waitFor();
  assert.equal(await page.getByRole("searchbox", { name: "Filter tests" }).inputValue(), "ports");
  assert.ok(!page.url().includes("test="), "no letter of it was a key");
  await page.keyboard.type("x");
  assert.equal(await page.getByRole("searchbox", { name: "Filter tests" }).inputValue(), "portsx");
});

test("on a narrow and dark screen nothing sticks out", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true });
  for (const address of [`${daemon.url}/`, `${daemon.url}/?q=sample`, site]) {
    await page.goto(address);
    await page.locator(address === site ? ".plot" : "#q").waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, address);
  }
});

test("what is not there says so, and what is not understood tells what is", { skip, timeout: 60000 }, async () => {
  const { page } = await open({}, /status of 40[04]/);
  await page.goto(`${daemon.url}/s/00000000-0000-4000-8000-000000000000/`);
  await page.getByRole("heading", { name: "No such site" }).waitFor();
  await page.goto(`${daemon.url}/?q=${encodeURIComponent("what is this?")}`);
  assert.match((await page.getByRole("alert").textContent()) ?? "", /271726/);
});
