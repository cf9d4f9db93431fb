// SPDX-License-Identifier: Apache-2.0
// The real daemon and the real browser, for the tests of this folder.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// Generous: a machine that has much else to do is no failure.
const START_MS = 120000;
const STOP_MS = 60000;

/** The command, or undefined. */
export const twistd = process.env.TWISTD ?? (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "twistd")).find((file) => existsSync(file));

/** Why the tests cannot run here, or false. */
export const skip = !existsSync(CHROMIUM) ? "needs Debian's package chromium" : !twistd ? "needs twistd (set TWISTD, or activate the virtual environment)" : false;

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/**
 * A daemon with an empty state directory of its own.
 * @param {string} [yaml] its configuration
 * @param {string[]} [options] more of its command line
 * @returns {Promise<{url: string, state: string, stop: () => Promise<void>}>}
 */
export async function startDaemon(yaml, options = []) {
  const folder = await mkdtemp(join(tmpdir(), "stackviz-browser-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const state = join(folder, "state");
  const args = ["-n", "--pidfile=", "stackviz-deployer", "--http", `tcp:${port}:interface=127.0.0.1`, "--state-dir", state, ...options];
  if (yaml !== undefined) {
    await writeFile(join(folder, "config.yaml"), yaml);
    args.push("--config", "config.yaml");
  }
  const child = spawn(/** @type {string} */ (twistd), args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (log = (log + chunk).slice(-20000)));
  const ended = new Promise((resolve) => {
    child.once("exit", resolve);
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
  };
  for (const until = Date.now() + START_MS; ; ) {
    const up = await fetch(`${url}/health/live`).then((answer) => answer.ok, () => false);
    if (up) return { url, state, stop };
    if (child.exitCode !== null || Date.now() > until) {
      await stop();
      throw new Error(`the daemon did not start:\n${log}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 100); // not synchronisation: the poll's pace
    });
  }
}

/**
 * @param {string} daemon its URL
 * @param {string} uuid
 * @returns {Promise<string>} the finished site's URL
 */
export async function finished(daemon, uuid) {
  const events = await (await fetch(`${daemon}/api/events/${uuid}`)).text();
  const { status, message } = JSON.parse(events.slice(events.lastIndexOf("data: ") + 6));
  assert.equal(status, "finished", message);
  return `${daemon}/s/${uuid}/`;
}

/**
 * What somebody sends, as a site.
 * @param {string} daemon its URL
 * @param {Record<string, string|Uint8Array<ArrayBuffer>>} files texts or bytes by their names
 * @returns {Promise<string>} the site's URL
 */
export async function upload(daemon, files) {
  const form = new FormData();
  for (const [name, body] of Object.entries(files)) form.append("file", new Blob([body]), name);
  const { uuid } = await (await fetch(`${daemon}/api/upload`, { method: "POST", body: form })).json();
  return await finished(daemon, uuid);
}

/** @param {string[]} [flags] more of them */
export function startBrowser(flags = []) {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}

/**
 * A page that keeps what a person must never cause: console errors, uncaught exceptions, reports of the policy.
 * @param {import("playwright-core").Browser} browser
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function openPage(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  /** @type {string[]} */
  const troubles = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => troubles.push(`exception: ${error}`));
  await page.exposeFunction("reportPolicy", (/** @type {string} */ text) => troubles.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      Reflect.get(window, "reportPolicy")(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return { page, troubles, close: () => context.close() };
}

/**
 * How many pixels of a canvas have each colour, as "r,g,b".
 * @param {import("playwright-core").Locator} canvas
 * @returns {Promise<Record<string, number>>}
 */
export function colours(canvas) {
  return canvas.evaluate((element) => {
    const image = /** @type {HTMLCanvasElement} */ (element);
    // Read from a copy: reading the page's own canvas would change how it is drawn, and warn.
    const copy = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(image.width, image.height).getContext("2d", { willReadFrequently: true }));
    copy.drawImage(image, 0, 0);
    const { data } = copy.getImageData(0, 0, image.width, image.height);
    /** @type {Record<string, number>} */
    const counts = {};
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 255) continue;
      const key = `${data[i]},${data[i + 1]},${data[i + 2]}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  });
}

/**
 * A colour of the style sheet as "r,g,b".
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
export async function themeColour(page, name) {
  return await page.evaluate((key) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${key})`;
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return (colour.match(/\d+/g) ?? []).join(",");
  }, name);
}
