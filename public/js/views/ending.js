// SPDX-License-Identifier: Apache-2.0
// A site that is not there, and what can be done about it.
import { ApiError, messageOf, sentence } from "../api.js";
import { fill, h, timeElement } from "../dom.js";
import { C } from "../lib/classes.js";
import { formatAgo } from "../lib/moments.js";
import { scrape } from "../scrapes.js";
import { notice } from "./pieces.js";
import { jobFacts } from "./progress.js";

/** @typedef {import("../lib/types.js").Status} Status */

/** `when` says what the moment below is. @type {Record<string, {title: string, lead: string, tone: "bad"|"warn", when: string}>} */
const ENDINGS = {
  error: { title: "The scrape failed", lead: "", tone: "bad", when: "Failed" },
  cancelled: { title: "The scrape was cancelled", lead: "Nothing of it was kept.", tone: "warn", when: "Cancelled" },
  expired: { title: "This site has expired", lead: "", tone: "warn", when: "Scraped" },
};

/**
 * @param {HTMLElement} parent
 * @param {Status} s
 */
export function endingView(parent, s) {
  const ending = ENDINGS[s.status] ?? ENDINGS.error;
  document.title = `${s.job.name} · ${s.status} · StackViz`;
  const facts = h("p", { class: C.facts });
  jobFacts(facts, s.job);
  const when = s.finished_ms ?? s.created_ms;
  // What was sent is not kept: there is no address that could be scraped again.
  const sent = s.job.url?.startsWith("upload:") ?? false;
  const lead = s.status === "expired" ? expiredLead(s, sent) : ending.lead;
  const message = [lead, s.status === "expired" ? "" : sentence(s.message ?? "")].filter(Boolean).join("\n");
  const trouble = h("div", { role: "status" });
  /** @type {HTMLButtonElement} */
  const again = h("button", { type: "button", class: C.buttonPrimary, disabled: !s.job.url, onclick: () => scrapeAgain(s.job, again, trouble) }, "Scrape again");
  const ways = sent ? [h("a", { href: "/", class: C.buttonPrimary }, "Send other files")] : [again, h("a", { href: "/", class: C.button }, "Look up another job")];
  fill(
    parent,
    h(
      "section",
      { class: C.progress },
      h("h1", null, s.job.name),
      facts,
      notice(ending.tone, sent && s.status === "error" ? "No site could be made" : ending.title, message),
      h("p", { class: C.muted }, `${ending.when} `, timeElement(when, formatAgo(when, Date.now())), s.error ? ` · ${s.error}` : null),
      h("div", { class: C.actions }, ...ways),
      trouble,
    ),
  );
}

/** Why it is gone, and how to have it again. @param {Status} s @param {boolean} sent */
function expiredLead(s, sent) {
  const why = s.message ?? "Its data was removed to make room.";
  return `${why} ${sent ? "Send the files again to have it again." : "As long as the job's logs exist it can be made again."}`;
}

/**
 * @param {import("../lib/types.js").Job} job
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} trouble
 */
async function scrapeAgain(job, button, trouble) {
  button.disabled = true;
  try {
    const { uuid } = await scrape(job, { force: true });
    location.assign(`/s/${uuid}/`);
  } catch (error) {
    fill(trouble, notice("bad", "It could not be started", messageOf(error)));
    button.disabled = false;
  }
}

/** @param {HTMLElement} parent @param {string} title @param {string} message */
export function missingView(parent, title, message) {
  document.title = `${title} · StackViz`;
  fill(parent, h("section", { class: C.progress }, h("h1", null, title), h("p", null, message), h("div", { class: C.actions }, h("a", { href: "/", class: C.buttonPrimary }, "Look up a job"))));
}

/** What to call a look-up that failed. @param {unknown} error */
export function lookupTitle(error) {
  if (!(error instanceof ApiError)) return "The look-up failed";
  return { 400: "That was not understood", 404: "Nothing was found", 422: "That cannot be looked up here" }[error.status] ?? "The look-up failed";
}
