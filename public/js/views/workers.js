// SPDX-License-Identifier: Apache-2.0
// How the workers spent the run, where they waited, and which classes took longest.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { classTimes, longestGaps } from "../lib/balance.js";
import { BETWEEN, INSIDE } from "../lib/gaps.js";
import { fullClassOf } from "../lib/testset.js";
import { counted, formatLength, formatMoment, visible } from "../lib/format.js";

/** @typedef {import("../lib/testset.js").TestSet} TestSet */
/** @typedef {import("../lib/gaps.js").Gap} Gap */
/** @typedef {import("../lib/gaps.js").LaneTime} LaneTime */

const MOST_GAPS = 8;
const MOST_CLASSES = 10;
const MOST_LANES = 64;
const LEAST_GAP_MS = 1000;

/** @type {[keyof LaneTime, string, string][]} */
const PARTS = [
  ["busy_ms", "w-busy", "tests"],
  ["between_ms", "w-between", "between classes"],
  ["inside_ms", "w-idle", "idle between tests"],
  ["edge_ms", "w-idle", "idle at the start or end"],
];

/**
 * @param {{tests: TestSet, lanes: readonly LaneTime[], gaps: readonly Gap[], zone: () => import("../lib/format.js").Zone,
 *   hrefOf: (change: Partial<import("../lib/urlstate.js").ViewState>) => string,
 *   set: (change: Partial<import("../lib/urlstate.js").ViewState>) => void}} options
 */
export function makeWorkers({ tests, lanes, gaps, zone, hrefOf, set }) {
  const element = h("div", null);
  const run_ms = tests.to_ms - tests.from_ms;
  /** In percent; of a run that took no time there are no shares. @param {number} ms @param {number} of_ms */
  const shareOf = (ms, of_ms) => (of_ms > 0 ? `${Math.round((ms / of_ms) * 100)} %` : "");

  /** A link that changes what is shown. @param {Partial<import("../lib/urlstate.js").ViewState>} change @param {string} name @param {...import("../dom.js").Child} children */
  function link(change, name, ...children) {
    return h("a", { class: name, href: hrefOf(change), onclick: (/** @type {MouseEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      set(change);
    } }, ...children);
  }

  /** @param {LaneTime} lane */
  function laneView(lane) {
    const bar = h("span", { class: C.workerBar, "aria-hidden": "true" });
    for (const [key, name] of PARTS) {
      const part = h("span", { class: name });
      part.style.width = `${(lane[key] / Math.max(1, run_ms)) * 100}%`;
      bar.append(part);
    }
    const words = PARTS.slice(1).filter(([key]) => lane[key] >= LEAST_GAP_MS).map(([key, , word]) => `${formatLength(lane[key] / 1000)} ${word}`);
    return h(
      "li",
      { class: C.worker, title: words.join(", ") },
      h("span", { class: C.workerName }, visible(tests.workers[lane.lane])),
      bar,
      h("span", { class: C.workerShare }, shareOf(lane.busy_ms, run_ms)),
      h("span", { class: `${C.muted} worker-facts` }, `${counted(lane.tests, "test")}, ended ${formatMoment(lane.end_ms, zone(), tests.from_ms)}${words.length ? `; ${words.join(", ")}` : ""}`),
    );
  }

  function balance() {
    const total = lanes.reduce((sum, lane) => sum + lane.busy_ms, 0);
    const ends = lanes.map((lane) => lane.end_ms);
    const spread = Math.max(...ends) - Math.min(...ends);
    const summary = [run_ms > 0 && `${shareOf(total, run_ms * lanes.length)} of the workers' time went into tests`, lanes.length > 1 && `the first to end waited ${formatLength(spread / 1000)} for the last`].filter(Boolean).join("; ");
    const more = lanes.length > MOST_LANES && h("p", { class: C.muted }, `The first ${MOST_LANES} of ${lanes.length} workers.`);
    return h("section", { class: C.section }, h("h2", { id: "workers" }, counted(lanes.length, "worker")), h("p", { class: C.muted }, summary), h("ul", { class: C.workers }, ...lanes.slice(0, MOST_LANES).map(laneView)), more);
  }

  /** @param {Gap} gap */
  function gapView(gap) {
    const around = Math.max(2000, (gap.to_ms - gap.from_ms) * 0.3);
    /** @type {[number, number]} */
    const range = [(gap.from_ms - around - tests.from_ms) / 1000, (gap.to_ms + around - tests.from_ms) / 1000];
    const next = gap.after < 0 ? "" : visible(fullClassOf(tests.names[gap.after]).split(".").slice(-1)[0].slice(0, 200));
    const why = gap.kind === BETWEEN ? `before ${next}` : gap.kind === INSIDE ? `inside ${next}` : gap.after < 0 ? "no test was left" : "before its first test";
    return h("li", null, link({ range }, C.gapLink, h("b", null, formatLength((gap.to_ms - gap.from_ms) / 1000)), h("span", null, `${visible(tests.workers[gap.lane])}, ${why}`), h("span", { class: C.muted }, formatMoment(gap.from_ms, zone(), tests.from_ms))));
  }

  function gapsSection() {
    const found = longestGaps(gaps, MOST_GAPS, LEAST_GAP_MS);
    if (!found.length) return null;
    return h("section", { class: C.section }, h("h2", { id: "gaps" }, "Longest gaps"), h("p", { class: C.muted }, "No test ran on the worker: classes were set up, or nothing was left."), h("ul", null, ...found.map(gapView)));
  }

  function classes() {
    const found = classTimes(tests, gaps).slice(0, MOST_CLASSES);
    const rows = found.map((one) => {
      const name = visible(one.name.slice(0, 400)) || "(no class)";
      const facts = [counted(one.tests, "test"), one.failed > 0 && `${one.failed} failed`, one.setup_ms >= 100 && `${formatLength(one.setup_ms / 1000)} before them`].filter(Boolean).join(", ");
      const change = { text: one.name ? `${one.name}.` : "", statuses: [], tag: "", least: 0 };
      return h("li", null, link(change, C.gapLink, h("b", null, formatLength((one.busy_ms + one.setup_ms) / 1000)), h("span", { title: name }, name.split(".").slice(-1)[0]), h("span", { class: C.muted }, facts)));
    });
    return h("section", { class: C.section }, h("h2", { id: "classes" }, "Slowest classes"), h("ul", null, ...rows));
  }

  function render() {
    element.replaceChildren(...[balance(), gapsSection(), classes()].filter((part) => part !== null));
  }
  render();
  return { element, render };
}
