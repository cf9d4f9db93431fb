// SPDX-License-Identifier: Apache-2.0
// What is under the pointer, in words.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { formatFull, formatLength, formatMoment } from "../lib/times.js";
import { statusBadge } from "./icons.js";

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
     * @param {number} test -1: the moment alone
     * @param {number} ms
     * @param {number} x
     * @param {number} y
     * @param {number} width of the plot
     */
    show(scene, test, ms, x, y, width) {
      element.hidden = false;
      const key = `${test} ${scene.zone} ${test < 0 ? ms : ""}`;
      if (key !== shown) {
        shown = key;
        if (test < 0) fill(element, formatFull(ms, scene.zone, scene.run_ms, 1));
        else fill(element, ...describe(scene, test));
      }
      const left = x > width / 2 ? x - element.offsetWidth - 14 : x + 14;
      element.style.transform = `translate(${Math.max(0, Math.min(width - element.offsetWidth, left))}px, ${y + 16}px)`;
    },
  };
}

/** @param {Scene} scene @param {number} i */
function describe({ tests, zone, run_ms }, i) {
  const { path, short } = splitName(tests.names[i]);
  const from = tests.start[i];
  const to = tests.end[i];
  return [
    h("strong", { class: C.testName }, short),
    h("span", { class: C.testPath }, path),
    h("span", null, statusBadge(TEST_STATUS[tests.status[i]]), ` · ${tests.workers[tests.lane[i]]} · ${formatLength((to - from) / 1000)}`),
    h("span", null, `${formatMoment(from, zone, run_ms, 3)} to ${formatFull(to, zone, run_ms, 3)}`),
  ];
}
