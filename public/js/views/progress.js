// SPDX-License-Identifier: Apache-2.0
// A scrape while it works: which stage, how much, how long.
import { fill, h, outLink } from "../dom.js";
import { C } from "../lib/classes.js";
import { counted, formatBytes, formatLength } from "../lib/format.js";

/** @typedef {import("../lib/types.js").Status} Status */

/** @type {{key: string, label: string, unit: "bytes"|"parts"}[]} */
const STAGES = [
  { key: "queued", label: "Waiting for a free worker", unit: "parts" },
  { key: "listing", label: "Reading the list of files", unit: "parts" },
  { key: "fetching", label: "Fetching logs", unit: "bytes" },
  { key: "parsing", label: "Parsing results", unit: "parts" },
  { key: "storing", label: "Storing the site", unit: "parts" },
];

/**
 * @param {HTMLElement} parent
 * @param {{onCancel: (() => Promise<void>)|null}} options null: this tab may not cancel
 */
export function progressView(parent, { onCancel }) {
  const title = h("h1", null, "Starting");
  const facts = h("p", { class: C.facts });
  const items = STAGES.map((stage) => h("li", null, stage.label));
  const bar = h("progress", { class: C.bar, "aria-label": "Progress of this stage" });
  const amount = h("span", null);
  const elapsed = h("span", null);
  const trouble = h("p", { class: C.noticeWarn, hidden: true });
  const live = h("p", { class: C.visuallyHidden, role: "status" });
  /** @type {HTMLButtonElement|null} */
  const cancel = onCancel && h("button", { type: "button", class: C.button, onclick: () => press() }, "Cancel this scrape");
  const press = async () => {
    if (!cancel || !onCancel) return;
    cancel.disabled = true;
    try {
      await onCancel();
    } finally {
      cancel.disabled = false;
    }
  };
  fill(
    parent,
    h("section", { class: C.progress }, title, facts, h("ol", { class: C.stages }, ...items), bar, h("p", { class: C.muted }, amount, elapsed), trouble, live, h("div", { class: C.actions }, cancel)),
  );

  let created_ms = Date.now();
  let stageShown = "";
  const tick = () => {
    elapsed.textContent = `${wholeSeconds(Date.now() - created_ms)} so far`;
  };
  const timer = setInterval(tick, 1000);

  return {
    /** @param {Status} s */
    show(s) {
      title.textContent = s.job.name;
      document.title = `${s.job.name} · scraping · StackViz`;
      jobFacts(facts, s.job);
      created_ms = Math.min(s.created_ms, Date.now());
      const key = s.status === "queued" ? "queued" : (s.progress?.stage ?? "listing");
      const at = Math.max(0, STAGES.findIndex((stage) => stage.key === key));
      items.forEach((item, i) => {
        item.className = i < at ? C.done : i === at ? C.current : "";
        if (i === at) item.setAttribute("aria-current", "step");
        else item.removeAttribute("aria-current");
      });
      if (stageShown !== key) {
        stageShown = key;
        live.textContent = STAGES[at].label;
      }
      showAmount(STAGES[at], s.progress ?? null);
      tick();
    },
    /** @param {string|null} message */
    trouble(message) {
      trouble.hidden = message === null;
      trouble.textContent = message ?? "";
    },
    stop() {
      clearInterval(timer);
    },
  };

  /**
   * @param {{unit: "bytes"|"parts"}} stage
   * @param {import("../lib/types.js").Progress|null} progress
   */
  function showAmount(stage, progress) {
    const { done, total } = progress ?? { done: 0, total: 0 };
    if (total > 0) {
      bar.max = total;
      bar.value = Math.min(done, total);
    } else {
      bar.removeAttribute("value");
    }
    const write = stage.unit === "bytes" ? formatBytes : (/** @type {number} */ n) => counted(n, "part");
    amount.textContent = total > 0 ? `${write(done)} of ${write(total)} · ` : done > 0 ? `${write(done)} · ` : "";
  }
}

/** 7 s, 1m 05s: what counts on by seconds. @param {number} ms */
export function wholeSeconds(ms) {
  const s = Math.floor(Math.max(0, ms) / 1000);
  return s < 60 ? `${s} s` : formatLength(s);
}

/**
 * @param {HTMLElement} parent
 * @param {import("../lib/types.js").Job} job
 */
export function jobFacts(parent, job) {
  fill(
    parent,
    job.change_id && outLink(job.change_url, `change ${job.change_id}${job.revision ? `, patchset ${job.revision}` : ""}`),
    job.change_project && h("span", { class: C.mono }, job.change_project),
    job.pipeline && h("span", null, job.pipeline),
    job.url && /^https?:/.test(job.url) && outLink(job.url, "job logs"),
  );
}
