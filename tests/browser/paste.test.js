// SPDX-License-Identifier: Apache-2.0
// What is pasted, typed or dropped on the first page is looked up, whatever stands around it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { skip } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";
import { startFake } from "./states.js";

/** @type {Awaited<ReturnType<typeof startFake>>} */
let gerrit;
const daemon = rigDaemon({
  yaml: async () => {
    gerrit = await startFake("gerrit", "ok");
    return `{gerrits: [{url: "${gerrit.url}"}], zuuls: [], private_networks: [127.0.0.0/8]}`;
  },
});
const open = rigBrowser();
after(() => gerrit?.close());

test("what is pasted anywhere is looked up; pasted into the box it waits for Enter", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(`${daemon.url}/`);
  await page.evaluate((text) => navigator.clipboard.writeText(text), `  ${gerrit.url}269624\nand more`);
  await page.locator("#q").focus();
  await page.keyboard.press("Control+V");
  assert.match(await page.locator("#q").inputValue(), /269624/);
  assert.equal(new URL(page.url()).search, "");
  await page.locator("#q").fill("");
  await page.getByRole("link", { name: "Try the sample job" }).focus();
  await page.keyboard.press("Control+V");
  await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
  assert.equal(await page.locator("#q").inputValue(), `${gerrit.url}269624`);
  assert.equal(new URL(page.url()).searchParams.get("q"), `${gerrit.url}269624`);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "q");
});

test("of a text around it, what can be looked up is: pasted, typed, dropped", { skip, timeout: 60000 }, async () => {
  const { page } = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  const box = page.locator("#q");
  const said = `The gate fails on ${gerrit.url}269624,\nsee there.`;
  const wanted = `${gerrit.url}269624`;
  const found = async (/** @type {string} */ how) => {
    await page.waitForFunction((query) => new URLSearchParams(location.search).get("q") === query, wanted);
    await page.getByRole("button", { name: "gate-cinder-pep8" }).waitFor();
    assert.equal(await box.inputValue(), wanted, how);
    await page.goto(`${daemon.url}/`);
  };
  const transfer = (/** @type {Record<string, string>} */ kinds) => page.evaluateHandle((texts) => {
    const data = new DataTransfer();
    for (const [kind, text] of Object.entries(texts)) data.setData(kind, text);
    return data;
  }, kinds);
  await page.goto(`${daemon.url}/`);
  await page.evaluate((text) => navigator.clipboard.writeText(text), said);
  await page.getByRole("link", { name: "Try the sample job" }).focus();
  await page.keyboard.press("Control+V");
  await found("pasted on the page");
  await box.focus();
  await page.keyboard.press("Control+V");
  assert.equal(await box.inputValue(), wanted, "into the empty box it goes without what is around it");
  await box.press("End");
  await page.keyboard.press("Control+V");
  assert.match(await box.inputValue(), /269624The gate/, "in the midst of other text the browser pastes");
  await box.press("Control+A");
  await page.keyboard.press("Control+V");
  await box.press("Enter");
  await found("pasted into the box");
  await box.fill(`see ${wanted}.`);
  await box.press("Enter");
  await found("typed");
  for (const [how, kinds] of /** @type {[string, Record<string, string>][]} */ ([
    ["a text", { "text/plain": said }],
    ["a link", { "text/uri-list": wanted, "text/plain": "the change", "text/html": "<a>the change</a>" }],
  ])) {
    const dataTransfer = await transfer(kinds);
    await page.dispatchEvent("main", "dragenter", { dataTransfer });
    assert.equal(await page.evaluate(() => document.body.classList.contains("dropping")), true);
    assert.equal(await page.locator("main").evaluate((element, data) => element.dispatchEvent(new DragEvent("dragover", { bubbles: true, cancelable: true, dataTransfer: data })), dataTransfer), false, "the page takes it");
    await page.dispatchEvent("main", "drop", { dataTransfer });
    await found(how);
  }
  // What is dragged from the page itself is the browser's.
  const own = await transfer({ "text/uri-list": `${daemon.url}/go/sample`, "text/plain": "sample" });
  await page.dispatchEvent("#sample", "dragstart", { dataTransfer: own });
  await page.dispatchEvent("main", "drop", { dataTransfer: own });
  assert.equal(page.url(), `${daemon.url}/`);
  await page.dispatchEvent("#sample", "dragend", { dataTransfer: own });
});
