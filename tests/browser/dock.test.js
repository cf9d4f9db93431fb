// SPDX-License-Identifier: Apache-2.0
// Where the details of a test stand when somebody chose it: beside the timeline on a laptop, over the page on a phone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { finished, skip, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const LANES = 60;

/** A lane a host, each with a failure in its middle. */
function manyLanes() {
  const suites = Array.from({ length: LANES }, (_, i) => {
    const host = `host${String(i).padStart(2, "0")}`;
    const one = (/** @type {string} */ name, /** @type {string} */ inner) => `<testcase classname="pkg.${host}" name="${name}" time="10">${inner}</testcase>`;
    return `<testsuite name="${host}" hostname="${host}" timestamp="2016-06-01T12:00:00Z">${one("test_a", "")}${one("test_b", `<failure>Traceback\n  of ${host}\nValueError: ${host}</failure>`)}${one("test_c", "")}</testsuite>`;
  });
  return `<?xml version="1.0"?><testsuites>${suites.join("")}</testsuites>`;
}

let sample = "";
let lanes = "";
rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    const { uuid } = await (await fetch(`${url}/api/scrape`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ url: "sample:gate-tempest-dsvm-full/" }) })).json();
    [sample, lanes] = await Promise.all([finished(url, uuid), upload(url, { "lanes.xml": manyLanes() })]);
  },
});
const open = rigBrowser();

const limits = { skip, timeout: 90000 };
/** @type {import("playwright-core").BrowserContextOptions} */
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, reducedMotion: "reduce" };

/** @typedef {import("playwright-core").Page} Page */

/** @param {string} address @param {import("playwright-core").BrowserContextOptions} [options] */
async function openSite(address, options = { reducedMotion: "reduce" }) {
  const { page } = await open(options);
  await page.goto(address);
  await page.locator(".cause .test-link").first().waitFor();
  await page.locator("#tests tbody button").first().waitFor();
  return page;
}

/** Whether all of an element is in the window, and nothing lies over it. @param {import("playwright-core").Locator} locator */
const inSight = (locator) =>
  locator.evaluate((element) => {
    const { top, bottom, left, right } = element.getBoundingClientRect();
    const over = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return top >= 0 && bottom <= innerHeight && (element.contains(over) || Boolean(over?.contains(element)));
  });

/** The status, the name and the first lines of what it says. @param {Page} page @param {string} name @param {number} lines */
async function told(page, name, lines) {
  await page.locator("#details h2").getByText(name).waitFor();
  await page.locator("#details .log-line").first().waitFor();
  const parts = [page.locator("#details .badge"), page.locator("#details h2"), ...Array.from({ length: lines }, (_, n) => page.locator("#details .log-line").nth(n))];
  for (const part of parts) assert.ok(await inSight(part), `${await part.innerText()} is in sight`);
}

/** @param {Page} page @param {number} y of a lane on its canvas @param {number} [tall] */
async function laneShows(page, y, tall = 20) {
  const [canvas, pane] = await Promise.all(["canvas.lanes", "#details"].map((one) => page.locator(one).boundingBox()));
  assert.ok(canvas && pane);
  assert.ok(canvas.y + y >= 0 && canvas.y + y + tall <= pane.y, `the lane at ${canvas.y + y} px is above the details at ${pane.y} px`);
}

/** @param {Page} page */
const focused = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");

test("a click in the timeline opens the details beside it: both are in sight, also with charts below", limits, async () => {
  const page = await openSite(sample);
  assert.ok((await page.locator(".chart").count()) > 4);
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  // The failures of the sample stand below each other in its middle.
  await page.mouse.click(box.x + box.width * 0.5, box.y + 125);
  await told(page, "test_delete_ports", 3);
  await laneShows(page, 113);
  assert.ok(await inSight(page.locator("canvas.overview")));
  assert.notEqual(await focused(page), "details", "the focus stays where it was: nothing lies over it");
  for (const name of ["test_list_ports", "test_attach_ports", "test_delete_ports", "setUpClass"]) {
    await page.locator(".cause .test-link", { hasText: name }).click();
    await told(page, name, 3);
    assert.ok(await inSight(page.locator("canvas.overview")));
  }
  const [pane, timeline] = await Promise.all(["#details", ".timeline"].map((one) => page.locator(one).boundingBox()));
  assert.ok(pane && timeline && pane.height < 400 && pane.x === timeline.x && pane.width === timeline.width);
});

test("a test that is chosen in the table has its details in sight, and those of the next", limits, async () => {
  const page = await openSite(sample);
  await page.locator("#tests").scrollIntoViewIfNeeded();
  const heights = await page.locator("#tests tbody tr:not(.spacer)").evaluateAll((rows) => [...new Set(rows.map((row) => row.getBoundingClientRect().height))]);
  assert.deepEqual(heights, [28], "rows are as tall as the table reckons");
  for (const n of [1, 3]) {
    const row = page.locator("#tests tbody button").nth(n);
    const name = (await row.locator(".test-name").textContent()) ?? "";
    await row.click();
    await page.locator("#details h2").getByText(name).waitFor();
    await page.waitForFunction(() => (document.querySelector("#details")?.getBoundingClientRect().top ?? -1) >= 0);
    assert.ok(await inSight(page.locator("#details h2")));
    assert.ok(await inSight(page.locator("#tests tbody tr.selected")), "and the row with them");
  }
});

test("of many lanes the one that was clicked stays in sight above its details", limits, async () => {
  const page = await openSite(lanes);
  const tall = (await page.locator("canvas.lanes").boundingBox())?.height ?? 0;
  const lane = (tall - 35) / LANES;
  for (const n of [0, 30, LANES - 1]) {
    const y = 32 + (n + 0.5) * lane;
    await page.locator("canvas.lanes").evaluate((canvas, at) => scrollBy(0, canvas.getBoundingClientRect().top + at - innerHeight + 40), y);
    const box = await page.locator("canvas.lanes").boundingBox();
    assert.ok(box);
    await page.mouse.click(box.x + box.width * 0.55, box.y + y);
    await told(page, "test_b", 2);
    await laneShows(page, y - lane / 2, lane);
    await page.keyboard.press("Escape");
  }
});

test("the details may be taller, which the address keeps; keys lead to them and back", limits, async () => {
  const page = await openSite(sample);
  await page.keyboard.press("n");
  await told(page, "test_detach_floating_ips", 3);
  await page.getByRole("button", { name: "Taller" }).click();
  await page.waitForFunction(() => location.hash.includes("turned=tall"));
  await page.reload();
  await page.getByRole("button", { name: "Shorter" }).waitFor();
  await page.locator("#details .attachment summary").nth(1).click();
  await page.locator("#details .log-line").nth(20).waitFor();
  assert.ok(((await page.locator("#details").boundingBox())?.height ?? 0) > 500);
  await page.goBack();
  await page.goBack();
  await page.getByRole("button", { name: "Taller" }).waitFor();
  const link = page.locator(".cause .test-link").nth(1);
  await link.focus();
  await page.keyboard.press("Enter");
  await told(page, "test_list_ports", 3);
  assert.match((await page.locator(".timeline [role=status]").last().textContent()) ?? "", /^Failed: test_list_ports\. Press d for its details\.$/);
  await page.keyboard.press("d");
  assert.equal(await focused(page), "details");
  assert.equal(await page.locator("#details").getAttribute("aria-label"), "Selected test: test_list_ports, Failed");
  await page.keyboard.press("Escape");
  await page.locator("#details").waitFor({ state: "hidden" });
  assert.ok(await link.evaluate((element) => element === document.activeElement), "the focus is back where it came from");
});

test("on a phone the parts of the page are a tap away, and so are a test's details", limits, async () => {
  const page = await openSite(sample, PHONE);
  const parts = page.getByRole("navigation", { name: "Parts of this page" });
  assert.deepEqual(await parts.getByRole("button").allTextContents(), ["Findings", "Timeline", "Tests", "Console"]);
  assert.ok(await inSight(parts), "without scrolling");
  await parts.getByRole("button", { name: "Tests" }).tap();
  assert.ok(await inSight(page.locator("#tests h2")));
  assert.equal(await focused(page), "tests");
  await parts.getByRole("button", { name: "Timeline" }).tap();
  assert.ok(await inSight(page.locator("canvas.overview")));
  assert.ok(await inSight(parts), "the way to the others comes along");
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  await page.touchscreen.tap(box.x + box.width * 0.5, box.y + 45);
  await told(page, "test_attach_ports", 1);
  await laneShows(page, 32);
  assert.equal(await focused(page), "details", "what lies over the page has the focus");
  await page.getByRole("button", { name: "Close the selected test" }).tap();
  await page.locator("#details").waitFor({ state: "hidden" });
  assert.match(await focused(page), /^plot/);
});

test("on a phone a finding's details come to it, and the focus goes back to it", limits, async () => {
  const page = await openSite(sample, PHONE);
  const link = page.locator(".cause .test-link").first();
  await link.scrollIntoViewIfNeeded();
  // High enough for a sheet below it.
  await link.evaluate((element) => scrollBy(0, element.getBoundingClientRect().top - 100));
  const before_px = await page.evaluate(() => scrollY);
  await link.tap();
  await told(page, "test_detach_floating_ips", 1);
  assert.equal(await page.evaluate(() => scrollY), before_px, "the page stays where it was");
  assert.equal(await focused(page), "details");
  await page.keyboard.press("Escape");
  await page.locator("#details").waitFor({ state: "hidden" });
  assert.ok(await link.evaluate((element) => element === document.activeElement));
  assert.ok((await page.evaluate(() => document.documentElement.scrollHeight - (document.querySelector("main")?.getBoundingClientRect().bottom ?? 0) - scrollY)) < 10, "nothing makes the page longer than what is on it");
});

test("on a phone what was tapped low on the screen stays in sight above the sheet", limits, async () => {
  for (const list of [".cause .test-link", "#tests tbody button"]) {
    const page = await openSite(sample, { ...PHONE, viewport: { width: 390, height: 844 } });
    const link = page.locator(list).nth(1);
    await link.evaluate((element) => scrollBy(0, element.getBoundingClientRect().bottom - innerHeight + 20));
    const name = (await link.locator(".test-name").textContent()) ?? "";
    await link.tap();
    await told(page, name, 1);
    const row = page.locator(list).filter({ hasText: name }).first();
    await page.waitForFunction(([rows, words]) => {
      const found = [...document.querySelectorAll(rows)].find((one) => one.textContent?.includes(words));
      const { top, bottom } = found?.getBoundingClientRect() ?? { top: -1, bottom: 0 };
      return top >= 0 && bottom <= (document.querySelector("#details")?.getBoundingClientRect().top ?? 0);
    }, [list, name]);
    assert.ok(await inSight(row), `${name} is in sight`);
  }
});

for (const [name, options] of /** @type {const} */ ([["on a laptop", { reducedMotion: "reduce" }], ["on a phone", PHONE]])) {
  test(`${name} what is done with a test, or searched in its attachment, stands in one row, and a copy moves nothing`, limits, async () => {
    const page = await openSite(`${sample}#test=tempest.api.network.test_floating_ips.FloatingIpsTestJSON.test_detach_floating_ips`, options);
    await page.locator("#details .log-line").first().waitFor();
    const places = () => page.locator("#details .detail-steps > *, #details .attachment-bar button, .cause .button").evaluateAll((all) => all.map((element) => {
      const { offsetLeft, offsetTop, offsetWidth } = /** @type {HTMLElement} */ (element);
      return [offsetLeft, offsetTop, offsetWidth].join();
    }));
    for (const row of [".detail-steps > *", ".attachment[open] .attachment-bar > :is(input, button)"]) {
      const tops = await page.locator(`#details ${row}`).evaluateAll((all) => all.map((element) => Math.round(element.getBoundingClientRect().top)));
      assert.equal(new Set(tops).size, 1, `${row} stands at ${tops.join()}`);
    }
    assert.ok(await inSight(page.locator("#details").getByRole("button", { name: "Next failure" })), "a phone has no key for it");
    const before = await places();
    for (const button of [page.locator(".cause").first().getByRole("button", { name: "Copy link" }), page.locator("#details").getByRole("button", { name: "Copy traceback" })]) {
      await button.click();
      await button.getByText("copied").waitFor();
      assert.deepEqual(await places(), before);
    }
  });
}
