// SPDX-License-Identifier: Apache-2.0
// The viewer's numbers, beside those of the original StackViz.
//
//   node bench/viewer.mjs [RUNS]        (5; with the virtual environment active, Debian's chromium installed)
//
// Jobs are made by bench/gen_job.py, served by a file server of this script, scraped by a daemon of its own, and shown
// by the pages as they are.  Headless Chromium, software rendering (--disable-gpu), 1280x900, DPR 1, a new browser for
// each run, empty cache; medians.
//   drawn    ms from the start of the navigation to the end of the first frame in which lanes and charts are drawn
//   CPU      of the main thread to that moment (Performance.getMetrics TaskDuration, timeDomain threadTicks)
//   heap     JSHeapUsedSize after a forced collection, everything drawn
//   zoom,pan ms inside requestAnimationFrame callbacks, p95 of all frames of 60 wheel steps / moves at 16 ms each
//   visits   heap at the timeline after 6 rounds home and back, less that of the first visit, both after a collection
//   bytes    of the page, its scripts and its styles as they were sent (encodedBodySize), up to the first drawn timeline
// The rival's numbers were taken in the same way on the same kind of host (medians of 3, load 3 to 5).
import { execFileSync } from "node:child_process";
import { createReadStream, statSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { startBrowser, startDaemon } from "../tests/browser/daemon.js";

const RUNS = Number(process.argv[2] ?? 5);
const HERE = dirname(fileURLToPath(import.meta.url));
const FILES = ["testrepository.subunit.gz", "dstat-csv.txt.gz"];
const JOBS = [
  { tests: 1500, rows: 5400, rival: { drawn: 1129, cpu: 407, heap: 10, zoom: 39.9, pan: 4, bytes: 197000 }, most: { drawn: 600, cpu: 200, zoom: 5, pan: 5, bytes: 60000 } },
  { tests: 10000, rows: 5400, rival: { drawn: 2234, cpu: 596, heap: 16, zoom: 210.8, pan: 5.2, visits: 73 }, most: { visits: 2 } },
  { tests: 50000, rows: 36000, rival: { drawn: 3929, cpu: 2354, heap: 73, zoom: 663.5, pan: 21.3 }, most: { drawn: 1500, cpu: 700, heap: 73, zoom: 10, pan: 10 } },
];

/** @param {number[]} values @param {number} share */
const quantile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** @param {number} ms */
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** @param {string} root */
async function serveLogs(root) {
  const server = createServer(async (request, response) => {
    const path = resolve(root, `.${new URL(request.url ?? "/", "http://x").pathname}`);
    const found = path.startsWith(root) ? statSync(path, { throwIfNoEntry: false }) : undefined;
    if (found?.isFile()) {
      response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": found.size });
      createReadStream(path).pipe(response);
    } else if (found?.isDirectory()) {
      const names = (await readdir(path)).filter((name) => FILES.includes(name));
      response.writeHead(200, { "Content-Type": "text/html" });
      response.end(`<html><title>Index of /</title><h1>Index of /</h1><pre>${names.map((name) => `<a href="${name}">${name}</a> 2016-06-01 12:00  1.0M\n`).join("")}</pre></html>`);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => { server.listen(0, "127.0.0.1", () => done(null)); });
  const address = server.address();
  return { host: `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`, close: () => server.close() };
}

/** @param {string} daemon @param {string} path @param {unknown} body */
async function post(daemon, path, body) {
  const answer = await fetch(daemon + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return await answer.json();
}

/** @param {string} daemon @param {string} url */
async function scrape(daemon, url) {
  const { uuid } = await post(daemon, "/api/scrape", { url });
  for (;;) {
    const { status, error } = await post(daemon, "/api/status", { q: uuid });
    if (status === "finished") return `${daemon}/s/${uuid}/`;
    if (status !== "pending" && status !== "queued") throw new Error(`${status}: ${error}`);
    await pause(200);
  }
}

/** Says when everything is drawn, and how long each frame's callbacks took. */
function watchFrames() {
  const frames = [];
  Reflect.set(window, "frames_ms", frames);
  const native = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) =>
    native((time) => {
      const before = performance.now();
      callback(time);
      frames.push(performance.now() - before);
    });
  new PerformanceObserver((list) => {
    if (!Reflect.has(window, "first_ms")) Reflect.set(window, "first_ms", list.getEntries()[0].startTime);
  }).observe({ type: "measure", buffered: true });
  new PerformanceObserver(() => {
    native(() => setTimeout(() => console.log(`drawn ${performance.now()}`), 0));
  }).observe({ type: "mark", buffered: true });
}

/** @param {import("playwright-core").CDPSession} cdp @param {string} name */
async function metric(cdp, name) {
  const { metrics } = await cdp.send("Performance.getMetrics");
  return metrics.find((one) => one.name === name)?.value ?? NaN;
}

/** @param {import("playwright-core").CDPSession} cdp */
async function heap(cdp) {
  await cdp.send("HeapProfiler.collectGarbage");
  return (await metric(cdp, "JSHeapUsedSize")) / 1e6;
}

async function openPage() {
  const browser = await startBrowser();
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  await page.addInitScript(watchFrames);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  /** @param {string} url */
  const visit = async (url) => {
    const drawn = page.waitForEvent("console", { predicate: (message) => message.text().startsWith("drawn "), timeout: 60000 });
    await page.goto(url, { waitUntil: "commit" });
    return Number((await drawn).text().slice(6));
  };
  return { browser, page, cdp, visit };
}

/** p95 of the frames while something is done. @param {import("playwright-core").Page} page @param {(n: number) => Promise<void>} step */
async function frames(page, step) {
  await page.evaluate(() => { Reflect.get(window, "frames_ms").length = 0; });
  for (let n = 0; n < 60; n += 1) {
    await step(n);
    await pause(16);
  }
  await pause(100);
  return quantile(await page.evaluate(() => Reflect.get(window, "frames_ms")), 0.95);
}

/** @param {string} site */
async function measure(site) {
  const { browser, page, cdp, visit } = await openPage();
  try {
    const drawn = await visit(site);
    const cpu = (await metric(cdp, "TaskDuration")) * 1000;
    const bytes = await page.evaluate(() =>
      [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .map((entry) => /** @type {PerformanceResourceTiming} */ (entry))
        .filter((entry) => !new URL(entry.name).pathname.startsWith("/api/") && entry.responseEnd <= Reflect.get(window, "first_ms"))
        .reduce((sum, entry) => sum + entry.encodedBodySize, 0));
    await pause(500);
    const used = await heap(cdp);
    const box = await page.locator("canvas.lanes").boundingBox();
    const strip = await page.locator("canvas.overview").boundingBox();
    if (!box || !strip) throw new Error("no timeline");
    await page.mouse.move(box.x + box.width * 0.6, box.y + 50);
    const zoom = await frames(page, (n) => page.mouse.wheel(0, n < 40 ? -60 : 60));
    await page.mouse.move(box.x + box.width * 0.9, box.y + 60);
    await page.mouse.down();
    const pan = await frames(page, (n) => page.mouse.move(box.x + box.width * (0.9 - n * 0.013), box.y + 60));
    await page.mouse.up();
    return { drawn, cpu, heap: used, zoom, pan, bytes };
  } finally {
    await browser.close();
  }
}

/** @param {string} site @param {string} home */
async function visits(site, home) {
  const { browser, page, cdp, visit } = await openPage();
  try {
    await visit(site);
    await pause(500);
    const first = await heap(cdp);
    for (let n = 0; n < 6; n += 1) {
      await page.goto(home);
      await visit(site);
      await pause(500);
    }
    return (await heap(cdp)) - first;
  } finally {
    await browser.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), "stackviz-viewer-"));
const logs = await serveLogs(folder);
const daemon = await startDaemon(`log_hosts: ["${logs.host}"]\nprivate_networks: [127.0.0.0/8]\n`);
try {
  console.log(`${RUNS} runs, medians; load ${loadavg()[0].toFixed(1)}`);
  for (const { tests, rows, rival, most } of JOBS) {
    const job = join(folder, String(tests));
    execFileSync("python", [join(HERE, "gen_job.py"), job, "--tests", String(tests), "--dstat-rows", String(rows), "--console-mb", "1", "--att-min", "64", "--att-max", "256"], { stdio: "ignore" });
    const site = await scrape(daemon.url, `http://${logs.host}/${tests}/`);
    const results = [];
    for (let run = 0; run < RUNS; run += 1) results.push({ ...(await measure(site)), ...(tests === 10000 ? { visits: await visits(site, `${daemon.url}/`) } : {}) });
    console.log(`\n${tests} tests, ${rows} rows (load ${loadavg()[0].toFixed(1)})`);
    for (const key of Object.keys(results[0])) {
      const values = results.map((result) => Reflect.get(result, key));
      const [low, middle, high] = [0, 0.5, 1].map((share) => quantile(values, share).toFixed(1));
      const [theirs, bound] = [Reflect.get(rival, key), Reflect.get(most, key)];
      console.log(`  ${key.padEnd(8)}${middle.padStart(10)}  (${low} to ${high})${theirs === undefined ? "" : `  StackViz ${theirs}`}${bound === undefined ? "" : `  must be at most ${bound}`}`);
    }
  }
} finally {
  await daemon.stop();
  logs.close();
  await rm(folder, { recursive: true, force: true });
}
