// SPDX-License-Identifier: Apache-2.0
// A console of a million lines in the viewer.
//
//   node bench/console.mjs [RUNS [LINES [coloured]]]     (5, 1000000, every line plain; with the virtual environment active, Debian's chromium installed)
//
// The console is made here (about 100 bytes a line, 0.2 % errors, 0.4 % warnings), uploaded to a daemon of this
// script's own, and shown by the pages as they are.  Headless Chromium, software rendering (--disable-gpu), 1280x900,
// DPR 1, a new browser for each run, empty cache; medians.
//   first    ms from the start of the navigation to the frame in which the first lines are drawn
//   frame    ms of script, style and layout in a frame of the list, p95 of 120 wheel steps and 40 jumps of the bar
//   memory   MiB of the tab's process that are its own (private pages in /proc/PID/smaps_rollup) after all of this
//   search   ms from the last key to the exact count, the wait for further keys included, for: a rare word, a word of
//            nearly every line, any case; an expression with a text that each of its lines must have; one without such
//            a text, which is tried on each line; a count that is not the truth ends the run with an error
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { startBrowser, startDaemon } from "../tests/browser/daemon.js";

const RUNS = Number(process.argv[2] ?? 5);
const LINES = Number(process.argv[3] ?? 1e6);
/** Each line has the colours of a terminal, in three places. */
const COLOURED = process.argv[4] === "coloured";

/** @param {number[]} values @param {number} share */
const quantile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

/** @param {number} ms */
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Its text, and how many lines each search must find. */
function makeConsole() {
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const rows = [];
  let ms = Date.UTC(2016, 5, 1, 12);
  const truth = { errors: 0, debug: 0, pattern: 0, any: 0 };
  /** @param {string} code @param {string} words */
  const coloured = (code, words) => (COLOURED ? `\u001b[${code}m${words}\u001b[0m` : words);
  for (let n = 0; n < LINES; n += 1) {
    ms += Math.floor(random() * 12);
    const date = new Date(ms).toISOString().replace("T", " ").slice(0, 23);
    const kind = random();
    const id = Math.floor(random() * 2 ** 32).toString(16).padStart(8, "0");
    const [level, rest] = kind < 0.002 ? ["ERROR", "Instance failed to spawn"] : kind < 0.006 ? ["WARNING", "connection lost, will try again"] : ["DEBUG", `attempt ${n} ${"x".repeat(Math.floor(random() * 28))}`];
    if (level === "ERROR") truth.errors += 1;
    if (level === "DEBUG") truth.debug += 1;
    if (/req-f[0-9]{3}/.test(`req-${id}`)) truth.pattern += 1;
    if (/[0-9]{6} x{20,}$/.test(rest)) truth.any += 1;
    rows.push(`${date} | ${coloured("32", date.slice(11))} ${coloured("1;33", level)} nova.compute [${coloured("4;38;5;21", `req-${id}`)}] ${rest}\n`);
  }
  return { text: rows.join(""), truth };
}

/** @param {string} url @param {string} text */
async function upload(url, text) {
  const answer = await fetch(`${url}/api/upload?name=console.html`, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: text });
  const { uuid, message } = await answer.json();
  if (!uuid) throw new Error(message);
  for (;;) {
    const status = await (await fetch(`${url}/api/status`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ q: uuid }) })).json();
    if (status.status === "finished") return `${url}/s/${uuid}/`;
    if (status.status === "error") throw new Error(status.message);
    await pause(200);
  }
}

/** The own memory of the largest renderer of this machine: no other browser should run meanwhile. */
function tabMiB() {
  const children = spawnSync("ps", ["-e", "-o", "pid=,ppid=,args="], { encoding: "utf8" }).stdout.split("\n").filter((line) => line.includes("--type=renderer"));
  const sizes = children.map((line) => {
    try {
      const text = readFileSync(`/proc/${line.trim().split(/\s+/)[0]}/smaps_rollup`, "utf8");
      return [...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+)/gm)].reduce((sum, match) => sum + Number(match[1]), 0) / 1024;
    } catch {
      return 0;
    }
  });
  return Math.max(0, ...sizes);
}

/** @param {string} site @param {{errors: number, debug: number, pattern: number, any: number}} truth */
async function run(site, truth) {
  const browser = await startBrowser();
  try {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
    await page.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector(".line:not(.coming) .line-text")) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => Reflect.set(window, "firstLines", performance.now())));
      }).observe(document, { subtree: true, childList: true });
    });
    await page.goto(site);
    await page.waitForFunction(() => Reflect.get(window, "firstLines"));
    const first = await page.evaluate(() => Number(Reflect.get(window, "firstLines")));
    const lines = page.locator(".console-lines");
    await lines.hover();
    await page.evaluate(() => performance.clearMeasures("console frame"));
    for (let n = 0; n < 120; n += 1) {
      await page.mouse.wheel(0, 300);
      await pause(16);
    }
    for (let n = 1; n <= 40; n += 1) {
      await lines.evaluate((box, share) => {
        box.scrollTop = box.scrollHeight * share;
      }, (n * 0.37) % 1);
      await pause(40);
    }
    const frame = quantile(await page.evaluate(() => performance.getEntriesByName("console frame").map((entry) => entry.duration)), 0.95);
    const search = [];
    let pressed = false;
    const field = page.getByRole("searchbox", { name: "Search the whole console" });
    for (const [text, expected, regex] of /** @type {[string, number, boolean][]} */ ([["Failed to spawn", truth.errors, false], ["debug", truth.debug, false], ["req-f[0-9]{3}", truth.pattern, true], ["[0-9]{6} x{20,}$", truth.any, true]])) {
      if (regex && !pressed) {
        pressed = true;
        await field.fill("");
        await field.press("Enter"); // at once, or the click below asks the old words anew
        await page.getByRole("button", { name: "Regular expression" }).click();
      }
      const found = await page.evaluate(async ([words]) => {
        const input = /** @type {HTMLInputElement} */ (document.querySelector(".console-bar input"));
        const note = /** @type {HTMLElement} */ (document.querySelector(".console-note"));
        input.value = words;
        const began = performance.now();
        input.dispatchEvent(new Event("input", { bubbles: true }));
        note.textContent = "";
        const told = await new Promise((done) => {
          new MutationObserver(() => {
            const said = /^[\d, ]+ of ([\d, ]+) lines?$|^(no line has it)$/.exec(note.textContent ?? "");
            if (said) done(said[1] ?? "0");
          }).observe(note, { childList: true, subtree: true, characterData: true });
          setTimeout(() => done("none in 20 s"), 20000);
        });
        return { ms: performance.now() - began, count: Number(told.replace(/[, ]/g, "")) };
      }, [text]);
      if (found.count !== expected) throw new Error(`search for ${text}: ${found.count} lines, but there are ${expected}`);
      search.push(found.ms);
    }
    return { first, frame, memory: tabMiB(), search };
  } finally {
    await browser.close();
  }
}

const { text, truth } = makeConsole();
console.log(`${LINES} lines, ${(text.length / 1e6).toFixed(0)} MB; ${truth.errors} errors`);
const daemon = await startDaemon();
try {
  const site = await upload(daemon.url, text);
  const results = [];
  for (let n = 0; n < RUNS; n += 1) {
    const result = await run(site, truth);
    results.push(result);
    console.log(`first ${result.first.toFixed(0)} ms, frame p95 ${result.frame.toFixed(1)} ms, memory ${result.memory.toFixed(0)} MiB, search ${result.search.map((ms) => ms.toFixed(0)).join(" / ")} ms, load ${loadavg()[0].toFixed(1)}`);
  }
  /** @param {(result: typeof results[0]) => number} of */
  const median = (of) => quantile(results.map(of), 0.5);
  console.log(`median: first ${median((r) => r.first).toFixed(0)} ms (1000), frame p95 ${median((r) => r.frame).toFixed(1)} ms (12), memory ${median((r) => r.memory).toFixed(0)} MiB (200), search ${[0, 1, 2, 3].map((n) => median((r) => r.search[n]).toFixed(0)).join(" / ")} ms (1500)`);
} finally {
  await daemon.stop();
}
