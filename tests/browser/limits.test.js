// SPDX-License-Identifier: Apache-2.0
// What a person reads at a limit, and what a browser makes of a stranger's text that is opened by itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { skip } from "./daemon.js";
import { rigBrowser, rigDaemon } from "./rig.js";

const HOSTILE = "<html><script>document.title = 'taken'; document.write('<b id=taken>taken</b>')</script><img src=x onerror=\"document.title = 'taken'\">";

const daemon = rigDaemon({ yaml: "gerrits: []\nzuuls: []\nrates: {list: 1, upload: 2}\n" });
const open = rigBrowser();

/** @param {string} name @param {string} text @returns {Promise<{status: number, uuid: string}>} */
async function upload(name, text) {
  const answer = await fetch(`${daemon.url}/api/upload?name=${name}`, { method: "POST", body: text });
  return { status: answer.status, uuid: (await answer.json()).uuid };
}

/** @param {string} uuid @returns {Promise<{id: string, artifact_type: string}[]>} */
async function artifacts(uuid) {
  for (;;) {
    const answer = await fetch(`${daemon.url}/api/task`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ q: uuid }) });
    const task = await answer.json();
    if (answer.ok) return task.artifacts;
    assert.equal(answer.status, 409, task.message);
    await new Promise((done) => {
      setTimeout(done, 100);
    });
  }
}

test("a stranger's text that is opened by itself is text or a file, and does nothing", { skip, timeout: 90000 }, async () => {
  const lines = Array.from({ length: 2000 }, (_, n) => `2026-01-01 00:00:${String(n % 60).padStart(2, "0")}.000000 | controller | ${HOSTILE}`);
  const { uuid } = await upload("job-output.txt", `${lines.join("\n")}\n`);
  const made = await artifacts(uuid);
  assert.ok(made.length > 0);
  const { page } = await open({}, /status of 404/);
  let shown = 0;
  let saved = 0;
  for (const { id } of made) {
    for (const path of [`/api/blob/${id}`, `/api/blob/${id}/gzip`, `/api/blob/${id}/blocks`, `/api/blob/${id}/blocks/0`]) {
      const download = page.waitForEvent("download", { timeout: 30000 }).catch(() => null);
      const answer = await page.goto(daemon.url + path).catch(() => null);
      if (!answer) {
        assert.ok(await download, path);
        saved += 1;
        continue;
      }
      if (answer.status() === 404) continue; // has no blocks
      assert.match(answer.headers()["content-type"], /^text\/plain/u, path);
      assert.equal(await page.title(), "");
      assert.equal(await page.locator("script, img, #taken").count(), 0);
      assert.equal(await page.evaluate(() => window.origin), "null", "nobody's page");
      shown += (await page.locator("body").innerText()).includes("<script>") ? 1 : 0;
    }
  }
  assert.ok(shown > 0 && saved > 0, `${shown} shown, ${saved} saved`);
});

test("who looks up or sends too often reads so, and for how long", { skip, timeout: 90000 }, async () => {
  const { page } = await open({}, /status of (404|429)/);
  await page.goto(`${daemon.url}/`);
  await page.locator("#q").fill("271726");
  for (const limited of [false, true]) {
    const answered = page.waitForResponse((response) => response.url().endsWith("/api/list"));
    await page.keyboard.press("Enter");
    assert.equal((await answered).status() === 429, limited);
  }
  await page.getByText("more look-ups than the 1 a minute").waitFor();
  await page.getByText(/Try again in \d+ seconds\./u).waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/429.png` });
  await Promise.all([upload("a", "x"), upload("b", "x")]); // whatever the other test has sent
  await page.goto(`${daemon.url}/`);
  await page.locator("#files").setInputFiles({ name: "mine", mimeType: "application/octet-stream", buffer: Buffer.from("x") });
  await page.getByText("That could not be taken").waitFor();
  await page.getByText(/more uploads than the 2 a minute.*Try again in \d+ seconds\./u).waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/429-upload.png` });
});
