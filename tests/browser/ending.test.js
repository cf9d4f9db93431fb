// SPDX-License-Identifier: Apache-2.0
// Sites that are gone, and scrapes that failed: what their pages say, and that they can be made again.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { skip, startDaemon } from "./daemon.js";
import { rigBrowser } from "./rig.js";

const INDEX = '<html><title>Index of /</title><h1>Index of /</h1><pre><a href="testrepository.subunit.gz">testrepository.subunit.gz</a> 2016-06-01 12:00  1k</pre></html>';
const RUN = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "../fixtures/subunit/run-testtools-2.9.1.subunit.gz"));

/** What the log server has; without it, it has the list alone. */
let has = true;
/** How often the list was asked for: each scrape begins with it. */
let lists = 0;
const logs = createServer((request, response) => {
  const path = request.url ?? "";
  lists += Number(path.endsWith("/"));
  if (path.endsWith("/")) response.writeHead(200, { "Content-Type": "text/html" }).end(INDEX);
  else if (has && path.endsWith(".subunit.gz")) response.writeHead(200, { "Content-Type": "application/gzip" }).end(RUN);
  else response.writeHead(404).end();
});

let host = "";
let folder = "";
const open = rigBrowser();

before(async () => {
  if (skip) return;
  await new Promise((resolve) => {
    logs.listen(0, "127.0.0.1", () => resolve(null));
  });
  const address = logs.address();
  host = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  folder = mkdtempSync(join(tmpdir(), "stackviz-ending-"));
});

after(async () => {
  logs.closeAllConnections();
  logs.close();
  if (folder) rmSync(folder, { recursive: true });
});

/** A daemon on the state that the one before it left. @param {string} state @param {string} retention */
const daemonOf = (state, retention) =>
  startDaemon(`{zuuls: [], gerrits: [], log_hosts: ["${host}"], private_networks: [127.0.0.0/8], retention: ${retention}}`, ["--state-dir", join(folder, state)]);

/** @param {import("playwright-core").Page} page @param {string} url @param {string} job */
async function finished(page, url, job) {
  await page.goto(`${url}/go/http://${host}/${job}/`);
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.locator("#tests tbody button").first().waitFor();
  return new URL(page.url()).pathname;
}

/** Presses the button and comes to the tests of another site. @param {import("playwright-core").Page} page @param {string} old its path */
async function again(page, old) {
  await page.getByRole("button", { name: "Scrape again" }).click();
  await page.waitForURL((url) => /^\/s\/[^/]+\/$/.test(url.pathname) && url.pathname !== old);
  await page.locator("#tests tbody button").first().waitFor();
  assert.match((await page.locator("#job h1").textContent()) ?? "", /^job/);
}

/** An answer that is no success is told in the browser's console, too. */
const KNOWN = /status of (410|422)/;

/** @type {[string, string, RegExp][]} */
const WAYS = [
  ["by age", "{days: 0.0000001}", /This site has expired.*Nobody had looked at it for as long as this server keeps sites\..*can be made again/s],
  ["by size", "{days: 7, bytes: 1}", /This site has expired.*Room was needed, and of all sites of this server it was the one not looked at for longest\./s],
];

for (const [way, retention, said] of WAYS) {
  test(`a site that expired ${way} says so, and is made again`, { skip, timeout: 90000 }, async () => {
    const { page } = await open({}, KNOWN);
    const first = await daemonOf(way, "{days: 7}");
    const old = await finished(page, first.url, "job").finally(() => page.goto("about:blank")).finally(first.stop);

    // What is too old, or too much, expires when the daemon starts; the next look is a minute later.
    const second = await daemonOf(way, retention);
    try {
      await page.goto(second.url + old);
      const notice = page.locator(".notice").first();
      await page.getByText("This site has expired").waitFor();
      assert.match((await notice.textContent()) ?? "", said);
      assert.match((await page.locator("main").textContent()) ?? "", /Scraped (just now|\d+ \w+ ago)/);
      assert.match(await page.title(), /^job.* · expired · StackViz$/);
      assert.equal((await fetch(second.url + old)).status, 410);
      await again(page, old);
    } finally {
      await second.stop();
    }
  });
}

test("a site whose data was lost from the disk says so where it is missed, and is made again", { skip, timeout: 90000 }, async () => {
  const { page } = await open({}, KNOWN);
  const daemon = await daemonOf("lost", "{days: 7}");
  try {
    const old = await finished(page, daemon.url, "job");
    await page.locator(".cause .test-link").first().waitFor();
    // Nobody has looked at a test yet: what they attached is on the disk alone.
    const blobs = join(folder, "lost", "blobs");
    const gone = readdirSync(blobs, { recursive: true, withFileTypes: true }).filter((one) => one.isFile() && /^[0-9a-f]{64}/.test(one.name));
    assert.ok(gone.length > 1);
    for (const one of gone) rmSync(join(one.parentPath, one.name));
    await page.keyboard.press("n");
    const notice = page.locator("#details .notice");
    await notice.getByText("The attachments could not be loaded").waitFor();
    assert.match((await notice.textContent()) ?? "", /lost from the server's disk/);
    assert.ok(await page.locator("#details h2").isVisible(), "what is known of the test is shown");
    await notice.getByRole("button", { name: "Scrape it again" }).click();
    await page.getByText("This site has expired").waitFor();
    assert.match((await page.locator(".notice").first().textContent()) ?? "", /Its data was lost from the server's disk\..*can be made again/s);
    await again(page, old);
    await page.keyboard.press("n");
    await page.locator("#details .log-line").first().waitFor();
  } finally {
    await daemon.stop();
  }
});

test("a scrape that failed says why, and is made again once what it wants is there", { skip, timeout: 90000 }, async () => {
  const daemon = await daemonOf("failed", "{days: 7}");
  const { page } = await open({}, KNOWN);
  try {
    has = false;
    await page.goto(`${daemon.url}/go/http://${host}/job/`);
    await page.getByText("The scrape failed").waitFor();
    assert.match((await page.locator("main").textContent()) ?? "", new RegExp(`${host} answered 404 Not Found for http://${host}/job/testrepository.subunit.gz.*Failed just now · upstream-error`, "s"));
    // The address is the failed one's: a reload tells of it, and scrapes nothing.
    const first = new URL(page.url()).pathname;
    assert.match(first, /^\/s\/[^/]+\/$/);
    const asked = lists;
    await page.reload();
    await page.getByText("The scrape failed").waitFor();
    assert.deepEqual([new URL(page.url()).pathname, lists], [first, asked]);
    // Nothing has changed: it fails again, on a page of its own.
    await page.getByRole("button", { name: "Scrape again" }).click();
    await page.waitForURL((url) => url.pathname.startsWith("/s/") && url.pathname !== first);
    await page.getByText("The scrape failed").waitFor();
    assert.ok(lists > asked);
    const old = new URL(page.url()).pathname;
    has = true;
    await again(page, old);
    // Who has the old link is told what became of it, still.
    await page.goto(daemon.url + old);
    await page.getByText("The scrape failed").waitFor();
  } finally {
    has = true;
    await daemon.stop();
  }
});
