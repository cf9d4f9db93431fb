// SPDX-License-Identifier: Apache-2.0
// A scrape that takes its time: progress, cancelling, and starting again.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { skip } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const SIZE = 1_000_000;
const INDEX = '<html><title>Index of /job</title><h1>Index of /job</h1><pre><a href="testrepository.subunit.gz">testrepository.subunit.gz</a> 2016-06-01 12:00  1.0M</pre></html>';

/** A log server that sends half of a file, bit by bit, and the rest never. */
const logs = createServer((request, response) => {
  if (request.url === "/job/") {
    response.setHeader("Content-Type", "text/html");
    response.end(INDEX);
    return;
  }
  if (request.url !== "/job/testrepository.subunit.gz") {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": SIZE });
  let left = 500;
  const timer = setInterval(() => {
    response.write(Buffer.alloc(SIZE / 1000));
    left -= 1;
    if (left === 0) clearInterval(timer);
  }, 50);
  response.on("close", () => clearInterval(timer));
});

let job = "";

const daemon = rigDaemon({
  yaml: async () => {
    await new Promise((resolve) => {
      logs.listen(0, "127.0.0.1", () => resolve(null));
    });
    const address = logs.address();
    const host = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
    job = `http://${host}/job/`;
    return `log_hosts: ["${host}"]\nprivate_networks: [127.0.0.0/8]\n`;
  },
});
const open = rigBrowser();

after(() => {
  logs.closeAllConnections();
  logs.close();
});

test("a log address behind /go/ shows how far it is, and who began it can end it and begin again", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/go/${job}`);
  await page.getByText(/KiB of /).waitFor();
  assert.equal(await page.locator("[aria-current=step]").textContent(), "Fetching logs");
  assert.equal(await page.getByRole("link", { name: "job logs" }).getAttribute("href"), job);
  await page.getByRole("button", { name: "Cancel this scrape" }).click();
  await page.getByText("The scrape was cancelled").waitFor();
  const cancelled = page.url();
  await page.getByRole("button", { name: "Scrape again" }).click();
  await page.waitForURL((url) => url.pathname.startsWith("/s/") && url.href !== cancelled);
  await page.getByText(/KiB of /).waitFor();

  // Somebody else sees the same progress and cannot cancel; a reload keeps the right of the one who can.
  const other = await open();
  await other.page.goto(page.url());
  await other.page.getByText(/KiB of /).waitFor();
  assert.equal(await other.page.getByRole("button", { name: "Cancel this scrape" }).count(), 0);
  await page.reload();
  await page.getByRole("button", { name: "Cancel this scrape" }).click();
  await page.getByText("The scrape was cancelled").waitFor();
  await other.page.getByText("The scrape was cancelled").waitFor();
});

test("an address that is opened while the database is away says so, and shows the site when it is back", { skip, timeout: 60000 }, async () => {
  const { page } = await open({}, /status of 503/);
  const queued = await page.request.post(`${daemon.url}/api/scrape`, { data: { url: "sample:gate-tempest-dsvm-full/" } });
  const site = `${daemon.url}/s/${(await queued.json()).uuid}/`;
  let away = true;
  const answer = { status: 503, headers: { "Retry-After": "30" }, json: { error: "store-failed", message: "the database cannot be reached; try again later" } };
  for (const path of ["status", "events/*"]) await page.route(`**/api/${path}`, (route) => (away ? route.fulfill(answer) : route.continue()));
  const status = await (await page.request.get(`${daemon.url}/status.html`)).text();
  await page.route(site, (route) => (away ? route.fulfill({ status: 503, contentType: "text/html", body: status }) : route.continue()));
  await page.goto(site);
  await page.getByRole("heading", { name: "The site cannot be shown yet" }).waitFor();
  await page.getByText("the database cannot be reached. Try again in 30 seconds. This page asks again by itself.").waitFor();
  away = false;
  await page.getByRole("heading", { name: "gate-tempest-dsvm-full" }).waitFor();
  assert.equal(page.url(), site);
});
