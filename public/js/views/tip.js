// SPDX-License-Identifier: Apache-2.0
// What is under the pointer, in words.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { BEFORE, BETWEEN, INSIDE } from "../lib/gaps.js";
import { marksOf } from "../lib/marks.js";
import { TEST_STATUS } from "../lib/status.js";
import { fullClassOf, splitName } from "../lib/testset.js";
import { formatLength, visible } from "../lib/format.js";
import { formatFull, formatSpan } from "../lib/moments.js";
import { statusBadge } from "./pieces.js";

/** @typedef {import("./timeline.js").Scene} Scene */

export function makeTip() {
  const element = h("div", { class: C.tip, hidden: true });
  let shown = "";

  return {
    element,
    hide() {
      element.hidden = true;
    },
    /**
     * @param {Scene} scene
     * @param {number} test -1: none
     * @param {number} lane -1: none
     * @param {number} ms
     * @param {PointerEvent} event
     * @param {DOMRect} plot where it is on the screen
     */
    show(scene, test, lane, ms, event, plot) {
      const x = event.clientX - plot.left;
      const y = event.clientY - plot.top;
      element.hidden = false;
      const key = `${test} ${scene.zone} ${test < 0 ? `${lane} ${ms}` : ""}`;
      if (key !== shown) {
        shown = key;
        if (test < 0) fill(element, ...idle(scene, lane, ms));
        else fill(element, ...describe(scene, test));
      }
      const below = element.getBoundingClientRect().height + 32;
      const top = event.clientY + below > innerHeight ? y - below + 16 : y + 16;
      const left = x > plot.width / 2 ? x - element.offsetWidth - 14 : x + 14;
      element.style.transform = `translate(${Math.max(0, Math.min(plot.width - element.offsetWidth, left))}px, ${top}px)`;
    },
  };
}

/** A moment at which no test ran. @param {Scene} scene @param {number} lane @param {number} ms */
function idle({ tests, gaps, zone, run_ms }, lane, ms) {
  const moment = formatFull(ms, zone, run_ms, 1);
  const gap = gaps.find((one) => one.lane === lane && one.from_ms <= ms && one.to_ms >= ms);
  if (!gap) return [moment];
  const length = formatLength((gap.to_ms - gap.from_ms) / 1000);
  const next = gap.after < 0 ? "" : visible(fullClassOf(tests.names[gap.after]).slice(0, 300));
  const what = gap.kind === BETWEEN ? "Between classes (tearDownClass, setUpClass)" : gap.kind === INSIDE ? "Between tests of one class" : gap.kind === BEFORE ? "Idle before its first test" : "Idle: no test was left";
  return [
    h("strong", null, what),
    next !== "" && h("span", { class: C.testPath }, `then ${next}`),
    h("span", null, `${visible(tests.workers[lane])} · ${length}`),
    h("span", null, formatSpan(gap.from_ms, gap.to_ms, zone, run_ms)),
    h("span", { class: C.muted }, moment),
  ];
}

/** @param {Scene} scene @param {number} i */
function describe({ tests, zone, run_ms }, i) {
  const { path, short } = splitName(tests.names[i]);
  const from = tests.start[i];
  const to = tests.end[i];
  return [
    h("strong", { class: C.testName }, short),
    h("span", { class: C.testPath }, path),
    h("span", null, statusBadge(TEST_STATUS[tests.status[i]]), ` · ${visible(tests.workers[tests.lane[i]])} · ${formatLength((to - from) / 1000)}`, ...marksOf(tests.tags[i]).map(({ word }) => ` · ${word}`)),
    h("span", null, formatSpan(from, to, zone, run_ms)),
  ];
}
