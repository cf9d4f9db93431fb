// SPDX-License-Identifier: Apache-2.0
// The viewer with results that somebody sends: its state in the address, filters, machines, what strangers write.
import assert from "node:assert/strict";
import { test } from "node:test";
import { skip, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const START = Date.UTC(2016, 5, 1, 12);
const HOSTILE = ['<img src=x onerror="window.pwned=1">', "'+alert(1)+'", "\"});window.pwned=1;({\"", "left\u202eright\u2066to\u2069", "data:text/html,<script>window.pwned=1</script>", `${"long.".repeat(2000)}end`, "[a=b](c) `x` | # <b>"];

/** @param {string} text */
const xml = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

/** A report: what is hostile fails, the others pass. */
function report() {
  const cases = [];
  HOSTILE.forEach((name, i) => cases.push(`<testcase classname="pkg.Hostile" name="${xml(name)}" time="${i + 1}"><failure message="${xml(`boom ${name.slice(0, 200)}`)}">${xml(`Traceback\n  at ${i}\n${name.slice(0, 300)}`)}</failure></testcase>`));
  for (let i = 0; i < 40; i += 1) cases.push(`<testcase classname="pkg.Plain${i % 4}" name="test_${i}" time="${(i % 9) + 0.5}"/>`);
  const log = ["2016-06-01 12:00:01,000 1 INFO pkg starting", "2016-06-01 12:00:02,000 1 ERROR pkg it broke", "Traceback continues here", "2016-06-01 12:00:03,000 1 DEBUG pkg end"].join("\n");
  cases.push(`<testcase classname="pkg.Plain0" name="test_log" time="2"><failure message="see log">ValueError: see log</failure><system-out>${xml(log)}</system-out></testcase>`);
  cases.push('<testcase classname="pkg.Plain1" name="test_flaky" time="1"><flakyFailure message="once">first try</flakyFailure></testcase>');
  return `<?xml version="1.0"?><testsuites><testsuite name="pkg" timestamp="2016-06-01T12:00:00Z" tests="${cases.length}">${cases.join("")}</testsuite></testsuites>`;
}

/** A recording in which every third row lacks a cell. @param {string} host @param {number} used */
function recording(host, used) {
  const rows = Array.from({ length: 200 }, (_, i) => {
    const when = new Date(START + i * 1000).toISOString();
    return `${when.slice(8, 10)}-${when.slice(5, 7)} ${when.slice(11, 19)},${i % 60},5,90,1,0,0,${i % 3 ? used + i : ""},1000,10,10,0.5,0.4,0.3,7`;
  });
  return ['"Dstat 0.7.3 CSV output"', '"Author:","Dag Wieers",,,,"URL:","http://dag.wieers.com/"', `"Host:","${host}",,,,"User:","root"`, '"Cmdline:","dstat",,,,"Date:","01 Jun 2016 12:00:00 UTC"', "", '"system","total cpu usage",,,,,,"memory usage",,,,"load avg",,,"procs"', '"time","usr","sys","idl","wai","hiq","siq","used","buff","cach","free","1m","5m","15m","run"', ...rows].join("\n");
}

let site = "";
const daemon = rigDaemon({
  ready: async (url) => {
    site = await upload(url, { "junit.xml": report(), "one/dstat-csv.txt": recording("one", 4e9), "two-dstat-csv.txt": recording("two", 2e9) });
  },
});
const open = rigBrowser();

/** @param {string} [hash] @param {import("playwright-core").BrowserContextOptions} [options] */
async function openSite(hash = "", options) {
  const opened = await open(options);
  await opened.page.goto(site + hash);
  await opened.page.locator("#tests").waitFor();
  return opened;
}

const limits = { skip, timeout: 90000 };

test("what strangers write is text, wherever it stands", limits, async () => {
  const { page } = await openSite("", { permissions: ["clipboard-read", "clipboard-write"] });
  for (let i = 0; i < HOSTILE.length; i += 1) {
    await page.keyboard.press("n");
    await page.locator("#details .log-line").first().waitFor();
    await page.waitForFunction((n) => document.querySelector("#details .log-lines")?.textContent?.includes(`at ${n}`), i);
    await page.getByText("At the same time").click();
    await page.locator(".canvas.lanes").hover({ position: { x: 100 + i * 5, y: 44 } });
  }
  const body = (await page.locator("body").textContent()) ?? "";
  assert.ok(body.includes("<img src=x onerror="));
  assert.ok(body.includes("⟨202E⟩") && !body.includes("\u202e"), "what turns the direction of writing is shown as its number");
  assert.equal(await page.evaluate(() => Reflect.get(window, "pwned")), undefined);
  assert.equal(await page.locator("main img").count(), 0);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 1280);
});

test("a style sheet that could not be loaded is asked for again, and each only once", limits, async () => {
  const { page } = await open({}, /ERR_FAILED|status of 404/);
  let asked = 0;
  await page.route("**/css/console.css", (route) => {
    asked += 1;
    return asked === 1 ? route.abort() : route.continue();
  });
  await page.goto(`${daemon.url}/status/none`);
  const wanted = () => page.evaluate(async () => {
    const { sheet } = await import(`${location.origin}/js/dom.js`);
    const outcome = await Promise.allSettled([sheet("/css/console.css"), sheet("/css/console.css")]);
    return { outcome: outcome.map(({ status }) => status), links: document.querySelectorAll('link[href="/css/console.css"]').length };
  });
  assert.deepEqual(await wanted(), { outcome: ["rejected", "rejected"], links: 0 });
  assert.deepEqual(await wanted(), { outcome: ["fulfilled", "fulfilled"], links: 1 });
  assert.deepEqual(await wanted(), { outcome: ["fulfilled", "fulfilled"], links: 1 });
  assert.equal(asked, 2);
});

test("each step can be gone back, and an address shows the same to somebody else", limits, async () => {
  const { page } = await openSite();
  const whole = "50 tests";
  await page.locator("#tests").getByText(whole).first().waitFor();
  await page.getByRole("link", { name: /\b9\s*failed/ }).click();
  await page.locator("#tests").getByText(`9 of ${whole}`).waitFor();
  await page.getByLabel("Least duration").selectOption("5");
  await page.locator("#tests").getByText(`3 of ${whole}`).waitFor();
  await page.getByRole("button", { name: "Duration" }).click();
  await page.getByLabel("Times are shown in").selectOption("start");
  await page.getByText("Lanes", { exact: true }).first().isVisible();
  const address = page.url();
  const order = await page.locator("#tests tbody").textContent();

  const other = await openSite(new URL(address).hash);
  await other.page.locator("#tests").getByText(`3 of ${whole}`).waitFor();
  assert.equal(await other.page.locator("#tests tbody").textContent(), order);

  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.locator("#tests").getByText(`9 of ${whole}`).waitFor();
  await page.goBack();
  await page.waitForFunction(() => location.hash === "");
  assert.equal(await page.locator(".count[aria-current]").count(), 0);
  await page.goForward();
  await page.locator("#tests").getByText(`9 of ${whole}`).waitFor();
  await page.reload();
  await page.locator("#tests").getByText(`9 of ${whole}`).waitFor();
});

test("expressions: found, wrong, and one that RegExp would try without end", limits, async () => {
  const { page } = await openSite();
  const filter = page.getByLabel("Filter tests and tags");
  const found = page.locator(".toolbar [role=status]").first();
  await filter.fill("/Plain0\\.test_\\d+$/");
  await found.getByText("10 of 50 tests").waitFor();
  await filter.fill("/plain0\\.TEST_\\d+$/i");
  await found.getByText("10 of 50 tests").waitFor();
  await filter.fill("/(/");
  await found.getByText(/“\(” is not closed/).waitFor();
  await filter.fill("/^(\\w+\\.?)+!$/");
  await found.getByText("0 of 50 tests").waitFor();
  await filter.fill("/(?=P)lain/");
  await found.getByText(/linear time/).waitFor();
  // The rest of the filter holds without it, in the table as in the lanes.
  await page.getByRole("link", { name: /\b9\s*failed/ }).click();
  await found.getByText(/linear time.*; without it 9 of 50 tests/).waitFor();
  await page.locator("#tests").getByText("9 of 50 tests").waitFor();
  assert.equal(await filter.getAttribute("aria-invalid"), "true");
  await page.getByLabel("Least duration").selectOption("5");
  await found.getByText(/; without it 3 of 50 tests/).waitFor();
  await filter.fill("/Hostile/");
  await found.getByText("3 of 50 tests", { exact: true }).waitFor();
  assert.equal(await filter.getAttribute("aria-invalid"), "false");
  await page.getByRole("button", { name: "Clear" }).click();
  await filter.fill("flaky");
  await found.getByText("2 of 50 tests").waitFor();
  await page.locator("#tests .mark").getByText("flaky").first().waitFor();
});

test("a failure is passed on as a link and as a comment", limits, async () => {
  const { page } = await openSite("#test=pkg.Plain0.test_log", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator("#details .log-line").first().waitFor();
  await page.locator("#details").getByRole("button", { name: "Copy link" }).click();
  await page.getByText("copied").first().waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${site}#test=pkg.Plain0.test_log`);
  await page.locator("#details").getByRole("button", { name: "Copy as Markdown" }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("`pkg"));
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /^`pkg\.Plain0\.test_log` \*\*failed\*\* in /);
  assert.ok(text.includes("ValueError: see log") && text.includes(`${site}#test=pkg.Plain0.test_log`));
});

test("an attachment: levels keep records whole, a search counts, both are in the address", limits, async () => {
  const { page } = await openSite("#test=pkg.Plain0.test_log");
  const log = page.locator(".attachment", { hasText: "pkg starting" }).or(page.locator(".attachment").nth(1));
  await page.locator(".attachment").first().waitFor();
  for (const fold of await page.locator(".attachment:not([open]) > summary").all()) await fold.click();
  const level = page.getByLabel("Least level").locator("visible=true").first();
  await level.selectOption("error");
  await page.getByText("2 of 4 lines shown").waitFor();
  assert.ok((await log.first().textContent())?.includes("Traceback continues here"));
  await level.selectOption("");
  await page.getByLabel(/^Search in/).locator("visible=true").last().fill("pkg");
  await page.getByText("3 lines with it").first().waitFor();
  await page.waitForFunction(() => location.hash.includes("find=pkg"));
  await page.reload();
  await page.locator("mark").first().waitFor();
});

test("machines and columns are chosen; their values stand at the pointer", limits, async () => {
  const { page } = await openSite();
  await page.locator(".chart").first().waitFor();
  assert.deepEqual(await page.locator(".chart-name").allTextContents(), ["CPU", "Memory", "Load", "Processes"]);
  await page.locator(".menu summary", { hasText: "Metrics" }).click();
  const machines = page.getByRole("group", { name: "Machines" }).getByRole("checkbox");
  assert.equal(await machines.count(), 2);
  await machines.nth(1).check();
  await page.waitForFunction(() => document.querySelectorAll(".chart").length === 8);
  await page.getByRole("checkbox", { name: "memory usage: cach" }).check();
  await page.waitForFunction(() => document.querySelectorAll(".chart").length === 10);
  await page.keyboard.press("Escape");
  const hash = new URL(page.url()).hash;
  assert.match(hash, /charts=.*cach/);
  const lanes = await page.locator("canvas.lanes").boundingBox();
  assert.ok(lanes);
  await page.mouse.move(lanes.x + lanes.width / 3, lanes.y + 45);
  const values = await page.locator(".chart-value").allTextContents();
  assert.ok(values.every((value) => value !== ""), values.join());
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".chart").length === 10);
});

test("lanes fold by their name and by the menu", limits, async () => {
  const { page } = await openSite();
  const lanes = page.locator("canvas.lanes");
  const before_px = (await lanes.boundingBox())?.height ?? 0;
  await lanes.click({ position: { x: 30, y: 44 } });
  await page.waitForFunction(() => location.hash.includes("fold="));
  await page.waitForFunction((height) => (document.querySelector("canvas.lanes")?.getBoundingClientRect().height ?? 0) < height, before_px);
  await page.goBack();
  await page.waitForFunction((height) => document.querySelector("canvas.lanes")?.getBoundingClientRect().height === height, before_px);
});

test("workers, gaps and classes lead to what they name", limits, async () => {
  const { page } = await openSite();
  await page.locator("#classes").waitFor();
  assert.match((await page.locator(".worker-facts").first().textContent()) ?? "", /tests?, ended \d\d:\d\d:\d\d/);
  await page.locator("section", { has: page.locator("#classes") }).locator("a", { hasText: "Plain1" }).click();
  await page.locator("#tests").getByText("12 of 50 tests").waitFor();
});
