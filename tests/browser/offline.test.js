// SPDX-License-Identifier: Apache-2.0
// "Save as one file": saved by a click, then opened from file:// without daemon and network.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { skip, startDaemon, upload } from "./daemon.js";
import { rigBrowser } from "./rig.js";
import { saveFile } from "./states.js";

const LINES = 5000;
const START = Date.UTC(2016, 5, 1, 12);
const HOSTILE = ['<img src=x onerror="window.pwned=1">', "</script><script>window.pwned=1</script>", "left\u202eright\u2066to\u2069", `${"long.".repeat(2000)}end`, "<!-- --><style>*{display:none}</style>"];
/** Of random letters: more than the file may have, compressed or not. */
const LARGE_BYTES = 27e6;

/** @param {string} text */
const xml = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

function report() {
  const bad = HOSTILE.map((name, i) => `<testcase classname="pkg.Hostile" name="${xml(name)}" time="${i + 1}"><failure message="boom ${i}">${xml(`Traceback\n  at ${i}\n${name.slice(0, 300)}`)}</failure></testcase>`);
  const good = Array.from({ length: 40 }, (_, i) => `<testcase classname="pkg.Plain${i % 4}" name="test_${i}" time="${(i % 9) + 0.5}"/>`);
  return `<?xml version="1.0"?><testsuites><testsuite name="pkg" timestamp="2016-06-01T12:00:00Z">${[...bad, ...good].join("")}</testsuite></testsuites>`;
}

function recording() {
  const rows = Array.from({ length: 200 }, (_, i) => {
    const when = new Date(START + i * 1000).toISOString();
    return `${when.slice(8, 10)}-${when.slice(5, 7)} ${when.slice(11, 19)},${i % 60},5,90,1,0,0,${4e9 + i},1000,10,10,0.5,0.4,0.3`;
  });
  return ['"Dstat 0.7.3 CSV output"', '"Author:","Dag Wieers",,,,"URL:","http://dag.wieers.com/"', '"Host:","one",,,,"User:","root"', '"Cmdline:","dstat",,,,"Date:","01 Jun 2016 12:00:00 UTC"', "", '"system","total cpu usage",,,,,,"memory usage",,,,"load avg",,', '"time","usr","sys","idl","wai","hiq","siq","used","buff","cach","free","1m","5m","15m"', ...rows].join("\n");
}

/** @param {(n: number) => string} text */
function log(text) {
  const rows = Array.from({ length: LINES }, (_, n) => `${new Date(START + n * 40).toISOString().replace("T", " ").slice(0, 23)} | ${text(n)}`);
  return `${rows.join("\n")}\n`.replace(/&/g, "&amp;");
}

/** @param {number} n */
const line = (n) => (n === 10 ? HOSTILE[1] : n % 1000 === 7 ? `2016-06-01 12:00:00.000 1 ERROR nova needle ${n}` : `2016-06-01 12:00:00.000 1 INFO nova line ${n}`);

const open = rigBrowser();
let folder = "";
/** Saved files: of a job that fits, and of one with a console that does not. */
let file = "";
let small = "";
let site = "";

before(async () => {
  if (skip) return;
  const daemon = await startDaemon("zuuls: []\ngerrits: []\nlimits: {upload_bytes: 64 MiB}\n");
  try {
      folder = await mkdtemp(join(tmpdir(), "stackviz-offline-"));
    const results = { "junit.xml": report(), "one/dstat-csv.txt": recording() };
    site = await upload(daemon.url, { ...results, "console.html": log(line) });
    const large = await upload(daemon.url, { ...results, "console.html": log(() => randomBytes((LARGE_BYTES / LINES) * 0.75).toString("base64")) });
    const { page, close } = await open({}, /ERR_FAILED/);
    await page.goto(site);
    file = await saveFile(page, folder);
    await page.goto(large);
    small = await saveFile(page, await mkdtemp(join(folder, "small-")));
    await page.getByText("Saved without all of it").waitFor();
    await page.getByText(/^The console “console\.html” \(\d\d\.\d MB compressed\): with it the file would be larger than 25 MB\.$/).waitFor();
    await breakAndCancel(page);
    await close();
  } finally {
    await daemon.stop();
  }
});

after(async () => {
  if (folder) await rm(folder, { recursive: true });
});

/** A saving that is given up, one that fails, and what can be done then. @param {import("playwright-core").Page} page */
async function breakAndCancel(page) {
  /** @type {import("playwright-core").Route[]} */
  const held = [];
  const button = page.getByRole("button", { name: "Save as one file" });
  await page.goto(site);
  await page.route("**/gzip", (route) => void held.push(route));
  await button.click();
  await page.getByText(/^0 kB of \d+ kB$/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Nothing was saved.").waitFor();
  assert.ok(await button.evaluate((element) => element === document.activeElement && !element.hasAttribute("disabled")));
  await page.unroute("**/gzip");
  await page.route("**/gzip", (route) => route.abort());
  await button.click();
  await page.getByText("The site could not be saved").waitFor();
  await page.unroute("**/gzip");
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: "Try again" }).click();
  assert.equal((await coming).suggestedFilename(), basename(file));
}

/**
 * The file as somebody opens it who has no network.
 * @param {string} path
 * @param {string} [hash]
 * @param {import("playwright-core").BrowserContextOptions} [options]
 * @param {RegExp} [known]
 */
async function openFile(path, hash = "", options, known) {
  const { page, troubles } = await open(options, known);
  await page.context().setOffline(true);
  /** @type {string[]} */
  const requests = [];
  page.on("request", (request) => {
    if (!/^(?:data|blob):/.test(request.url()) && request.url().split("#")[0] !== `file://${path}`) requests.push(request.url());
  });
  await page.goto(`file://${path}${hash}`);
  await page.locator("#tests").waitFor();
  return {
    page,
    /** Nothing was asked of anybody. */
    quiet: async () => {
      assert.deepEqual(requests, []);
      assert.equal(await page.evaluate(() => Reflect.get(window, "pwned")), undefined);
    },
    troubles,
  };
}

const limits = { skip, timeout: 90000 };

test("the file shows overview, timeline, table, metrics, attachments; its address keeps the state", limits, async () => {
  const { page, quiet } = await openFile(file);
  await page.getByText("A saved site: it needs no network").waitFor();
  await page.locator(".cause .test-link").first().waitFor();
  await page.getByText("45 tests").first().waitFor();
  await page.locator("canvas.lanes").waitFor();
  await page.locator(".machine .chart-name").getByText("CPU").waitFor();
  assert.match(await page.title(), /StackViz$/);
  const filter = page.getByLabel("Filter tests and tags");
  const found = page.locator(".toolbar [role=status]").first();
  await filter.fill("/Plain0\\.test_\\d+$/");
  await found.getByText("10 of 45 tests").waitFor();
  await filter.fill("/^(\\w+\\.?)+!$/");
  await found.getByText("0 of 45 tests").waitFor();
  await filter.fill("");
  for (let i = 0; i < HOSTILE.length; i += 1) {
    await page.locator("#main").focus();
    await page.keyboard.press("n");
    await page.waitForFunction((n) => document.querySelector("#details .log-lines")?.textContent?.includes(`at ${n}`), i);
  }
  await page.getByRole("button", { name: "Duration" }).click();
  await page.getByLabel("Times are shown in").selectOption("start");
  const address = page.url();
  assert.match(address, /^file:.*#.*test=.*zone=start/);
  const rows = page.locator("#tests tbody tr:not([aria-hidden])");
  const order = (await rows.allTextContents()).slice(0, 10);
  assert.match(order[0], /test_8.*8\.50 s/);
  await page.reload();
  await page.locator("#details .log-line").first().waitFor();
  assert.deepEqual((await rows.allTextContents()).slice(0, 10), order);
  await page.goBack();
  await page.waitForFunction(() => !location.hash.includes("zone=start"));
  await quiet();
});

test("the console by block, its search through all lines with words and expressions, links to lines", limits, async () => {
  const { page, quiet } = await openFile(file, "#L4000-L4002");
  const row = (/** @type {number} */ n) => page.locator(`.line[data-line="${n - 1}"]:not(.coming)`);
  await row(4000).waitFor();
  assert.equal(await page.locator(".line.selected").count(), 3);
  const find = page.getByRole("searchbox", { name: "Search the whole console" });
  await find.fill("needle");
  await page.getByText(/of 5 lines/).waitFor();
  await find.fill("needle [0-9]007$");
  await page.getByText("no line has it").waitFor();
  await page.getByRole("button", { name: "Regular expression" }).click();
  await page.getByText(/of 4 lines/).waitFor();
  await page.locator(".console-lines").focus();
  await page.keyboard.press("Home");
  await row(11).getByText("</script>").waitFor();
  await page.keyboard.press("End");
  await row(LINES).waitFor();
  await quiet();
});

test("links that are copied lead to the server, those of the page stay in the file", limits, async () => {
  const { page, quiet } = await openFile(file, "", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator(".cause .test-link").first().waitFor();
  await page.getByRole("button", { name: "Copy link to the first" }).first().click();
  await page.getByText("✓ copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText()).catch(() => "");
  if (copied) assert.ok(copied.startsWith(`${site}#test=`), copied);
  assert.match((await page.locator(".cause .test-link").first().getAttribute("href")) ?? "", /^file:\/\/\/.*#test=/);
  assert.equal(await page.getByRole("link", { name: "StackViz" }).getAttribute("href"), new URL("/", site).href);
  assert.equal(await page.getByRole("button", { name: "Save as one file" }).count(), 0);
  await quiet();
});

test("the file's own policy lets nothing in or out", limits, async () => {
  const { page, troubles } = await openFile(file, "", {}, /./);
  const outcome = await page.evaluate(async () => {
    const reached = await fetch("https://example.org/").then(() => "reached", () => "refused");
    const script = document.createElement("script");
    try {
      script.textContent = "window.pwned=1";
      document.body.append(script);
    } catch {
      // Trusted Types: the text did not even get there.
    }
    const image = new Image();
    image.src = "https://example.org/x.png";
    await new Promise((done) => {
      image.onerror = done;
    });
    return [reached, Reflect.get(window, "pwned")];
  });
  assert.deepEqual(outcome, ["refused", undefined]);
  for (const directive of ["connect-src", "img-src", "require-trusted-types-for"]) assert.ok(troubles.some((text) => text.startsWith("policy:") && text.includes(directive)), `${directive}: ${troubles}`);
});

test("where a browser starts no thread, the page searches by itself", limits, async () => {
  const { page, quiet } = await openFile(file);
  for (const how of ["throws", "fails"]) {
    await page.addInitScript((kind) => {
      Reflect.set(window, "Worker", class extends EventTarget {
        constructor() {
          super();
          if (kind === "throws") throw new DOMException("no worker from a file", "SecurityError");
          setTimeout(() => this.dispatchEvent(new Event("error")));
        }
        postMessage() {}
        terminate() {}
      });
    }, how);
    await page.reload();
    await page.getByLabel("Filter tests and tags").fill("/Plain0/");
    await page.getByText("10 of 45 tests").first().waitFor();
    await page.locator("#console").scrollIntoViewIfNeeded();
    const find = page.getByRole("searchbox", { name: "Search the whole console" });
    await find.fill("needle");
    await page.getByText(/of 5 lines/).waitFor();
    await page.getByRole("button", { name: "Regular expression" }).click();
    await find.fill("ne{2}dle$|(n+)+edl*$");
    await page.getByText(/no line has it/).waitFor();
    await find.fill("ne{2}dle\\b");
    await page.getByText(/of 5 lines/).waitFor();
    await page.getByRole("button", { name: "Regular expression" }).click();
    await page.getByLabel("Filter tests and tags").fill("");
    await page.evaluate(() => history.replaceState(null, "", "#"));
  }
  await quiet();
});

test("what there is no room for is left out, and said where it is missed; a phone, too", limits, async () => {
  const { size } = await stat(small);
  assert.ok(size < 2e6 && (await stat(file)).size < 25e6);
  assert.ok(!(await readFile(file, "latin1")).includes("pwned"), "what strangers wrote stands nowhere as it is");
  const { page, quiet } = await openFile(small, "", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await page.getByText("Left out of this file:").waitFor();
  await page.getByText(/The console “console\.html” \(\d\d\.\d MB compressed\)/).waitFor();
  await page.locator("#console").scrollIntoViewIfNeeded();
  await page.locator("#console").getByText("It was left out of this file, which may have 25 MB.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Try again" }).count(), 0, "nothing will bring it");
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
  await quiet();
});
