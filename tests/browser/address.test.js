// SPDX-License-Identifier: Apache-2.0
// Folds and places are in the address too: a reload, a step back and somebody else show the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { skip, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const SAME = 300;
const CAUSES = 30;
const PASSED = 400;

/** @param {string} name @param {string} inner */
const testcase = (name, inner) => `<testcase classname="pkg.Many" name="${name}" time="1">${inner}</testcase>`;

/** Many failures of one cause, many causes, skips, tests with several attachments. */
function report() {
  const cases = [];
  for (let i = 0; i < SAME; i += 1) cases.push(testcase(`test_same_${i}`, `<failure>ValueError: the same ${i}</failure><system-out>out ${i}</system-out><system-err>err ${i}</system-err>`));
  for (let i = 0; i < CAUSES; i += 1) cases.push(testcase(`test_cause_${i}`, `<failure>KeyError: ${String.fromCharCode(97 + (i % 26)).repeat(4 + Math.floor(i / 26))}</failure>`));
  for (let i = 0; i < 20; i += 1) cases.push(testcase(`test_skip_${i}`, `<skipped message="${i % 2 ? "not here" : "not now"}"/>`));
  for (let i = 0; i < PASSED; i += 1) cases.push(testcase(`test_pass_${i}`, ""));
  return `<?xml version="1.0"?><testsuites><testsuite name="pkg" timestamp="2016-06-01T12:00:00Z" tests="${cases.length}">${cases.join("")}</testsuite></testsuites>`;
}

let site = "";
rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    site = await upload(url, { "junit.xml": report() });
  },
});
const open = rigBrowser();

/** @param {string} [address] */
async function openSite(address = site) {
  const opened = await open();
  await opened.page.goto(address);
  await opened.page.locator("#tests tbody button").first().waitFor();
  return opened;
}

/** What is folded and where one is, as it is seen. @param {import("playwright-core").Page} page */
const seen = (page) =>
  page.evaluate(() => ({
    lists: [...document.querySelectorAll(".cause-tests")].filter((list) => list.checkVisibility()).map((list) => list.children.length),
    causes: document.querySelectorAll(".cause").length,
    open: [...document.querySelectorAll("main details")].map((fold) => [/** @type {HTMLDetailsElement} */ (fold).open, (fold.querySelector("summary")?.textContent ?? "").slice(0, 40)]),
    row: Math.round((document.querySelector(".table-box")?.scrollTop ?? 0) / 28),
    lanes: document.querySelector("canvas.lanes")?.getBoundingClientRect().height,
  }));

/** @param {import("playwright-core").Page} page @param {Awaited<ReturnType<typeof seen>>} wanted */
async function shows(page, wanted) {
  for (const until = Date.now() + 30000; Date.now() < until; await page.waitForTimeout(50)) {
    if (JSON.stringify(await seen(page)) === JSON.stringify(wanted)) return;
  }
  assert.deepEqual(await seen(page), wanted);
}

test("what is unfolded, and the row that one has come to, are shown again by a reload and to somebody else", { skip, timeout: 90000 }, async () => {
  const { page } = await openSite();
  await page.getByRole("button", { name: "294 more", exact: true }).click();
  await page.getByRole("button", { name: "94 more", exact: true }).click();
  await page.getByRole("button", { name: /^\d+ more causes/ }).click();
  await page.locator("details.skip summary").first().click();
  await page.getByRole("button", { name: "4 more", exact: true }).click();
  await page.locator("#tests tbody button", { hasText: "test_same_2" }).first().click();
  await page.locator("#details .attachment").first().waitFor();
  await page.locator("#details .attachment summary").nth(1).click();
  await page.getByText("At the same time").click();
  const lane = page.locator("canvas.lanes");
  await lane.click({ position: { x: 20, y: 44 } });
  await page.waitForFunction(() => location.hash.includes("fold="));
  const box = page.locator(".table-box");
  await box.scrollIntoViewIfNeeded();
  await box.evaluate((element) => {
    element.scrollTop = 28 * 500;
  });
  await page.waitForFunction(() => /[#&]row=500/.test(location.hash));
  const wanted = await seen(page);
  assert.equal(wanted.row, 500);
  assert.ok(wanted.lists.includes(SAME) && wanted.lists.includes(10), "unfolded lists");
  assert.equal(wanted.causes, CAUSES + 1);
  const unfolded = wanted.open.filter(([is]) => is).map(([, name]) => String(name));
  assert.equal(unfolded.length, 4, unfolded.join());

  const other = await openSite(page.url());
  await shows(other.page, wanted);
  assert.equal(other.page.url(), page.url());
  await page.reload();
  await shows(page, wanted);
});

test("a step back folds what was unfolded and leads to the row where one was; scrolling is no step", { skip, timeout: 90000 }, async () => {
  const { page } = await openSite();
  const box = page.locator(".table-box");
  const before_all = await seen(page);
  const steps = await page.evaluate(() => history.length);
  for (const row of [100, 200, 300]) {
    await box.evaluate((element, n) => {
      element.scrollTop = 28 * n;
    }, row);
    await page.waitForFunction((n) => location.hash === `#row=${n}`, row);
  }
  assert.equal(await page.evaluate(() => history.length), steps);
  const at300 = await seen(page);
  await page.getByRole("button", { name: "294 more", exact: true }).click();
  await page.getByRole("button", { name: /^\d+ more causes/ }).click();
  await page.locator("details.skip summary").first().click();
  await page.waitForFunction(() => location.hash.includes("skip0"));
  const unfolded = await seen(page);
  // It had not come to rest when the next step was made: it belongs to the step before.
  await box.evaluate((element) => {
    element.scrollTop = 28 * 350;
  });
  await page.waitForFunction(() => Math.round((document.querySelector(".table-box")?.scrollTop ?? 0) / 28) === 350 && document.querySelector('tr[aria-rowindex="352"]'));
  await page.getByRole("button", { name: "Duration" }).click();
  await page.waitForFunction(() => location.hash.includes("sort="));
  assert.equal((await seen(page)).row, 0, "another order begins at its first row");
  await page.goBack();
  await shows(page, { ...unfolded, row: 350 });
  for (let i = 0; i < 3; i += 1) await page.goBack();
  await shows(page, at300);
  await page.goForward();
  await page.goForward();
  await page.goForward();
  await shows(page, { ...unfolded, row: 350 });
  assert.notDeepEqual(before_all, at300);
});

test("attachments that are open stay open at the next test that has them; all may be closed", { skip, timeout: 60000 }, async () => {
  const { page } = await openSite(`${site}#test=pkg.Many.test_same_1`);
  const states = () => page.locator("#details .attachment").evaluateAll((all) => all.map((fold) => /** @type {HTMLDetailsElement} */ (fold).open));
  await page.locator("#details .attachment").nth(2).waitFor();
  assert.deepEqual(await states(), [true, false, false]);
  await page.locator("#details .attachment summary").nth(2).click();
  await page.waitForFunction(() => location.hash.includes("file="));
  await page.locator("#details").getByRole("button", { name: "Next failure" }).click();
  await page.waitForFunction(() => location.hash.includes("test_same_2"));
  await page.locator("#details").getByText("test_same_2").first().waitFor();
  await page.locator("#details .attachment").nth(2).waitFor();
  assert.deepEqual(await states(), [true, false, true]);
  await page.locator("#details .attachment summary").nth(0).click();
  await page.locator("#details .attachment summary").nth(2).click();
  await page.waitForFunction(() => /file=(,|%2C)/.test(location.hash));
  await page.reload();
  await page.locator("#details .attachment").nth(2).waitFor();
  assert.deepEqual(await states(), [false, false, false]);
  const steps = await page.evaluate(() => history.length);
  await page.goto(`${site}#test=pkg.Many.test_cause_3&file=stdout`);
  await page.reload();
  await page.locator("#details .attachment").first().waitFor();
  assert.deepEqual(await states(), [true], "it has no such attachment: its first is shown");
  assert.equal(await page.evaluate(() => history.length), steps + 1);
  assert.ok(page.url().includes("file=stdout"), "and the wish is kept");
});
