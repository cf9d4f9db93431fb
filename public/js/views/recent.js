// SPDX-License-Identifier: Apache-2.0
// What others looked at just now is what most people come for.
import { h, timeElement } from "../dom.js";
import { C } from "../lib/classes.js";
import { jobStatus } from "../lib/status.js";
import { formatAgo } from "../lib/moments.js";
import { statusBadge } from "./pieces.js";

/** @typedef {import("../lib/types.js").Status} Status */

/**
 * @param {readonly Status[]} sites the last first
 * @param {number} now_ms
 */
export function recentView(sites, now_ms) {
  return h(
    "section",
    { class: C.recent, "aria-labelledby": "recent-title" },
    h("h2", { id: "recent-title" }, "Recent sites of this server"),
    h("ul", { class: C.jobs }, ...sites.map((site) => rowView(site, now_ms))),
  );
}

/** @param {Status} site @param {number} now_ms */
function rowView({ uuid, job, finished_ms, created_ms }, now_ms) {
  const when = finished_ms ?? created_ms;
  const change = job.change_id ? `${job.change_id}${job.revision ? `,${job.revision}` : ""}` : null;
  return h(
    "li",
    { class: C.job },
    h("div", { class: C.jobMain }, statusBadge(jobStatus(job.status)), h("a", { class: C.jobOpen, href: `/s/${encodeURIComponent(uuid)}/` }, job.name)),
    h(
      "div",
      { class: C.jobMeta },
      job.change_project && h("span", null, job.change_project),
      change && h("span", { class: C.mono }, change),
      job.pipeline && h("span", null, job.pipeline),
      timeElement(when, formatAgo(when, now_ms)),
    ),
    job.change_subject && h("p", { class: C.jobReason }, job.change_subject),
  );
}
