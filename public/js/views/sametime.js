// SPDX-License-Identifier: Apache-2.0
// The neighbours of a test in time, on all workers.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { neighboursOf } from "../lib/concurrent.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { counted, formatLength, formatMoment, visible } from "../lib/format.js";
import { foldProps } from "./folds.js";
import { kindIcon } from "./pieces.js";

const MOST = 8;

/**
 * @param {{tests: import("../lib/testset.js").TestSet, test: number, zone: import("../lib/format.js").Zone, hrefOf: (test: number) => string, onSelect: (test: number) => void}} options
 */
export function sameTimeView({ tests, test, zone, hrefOf, onSelect }) {
  const all = neighboursOf(tests, test);
  const count = all.reduce((sum, one) => sum + one.during.length, 0);
  const body = h("div", null);
  const element = h("details", { class: C.sameTime, ...foldProps("same") }, h("summary", null, h("b", null, "At the same time"), h("span", { class: C.muted }, ` ${counted(count, "test")} on ${counted(tests.workers.length, "worker")}`)), body);

  /** @param {number} i @param {string} place */
  const item = (i, place) =>
    h(
      "li",
      null,
      h("a", { class: C.gapLink, href: hrefOf(i), title: visible(tests.names[i].slice(0, 500)), onclick: (/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        onSelect(i);
      } },
        kindIcon(TEST_STATUS[tests.status[i]].kind),
        h("span", { class: C.visuallyHidden }, TEST_STATUS[tests.status[i]].label),
        h("span", { class: C.testName }, splitName(tests.names[i]).short.slice(0, 200)),
        h("span", { class: C.muted }, `${place}${formatMoment(tests.start[i], zone, tests.from_ms)} · ${formatLength((tests.end[i] - tests.start[i]) / 1000)}`),
      ),
    );

  element.addEventListener("toggle", () => {
    if (!element.open || body.firstChild) return;
    for (const { lane, during, before, after } of all) {
      const rest = during.length - MOST;
      body.append(
        h("h3", null, visible(tests.workers[lane])),
        h(
          "ul",
          null,
          before >= 0 && item(before, "before, "),
          ...during.slice(0, MOST).map((i) => item(i, "")),
          rest > 0 && h("li", { class: C.muted }, `and ${counted(rest, "test")} more in that time`),
          after >= 0 && item(after, "after, "),
          before < 0 && after < 0 && !during.length && h("li", { class: C.muted }, "nothing"),
        ),
      );
    }
  });
  return element;
}
