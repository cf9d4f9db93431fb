// SPDX-License-Identifier: Apache-2.0
// The console in the browser: of 200,000 lines any can be linked to, found, selected and copied.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { row } from "./console.js";
import { skip, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const FIXTURES = resolve(dirname(fileURLToPath(import.meta.url)), "../fixtures/zuul");
const LINES = 200000;
const HOSTILE = "<img src=x onerror=alert(1)> \u202e txt.exe";

let site = "";
const daemon = rigDaemon({
  ready: async (url) => {
    const start = Date.UTC(2016, 5, 1, 12);
    const rows = Array.from({ length: LINES }, (_, n) => `${new Date(start + n * 10).toISOString().replace("T", " ").slice(0, 23)} | ${lineText(n)}`);
    site = await upload(url, { "console.html": `${rows.join("\n").replace(/&/g, "&amp;")}\n` });
  },
});
const open = rigBrowser();

/** @param {number} n from 0 */
function lineText(n) {
  if (n === 1000) return HOSTILE;
  if (n === 1001) return "10 %\r50 %\r100 % done";
  if (n === 1002) return `long ${"y".repeat(9000)} end`;
  if (n % 1000 === 7) return `2016-06-01 12:00:00.000 1 ERROR nova.compute [-] needle ${n} "quoted" back\\slash`;
  if (n % 1000 === 8) return "    what belongs to it";
  return `2016-06-01 12:00:00.000 1 INFO nova line ${n}`;
}

test("a link leads to its lines, which stay selected; few lines are elements", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${site}#L150000-L150003`);
  await row(page, 150000).waitFor();
  assert.equal(await page.locator(".line.selected").count(), 4);
  assert.ok((await page.locator(".line").count()) < 120);
  assert.ok(await row(page, 150000).evaluate((line) => {
    const box = line.closest(".console-lines")?.getBoundingClientRect();
    const { top, bottom } = line.getBoundingClientRect();
    return box !== undefined && top >= box.top && bottom <= box.bottom;
  }));
  await page.locator(".console-lines").focus();
  await page.keyboard.press("End");
  await row(page, LINES).waitFor();
  await page.keyboard.press("Home");
  await row(page, 1).waitFor();
});

test("each line is reached by the bar and by the wheel, in order and without gaps", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(site);
  await row(page, 1).waitFor();
  const list = page.locator(".console-lines");
  await list.evaluate((box) => {
    box.scrollTop = box.scrollHeight / 2;
  });
  await row(page, LINES / 2).waitFor();
  await list.hover();
  for (let n = 0; n < 10; n += 1) await page.mouse.wheel(0, 400);
  const shown = () => page.locator(".line").evaluateAll((lines) => lines.map((line) => Number(/** @type {HTMLElement} */ (line).dataset.line)));
  let numbers = await shown();
  for (const until = Date.now() + 30000; !(numbers[0] > LINES / 2 + 100) && Date.now() < until; numbers = await shown()) await page.waitForTimeout(25);
  assert.ok(numbers[0] > LINES / 2 + 100 && numbers[0] < LINES / 2 + 400, String(numbers[0]));
  numbers.forEach((number, i) => assert.equal(number, numbers[0] + i));
  await list.evaluate((box) => {
    box.scrollTop = box.scrollHeight;
  });
  await row(page, LINES).waitFor();
});

test("search counts exactly, steps through the hits, and is in the address", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(site);
  const field = page.getByRole("searchbox", { name: "Search the whole console" });
  const note = page.locator(".console-note");
  await field.fill("NEEDLE");
  await note.getByText(/^1 of 200 lines$/).waitFor();
  await row(page, 8).and(page.locator(".current")).waitFor();
  await field.press("Enter");
  await note.getByText(/^2 of 200 lines$/).waitFor();
  await row(page, 1008).and(page.locator(".current")).waitFor();
  await field.press("Shift+Enter");
  await field.press("Shift+Enter");
  await row(page, 199008).waitFor();
  await page.waitForFunction(() => /log-find=NEEDLE/.test(location.hash));
  await page.getByRole("button", { name: "Capitals count" }).click();
  await note.getByText("no line has it").waitFor();
  await page.getByRole("button", { name: "Capitals count" }).click();
  await page.getByRole("button", { name: "Regular expression" }).click();
  await field.fill('needle \\d*5007 "q');
  await note.getByText(/ of 20 lines$/).waitFor();
  await page.getByRole("button", { name: "Show only the lines with it" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".line").length === 20);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".line:not(.coming)").length === 20);
  await field.fill("(");
  await page.locator(".console-note.bad-text").waitFor();
});

test("a link with an expression that is none says so, and shows the lines", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${site}#L500&log-find=%28&log-regex`);
  await page.locator(".console-note.bad-text").waitFor();
  await row(page, 500).waitFor();
});

test("an expression that RegExp would try without end is found and marked; what is not known is told", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${site}#log-find=${encodeURIComponent("(y+)+$")}&log-regex`);
  const note = page.locator(".console-note");
  await note.getByText("no line has it").waitFor();
  const field = page.getByRole("searchbox", { name: "Search the whole console" });
  await field.fill("(y+)+ end$");
  await note.getByText("1 of 1 line").waitFor();
  await row(page, 1003).and(page.locator(".current")).waitFor();
  assert.match((await row(page, 1003).locator("mark").first().textContent()) ?? "", /^y{100,}/);
  await field.fill("(a)\\1");
  await note.getByText("matched in linear time").waitFor();
});

test("errors alone keep the lines that continue them", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(site);
  await page.getByLabel("Least level of lines").selectOption("error");
  await row(page, 8).waitFor();
  await page.waitForFunction(() => {
    const lines = [...document.querySelectorAll(".line")].map((line) => Number(/** @type {HTMLElement} */ (line).dataset.line));
    return lines.length > 10 && lines.every((n) => [7, 8].includes(n % 1000)) && lines[0] === 7 && lines[1] === 8;
  });
});

test("a stretch of any length is copied, and its link", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(site);
  await row(page, 3).locator(".line-number").click();
  await page.waitForFunction(() => location.hash === "#L3");
  await page.getByRole("textbox", { name: "Go to line, or select lines" }).fill("3-60000");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash === "#L3-L60000");
  await page.getByRole("button", { name: "Copy the selected lines" }).click();
  await page.getByText("✓ copied").waitFor();
  const copied = (await page.evaluate(() => navigator.clipboard.readText())).split("\n");
  assert.equal(copied.length, 60000 - 2);
  assert.equal(copied[0], lineText(2));
  assert.equal(copied[7 - 2], lineText(7));
  assert.equal(copied.at(-1), lineText(59999));
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll(".line.selected").length === 1);
});

test("markup and marks of direction are text; overwritten and long lines are folded", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ viewport: { width: 360, height: 740 }, colorScheme: "dark", hasTouch: true });
  await page.goto(`${site}#L1002`);
  await row(page, 1001).waitFor();
  const folded = row(page, 1002).locator(".line-text");
  assert.match((await folded.textContent()) ?? "", /^100 % done/);
  await folded.getByRole("button", { name: "2 earlier states" }).click();
  assert.match((await folded.textContent()) ?? "", /^10 %␍50 %/);
  const long = row(page, 1003).locator(".line-text");
  await long.getByRole("button", { name: /show all/ }).click();
  assert.match((await long.textContent()) ?? "", /y end$/);
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
});

test("of a Zuul build: its tasks with their times, and the one that failed, opened", { skip, timeout: 60000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "stackviz-zuul-"));
  for (const kind of ["json", "txt"]) await copyFile(join(FIXTURES, `job-output.assembled.${kind}`), join(folder, `job-output.${kind}`));
  const archive = execFileSync("tar", ["cz", "-C", folder, "."]);
  await rm(folder, { recursive: true });
  const { page } = await open();
  await page.goto(await upload(daemon.url, { "logs.tar.gz": new Uint8Array(archive) }));
  const failed = page.getByRole("navigation", { name: "Sections of the console" }).getByRole("button", { name: /Real failure \(failed\)/ });
  await failed.waitFor();
  assert.equal(await failed.getAttribute("aria-current"), "location");
  assert.equal(await page.locator(".line.current .line-text").textContent(), "TASK [Real failure]");
  assert.match((await page.locator(".console-failure").first().textContent()) ?? "", /Failed: Real failure.*exit status 3.*oops/s);
  await page.getByRole("button", { name: /^setup/ }).click();
  await row(page, 1).waitFor();
  await page.getByRole("button", { name: "Show in the console" }).first().click();
  await page.locator(".line.current").getByText("TASK [Real failure]").waitFor();
});

test("times lead to the timeline, and its range back to the console", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/`);
  await page.getByRole("link", { name: "Try the sample job" }).click();
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.locator(".plot").waitFor();
  await page.locator("#console").scrollIntoViewIfNeeded();
  await row(page, 1).waitFor();
  const goTo = page.getByRole("textbox", { name: "Go to line, or select lines" });
  await goTo.fill("1900");
  await goTo.press("Enter");
  await row(page, 1900).locator("button.line-time").click();
  await page.waitForFunction(() => /t=/.test(location.hash));
  assert.ok(await row(page, 1900).isVisible());
  await page.getByRole("button", { name: "Show only what was written during the timeline's range" }).click();
  await page.waitForFunction(() => /log-range/.test(location.hash));
  const range = await page.evaluate(() => /t=([^&]*)/.exec(location.hash)?.[1]);
  assert.ok(range);
  await page.waitForFunction(() => {
    const seconds = [...document.querySelectorAll(".line:not(.coming) .line-time")].map((time) => /** @type {HTMLElement} */ (time).title.slice(0, 19)).filter(Boolean).map((date) => Date.parse(`${date.replace(" ", "T")}Z`) / 1000);
    return seconds.length > 3 && Math.max(...seconds) - Math.min(...seconds) <= 31 && document.querySelector(".line-number")?.textContent !== "1";
  });
});

test("a range is dragged, or made longer with Shift, over lines that are no elements; Ctrl+C copies it", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(`${site}#log`);
  await row(page, 2).locator(".line-number").hover();
  await page.mouse.down();
  await row(page, 6).locator(".line-number").hover();
  await page.mouse.up();
  await page.waitForFunction(() => location.hash.includes("L2-L6"));
  await page.locator(".console-lines").focus();
  await page.keyboard.press("End");
  await row(page, LINES).locator(".line-number").click({ modifiers: ["Shift"] });
  await page.waitForFunction((last) => location.hash.includes(`L2-L${last}`), LINES);
  await page.keyboard.press("Control+c");
  /** @type {string[]} */
  let copied = [];
  for (const until = Date.now() + 20000; copied.at(-1) !== lineText(LINES - 1) && Date.now() < until; ) copied = (await page.evaluate(() => navigator.clipboard.readText())).split("\n");
  assert.equal(copied.length, LINES - 1);
  assert.deepEqual([copied[0], copied[150000]], [lineText(1), lineText(150001)]);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector(".line.selected"));
});

test("a range that is brushed in the timeline brings the console to its window", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/`);
  await page.getByRole("link", { name: "Try the sample job" }).click();
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.goto(`${page.url()}#log-range`);
  await row(page, 1).waitFor();
  await page.locator("canvas.lanes").scrollIntoViewIfNeeded();
  const seen = await page.locator("canvas.lanes").boundingBox();
  assert.ok(seen);
  await page.keyboard.down("Shift");
  await page.mouse.move(seen.x + seen.width * 0.5, seen.y + seen.height / 2);
  await page.mouse.down();
  await page.mouse.move(seen.x + seen.width * 0.6, seen.y + seen.height / 2, { steps: 5 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.waitForFunction(() => /[#&]t=/.test(location.hash));
  await page.locator("#console").scrollIntoViewIfNeeded();
  await page.waitForFunction(() => Number(document.querySelector(".line:not(.coming) .line-number")?.textContent) > 1);
});
