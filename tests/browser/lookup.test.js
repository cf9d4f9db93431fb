// SPDX-License-Identifier: Apache-2.0
// Results as they arrive: a Gerrit that answers, and a Zuul that takes its time.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { skip, startDaemon } from "./daemon.js";
import { rigBrowser } from "./rig.js";
import { startFake } from "./states.js";

/** Its comments tell of four jobs, Zuul knows of more. */
const CHANGE = "948311";

/** @type {Awaited<ReturnType<typeof startFake>>[]} */
let fakes = [];
/** @type {ReturnType<typeof startDoor>} */
let door;
/** @type {Awaited<ReturnType<typeof startDaemon>>} */
let daemon;
const open = rigBrowser();

/** What stands before a Zuul until it is opened. @param {string} zuul */
function startDoor(zuul) {
  /** @type {(() => void)[]} */
  let waiting = [];
  const counts = { asked: 0, left: 0 };
  const server = createServer((request, response) => {
    counts.asked += 1;
    response.on("close", () => {
      if (!response.writableFinished) counts.left += 1;
    });
    waiting.push(() => {
      void fetch(new URL(request.url ?? "/", zuul)).then(async (answer) => {
        response.writeHead(answer.status, { "Content-Type": "application/json" }).end(await answer.text());
      });
    });
  });
  return {
    counts,
    listening: /** @type {Promise<string>} */ (
      new Promise((done) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address();
          done(`http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/`);
        });
      })
    ),
    open: () => {
      const now = waiting;
      waiting = [];
      for (const go of now) go();
    },
    close: () => void (server.closeAllConnections(), server.close()),
  };
}

before(async () => {
  if (skip) return;
  fakes = await Promise.all([startFake("gerrit", "ok"), startFake("zuul", "ok")]);
});

// What was answered is kept for a while: each test has a daemon of its own.
beforeEach(async () => {
  if (skip) return;
  const [gerrit, zuul] = fakes;
  door = startDoor(zuul.url);
  const address = await door.listening;
  const config = [`gerrits: [{url: "${gerrit.url}"}]`, `zuuls: [{url: "${address}", tenants: [openstack]}]`, "private_networks: [127.0.0.0/8]", 'log_hosts: [logs.openstack.org, "storage.*.cloud.ovh.net", logs.acme.invalid]'];
  daemon = await startDaemon(config.join("\n"));
});

afterEach(async () => {
  await daemon?.stop();
  door?.close();
});

after(async () => {
  for (const fake of fakes) fake.close();
});

/** @param {import("playwright-core").Page} page */
const names = (page) => page.locator(".job-main > .job-open").allTextContents();

/** @param {import("playwright-core").Page} page */
async function halfway(page) {
  await page.goto(`${daemon.url}/?q=${CHANGE}`);
  await page.getByText(/jobs so far, asking 127\.0\.0\.1/).waitFor();
  assert.match((await page.locator("#said").textContent()) ?? "", /^\d+ jobs so far$/);
  return await names(page);
}

test("what Gerrit knows is there while Zuul is asked; what Zuul adds joins it", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  const first = await halfway(page);
  assert.ok(first.includes("acme-tempest"));
  assert.equal(await page.locator("#results").getAttribute("aria-busy"), "true");
  door.open();
  await page.getByText(/jobs, all sources asked/).waitFor();
  const all = await names(page);
  assert.ok(all.length > first.length && first.every((name) => all.includes(name)), all.join());
  assert.equal(await page.locator("#said").textContent(), `${all.length} jobs`);
  assert.equal(await page.locator("#results").getAttribute("aria-busy"), "false");
  await page.reload();
  await page.getByRole("heading", { name: "check · patchset 8" }).waitFor();
  assert.deepEqual(await names(page), all, "in the order of an answer that came whole");
  assert.equal(await page.locator(".found-bar").count(), 0);
});

test("nothing moves under the pointer or the focus; a button shows the rest", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  const first = await halfway(page);
  const row = page.locator(".job").last();
  await row.hover();
  const place = await row.boundingBox();
  door.open();
  const show = page.getByRole("button", { name: /^Show/ });
  await show.waitFor();
  assert.deepEqual(await names(page), first);
  assert.deepEqual(await row.boundingBox(), place);
  assert.match((await page.locator("#said").textContent()) ?? "", /the button above the list shows/);
  await show.click();
  await page.getByText(/jobs, all sources asked/).waitFor();
  assert.ok((await names(page)).length > first.length);
  const focused = await page.evaluate(() => document.activeElement?.textContent ?? "");
  assert.ok(!first.includes(focused), `${focused} is new`);
});

test("who types anew ends the questions, also those to Zuul; what was found stays", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  const first = await halfway(page);
  await page.locator("#q").press("End");
  await page.keyboard.type(",1");
  await page.getByText(/^Not asked to the end: 127/).waitFor();
  assert.deepEqual(await names(page), first);
  for (const until = Date.now() + 30000; door.counts.left === 0 && Date.now() < until; ) await page.waitForTimeout(50);
  assert.deepEqual(door.counts, { asked: 1, left: 1 }, "the daemon has hung up on Zuul");
});

test("Stop ends the questions and leaves what was found", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  const first = await halfway(page);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText(/^Not asked to the end: 127/).waitFor();
  assert.equal(await page.getByRole("button", { name: "Stop" }).count(), 0);
  assert.equal(await page.locator("#results").getAttribute("aria-busy"), "false");
  for (const until = Date.now() + 30000; door.counts.left === 0 && Date.now() < until; ) await page.waitForTimeout(50);
  assert.deepEqual(door.counts, { asked: 1, left: 1 }, "the daemon has hung up on Zuul");
  door.open();
  assert.deepEqual(await names(page), first);
});

test("/go/ shows what is there, too", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/go/${CHANGE}`);
  await page.getByText(/jobs so far, asking 127\.0\.0\.1/).waitFor();
  assert.ok((await names(page)).includes("acme-tempest"));
  door.open();
  await page.getByText(/jobs, all sources asked/).waitFor();
});

test("a Zuul that never answers is named in the end, below what is there", { skip, timeout: 60000 }, async () => {
  const { page } = await open();
  const first = await halfway(page);
  await page.locator(".job").last().hover();
  const place = await page.locator(".job").last().boundingBox();
  await page.getByText(/jobs, not all sources/).waitFor({ timeout: 15000 });
  assert.deepEqual(await page.locator(".job").last().boundingBox(), place);
  assert.deepEqual(await names(page), first);
  await page.getByRole("link", { name: "why" }).click();
  assert.ok(await page.getByText(/127\.0\.0\.1:\d+ did not answer within 8 seconds/).isVisible());
});
