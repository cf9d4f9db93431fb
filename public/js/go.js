// SPDX-License-Identifier: Apache-2.0
// /go/<anything>: straight to the site of the one job that the rest of the address means.
import { messageOf } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { C } from "./lib/classes.js";
import { goPath, goQuery } from "./lib/goquery.js";
import { lookUp } from "./looking.js";
import { scrape } from "./scrapes.js";
import { lookupTitle, missingView } from "./views/ending.js";
import { makeFound } from "./views/found.js";
import { notice, skeleton } from "./views/pieces.js";
import { watch } from "./watch.js";

const main = byId("main");
const query = goQuery(location);

/** @param {import("./lib/types.js").Job} job */
async function open(job) {
  fill(main, skeleton(4, `Starting the scrape of ${job.name}`));
  try {
    const { uuid } = await scrape(job);
    // From here on the page is the task's: a reload, or who is sent the address, comes to it and starts nothing anew.
    history.replaceState(null, "", `/s/${uuid}/`);
    await watch(main, uuid, () => location.replace(`/s/${uuid}/`));
  } catch (error) {
    failed(`${job.name} could not be scraped`, messageOf(error));
  }
}

/** @param {string} title @param {string} message */
function failed(title, message) {
  const again = h("a", { class: C.button, href: `/?q=${encodeURIComponent(query)}` }, "Edit what was asked");
  fill(main, h("h1", null, query), notice("bad", title, message, again));
}

async function go() {
  if (!query) {
    missingView(main, "Nothing to look up", "Put a change number, a Gerrit link or the address of a job's logs behind /go/ in the address.");
    return;
  }
  document.title = `${query} · StackViz`;
  const looking = new AbortController();
  const said = h("p", { class: C.visuallyHidden, role: "status" });
  const found = makeFound({
    query,
    choiceHref: goPath,
    onStop: null,
    onOpen: (job) => {
      looking.abort();
      void open(job);
    },
    say: (text) => {
      said.textContent = text;
    },
  });
  fill(main, h("h1", { class: C.query }, query), said, found.element);
  try {
    const answer = await lookUp(query, found.part, looking.signal);
    const [only] = answer.results;
    if (answer.results.length === 1 && only.url && !answer.choices?.length) await open(only);
    else found.end(answer);
  } catch (error) {
    if (looking.signal.aborted) return;
    failed(lookupTitle(error), messageOf(error));
  }
}

// Only the fragment may change in place; it belongs to the query.
addEventListener("hashchange", () => location.reload());
void go();
