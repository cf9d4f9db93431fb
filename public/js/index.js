// SPDX-License-Identifier: Apache-2.0
// The first page: paste anything, pick a job.
import { C } from "./lib/classes.js";
import { list, scrape, upload } from "./api.js";
import { byId, fill } from "./dom.js";
import { lookupTitle } from "./views/ending.js";
import { messageOf } from "./message.js";
import { answerView } from "./views/joblist.js";
import { notice, skeleton } from "./views/notice.js";
import { sendingView, takeFiles } from "./views/upload.js";

const form = byId("lookup");
const box = /** @type {HTMLInputElement} */ (byId("q"));
const results = byId("results");

/** @type {AbortController|null} */
let asking = null;

/** Look up what the address says; the page's only state is the address. */
async function show() {
  const query = new URLSearchParams(location.search).get("q")?.trim() ?? "";
  asking?.abort();
  asking = null;
  box.value = query;
  document.body.classList.toggle(C.asked, query !== "");
  document.title = query ? `${query} · StackViz` : "StackViz";
  results.setAttribute("aria-busy", String(query !== ""));
  fill(results);
  if (!query) return;
  const mine = new AbortController();
  asking = mine;
  fill(results, skeleton(6, `Looking up ${query}`));
  try {
    const answer = await list(query, mine.signal);
    if (asking !== mine) return;
    fill(results, answerView(answer, { query, onOpen: open, choiceHref: (q) => `/?q=${encodeURIComponent(q)}` }));
  } catch (error) {
    if (asking !== mine) return;
    fill(results, notice("bad", lookupTitle(error), messageOf(error)));
  }
  results.setAttribute("aria-busy", "false");
}

/**
 * @param {import("./lib/types.js").Job} job
 * @param {HTMLButtonElement} button
 */
async function open(job, button) {
  button.disabled = true;
  try {
    const { uuid } = await scrape(job);
    location.assign(`/s/${uuid}/`);
  } catch (error) {
    button.disabled = false;
    results.prepend(notice("bad", `${job.name} could not be scraped`, messageOf(error)));
    results.firstElementChild?.scrollIntoView({ block: "nearest" });
  }
}

/** @param {File[]} files */
async function send(files) {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  results.setAttribute("aria-busy", "true");
  fill(results, sendingView(files, () => mine.abort()));
  results.scrollIntoView({ block: "nearest" });
  try {
    const { uuid } = await upload(files, mine.signal);
    if (asking === mine) location.assign(`/s/${uuid}/`);
  } catch (error) {
    if (asking !== mine) return;
    if (mine.signal.aborted) fill(results);
    else refuse(messageOf(error));
  }
  results.setAttribute("aria-busy", "false");
}

/** @param {string} message */
function refuse(message) {
  fill(results, notice("bad", "That could not be taken", message));
}

/** @param {string} query */
function ask(query) {
  const now = new URLSearchParams(location.search).get("q") ?? "";
  if (query !== now) history.pushState(null, "", query ? `/?q=${encodeURIComponent(query)}` : "/");
  return show();
}

takeFiles({ button: byId("choose"), input: byId("files"), onFiles: (files) => void send(files), onRefused: refuse });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void ask(box.value.trim());
});

// A paste goes to the box wherever the focus is.
document.addEventListener("paste", (event) => {
  if (event.target instanceof HTMLInputElement) return;
  const text = event.clipboardData?.getData("text/plain").trim();
  if (!text) return;
  event.preventDefault();
  box.value = text.split(/\s+/)[0];
  box.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  box.focus();
  box.select();
});

addEventListener("popstate", () => void show());
// A page that comes back from the cache still has the button that was pressed.
addEventListener("pageshow", (event) => {
  if (event.persisted) void show();
});
void show();
