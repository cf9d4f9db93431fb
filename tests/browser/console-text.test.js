// SPDX-License-Identifier: Apache-2.0
// What lines of a console look like: colours of terminals, lines of any length, lines that wrote over themselves.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { row } from "./console.js";
import { skip, themeColour, upload } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const E = "\u001b";
const LONG = `long ${"y ".repeat(260000)} needle ${"z ".repeat(240000)} end`;
const LINES = [
  "plain",
  `${E}[1;31mred and bold${E}[0m plain ${E}[4;38;5;21mblue${E}[24;39m ${E}[38;2;0;200;0mgreen${E}[0m ${E}[41;97mon red${E}[0m`,
  `over ${E}[33mlines`,
  "<b>still</b> & yellow",
  `until here${E}[0m and no further`,
  `a ${E}]0;title${E}\\${E}]8;;http://evil.example/${E}\\link${E}]8;;${E}\\ ${E}[8mhidden${E}[0m ${E}[2Jb${E}[31`,
  `${E}[32m10 %\r${E}[33m50 %\r${E}[34m100 %${E}[0m done`,
  LONG,
  `${E}[1;31mERROR: it broke${E}[0m`,
  "the end",
];

let site = "";
const daemon = rigDaemon({
  ready: async (url) => {
    site = await upload(url, { "console.html": LINES.map((line, n) => `2016-06-01 12:00:00.00${n} | ${line}\n`).join("") });
  },
});
const open = rigBrowser();

/**
 * Text and look of a line's coloured parts.
 * @param {import("playwright-core").Locator} line
 */
const parts = (line) => line.locator(".line-text span").evaluateAll((spans) => spans.map((span) => [span.textContent, span.className]));

test("colours and weights of terminals, over lines too; other sequences are gone and nothing is hidden", { skip, timeout: 60000 }, async () => {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    const { page, close } = await open({ colorScheme });
    await page.goto(site);
    await row(page, 2).waitFor();
    assert.equal(await row(page, 2).locator(".line-text").textContent(), "red and bold plain blue green on red");
    assert.deepEqual(await parts(row(page, 2)), [["red and bold", "sgr-bold ink-1"], ["blue", "sgr-under ink-4"], ["green", "ink-2"], ["on red", "ink-f ground-1"]]);
    const red = row(page, 2).getByText("red and bold");
    assert.equal(await red.evaluate((span) => (getComputedStyle(span).color.match(/\d+/g) ?? []).join(",")), await themeColour(page, "ink-1"));
    assert.equal(await red.evaluate((span) => getComputedStyle(span).fontWeight), "700");
    assert.deepEqual(await parts(row(page, 3)), [["lines", "ink-3"]]);
    assert.deepEqual(await parts(row(page, 4)), [["<b>still</b> & yellow", "ink-3"]]);
    assert.deepEqual(await parts(row(page, 5)), [["until here", "ink-3"]]);
    assert.equal(await row(page, 6).locator(".line-text").textContent(), "a link hidden b");
    assert.ok(await row(page, 9).evaluate((line) => line.classList.contains("error")));
    await close();
  }
});

test("what is searched for is found and marked across colours; what is copied has none", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(`${site}#L2`);
  await page.getByRole("searchbox", { name: "Search the whole console" }).fill("BOLD PLAIN B");
  await page.locator(".console-note").getByText("1 of 1 line").waitFor();
  assert.equal((await row(page, 2).locator("mark").allTextContents()).join(""), "bold plain b");
  await page.getByRole("button", { name: "Copy the selected lines" }).click();
  await page.getByText("✓ copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "red and bold plain blue green on red");
});

test("of a line that wrote over itself the last state, with its own colours", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(site);
  const line = row(page, 7);
  await line.waitFor();
  assert.deepEqual(await parts(line), [["100 %", "ink-4"]]);
  await line.getByRole("button", { name: "2 earlier states" }).click();
  assert.deepEqual(await parts(line), [["10 %␍", "ink-2"], ["50 %␍", "ink-3"], ["100 %", "ink-4"]]);
});

test("a line of a megabyte is stored whole: found in its middle, opened by stretches, copied", { skip, timeout: 90000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(site);
  const line = row(page, 8).locator(".line-text");
  await row(page, 8).waitFor();
  const shown = async () => ((await line.textContent()) ?? "").length;
  assert.ok((await shown()) < 2200);
  await page.getByRole("searchbox", { name: "Search the whole console" }).fill("needle");
  await page.locator(".console-note").getByText("1 of 1 line").waitFor();
  assert.equal(await line.locator("mark").textContent(), "needle");
  await line.getByRole("button", { name: /characters before/ }).click();
  await line.getByRole("button", { name: /more characters/ }).click();
  assert.ok((await shown()) > 200000);
  await row(page, 8).locator(".line-number").click();
  await page.getByRole("button", { name: "Copy the selected lines" }).click();
  await page.getByText("✓ copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), LONG);
  await page.locator(".console-lines").focus();
  await page.keyboard.press("End");
  await row(page, LINES.length).waitFor();
});

test("what a Zuul task failed by keeps its colours, in job-output.txt and job-output.json", { skip, timeout: 60000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "stackviz-zuul-"));
  const time = { start: "2026-11-22T09:42:00.000000Z", end: "2026-11-22T09:42:10.000000Z" };
  const hosts = { node: { failed: true, rc: 1, msg: "non-zero", stderr: `${E}[31moops${E}[0m\n${E}[1mmore`, action: "command" } };
  await writeFile(join(folder, "job-output.json"), JSON.stringify([{ playbook: "x/playbooks/run.yaml", phase: "run", index: "0", trusted: false, branch: "master", stats: { node: { ok: 0, failures: 1 } }, plays: [{ play: { name: "all", id: "1", duration: time }, tasks: [{ task: { name: "Do it", id: "2", duration: time }, hosts }] }] }]));
  const lines = ["Job console starting...", "RUN START: [untrusted : x/playbooks/run.yaml@master]", "", "PLAY [all]", "", "TASK [Do it]", `node | ${E}[31moops`, "node | goes on", `node | ${E}[0mno more`];
  await writeFile(join(folder, "job-output.txt"), lines.map((line) => `2026-11-22 09:42:01.000000 | ${line}\n`).join(""));
  const archive = execFileSync("tar", ["cz", "-C", folder, "."]);
  await rm(folder, { recursive: true });
  const { page } = await open();
  await page.goto(await upload(daemon.url, { "logs.tar.gz": new Uint8Array(archive) }));
  await row(page, 7).waitFor();
  assert.deepEqual(await parts(row(page, 7)), [["oops", "ink-1"]]);
  assert.deepEqual(await parts(row(page, 8)), [["goes on", "ink-1"]]);
  assert.deepEqual(await parts(row(page, 9)), []);
  const output = page.getByLabel("stderr");
  assert.equal(await output.textContent(), "oops\nmore");
  assert.deepEqual(await output.locator("span").evaluateAll((spans) => spans.map((span) => span.className)), ["ink-1", "sgr-bold"]);
});
