// SPDX-License-Identifier: Apache-2.0
// What the job was, and how it went.
import { fill, h, outLink, timeElement } from "../dom.js";
import { C } from "../lib/classes.js";
import { jobStatus, TEST_STATUS, TEST_STATUSES } from "../lib/status.js";
import { formatCount, formatLength } from "../lib/format.js";
import { kindIcon, statusBadge } from "./pieces.js";

/** @typedef {import("../lib/types.js").Task} Task */

/**
 * @param {HTMLElement} parent
 * @param {Task} task its `status` is the CI's word for the job
 */
export function headerView(parent, task) {
  const change = task.change_id ? `change ${task.change_id}${task.revision ? `, patchset ${task.revision}` : ""}` : null;
  document.title = [task.name, task.change_id && `${task.change_id},${task.revision ?? ""}`.replace(/,$/, ""), "StackViz"].filter(Boolean).join(" · ");
  fill(
    parent,
    h("div", { class: C.jobTitle }, h("h1", null, task.name), statusBadge(jobStatus(task.status))),
    task.change_subject && h("p", { class: C.jobSubject }, task.change_subject),
    h(
      "p",
      { class: C.facts },
      change && outLink(task.change_url, change),
      task.change_project && h("span", { class: C.mono }, task.change_project),
      task.pipeline && h("span", null, `pipeline ${task.pipeline}`),
      task.voting === false && h("span", { class: C.tag }, "non-voting"),
      task.ci_username && h("span", null, `by ${task.ci_username}`),
      task.duration && h("span", null, `took ${task.duration}`),
      task.finished_ms && h("span", null, "ended ", timeElement(task.finished_ms, `${new Date(task.finished_ms).toISOString().slice(0, 16).replace("T", " ")} UTC`)),
      task.url && /^https?:/.test(task.url) && outLink(task.url, "job logs"),
    ),
  );
}

/**
 * The counts; each is a link that shows those tests alone, or no longer.
 * @param {import("../lib/testset.js").TestSet} tests
 * @param {(statuses: string[]) => string} hrefOf
 * @param {(statuses: string[]) => void} onChoose
 */
export function countsView(tests, hrefOf, onChoose) {
  /** @type {Map<string, HTMLAnchorElement>} */
  const links = new Map();
  /** @type {readonly string[]} */
  let shown = [];
  /** @param {string} key */
  const toggled = (key) => (shown.includes(key) ? shown.filter((one) => one !== key) : [...shown, key]);
  const row = h("div", { class: C.counts, role: "group", "aria-label": "Show only tests with this result" });
  for (const status of TEST_STATUSES) {
    const { key, plural, kind } = TEST_STATUS[status];
    const count = tests.counts[status];
    if (count === 0 && key === "unfinished") continue;
    const link = h(
      "a",
      { class: `${C.count} ${C.kind[kind]}`, onclick: (/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || count === 0) return;
        event.preventDefault();
        onChoose(toggled(key));
      } },
      kindIcon(kind),
      h("span", { class: `lane-swatch s-${key}`, title: "As in the timeline" }),
      h("b", null, formatCount(count)),
      plural,
    );
    if (count > 0) links.set(key, link);
    row.append(link);
  }
  return {
    element: row,
    /** @param {readonly string[]} statuses */
    show(statuses) {
      shown = statuses;
      for (const [key, link] of links) {
        link.href = hrefOf(toggled(key));
        if (statuses.includes(key)) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    },
  };
}

/**
 * @param {import("../lib/testset.js").TestSet} tests
 * @param {readonly import("../lib/gaps.js").LaneTime[]} lanes
 */
export function runFacts(tests, lanes) {
  const wall_ms = tests.to_ms - tests.from_ms;
  const busy_ms = lanes.reduce((sum, lane) => sum + lane.busy_ms, 0);
  return h(
    "p",
    { class: C.facts },
    h("span", null, h("b", null, formatCount(tests.count)), tests.count === 1 ? " test" : " tests"),
    h("span", null, h("b", null, formatLength(wall_ms / 1000)), ` on ${tests.workers.length} ${tests.workers.length === 1 ? "worker" : "workers"}`),
    wall_ms > 0 && h("span", { title: "Share of the workers' time in which a test ran" }, h("b", null, `${Math.round((busy_ms / (wall_ms * lanes.length)) * 100)} %`), " busy"),
  );
}
