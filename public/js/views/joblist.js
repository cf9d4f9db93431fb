// SPDX-License-Identifier: Apache-2.0
// The answer of a look-up: jobs by pipeline and revision, each one click away from its site.
import { h, outLink, timeElement } from "../dom.js";
import { C } from "../lib/classes.js";
import { groupJobs } from "../lib/groups.js";
import { jobStatus } from "../lib/status.js";
import { counted } from "../lib/format.js";
import { formatAgo } from "../lib/moments.js";
import { notice, statusBadge, warningList } from "./pieces.js";

/** @typedef {import("../lib/types.js").Answer} Answer */
/** @typedef {import("../lib/types.js").Job} Job */

/**
 * @typedef {{query: string, onOpen: (job: Job, button: HTMLButtonElement) => void, choiceHref: (q: string) => string}} ListOptions
 */

/**
 * @param {Answer} answer
 * @param {ListOptions} options
 * @param {boolean} [inParts] it grows under somebody's eyes: what may come late stands last
 * @returns {DocumentFragment}
 */
export function answerView(answer, { query, onOpen, choiceHref }, inParts = false) {
  const view = document.createDocumentFragment();
  const warnings = warningList(answer.warnings, "The look-up says");
  if (warnings && !inParts) view.append(warnings);
  if (answer.choices?.length) {
    const items = answer.choices.map((choice) =>
      h(
        "li",
        null,
        h("a", { href: choiceHref(choice.q) }, h("span", { class: C.mono }, String(choice.change_id)), ` ${choice.change_subject}`),
        h("span", { class: C.muted }, ` ${choice.change_project}${choice.change_branch ? ` · ${choice.change_branch}` : ""}`),
      ),
    );
    view.append(h("section", { class: C.choices }, h("h2", null, `${answer.message || `${items.length} changes fit.`} Which one?`), h("ul", null, ...items)));
  }
  const changes = groupJobs(answer.results);
  for (const change of changes) view.append(changeView(change, onOpen));
  if (changes.length === 0 && !answer.choices?.length) {
    view.append(notice("info", "No results yet", answer.message || `Nothing was found for “${query}”.`));
  } else if (answer.message && !answer.choices?.length) {
    view.prepend(notice("info", answer.message));
  }
  if (warnings && inParts) view.append(h("div", { id: "look-up-says", class: C.late }, warnings));
  return view;
}

/**
 * @param {import("../lib/groups.js").Change} change
 * @param {(job: Job, button: HTMLButtonElement) => void} onOpen
 */
function changeView(change, onOpen) {
  const title = change.subject ?? (change.id ? `Change ${change.id}` : "Job");
  const facts = h("p", { class: C.muted }, change.id ? outLink(change.url, `change ${change.id}`) : null);
  if (change.project) facts.append(change.id ? " in " : "", h("span", { class: C.mono }, change.project));
  if (change.gerrit) facts.append(` on ${change.gerrit}`);
  const head = h("header", { class: C.changeHead }, h("h2", null, title), facts);
  return h("section", { class: C.change }, head, ...change.groups.map((group) => groupView(group, onOpen)));
}

/**
 * @param {import("../lib/groups.js").Group} group
 * @param {(job: Job, button: HTMLButtonElement) => void} onOpen
 */
function groupView(group, onOpen) {
  const title = [group.pipeline, group.revision && `patchset ${group.revision}`].filter(Boolean).join(" · ") || "jobs";
  const total = counted(group.jobs.length, "job");
  const head = h(
    "div",
    { class: C.groupHead },
    h("h3", null, title),
    h("span", { class: C.muted }, group.bad ? `${group.bad} failed of ${total}` : total),
    group.newest_ms > 0 && h("span", { class: C.muted }, timeElement(group.newest_ms, formatAgo(group.newest_ms, Date.now()))),
  );
  return h("section", { class: C.group }, head, h("ul", { class: C.jobs }, ...group.jobs.map((job) => jobView(job, onOpen))));
}

/**
 * @param {Job} job
 * @param {(job: Job, button: HTMLButtonElement) => void} onOpen
 */
function jobView(job, onOpen) {
  const main = h("div", { class: C.jobMain }, statusBadge(jobStatus(job.status)), openButton(job, job.name, onOpen));
  const meta = h(
    "div",
    { class: C.jobMeta },
    job.voting === false && h("span", { class: C.tag, title: "Its result does not count" }, "non-voting"),
    job.ci_username && h("span", null, job.ci_username),
    job.duration && h("span", null, job.duration),
    job.url && /^https?:/.test(job.url) && outLink(job.url, "logs", { "aria-label": `Logs of ${job.name}` }),
  );
  const row = h("li", { class: C.job }, main, meta);
  if (!job.url && job.reason) row.append(h("p", { class: C.jobReason }, job.reason));
  if (job.builds?.length) row.append(olderView(job, onOpen));
  return row;
}

/**
 * @param {Job} job
 * @param {(job: Job, button: HTMLButtonElement) => void} onOpen
 */
function olderView(job, onOpen) {
  const items = (job.builds ?? []).map((build) => {
    const older = { ...job, ...build, builds: [] };
    const label = build.finished_ms ? new Date(build.finished_ms).toISOString().slice(0, 16).replace("T", " ") + " UTC" : "earlier build";
    return h(
      "li",
      null,
      statusBadge(jobStatus(build.status)),
      openButton(older, label, onOpen),
      h("span", { class: C.muted }, [build.duration, build.url ? null : "no logs"].filter(Boolean).join(" · ")),
    );
  });
  return h("details", { class: C.older }, h("summary", null, counted(items.length, "older build")), h("ul", null, ...items));
}

/**
 * @param {Job} job
 * @param {string} label
 * @param {(job: Job, button: HTMLButtonElement) => void} onOpen
 */
function openButton(job, label, onOpen) {
  if (!job.url) return h("span", { class: C.jobOpen }, label);
  /** @type {HTMLButtonElement} */
  const button = h("button", { type: "button", class: C.jobOpen, "data-url": job.url, onclick: () => onOpen(job, button) }, label);
  return button;
}
