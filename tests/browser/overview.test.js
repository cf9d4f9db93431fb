// SPDX-License-Identifier: Apache-2.0
// The overview: what failed first, what was slowest, what the scrape left out; and each part of the state in the address.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LANE, openAxis } from "./axis.js";
import { skip, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

/** @param {number} at_s @param {string} cases */
const suite = (at_s, cases) => `<testsuite name="s${at_s}" hostname="one" timestamp="${new Date(Date.UTC(2016, 5, 1, 12, 0, at_s)).toISOString()}">${cases}</testsuite>`;
/** @param {string} name @param {number} length_s @param {string} [failure] */
const one = (name, length_s, failure) => `<testcase classname="pkg.${name.split(".")[0]}" name="${name.split(".")[1]}" time="${length_s}">${failure ? `<failure>${failure}</failure>` : ""}</testcase>`;

/** What failed first stands last in the file; each test takes another time. */
const REPORT = `<?xml version="1.0"?><testsuites>${[
  suite(100, one("Late.test_a", 3, "KeyError: late 1") + one("Late.test_b", 4, "KeyError: late 2")),
  suite(50, Array.from({ length: 12 }, (_, i) => one(`Many.test_${i}`, 1 + i / 10)).join("")),
  suite(80, one("Slow.test_long", 9) + one("Slow.test_short", 0.5)),
  suite(10, one("First.test_z", 2, "ValueError: first")),
].join("")}</testsuites>`;

let site = "";
let broken = "";
rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    site = await upload(url, { "junit.xml": REPORT });
    broken = await upload(url, { "a.xml": REPORT.slice(0, -60), "b.xml": REPORT.slice(0, -80), "c.xml": REPORT });
  },
});
const open = rigBrowser();
const limits = { skip, timeout: 60000 };

test("what failed first in time stands first, whatever the file's order; a click leads to it", limits, async () => {
  const { page } = await openAxis(open, site);
  await page.locator(".cause .test-link").first().waitFor();
  assert.deepEqual(await page.locator(".cause-text").allTextContents(), ["ValueError: first", "KeyError: late 1"]);
  assert.deepEqual(await page.locator(".cause .test-name").allTextContents(), ["test_z", "test_a", "test_b"]);
  assert.equal(await page.locator(".cause-count").textContent(), "2 ×");
  await page.getByText("2 causes, the first in time first").waitFor();
  await page.keyboard.press("n");
  await page.locator("#details h2").getByText("test_z").waitFor();
  await page.locator(".cause .test-link", { hasText: "test_b" }).click();
  await page.locator("#details h2").getByText("test_b").waitFor();
  assert.match(page.url(), /test=pkg\.Late\.test_b/);
});

test("the slowest tests and classes, the longest first, lead to themselves", limits, async () => {
  const { page } = await openAxis(open, site);
  const tests = page.locator("section", { has: page.getByRole("heading", { name: "Slowest tests" }) }).locator(".test-link");
  await tests.first().waitFor();
  assert.deepEqual((await tests.locator(".test-name").allTextContents()).slice(0, 4), ["test_long", "test_b", "test_a", "test_11"]);
  const lengths = (await tests.locator(".test-where span:last-child").allTextContents()).map((text) => parseFloat(text));
  assert.deepEqual(lengths, [9, 4, 3, 2.1, 2, 2, 1.9, 1.8, 1.7, 1.6]);
  await tests.first().click();
  await page.locator("#details h2").getByText("test_long").waitFor();
  const classes = page.locator("section", { has: page.locator("#classes") }).locator("a");
  const times = (await classes.locator("b").allTextContents()).map((text) => parseFloat(text));
  assert.deepEqual(times, times.toSorted((a, b) => b - a));
  assert.match((await classes.first().textContent()) ?? "", /Many.*12 tests/);
  assert.match((await classes.filter({ hasText: "Late" }).textContent()) ?? "", /2 failed/);
  await classes.first().click();
  await page.locator("#tests").getByText("12 of 17 tests").waitFor();
});

test("what the scrape left out or repaired is told above all else, and unfolds", limits, async () => {
  const { page } = await openAxis(open, broken);
  const fold = page.locator("details.notice", { hasText: "Left out or repaired" });
  await fold.waitFor();
  const count = Number(/\((\d+)\)/.exec((await fold.locator("summary").textContent()) ?? "")?.[1]);
  assert.ok(count >= 2, `${count}`);
  assert.match((await fold.locator("summary").textContent()) ?? "", /[ab]\.junit\.xml/, "the first is read without unfolding");
  await fold.locator("summary").click();
  const warnings = await fold.locator("li").allTextContents();
  assert.equal(warnings.length, count);
  for (const name of ["a.junit.xml", "b.junit.xml"]) assert.ok(warnings.some((text) => text.includes(name)), `${name}: ${warnings.join("; ")}`);
  const [above, findings] = await Promise.all([fold.boundingBox(), page.locator("#failures").boundingBox()]);
  assert.ok(above && findings && above.y < findings.y);
});

/** @typedef {import("playwright-core").Page} Page */
/** Each part of what is shown: how it is changed, what the address says of it, and what is seen. @type {[string, (page: Page) => Promise<unknown>, RegExp, (page: Page) => Promise<unknown>][]} */
const PARTS = [
  ["the time range", (page) => page.getByRole("button", { name: "Zoom in (+)" }).click(), /[#&]t=/, async (page) => new URLSearchParams(new URL(page.url()).hash.slice(1)).get("t")],
  ["the filter's text", (page) => page.getByLabel("Filter tests and tags").fill("Many"), /filter=Many/, (page) => page.locator("#tests .group-head").innerText()],
  ["the filter's status", (page) => page.getByRole("link", { name: /\b3\s*failed/ }).click(), /status=fail/, (page) => page.locator(".count[aria-current]").allInnerTexts()],
  ["the least duration", (page) => page.getByLabel("Least duration").selectOption("5"), /min=5/, (page) => page.locator("#tests .group-head").innerText()],
  ["the selection", (page) => page.keyboard.press("n"), /test=pkg\.First\.test_z/, (page) => page.locator("#details h2").allInnerTexts()],
  ["the order of the table", (page) => page.getByRole("button", { name: "Duration" }).click(), /sort=-duration/, (page) => page.locator("#tests tbody .test-name").allTextContents()],
  ["the lanes that are folded", (page) => page.locator("canvas.lanes").click({ position: { x: 20, y: LANE.one } }), /fold=/, async (page) => (await page.locator("canvas.lanes").boundingBox())?.height],
  ["the zone of the times", (page) => page.getByLabel("Times are shown in").selectOption("start"), /zone=start/, (page) => page.locator(".col-start").allTextContents()],
];

for (const [name, change, said, seen] of PARTS) {
  test(`${name}: in the address, after a reload, back and forward`, limits, async () => {
    const { page } = await openAxis(open, site);
    await page.locator(".cause .test-link").first().waitFor();
    const before = await seen(page);
    /** @param {unknown} wanted @param {string} when */
    const shows = async (wanted, when) => {
      for (const until = Date.now() + 8000; Date.now() < until && JSON.stringify(await seen(page)) !== JSON.stringify(wanted); ) await page.waitForTimeout(25);
      assert.deepEqual(await seen(page), wanted, when);
    };
    await change(page);
    await page.waitForFunction((source) => new RegExp(source).test(location.hash), said.source);
    for (const until = Date.now() + 8000; Date.now() < until && JSON.stringify(await seen(page)) === JSON.stringify(before); ) await page.waitForTimeout(25);
    const after = await seen(page);
    assert.notDeepEqual(after, before, "it is seen");
    await page.reload();
    await page.locator(".cause .test-link").first().waitFor();
    await shows(after, "after a reload");
    await page.goBack();
    await shows(before, "a step back");
    assert.equal(new URL(page.url()).hash, "");
    await page.goForward();
    await shows(after, "and forward");
  });
}
