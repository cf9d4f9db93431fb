// SPDX-License-Identifier: Apache-2.0
// Results of a person's own: chosen, dropped, refused.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { skip } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const SAMPLE = resolve(dirname(fileURLToPath(import.meta.url)), "../../stackviz_deployer/sample/gate-tempest-dsvm-full");
const STREAM = readFileSync(`${SAMPLE}/logs/testrepository.subunit.gz`);
const DSTAT = readFileSync(`${SAMPLE}/logs/dstat-csv.txt.gz`);

const daemon = rigDaemon({ yaml: "limits: {upload_bytes: 3 MiB}\n" });
const open = rigBrowser();

test("files that are chosen become a site", { skip, timeout: 90000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/`);
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Choose files" }).click();
  await (await chooser).setFiles([
    { name: "mine", mimeType: "application/octet-stream", buffer: STREAM },
    { name: "load.csv", mimeType: "text/csv", buffer: DSTAT },
  ]);
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.locator(".plot").waitFor();
  await page.getByRole("heading", { level: 1, name: "mine and load.csv" }).waitFor();
  assert.equal(await page.locator("#job .badge").innerText(), "Failure", "tests of it failed");
  assert.equal(await page.title(), "mine and load.csv · StackViz");
  assert.equal(await page.getByRole("link", { name: "job logs" }).count(), 0, "there is no log server to lead to");
});

test("results that are dropped become a site", { skip, timeout: 90000 }, async () => {
  const { page } = await open();
  await page.goto(`${daemon.url}/`);
  const transfer = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(['<testsuite name="s"><testcase classname="pkg.Dropped" name="test_it" time="1"/></testsuite>'], "junit.xml"));
    return data;
  });
  for (const type of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("#results", type, { dataTransfer: transfer });
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.locator("#tests tbody button", { hasText: "test_it" }).waitFor();
  assert.match(await page.title(), /junit\.xml/);
});

test("a file that is dropped is taken wherever it falls; one that says nothing ends with what is taken", { skip, timeout: 90000 }, async () => {
  // The page of a site that failed is a 422, and the browser says so.
  const { page } = await open({}, /status of 422/);
  await page.goto(`${daemon.url}/`);
  const transfer = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["nothing of interest"], "notes.txt"));
    return data;
  });
  await page.dispatchEvent("main", "dragenter", { dataTransfer: transfer });
  assert.equal(await page.evaluate(() => document.body.classList.contains("dropping")), true);
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
  await page.waitForURL(/\/s\/[^/]+\/$/);
  await page.getByText("No site could be made").waitFor();
  await page.getByText("Taken are subunit streams").waitFor();
  assert.equal(await page.getByRole("button", { name: "Scrape again" }).count(), 0);
  await page.getByRole("link", { name: "Send other files" }).click();
  await page.locator("#choose").waitFor();
});

test("what is too large is refused with its limit", { skip, timeout: 90000 }, async () => {
  const { page } = await open({}, /status of 413/);
  await page.goto(`${daemon.url}/`);
  await page.locator("#files").setInputFiles({ name: "large", mimeType: "application/octet-stream", buffer: Buffer.alloc(4 << 20) });
  await page.getByText("That could not be taken").waitFor();
  await page.getByText("3 MiB").waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
});
