// SPDX-License-Identifier: Apache-2.0
// A StackViz build in place of the built-in viewer: a stand-in asks what StackViz asks, and complains as it would break.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { skip } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const BUILD = join(dirname(fileURLToPath(import.meta.url)), "fixtures/stackviz");
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

const daemon = rigDaemon({ options: ["--stackviz", BUILD] });
const open = rigBrowser();

test("a build finds at /s/<uuid>/ all that it asks for, in the shapes that it can read", { skip, timeout: 90000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/go/sample`);
  await page.waitForURL(/\/s\/[^/]+\/$/);
  const site = page.url();
  await page.locator("[data-done]").waitFor();

  /** @type {import("playwright-core").Request[]} */
  const asked = [];
  page.on("request", (request) => asked.push(request));
  // Without its slash the address leads to the one with it: all that the build asks for is relative.
  const answer = await page.goto(site.slice(0, -1));
  assert.equal(page.url(), site);
  assert.equal(answer?.headers()["content-security-policy"], POLICY);
  await page.locator("[data-done]").waitFor();

  assert.deepEqual(await page.locator("#problems li").allTextContents(), []);
  assert.equal(await page.locator("#inline").evaluate((element) => getComputedStyle(element).color), "rgb(1, 2, 3)", "inline styles are allowed");
  const lines = await page.locator("main p").allTextContents();
  for (const shape of [/^subunit: \d+ tests on \d+ workers$/, /^subunit-stats: \d+ run, \d+ failed, \d+ skipped$/, /^subunit-details: details of \d+$/, /^dstat: \d+ rows$/, /^console: \d+ scripts$/]) {
    assert.equal(lines.filter((line) => shape.test(line)).length, 1, `${shape}: ${lines.join("; ")}`);
  }
  const run = page.locator("section", { hasText: "subunit:" });
  assert.equal(await run.locator("p").count(), 3, "the run, its numbers and its details have one name");
  assert.equal(await run.getAttribute("data-primary"), "true");

  const uuid = /\/s\/([^/]+)\//.exec(site)?.[1];
  const posts = asked.filter((request) => request.method() === "POST");
  assert.deepEqual(posts.map((request) => [new URL(request.url()).pathname, request.postData()]), Array(3).fill(["/api/task", JSON.stringify({ q: uuid })]));
  assert.ok(asked.some((request) => request.url() === `${site}data/config.json`));
});

test("the pages around it stay ours: a site that is not there says so", { skip, timeout: 60000 }, async () => {
  const { page } = await open({}, /status of 404/);
  const answer = await page.goto(`${daemon.url}/s/00000000-0000-4000-8000-000000000000/`);
  assert.equal(answer?.status(), 404);
  await page.getByText("No such site").waitFor();
});
