// SPDX-License-Identifier: Apache-2.0
// How the tests of the console make one and look at its lines.
import assert from "node:assert/strict";

/**
 * What somebody sends, as a site.
 * @param {string} daemon its URL
 * @param {string} name
 * @param {string|Uint8Array<ArrayBuffer>} text
 * @returns {Promise<string>} the site's URL
 */
export async function upload(daemon, name, text) {
  const { uuid } = await (await fetch(`${daemon}/api/upload?name=${name}`, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: text })).json();
  for (;;) {
    const { status, message } = await (await fetch(`${daemon}/api/status`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ q: uuid }) })).json();
    if (status === "finished") return `${daemon}/s/${uuid}/`;
    assert.notEqual(status, "error", message);
    await new Promise((done) => {
      setTimeout(done, 100);
    });
  }
}

/** @param {import("playwright-core").Page} page @param {number} number as it is written */
export const row = (page, number) => page.locator(`.line[data-line="${number - 1}"]:not(.coming)`);
