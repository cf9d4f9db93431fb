// SPDX-License-Identifier: Apache-2.0
// The time axis under the hands: pointer, wheel, fingers and keys, and what of it can be seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { about, LANE, near, openAxis, range, rangeIs, REPORT, ROOM_S, RUN_S, whole } from "./axis.js";
import { colours, skip, themeColour, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

let site = "";
rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    site = await upload(url, { "junit.xml": REPORT });
  },
});
const open = rigBrowser();

const limits = { skip, timeout: 60000 };

/** @param {string} [hash] @param {import("playwright-core").BrowserContextOptions} [options] */
const openSite = (hash = "", options) => openAxis(open, site + hash, options);

test("shift and a drag zoom to a range, a drag pans it, a double click shows the whole run", limits, async () => {
  const { page, point } = await openSite();
  await page.keyboard.down("Shift");
  await page.mouse.move(...point(20, LANE.one));
  await page.mouse.down();
  await page.mouse.move(...point(30, LANE.one));
  await page.mouse.move(...point(40, LANE.one));
  assert.ok(await page.locator(".brush").isVisible(), "the stretch is shown while it is drawn");
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await rangeIs(page, about(20, 40));
  assert.equal(await page.locator(".brush").isVisible(), false);
  // A quarter of the plot to the left: a quarter of twenty seconds later.
  await page.mouse.move(...point(50, LANE.two));
  await page.mouse.down();
  await page.mouse.move(...point(40, LANE.two));
  await page.mouse.move(...point(25, LANE.two));
  await page.mouse.up();
  await rangeIs(page, about(25, 45));
  assert.ok(!page.url().includes("test="), "a drag selects nothing");
  await page.mouse.dblclick(...point(90, LANE.two));
  await rangeIs(page, whole);
});

test("the wheel zooms at the pointer; out of the whole run it scrolls the page", limits, async () => {
  const { page, point } = await openSite();
  await page.mouse.move(...point(75, LANE.one));
  await page.mouse.wheel(0, -300);
  const [from, to] = await rangeIs(page, (now) => now !== null && now[1] - now[0] < 60);
  assert.ok(near((75 - from) / (to - from), 0.75, 0.02), `${from}~${to} holds 75 s where it was`);
  await page.mouse.wheel(0, 600);
  await rangeIs(page, whole);
  const before_px = await page.evaluate(() => scrollY);
  await page.mouse.wheel(0, 200);
  await page.waitForFunction((was) => scrollY > was, before_px);
});

test("two fingers zoom at their middle and one pans, on a phone", limits, async () => {
  const { page, point } = await openSite("", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await page.locator("canvas.lanes").scrollIntoViewIfNeeded();
  const moved = await page.evaluate(() => scrollY);
  const cdp = await page.context().newCDPSession(page);
  /** @param {"touchStart"|"touchMove"|"touchEnd"} type @param {number[]} seconds where the fingers are */
  const touch = (type, ...seconds) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: seconds.map((s, id) => ({ x: point(s, LANE.two)[0], y: point(s, LANE.two)[1] - moved, id })) });
  await touch("touchStart", 40);
  await touch("touchStart", 40, 60);
  for (const apart of [15, 20, 30, 40]) await touch("touchMove", 50 - apart, 50 + apart);
  await touch("touchEnd");
  // Four times as far from each other: a quarter is shown, around what lay between them.
  const [from, to] = await rangeIs(page, about(37.5, 62.5));
  assert.equal(await page.evaluate(() => visualViewport?.scale), 1, "the page itself is not zoomed");
  await touch("touchStart", 50);
  for (const s of [45, 40, 30]) await touch("touchMove", s);
  await touch("touchEnd");
  await rangeIs(page, about(from + 5, to + 5));
});

test("keys move and zoom the timeline; in the filter the same keys are the text's", limits, async () => {
  const { page } = await openSite();
  await page.locator(".plot").focus();
  for (const key of ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp"]) await page.keyboard.press(key);
  const length = (RUN_S + 2 * ROOM_S) / 1.5 ** 4;
  await rangeIs(page, (now) => now !== null && near(now[1] - now[0], length, 0.1));
  await page.keyboard.press("Home");
  const [start] = await rangeIs(page, (now) => now !== null && near(now[0], -ROOM_S, 0.1));
  await page.keyboard.press("ArrowRight");
  await rangeIs(page, (now) => now !== null && near(now[0], start + length * 0.15, 0.1));
  await page.keyboard.press("Shift+ArrowRight");
  await rangeIs(page, (now) => now !== null && near(now[0], start + length * 0.95, 0.1));
  await page.keyboard.press("ArrowLeft");
  await rangeIs(page, (now) => now !== null && near(now[0], start + length * 0.8, 0.1));
  await page.keyboard.press("End");
  await rangeIs(page, (now) => now !== null && near(now[1], RUN_S + ROOM_S, 0.1));
  await page.keyboard.press("ArrowDown");
  const kept = await rangeIs(page, (now) => now !== null && near(now[1] - now[0], length * 1.5, 0.2));

  const filter = page.getByLabel("Filter tests and tags");
  await filter.fill("test_0");
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "0", "-", "n"]) await page.keyboard.press(key);
  assert.equal(await filter.inputValue(), "test_00-n");
  await page.waitForFunction(() => location.hash.includes("filter=test_00-n"));
  assert.deepEqual(range(page), kept);
  assert.ok(!page.url().includes("test="));
  await page.getByRole("heading", { level: 1 }).click();
  await page.keyboard.press("0");
  await rangeIs(page, whole);
  await page.keyboard.press("+");
  await rangeIs(page, (now) => now !== null);
  await page.keyboard.press("-");
  await rangeIs(page, whole);
});

test("the pointer is told what is under it: a test, a class that is set up, a worker that idles", limits, async () => {
  const { page, point } = await openSite();
  const tip = page.locator(".tip");
  const said = async (/** @type {number} */ s, /** @type {number} */ y) => {
    await page.mouse.move(...point(s, y));
    return (await tip.innerText()).replace(/\s*\n\s*/g, "\n");
  };
  assert.match(await said(30, LANE.one), /^test_fails\npkg\.A\nFailed\n· one #\d · 20\.0 s · estimated\n2016-06-01 12:00:20\.000 to 12:00:40\.000 UTC$/);
  assert.match(await said(50, LANE.two), /^test_zero\npkg\.C\nSkipped\n· two #\d · 0\S* .?s · estimated\n2016-06-01 12:00:50\.000/);
  assert.match(await said(50, LANE.one), /^Between classes \(tearDownClass, setUpClass\)\nthen pkg\.B\none #\d · 20\.0 s\n2016-06-01 12:00:40\.000 to 12:01:00\.000 UTC\n2016-06-01 12:00:50/);
  assert.match(await said(5, LANE.two), /^Idle before its first test\nthen pkg\.C\ntwo #\d · 10/);
  assert.match(await said(40, LANE.two), /^Between tests of one class\nthen pkg\.C\n/);
  assert.match(await said(80, LANE.two), /^Idle: no test was left\ntwo #\d · 50/);
  await page.mouse.move(10, 10);
  assert.equal(await tip.isVisible(), false);
});

test("what is set up between classes is seen in its lane, and so is that nothing ran", limits, async () => {
  const { page, colour } = await openSite();
  const [pass, fail, skipped, between, idle] = await Promise.all(["pass", "fail", "skip", "between", "idle"].map((name) => themeColour(page, `fill-${name}`)));
  assert.equal(new Set([pass, fail, skipped, between, idle]).size, 5);
  const names = { [pass]: "pass", [fail]: "fail", [skipped]: "skip", [between]: "between", [idle]: "idle" };
  /** @type {[number, number, string][]} */
  const places = [[18, LANE.one, "pass"], [37, LANE.one, "fail"], [50, LANE.one, "between"], [97, LANE.one, "pass"], [5, LANE.two, "idle"], [28, LANE.two, "pass"], [40, LANE.two, "idle"], [80, LANE.two, "idle"]];
  for (const [s, y, wanted] of places) {
    const seen = await colour(s, y);
    assert.equal(names[seen] ?? seen, wanted, `${s} s`);
  }
  // What took no time is a pixel wide, and there.
  assert.ok((await colours(page.locator("canvas.lanes")))[skipped] > 0);
});

test("a click selects a test and opens its details beside the timeline, also one that took no time", limits, async () => {
  const { page, point } = await openSite();
  /** @param {string} name */
  const opened = async (name) => {
    await page.locator("#details h2").getByText(name, { exact: true }).waitFor();
    assert.equal(new URLSearchParams(new URL(page.url()).hash.slice(1)).get("test"), name.startsWith("test") ? `pkg.${name === "test_zero" ? "C" : "A"}.${name}` : name);
    assert.ok(await page.locator(".plot").isVisible());
  };
  await page.mouse.click(...point(30, LANE.one));
  await opened("test_fails");
  await page.locator("#details .log-lines").getByText("ValueError: no").waitFor();
  // Three pixels beside it: it is one wide.
  const [x, y] = point(50, LANE.two);
  await page.mouse.click(x + 3, y);
  await opened("test_zero");
  assert.match(await page.locator("#details .facts").first().innerText(), /skipped/i);
  // A failure's mark above the lanes stands where it ended.
  await page.mouse.click(...point(40, 26));
  await opened("test_fails");
  await page.keyboard.press("Escape");
  await page.locator("#details").waitFor({ state: "hidden" });
});

test("a link to a test that the run has not says so, until it is closed", limits, async () => {
  const { page } = await openSite("#test=pkg.Gone.test_x");
  const said = page.locator("#details").getByText("This run has no such test");
  await said.waitFor();
  assert.match(await page.locator("#details").innerText(), /pkg\.Gone\.test_x/);
  await page.keyboard.press("Escape");
  await said.waitFor({ state: "hidden" });
  await page.goBack();
  await page.locator("#details").getByRole("button", { name: "Close" }).click();
  await said.waitFor({ state: "hidden" });
  assert.equal(new URL(page.url()).hash, "");
});

test("a filter dims lanes and overview; a selection is not its business, nor it the selection's", limits, async () => {
  const { page, colour, point } = await openSite("#test=pkg.A.test_fails");
  await page.locator("#details h2").waitFor();
  const [fail, dim, pass] = await Promise.all(["fill-fail", "dim", "fill-pass"].map((name) => themeColour(page, name)));
  const [lanes, strip] = [page.locator("canvas.lanes"), page.locator("canvas.overview")];
  const full = [await colours(lanes), await colours(strip)];
  for (const seen of full) assert.ok(seen[fail] > 20 && !seen[dim], JSON.stringify(seen));
  const filter = page.getByLabel("Filter tests and tags");
  await filter.fill("test_long");
  await page.getByText("1 of 5 tests").first().waitFor();
  await page.evaluate(() => new Promise((drawn) => {
    requestAnimationFrame(() => requestAnimationFrame(drawn));
  }));
  for (const [i, canvas] of [lanes, strip].entries()) {
    const seen = await colours(canvas);
    assert.ok(!seen[fail], "no failure is among what is meant");
    assert.ok(seen[dim] > 500 && seen[pass] > 500 && seen[pass] < full[i][pass], JSON.stringify(seen));
  }
  assert.equal(await colour(97, LANE.one), pass);
  assert.equal(await colour(28, LANE.two), dim);
  assert.equal(await page.locator("#details h2 .test-name").textContent(), "test_fails", "the selected one stays, though the filter leaves it out");
  await page.mouse.click(...point(27, LANE.two));
  await page.locator("#details h2").getByText("test_short").waitFor();
  assert.equal(await filter.inputValue(), "test_long");
  await filter.fill("");
  await page.waitForFunction(() => !location.hash.includes("filter="));
  assert.ok(page.url().includes("test=pkg.C.test_short"));
});

test("times are the run's, the viewer's or since the start, everywhere at once, and stay so", limits, async () => {
  const { page, point } = await openSite("#test=pkg.A.test_fails", { timezoneId: "Asia/Kolkata" });
  const zones = page.getByLabel("Times are shown in");
  const places = async () => {
    await page.mouse.move(...point(29, LANE.one));
    await page.mouse.move(...point(30, LANE.one));
    return [await page.locator(".tip").innerText(), await page.locator("#details .facts").first().innerText(), await page.locator("#tests tbody tr", { hasText: "test_fails" }).innerText(), await page.locator(".run-head").innerText()];
  };
  /** @param {RegExp} time */
  const all = async (time) => {
    for (const text of (await places()).slice(0, 3)) assert.match(text, time);
  };
  await all(/12:00:20/);
  assert.match(await zones.innerText(), /Local \(.*(5:30|IST)/);
  await zones.selectOption("local");
  await all(/17:30:20/);
  await zones.selectOption("start");
  await all(/(?<![\d:])(\+|0:)?0?0?:?20/);
  for (const text of await places()) assert.doesNotMatch(text, /12:00:20|17:30:20/);
  await zones.selectOption("local");
  await page.reload();
  await page.locator("#details .facts").first().waitFor();
  await page.locator("#tests tbody button").first().waitFor();
  await all(/17:30:20/);
});

for (const width of [2560, 600, 320]) {
  test(`at ${width} px the timeline takes the room there is, and follows when it changes`, limits, async () => {
    const { page, close, box, colour } = await openSite("", { viewport: { width, height: 800 } });
    const pass = await themeColour(page, "fill-pass");
    assert.equal(await colour(18, LANE.one), pass);
    assert.equal(await colour(97, LANE.one), pass);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
    const drawn = () => page.locator("canvas.lanes").evaluate((element) => [/** @type {HTMLCanvasElement} */ (element).width, element.clientWidth]);
    assert.deepEqual(await drawn(), [Math.floor(box.width), Math.floor(box.width)]);
    if (width > 2000) assert.ok(box.width > 1500, `${box.width} of ${width}`);
    await page.setViewportSize({ width: 900, height: 800 });
    await page.waitForFunction((was) => document.querySelector("canvas.lanes")?.clientWidth !== was, Math.floor(box.width));
    await page.waitForFunction(() => {
      const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas.lanes"));
      return canvas.width === canvas.clientWidth;
    });
    await close();
  });
}
