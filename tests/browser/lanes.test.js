// SPDX-License-Identifier: Apache-2.0
// Which lanes there are, what is written in them, and how the strip above them is taken hold of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { about, LANE, near, openAxis, rangeIs, REPORT, ROOM_S, RUN_S, whole } from "./axis.js";
import { colours, skip, themeColour, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

let site = "";
const daemon = rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    site = await upload(url, { "junit.xml": REPORT });
  },
});
const open = rigBrowser();

const limits = { skip, timeout: 60000 };

test("a run that took no time says so, and has an axis all the same", limits, async () => {
  const address = await upload(daemon.url, { "none.xml": `<?xml version="1.0"?><testsuite name="none" timestamp="2016-06-01T12:00:00Z"><testcase classname="pkg.A" name="test_one" time="0"/></testsuite>` });
  const { page } = await open();
  await page.goto(address);
  await page.locator("#workers").waitFor();
  const head = await page.locator(".run-head").innerText();
  assert.match(head, /1 test\s+0 s on 1 worker/);
  assert.doesNotMatch(await page.locator("#main").innerText(), /NaN|Infinity|1\.00 s|busy| % /);
  const pass = await themeColour(page, "fill-pass");
  assert.ok((await colours(page.locator("canvas.lanes")))[pass] > 0, "the test is drawn");
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  await page.mouse.click(box.x + 76 + (box.width - 76) / 2, box.y + LANE.one);
  await page.locator("#details h2").getByText("test_one").waitFor();
  await page.locator(".plot").focus();
  await page.keyboard.press("ArrowUp");
  await rangeIs(page, (now) => now !== null && near(now[0], -1 / 3, 0.01) && near(now[1], 1 / 3, 0.01));
});

test("names of tests that overlap in one lane stand on no other test, and inside of their own", limits, async () => {
  const at = (/** @type {number} */ s) => `time: 2016-06-01 12:00:${String(s).padStart(2, "0")}.000000Z\n`;
  const long = "with_a_name_that_is_longer_than_its_own_box_will_ever_be";
  const wide = `wide_${"\u5bbd".repeat(17)}`;
  /** @param {string} name @param {number} from_s @param {number} to_s @param {string} [end] */
  const one = (name, from_s, to_s, end = "success") => `${at(from_s)}test: pkg.A.${name}\n${at(to_s)}${end}: pkg.A.${name}\n`;
  const stream = `tags: worker-0\n${one(`first_${long}`, 0, 30)}${one(`second_${long}`, 20, 50)}${one(`third_${long}`, 30, 40)}${one(wide, 50, 59, "failure")}`;
  const address = await upload(daemon.url, { "testrepository.subunit": stream });
  const { page } = await open();
  await page.addInitScript(() => {
    /** @type {[string, number, number][]} */
    const names = [];
    Reflect.set(window, "names", names);
    const native = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function fillText(text, x, y, most) {
      if (/^(?:first|second|third|wide)/.test(text)) names.push([text.split("_")[0], x, x + Math.min(this.measureText(text).width, most ?? Infinity)]);
      return native.call(this, text, x, y, most);
    };
  });
  await page.goto(address);
  await page.locator("#tests tbody button").first().waitFor();
  const width = Number((await page.locator("canvas.lanes").boundingBox())?.width);
  const second = (/** @type {number} */ x) => ((x - 76) / (width - 76)) * (59 * 1.008) - 59 * 0.004;
  const drawn = /** @type {[string, number, number][]} */ (await page.evaluate(() => Reflect.get(window, "names")));
  assert.deepEqual([...new Set(drawn.map(([name]) => name))], ["first", "wide"], "what has no place of its own has no name");
  for (const [name, from, to] of drawn) {
    const [least, most] = name === "first" ? [0, 20] : [50, 59];
    assert.ok(second(from) >= least && second(to) <= most, `${name} stands from ${second(from)} to ${second(to)} s`);
  }
});

test("the strip of the whole run: a stretch is drawn, the window is dragged, a click brings it", limits, async () => {
  const { page, point } = await openAxis(open, site);
  const strip = await page.locator("canvas.overview").boundingBox();
  assert.ok(strip);
  const y = strip.y + strip.height / 2;
  /** @param {number} s */
  const x = (s) => point(s, 0)[0];
  /** @param {number} from_s @param {number} to_s @param {boolean} [drawn] */
  const drag = async (from_s, to_s, drawn = false) => {
    await page.mouse.move(x(from_s), y);
    await page.mouse.down();
    await page.mouse.move(x((from_s + to_s) / 2), y);
    await page.mouse.move(x(to_s), y);
    assert.equal(await page.locator(".brush").isVisible(), drawn);
    await page.mouse.up();
    assert.equal(await page.locator(".brush").isVisible(), false);
  };
  await drag(20, 60, true);
  await rangeIs(page, about(20, 60));
  await drag(40, 50);
  await rangeIs(page, about(30, 70));
  await drag(50, -40);
  await rangeIs(page, about(-ROOM_S, 40 - ROOM_S));
  // Beside the window another is drawn, from either end.
  await drag(90, 70, true);
  await rangeIs(page, about(70, 90));
  await page.mouse.click(x(20), y);
  await rangeIs(page, about(10, 30));
  await page.mouse.click(x(99), y);
  await rangeIs(page, about(RUN_S + ROOM_S - 20, RUN_S + ROOM_S));
  assert.ok(!page.url().includes("test="), "nothing is selected by it");
  await page.mouse.dblclick(x(50), y);
  await rangeIs(page, whole);
});

test("the menu of tags: each with its count, in lanes and table at once, and in the address", limits, async () => {
  const { page, colour } = await openAxis(open, site);
  const tags = page.getByLabel("Tag", { exact: true });
  assert.deepEqual(await tags.locator("option").allTextContents(), ["Any tag", "estimated (5)", "host:one (3)", "host:two (2)"]);
  const [dim, pass] = await Promise.all(["dim", "fill-pass"].map((name) => themeColour(page, name)));
  await tags.selectOption("host:two");
  await page.locator("#tests").getByText("2 of 5 tests").waitFor();
  await page.waitForFunction(() => location.hash.includes("tag=host:two"));
  await page.evaluate(() => new Promise((drawn) => {
    requestAnimationFrame(() => requestAnimationFrame(drawn));
  }));
  assert.deepEqual([await colour(97, LANE.one), await colour(28, LANE.two)], [dim, pass]);
  await page.reload();
  await page.locator("#tests").getByText("2 of 5 tests").waitFor();
  assert.equal(await tags.inputValue(), "host:two");
  await page.goBack();
  await page.locator("#tests").getByText("5 tests", { exact: true }).waitFor();
  assert.equal(await tags.inputValue(), "");
  await page.goto(`${site}#tag=gone`);
  await page.locator("#tests").getByText("0 of 5 tests").waitFor();
  assert.equal(await tags.locator("option:checked").textContent(), "gone (0)", "a tag that the run has not is shown for what it is");
});

test("the menu of lanes, by pointer and keys", limits, async () => {
  const { page } = await openAxis(open, site);
  const height = async () => (await page.locator("canvas.lanes").boundingBox())?.height ?? 0;
  const tall = await height();
  const summary = page.locator(".menu summary", { hasText: "Lanes" });
  const lane = page.getByRole("checkbox", { name: "two #1" });
  await summary.focus();
  await page.keyboard.press("Enter");
  await lane.waitFor();
  assert.ok(await lane.isChecked());
  await lane.focus();
  await page.keyboard.press("Space");
  await page.waitForFunction(() => decodeURIComponent(location.hash) === "#fold=two+#1");
  await page.waitForFunction((was) => (document.querySelector("canvas.lanes")?.getBoundingClientRect().height ?? 0) < was, tall);
  assert.ok(await lane.evaluate((element) => element === document.activeElement && !(/** @type {HTMLInputElement} */ (element).checked)), "the focus stays on the choice");
  await page.keyboard.press("Escape");
  assert.ok(!(await lane.isVisible()));
  assert.ok(await summary.evaluate((element) => element === document.activeElement));
  await summary.click();
  await lane.waitFor();
  await page.getByRole("heading", { level: 1 }).click();
  assert.ok(!(await lane.isVisible()), "a click beside it closes it");
  await page.reload();
  await page.locator("#tests tbody button").first().waitFor();
  assert.ok((await height()) < tall);
  await summary.click();
  await lane.check();
  await page.waitForFunction((was) => location.hash === "" && document.querySelector("canvas.lanes")?.getBoundingClientRect().height === was, tall);
});

test("of results that name hosts the lanes stand by host, and all of one fold at once", limits, async () => {
  /** @param {string} host @param {number} second */
  const suite = (host, second) => `<testsuite name="${host}${second}" hostname="${host}" timestamp="2016-06-01T12:00:0${second}Z" tests="1"><testcase classname="pkg.${host}" name="test_${second}" time="30"/></testsuite>`;
  const address = await upload(daemon.url, { "hosts.xml": `<?xml version="1.0"?><testsuites>${suite("compute", 0)}${suite("controller", 1)}${suite("compute", 2)}${suite("controller", 3)}</testsuites>` });
  const { page } = await open();
  await page.goto(address);
  await page.locator("#tests tbody button").first().waitFor();
  await page.locator(".menu summary", { hasText: "Lanes" }).click();
  const [hosts, lanes] = ["Hosts", "Lanes"].map((name) => page.getByRole("group", { name }));
  assert.deepEqual(await hosts.locator("label").allTextContents(), ["compute", "controller"]);
  assert.deepEqual(await lanes.locator("label").allTextContents(), ["compute #0", "compute #1", "controller #2", "controller #3"]);
  assert.deepEqual(await page.locator(".worker-name").allTextContents(), ["compute #0", "compute #1", "controller #2", "controller #3"]);
  const height = async () => (await page.locator("canvas.lanes").boundingBox())?.height ?? 0;
  const tall = await height();
  await hosts.getByRole("checkbox", { name: "controller" }).uncheck();
  await page.waitForFunction(() => decodeURIComponent(location.hash) === "#fold=controller+#2,controller+#3");
  assert.deepEqual(await lanes.getByRole("checkbox").evaluateAll((boxes) => boxes.map((box) => /** @type {HTMLInputElement} */ (box).checked)), [true, true, false, false]);
  await page.reload();
  await page.locator("#tests tbody button").first().waitFor();
  assert.ok((await height()) < tall);
  await page.goBack();
  await page.waitForFunction((was) => document.querySelector("canvas.lanes")?.getBoundingClientRect().height === was, tall);
  // The third lane is the controller's first: what is under the pointer there is its test.
  const box = await page.locator("canvas.lanes").boundingBox();
  assert.ok(box);
  await page.mouse.click(box.x + box.width / 2, box.y + LANE.two + 27);
  await page.locator("#details h2").getByText("test_1").waitFor();
});
