// SPDX-License-Identifier: Apache-2.0
// What one test attached: fetched for it alone, told when it cannot be had, and its neighbours in time.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { LANE, openAxis, REPORT } from "./axis.js";
import { skip, themeColour, twistd, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

/** A stream of one failed test with a traceback. */
const STREAM = `
import datetime, subunit, sys
out = subunit.StreamResultToBytes(sys.stdout.buffer)
at = datetime.datetime(2016, 6, 1, 12, tzinfo=datetime.timezone.utc)
out.status(test_id="pkg.Painted.test_it", test_status="inprogress", timestamp=at)
out.status(test_id="pkg.Painted.test_it", file_name="traceback", file_bytes=sys.argv[1].encode(), eof=True, mime_type="text/plain; charset=utf8", timestamp=at)
out.status(test_id="pkg.Painted.test_it", test_status="fail", timestamp=at + datetime.timedelta(seconds=5))
`;

const TESTS = 60;
const LINES = 400;

/** Failures with 20 kB of output each: the attachments of a few tests fill a block. */
function report() {
  const cases = Array.from({ length: TESTS }, (_, i) => {
    const lines = Array.from({ length: LINES }, (__, n) => `output ${i} line ${n + 1} ${Math.imul(n + 7, 2654435761 + i) >>> 0} and some more words`);
    return `<testcase classname="pkg.Wordy" name="test_${i}" time="1"><failure message="boom">ValueError: boom ${i}</failure><system-out>${lines.join("\n")}</system-out></testcase>`;
  });
  return `<?xml version="1.0"?><testsuites><testsuite name="pkg" timestamp="2016-06-01T12:00:00Z">${cases.join("")}</testsuite></testsuites>`;
}

let site = "";
/** The path of the attachments. */
let blob = "";
const daemon = rigDaemon({
  yaml: "zuuls: []\n",
  ready: async (url) => {
    site = await upload(url, { "junit.xml": report() });
    const task = await (await fetch(`${url}/api/task`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ q: /\/s\/([^/]+)\//.exec(site)?.[1] }) })).json();
    const details = task.artifacts.find((/** @type {{artifact_type: string}} */ one) => one.artifact_type === "subunit-details");
    assert.ok(details.blocks);
    blob = `/api/blob/${details.id}`;
  },
});
const open = rigBrowser();

const limits = { skip, timeout: 60000 };

/** @param {string} [hash] @param {RegExp} [known] */
async function openSite(hash = "", known) {
  const opened = await open({}, known);
  /** What was asked of the attachments. @type {string[]} */
  const asked = [];
  opened.page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith(blob)) asked.push(pathname.slice(blob.length));
  });
  await opened.page.goto(site + hash);
  await opened.page.locator("#tests tbody button").first().waitFor();
  await opened.page.locator(".cause .test-link").first().waitFor();
  return { ...opened, asked };
}

/** @param {import("playwright-core").Page} page @param {number} i */
const shows = (page, i) => page.waitForFunction((n) => document.querySelector("#details .log-lines")?.textContent?.includes(`boom ${n}`), i);

test("of the attachments only the blocks of the selected test are fetched, and each once", limits, async () => {
  const { page, asked } = await openSite();
  assert.deepEqual(asked, [], "nothing is asked for before a test is selected");
  const { blocks } = await (await fetch(`${daemon.url}${blob}/blocks`)).json();
  assert.ok(blocks.length > 10, `${blocks.length} blocks`);
  await page.keyboard.press("n");
  await shows(page, 0);
  assert.deepEqual(asked, ["/blocks", "/blocks/0"]);
  await page.keyboard.press("p");
  await shows(page, TESTS - 1);
  await page.keyboard.press("n");
  await shows(page, 0);
  assert.deepEqual(asked, ["/blocks", "/blocks/0", `/blocks/${blocks.length - 1}`]);
});

test("lines have numbers, and those of a long attachment are all there", limits, async () => {
  const { page } = await openSite("#test=pkg.Wordy.test_7");
  await shows(page, 7);
  await page.locator("#details .attachment summary").nth(1).click();
  const lines = page.locator("#details .attachment").nth(1).locator(".log-line");
  assert.equal(await lines.count(), LINES);
  for (const n of [1, LINES]) {
    const line = lines.nth(n - 1);
    assert.equal(await line.getAttribute("data-n"), String(n));
    assert.match(await line.evaluate((element) => getComputedStyle(element, "::before").content), /attr\(data-n\)|^"\d+"$/);
    assert.match((await line.textContent()) ?? "", new RegExp(`output 7 line ${n} `));
  }
});

test("attachments that cannot be fetched say why, and are fetched when somebody tries again", limits, async () => {
  const { page, asked } = await openSite("", /ERR_INTERNET_DISCONNECTED/);
  await page.context().setOffline(true);
  await page.keyboard.press("n");
  const notice = page.locator("#details .notice");
  await notice.getByText("The attachments could not be loaded").waitFor();
  assert.ok(await page.locator("#details h2").getByText("test_0").isVisible(), "what is known of the test is shown");
  await notice.getByRole("button", { name: "Try again" }).click();
  await page.waitForFunction(() => document.querySelector("#details .notice"));
  await page.context().setOffline(false);
  await notice.getByRole("button", { name: "Try again" }).click();
  await shows(page, 0);
  assert.equal(await notice.count(), 0);
  assert.ok(asked.every((path) => path.startsWith("/blocks")));
});

test("a test's neighbours in time on all workers lead to them", limits, async () => {
  const { page, point } = await openAxis(open, await upload(daemon.url, { "two.xml": REPORT }));
  await page.mouse.click(...point(30, LANE.one));
  await page.locator("#details h2").getByText("test_fails").waitFor();
  await page.getByText("At the same time").click();
  const same = page.locator("#details .same-time");
  await same.getByRole("link", { name: /test_zero/ }).waitFor();
  assert.deepEqual(await same.locator("h3").allTextContents(), ["one #0", "two #1"].slice(0, await same.locator("h3").count()));
  assert.deepEqual(await same.locator("li .test-name").allTextContents(), ["test_first", "test_long", "test_short", "test_zero"]);
  await same.getByRole("link", { name: /test_short/ }).click();
  await page.locator("#details h2").getByText("test_short").waitFor();
  await page.goBack();
  await page.locator("#details h2").getByText("test_fails").waitFor();
  await page.getByRole("button", { name: /^Before on this worker/ }).click();
  await page.locator("#details h2").getByText("test_first").waitFor();
});

test("colours of terminals are colours, found across and copied without; a cause is told without them", limits, async () => {
  const E = "\u001b";
  // XML has no escape character: a stream has, and is sent.
  const { stdout: stream } = spawnSync(join(dirname(twistd ?? ""), "python3"), ["-c", STREAM, `${E}[1;31mValueError: red${E}[0m and plain\n${E}[32mgreen\nstill${E}[0m <b>text</b>\n`]);
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(`${await upload(daemon.url, { "testrepository.subunit": stream })}#test=pkg.Painted.test_it`);
  const lines = page.locator("#details .log-line");
  await lines.first().waitFor();
  assert.deepEqual(await lines.allTextContents(), ["ValueError: red and plain", "green", "still <b>text</b>"]);
  assert.deepEqual(await lines.locator("span").evaluateAll((spans) => spans.map((span) => [span.textContent, span.className])), [["ValueError: red", "sgr-bold ink-1"], ["green", "ink-2"], ["still", "ink-2"]]);
  const ink = await themeColour(page, "ink-1");
  await page.waitForFunction((wanted) => (getComputedStyle(/** @type {Element} */ (document.querySelector("#details .ink-1"))).color.match(/\d+/g) ?? []).join(",") === wanted, ink);
  assert.notEqual(ink, "");
  await page.getByRole("searchbox", { name: /^Search in/ }).first().fill("red AND");
  await page.locator("#details mark").first().waitFor();
  assert.equal((await page.locator("#details mark").allTextContents()).join(""), "red and");
  await page.getByRole("button", { name: /^Copy traceback/ }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("ValueError: red and plain\ngreen"));
  assert.ok(!(await page.locator(".cause").innerText()).includes("001B"));
});
