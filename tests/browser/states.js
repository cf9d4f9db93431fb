// SPDX-License-Identifier: Apache-2.0
// Every page in every state that it can be in, for what looks at all of them: axe.test.js and bench/screens.mjs.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { startDaemon, twistd, upload as send } from "./daemon.js";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const PYTHON = join(dirname(twistd ?? ""), "python3");
const INDEX = '<html><title>Index of /</title><h1>Index of /</h1><pre><a href="testrepository.subunit.gz">testrepository.subunit.gz</a> 2016-06-01 12:00  1.0M</pre></html>';
const EMPTY = '<html><title>Index of /</title><h1>Index of /</h1><pre><a href="notes.txt">notes.txt</a> 2016-06-01 12:00  1k</pre></html>';

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {Awaited<ReturnType<typeof startWorld>>} World */
/** @typedef {{name: string, open: (page: Page, world: World) => Promise<unknown>}} State */

/** A Zuul build that failed, with levels and colours in its console: an archive. */
function failedBuild() {
  const folder = mkdtempSync(join(tmpdir(), "stackviz-zuul-"));
  const zuul = (/** @type {string} */ kind) => readFileSync(join(ROOT, `tests/fixtures/zuul/job-output.assembled.${kind}`), "utf8");
  const inks = Array.from({ length: 16 }, (_, n) => `\u001b[${n < 8 ? 30 + n : 82 + n}mink ${n}\u001b[0m`).join(" ");
  const grounds = Array.from({ length: 8 }, (_, n) => `\u001b[${40 + n}mon ${n}\u001b[33m yellow\u001b[0m`).join(" ");
  const marks = "\u001b[1mbold\u001b[0m \u001b[3mitalic\u001b[0m \u001b[4munderlined\u001b[0m \u001b[9mstruck\u001b[0m \u001b[7mswapped\u001b[0m \u001b[2mdim\u001b[0m";
  const lines = [inks, grounds, marks, `ERROR: ${inks}`, `WARNING: ${inks}`, `10 %\r\u001b[32m100 %\u001b[0m ${inks}`, "z".repeat(3000)];
  writeFileSync(join(folder, "job-output.json"), zuul("json"));
  writeFileSync(join(folder, "job-output.txt"), zuul("txt") + lines.map((line) => `2026-11-22 09:50:00.000000 | ${line}\n`).join(""));
  const archive = execFileSync("tar", ["cz", "-C", folder, "."]);
  rmSync(folder, { recursive: true });
  return new Uint8Array(archive);
}

/** A log server: /slow/ never ends, /empty/ has nothing to show, /gone/ lists what is not there, /broken/ holds no test. */
function startLogs() {
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    if (path.endsWith("/")) {
      response.setHeader("Content-Type", "text/html");
      response.end(path.startsWith("/empty") ? EMPTY : INDEX);
    } else if (!path.endsWith(".gz") || path.startsWith("/gone")) {
      response.writeHead(404).end();
    } else if (path.startsWith("/slow")) {
      response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": 1_000_000 });
      response.write(Buffer.alloc(400_000));
    } else {
      response.end("nothing of interest");
    }
  });
  return /** @type {Promise<{host: string, close: () => void}>} */ (
    new Promise((done) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const host = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
        done({ host, close: () => void (server.closeAllConnections(), server.close()) });
      });
    })
  );
}

/** @param {"gerrit"|"zuul"} kind @param {"ok"|"slow"} mode slow: takes questions and never answers */
export async function startFake(kind, mode) {
  const child = spawn(PYTHON, ["-m", `tests.fake_${kind}`, "--port", "0", "--mode", mode], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const port = await new Promise((done, fail) => {
    child.once("exit", () => fail(new Error(`the ${kind} of the tests ended`)));
    child.stdout.once("data", (chunk) => done(Number(String(chunk))));
  });
  return { url: `http://127.0.0.1:${port}/`, close: () => void child.kill() };
}

export async function startWorld() {
  const [logs, gerrit, slow] = await Promise.all([startLogs(), startFake("gerrit", "ok"), startFake("gerrit", "slow")]);
  const daemon = await startDaemon(
    [
      `log_hosts: [logs.openstack.org, "${logs.host}"]`,
      "private_networks: [127.0.0.0/8]",
      `gerrits: [{url: "${gerrit.url}"}, {url: "${slow.url}"}]`,
      "zuuls: []",
      // The slow scrape is still at work when its page is looked at, however busy the machine.
      "limits: {upload_bytes: 3 MiB, fetch_seconds: 3000, task_seconds: 3600}",
    ].join("\n"),
  );
  const { url } = daemon;

  /** @param {string} path @param {unknown} body */
  const api = async (path, body) => (await fetch(url + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).json();
  /** @param {string} job */
  const scrape = async (job) => /** @type {{uuid: string, cancel_key: string}} */ (await api("/api/scrape", { url: job }));
  /** @param {string} uuid */
  const end = async (uuid) => {
    for (;;) {
      const { status } = await api("/api/status", { q: uuid });
      if (status !== "queued" && status !== "pending") return uuid;
      await new Promise((done) => {
        setTimeout(done, 50);
      });
    }
  };
  /** @param {string} job */
  const made = async (job) => end((await scrape(job)).uuid);

  const cancelled = await scrape(`http://${logs.host}/slow/cancelled/`);
  await api("/api/cancel", { q: cancelled.uuid, cancel_key: cancelled.cancel_key });
  const upload = await (await fetch(`${url}/api/upload?name=notes.txt`, { method: "POST", body: "nothing of interest" })).json();
  const expired = await made("sample:gate-tempest-dsvm-full/");
  // As time will: its row is changed where it lies.
  const change = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(\"UPDATE tasks SET state='expired', live_url=NULL WHERE id=?\", sys.argv[2:]); c.commit()";
  const done = spawnSync(PYTHON, ["-c", change, join(daemon.state, "stackviz.sqlite3"), expired], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);

  const tasks = {
    expired,
    cancelled: cancelled.uuid,
    site: await made("sample:gate-tempest-dsvm-full/"),
    build: new URL(await send(url, { "logs.tar.gz": failedBuild() })).pathname.split("/")[2],
    broken: await made(`http://${logs.host}/broken/`),
    gone: await made(`http://${logs.host}/gone/`),
    empty: await made(`http://${logs.host}/empty/`),
    upload: await end(upload.uuid),
    slow: (await scrape(`http://${logs.host}/slow/1/`)).uuid,
  };
  const folder = await mkdtemp(join(tmpdir(), "stackviz-saved-"));
  return {
    url,
    tasks,
    folder,
    gerrit: gerrit.url,
    silent: slow.url,
    stop: async () => {
      await daemon.stop();
      for (const one of [logs, gerrit, slow]) one.close();
      await rm(folder, { recursive: true });
    },
  };
}

/**
 * Save the site that is shown as one file.
 * @param {Page} page
 * @param {string} folder
 * @returns {Promise<string>} where it lies
 */
export async function saveFile(page, folder) {
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as one file" }).click();
  const download = await coming;
  const file = join(folder, download.suggestedFilename());
  await download.saveAs(file);
  await page.getByText(/^Saved/).first().waitFor();
  return file;
}

/** @param {string} query */
const asked = (query) => `/?q=${encodeURIComponent(query)}`;

/** @type {State[]} */
export const STATES = [
  { name: "index", open: (page, { url }) => visit(page, `${url}/`, "Recent sites of this server") },
  { name: "index-keys", open: async (page, { url }) => { await page.goto(`${url}/`); await page.getByRole("button", { name: "Keys" }).click(); await page.getByRole("dialog").waitFor(); } },
  { name: "index-asking", open: (page, { url, silent }) => visit(page, url + asked(`${silent}271726`), "Looking up") },
  // A bare number is asked of both Gerrits, of which one never answers.
  { name: "index-half", open: (page, { url }) => visit(page, url + asked("269624"), "jobs so far") },
  { name: "index-jobs", open: (page, { url, gerrit }) => visit(page, url + asked(`${gerrit}269624`), "gate-cinder-pep8") },
  { name: "index-choices", open: (page, { url, gerrit }) => visit(page, url + asked(`${gerrit}#/q/project:openstack/stackviz`), "Which one?") },
  { name: "index-none", open: (page, { url, gerrit }) => visit(page, url + asked(`${gerrit}300001`), "No results yet") },
  { name: "index-refused", open: (page, { url }) => visit(page, url + asked("http://elsewhere.example/job/"), "cannot be") },
  { name: "go-nothing", open: (page, { url }) => visit(page, `${url}/go/`, "Nothing to look up") },
  { name: "go-asking", open: (page, { url, silent }) => visit(page, `${url}/go/${silent}271726`, "Looking up") },
  { name: "go-jobs", open: (page, { url, gerrit }) => visit(page, `${url}/go/${gerrit}271726`, "gate-stackviz-pep8") },
  { name: "go-refused", open: (page, { url }) => visit(page, `${url}/go/http://elsewhere.example/job/`, "Edit what was asked") },
  { name: "status-working", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.slow}/`, "KiB of") },
  { name: "status-failed", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.gone}/`, "Scrape again") },
  { name: "status-empty", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.empty}/`, "Scrape again") },
  { name: "status-cancelled", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.cancelled}/`, "The scrape was cancelled") },
  { name: "status-expired", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.expired}/`, "This site has expired") },
  { name: "status-upload", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.upload}/`, "No site could be made") },
  { name: "status-missing", open: (page, { url }) => visit(page, `${url}/s/00000000-0000-4000-8000-000000000000/`, "No such site") },
  { name: "viewer", open: (page, world) => viewer(page, world) },
  { name: "viewer-no-test", open: (page, { url, tasks }) => visit(page, `${url}/s/${tasks.broken}/`, "No test ran") },
  { name: "viewer-keys", open: async (page, world) => { await viewer(page, world); await page.keyboard.press("?"); await page.getByRole("dialog").waitFor(); } },
  { name: "viewer-test", open: async (page, world) => { await viewer(page, world); await page.keyboard.press("n"); await page.locator(".attachment .log-line").first().waitFor(); } },
  { name: "viewer-console", open: (page, world) => openConsole(page, world, world.tasks.site, "#L1800-L1803") },
  { name: "viewer-console-failed", open: (page, world) => openConsole(page, world, world.tasks.build, "") },
  { name: "viewer-console-colours", open: async (page, world) => { await openConsole(page, world, world.tasks.build, "#log"); await page.locator(".console-lines").focus(); await page.keyboard.press("End"); await page.getByText("ink 15").first().waitFor(); } },
  { name: "viewer-console-search", open: async (page, world) => { await openConsole(page, world, world.tasks.build, "#L3-L5&log-find=ink&log-only"); await page.locator("mark").first().waitFor(); } },
  { name: "viewer-console-none", open: async (page, world) => { await openConsole(page, world, world.tasks.build, "#log-find=%28&log-regex"); await page.locator(".console-note.bad-text").waitFor(); } },
  { name: "viewer-save", open: async (page, world) => { await viewer(page, world); await saveFile(page, world.folder); } },
  { name: "viewer-saved", open: async (page, world) => { await viewer(page, world); await page.goto(`file://${await saveFile(page, world.folder)}`); await page.getByText("A saved site").waitFor(); await page.locator(".cause .test-link").first().waitFor(); } },
  { name: "viewer-none-left", open: async (page, world) => { await viewer(page, world); await page.keyboard.press("/"); await page.keyboard.type("nothing is called so"); await page.waitForTimeout(400); } },
];

/** @param {Page} page @param {string} address @param {string} text that is there when the state is */
async function visit(page, address, text) {
  await page.goto(address);
  await page.getByText(text).first().waitFor();
}

/** @param {Page} page @param {World} world */
async function viewer(page, { url, tasks }) {
  await page.goto(`${url}/s/${tasks.site}/`);
  await page.locator("canvas.lanes").waitFor();
  await page.waitForFunction(() => performance.getEntriesByName("timeline frame").length > 0);
  // What comes after the first frame: the findings last.
  await page.locator(".cause .test-link").first().waitFor();
}

/**
 * The console of a site, in sight.
 * @param {Page} page
 * @param {World} world
 * @param {string} task
 * @param {string} hash
 */
async function openConsole(page, { url }, task, hash) {
  await page.goto(`${url}/s/${task}/${hash}`);
  await page.locator("#console").scrollIntoViewIfNeeded();
  await page.locator(".line:not(.coming)").first().waitFor();
  await page.locator("#console").evaluate((element) => element.scrollIntoView());
}
