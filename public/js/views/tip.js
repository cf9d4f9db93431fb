// SPDX-License-Identifier: Apache-2.0
// What is under the pointer, in words.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { formatFull, formatLength, formatSpan } from "../lib/times.js";
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
     * @param {PointerEvent} event
     * @param {DOMRect} plot where it is on the screen
     */
    show(scene, test, ms, event, plot) {
      const x = event.clientX - plot.left;
      const y = event.clientY - plot.top;
      element.hidden = false;
      const key = `${test} ${scene.zone} ${test < 0 ? ms : ""}`;
      if (key !== shown) {
        shown = key;
        if (test < 0) fill(element, formatFull(ms, scene.zone, scene.run_ms, 1));
        else fill(element, ...describe(scene, test));
      }
      const below = element.getBoundingClientRect().height + 32;
      const top = event.clientY + below > innerHeight ? y - below + 16 : y + 16;
      const left = x > plot.width / 2 ? x - element.offsetWidth - 14 : x + 14;
      element.style.transform = `translate(${Math.max(0, Math.min(plot.width - element.offsetWidth, left))}px, ${top}px)`;
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
    h("span", null, formatSpan(from, to, zone, run_ms)),
  ];
}
