// SPDX-License-Identifier: Apache-2.0
// One test: its facts and what it attached, fetched for it alone.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { visible } from "../lib/text.js";
import { counted } from "../lib/ticks.js";
import { formatLength, formatSpan } from "../lib/times.js";
import { messageOf } from "./ending.js";
import { statusBadge } from "./icons.js";
import { notice, skeleton } from "./notice.js";

/** @typedef {import("../lib/testset.js").TestSet} TestSet */

const FIRST_LINES = 400;
const FIRST_CHARS = 200000;
const ORDER = ["traceback", "reason", "stderr", "stdout", "pythonlogging"];

/**
 * @param {{tests: TestSet, source: ((ordinal: number, name: string) => Promise<Record<string, string>>)|null,
 *   zone: () => import("../lib/times.js").Zone, onSelect: (test: number) => void, onStep: (by: 1|-1) => void,
 *   onShow: (test: number) => void}} options
 */
export function makeDetails({ tests, source, zone, onSelect, onStep, onShow }) {
  const element = h("section", { class: `${C.section} details`, id: "details", tabindex: "-1", hidden: true, "aria-label": "Selected test" });
  let selected = -1;

  /** @param {number} i */
  async function show(i) {
    selected = i;
    element.hidden = i < 0;
    if (i < 0) {
      fill(element);
      return;
    }
    const body = h("div", null);
    fill(element, head(i), body);
    if (!source) {
      fill(body, h("p", { class: C.muted }, "This run has no attachments."));
      return;
    }
    fill(body, skeleton(4, "Loading the attachments"));
    try {
      const found = await source(i, tests.names[i]);
      if (selected === i) fill(body, ...attachments(found));
    } catch (error) {
      const again = h("button", { type: "button", class: C.button, onclick: () => void show(i) }, "Try again");
      if (selected === i) fill(body, notice("bad", "The attachments could not be loaded", messageOf(error), again));
    }
  }

  /** @param {number} i */
  function head(i) {
    const { path, short } = splitName(tests.names[i]);
    const from = tests.start[i];
    const to = tests.end[i];
    const [before, after] = neighbours(tests, i);
    /** @param {string} text @param {string} label @param {number} j */
    const near = (text, label, j) =>
      h("button", { type: "button", class: C.buttonQuiet, disabled: j < 0, title: j < 0 ? null : visible(tests.names[j].slice(0, 500)), "aria-label": label, onclick: () => onSelect(j) }, text);
    return h(
      "header",
      { class: C.detailHead },
      h("div", { class: C.detailTitle }, h("h2", null, h("span", { class: C.testPath }, path && `${path}.`), h("span", { class: C.testName }, short)), h("button", { type: "button", class: C.buttonQuiet, onclick: () => onSelect(-1), "aria-label": "Close the selected test" }, "Close")),
      h(
        "p",
        { class: C.facts },
        statusBadge(TEST_STATUS[tests.status[i]]),
        h("span", null, h("b", null, formatLength((to - from) / 1000))),
        h("span", null, tests.workers[tests.lane[i]]),
        h("span", null, formatSpan(from, to, zone(), tests.from_ms)),
        ...tests.tags[i].filter((tag) => !tag.startsWith("orig:")).slice(0, 20).map((tag) => h("span", { class: C.tag }, visible(tag.slice(0, 200)))),
      ),
      h(
        "div",
        { class: C.detailSteps },
        h("button", { type: "button", class: C.button, onclick: () => onShow(i) }, "Show in timeline"),
        near("‹ Before on this worker", "Previous test on this worker", before),
        near("After on this worker ›", "Next test on this worker", after),
        h("button", { type: "button", class: C.buttonQuiet, onclick: () => onStep(-1) }, "‹ Previous failure"),
        h("button", { type: "button", class: C.buttonQuiet, onclick: () => onStep(1) }, "Next failure ›"),
      ),
    );
  }

  return {
    element,
    show,
    /** The zone of the times has changed. */
    refresh() {
      if (selected >= 0) element.querySelector("header")?.replaceWith(head(selected));
    },
  };
}

/** @param {Record<string, string>} found */
function attachments(found) {
  const keys = Object.keys(found).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  if (!keys.length) return [h("p", { class: C.muted }, "This test attached nothing.")];
  return keys.map((key, i) => attachmentView(key, found[key], i === 0));
}

/** @param {string} key */
function rank(key) {
  const at = ORDER.indexOf(key.replace(/\d+$/, ""));
  return at < 0 ? ORDER.length - 1.5 : at;
}

/** @param {string} key @param {string} text @param {boolean} open */
function attachmentView(key, text, open) {
  const lines = visible(text).split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const body = h("div", null);
  const fold = h("details", { class: C.attachment, open }, h("summary", null, h("b", null, key), h("span", { class: C.muted }, ` ${counted(lines.length, "line")}`)), body);
  const make = () => {
    if (body.firstChild || !fold.open) return;
    const long = lines.length > FIRST_LINES || text.length > FIRST_CHARS;
    const pre = h("pre", { tabindex: "0", "aria-label": key }, long ? lines.slice(0, FIRST_LINES).join("\n").slice(0, FIRST_CHARS) : lines.join("\n"));
    body.append(pre);
    if (!long) return;
    const all = h("button", { type: "button", class: C.button, onclick: () => {
      pre.textContent = lines.join("\n");
      all.remove();
    } }, lines.length > FIRST_LINES ? `Show all ${counted(lines.length, "line")}` : "Show the rest");
    body.append(all);
  };
  fold.addEventListener("toggle", make);
  make();
  return fold;
}

/** The tests before and after on the same worker, -1 for none. @param {TestSet} tests @param {number} i */
function neighbours(tests, i) {
  const at = tests.byStart.indexOf(i);
  const lane = tests.lane[i];
  let before = at - 1;
  while (before >= 0 && tests.lane[tests.byStart[before]] !== lane) before -= 1;
  let after = at + 1;
  while (after < tests.count && tests.lane[tests.byStart[after]] !== lane) after += 1;
  return [before >= 0 ? tests.byStart[before] : -1, after < tests.count ? tests.byStart[after] : -1];
}
