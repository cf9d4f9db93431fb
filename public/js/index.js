// SPDX-License-Identifier: Apache-2.0
// The first page: paste anything, pick a job.
import { C } from "./lib/classes.js";
import { messageOf } from "./api.js";
import { byId, fill } from "./dom.js";
import { lookupIn } from "./lib/pasted.js";
import { lookUp } from "./looking.js";
import { recent, scrape, upload } from "./scrapes.js";
import { lookupTitle } from "./views/ending.js";
import { makeFound } from "./views/found.js";
import { notice } from "./views/pieces.js";
import { recentView } from "./views/recent.js";
import { keySheet } from "./views/sheet.js";
import { sendingView, takeDrops, takeFiles } from "./views/upload.js";

const form = byId("lookup");
const box = /** @type {HTMLInputElement} */ (byId("q"));
const results = byId("results");
const said = byId("said");

/** @type {AbortController|null} */
let asking = null;
/** Ends the look-up that is under way; what it found stays. */
let giveUp = () => {};

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
  said.textContent = "";
  if (!query) {
    void showRecent();
    return;
  }
  const mine = new AbortController();
  asking = mine;
  const found = makeFound({
    query,
    onOpen: open,
    choiceHref: (q) => `/?q=${encodeURIComponent(q)}`,
    // With nothing to keep, to the page that one came from.
    onStop: () => (found.empty ? void ask("") : giveUp()),
    say: (text) => {
      said.textContent = text;
    },
  });
  giveUp = () => {
    mine.abort();
    asking = null;
    results.setAttribute("aria-busy", "false");
    if (found.empty) fill(results);
    else found.stopped("Not asked to the end");
  };
  fill(results, found.element);
  try {
    const answer = await lookUp(query, (part) => asking === mine && found.part(part), mine.signal);
    if (asking !== mine) return;
    asking = null;
    found.end(answer);
  } catch (error) {
    if (asking !== mine) return;
    asking = null;
    if (found.empty) fill(results, notice("bad", lookupTitle(error), messageOf(error)));
    else {
      found.stopped("Not asked to the end");
      results.prepend(notice("bad", lookupTitle(error), messageOf(error)));
    }
  }
  results.setAttribute("aria-busy", "false");
}

/** An extra: a server that cannot say has none to show. */
async function showRecent() {
  const sites = await recent().catch(() => []);
  if (asking === null && !document.body.classList.contains(C.asked) && sites.length > 0) fill(results, recentView(sites, Date.now()));
}

/**
 * @param {import("./lib/types.js").Job} job
 * @param {HTMLButtonElement} button
 */
async function open(job, button) {
  if (asking) giveUp();
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
  giveUp = () => {};
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
    if (mine.signal.aborted) void show();
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

// Who types anew does not wait for the old question.
box.addEventListener("input", () => {
  if (asking && document.body.classList.contains(C.asked)) giveUp();
});

/** Whatever was copied or dragged along with it. @param {string} text */
function askIn(text) {
  const query = lookupIn(text);
  if (query) void ask(query);
}

takeFiles(byId("choose"), byId("files"), (files) => void send(files));
takeDrops({ onFiles: (files) => void send(files), onText: askIn, onRefused: refuse });

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void ask(lookupIn(box.value));
});

// What is pasted is looked up, wherever the focus is; into the box itself it is only put, as anywhere else.
document.addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (!text.trim()) return;
  if (event.target instanceof HTMLInputElement) {
    // The box has one line, and joins the words at the ends of others.
    const anew = box.selectionStart === 0 && box.selectionEnd === box.value.length;
    if (!anew || !text.trim().includes("\n")) return;
    event.preventDefault();
    box.value = lookupIn(text);
    return;
  }
  event.preventDefault();
  box.focus();
  askIn(text);
});

const sheet = keySheet("Keys", [
  ["/", "to the look-up"],
  ["Enter", "look up; on a job: open its site"],
  ["↓ ↑", "the next, the previous job; from the look-up: the first"],
  ["Ctrl+V", "anywhere on the page: look up what is pasted, as what is dropped"],
  ["?", "this list"],
]);
byId("help").addEventListener("click", () => sheet.showModal());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || sheet.open) return;
  if (event.target instanceof HTMLSelectElement || (event.target instanceof HTMLInputElement && event.key !== "ArrowDown")) return;
  /** @type {Record<string, () => boolean>} each says whether the key was of use */
  const does = { "/": toBox, "?": openSheet, ArrowDown: () => step(1), ArrowUp: () => step(-1) };
  if (does[event.key]?.()) event.preventDefault();
});

function toBox() {
  box.focus();
  box.select();
  return true;
}

function openSheet() {
  sheet.showModal();
  return true;
}

/** To the next job, or the one before; before the first there is the box. @param {1|-1} by */
function step(by) {
  const jobs = [...results.querySelectorAll(`a.${C.jobOpen}, button.${C.jobOpen}`)];
  const focused = document.activeElement;
  const at = jobs.findIndex((one) => one === focused);
  if (at < 0 && focused !== box) return false;
  const next = at + by < 0 ? box : jobs[at + by];
  if (next instanceof HTMLElement) next.focus();
  return next !== undefined;
}

addEventListener("popstate", () => void show());
// A page that comes back from the cache still has the button that was pressed.
addEventListener("pageshow", (event) => {
  if (event.persisted) void show();
});
void show();
