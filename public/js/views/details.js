// SPDX-License-Identifier: Apache-2.0
// One test: its facts and what it attached, fetched for it alone.
import { fill, h, sheet } from "../dom.js";
import { takeColours } from "../lib/ansi.js";
import { C } from "../lib/classes.js";
import { neighboursOf } from "../lib/concurrent.js";
import { marksOf, plainTags } from "../lib/marks.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { formatLength, visible } from "../lib/format.js";
import { formatSpan } from "../lib/moments.js";
import { attachmentView } from "./attachment.js";
import { copyButton } from "./copy.js";
import { notice, skeleton, statusBadge } from "./pieces.js";
import { lackNotice } from "./lack.js";
import { sameTimeView } from "./sametime.js";

/** @typedef {import("../lib/testset.js").TestSet} TestSet */
/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */

const ORDER = ["traceback", "reason", "stderr", "stdout", "pythonlogging"];
const MOST_TAGS = 20;

/**
 * @param {{tests: TestSet, source: ((ordinal: number, name: string) => Promise<Record<string, string>>)|null,
 *   state: () => ViewState, set: (change: Partial<ViewState>) => void,
 *   onSelect: (test: number) => void, onStep: (by: 1|-1) => void, onShow: (test: number) => void,
 *   linkOf: (test: number) => string, sharedLinkOf: (test: number) => string, markdownOf: (test: number, traceback: string) => string,
 *   machineOf: (test: number) => {name: string, label: string, mean: string, peak: string}[],
 *   element: HTMLElement, size: HTMLElement}} options element: to be filled; size: what changes its height
 */
export function makeDetails({ tests, source, state, set, onSelect, onStep, onShow, linkOf, sharedLinkOf, markdownOf, machineOf, element, size }) {
  let selected = -1;
  /** The text that a comment quotes. */
  let traceback = "";
  /** @type {ReturnType<typeof attachmentView>[]} */
  let views = [];
  const machine = h("p", { class: `${C.facts} machine-facts` });

  /** @param {number} i */
  async function show(i) {
    selected = i;
    traceback = "";
    views = [];
    const { test } = state();
    element.hidden = i < 0 && !test;
    element.scrollTop = 0;
    element.setAttribute("aria-label", i < 0 ? "Selected test" : `Selected test: ${splitName(tests.names[i]).short}, ${TEST_STATUS[tests.status[i]].label}`);
    if (i < 0) {
      fill(element, test && h("div", { role: "status" }, notice("warn", "This run has no such test", visible(test.slice(0, 500)), h("button", { type: "button", class: C.button, onclick: () => onSelect(-1) }, "Close"))));
      return;
    }
    const body = h("div", null);
    fill(element, head(i), body, machine, sameTime(i));
    showMachine();
    if (!source) {
      fill(body, h("p", { class: C.muted }, "This run has no attachments."));
      return;
    }
    fill(body, skeleton(4, "Loading the attachments"));
    try {
      const found = await source(i, tests.names[i]);
      if (selected === i) attach(body, found);
    } catch (error) {
      if (selected === i) fill(body, lackNotice("bad", "The attachments could not be loaded", error, () => void show(i)));
    }
  }

  /** Where a test has none of those that were open at another one, its first is. @param {readonly string[]} keys */
  function openOf(keys) {
    const { attachments } = state();
    const open = keys.filter((key) => attachments?.includes(key));
    return open.length || attachments?.length === 0 ? open : keys.slice(0, 1);
  }

  /** @param {HTMLElement} body @param {Record<string, string>} found */
  function attach(body, found) {
    const keys = Object.keys(found).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const texts = keys.map((key) => takeColours(found[key]));
    // The colours come when they can; nothing waits for them.
    if (texts.some(({ runs }) => runs.size)) sheet("/css/sgr.css").catch(() => {});
    traceback = keys.length && rank(keys[0]) < 2 ? texts[0].text : "";
    const { level, find } = state();
    const open = openOf(keys);
    views = keys.map((key, n) =>
      attachmentView(key, texts[n], {
        open: open.includes(key),
        look: { level, find },
        onTurn: () => {
          const now = views.filter((view) => view.element.open).map((view) => view.key);
          set({ attachments: now.join("\n") === keys[0] ? null : now });
        },
        onLook: set,
      }),
    );
    fill(body, ...(views.length ? views.map((view) => view.element) : [h("p", { class: C.muted }, "This test attached nothing.")]));
  }

  /** @param {number} i */
  function head(i) {
    const { path, short } = splitName(tests.names[i]);
    const [from, to] = [tests.start[i], tests.end[i]];
    const [{ before, after }] = neighboursOf(tests, i);
    /** @param {string} text @param {string} label @param {number} j */
    const near = (text, label, j) =>
      h("button", { type: "button", class: C.buttonQuiet, disabled: j < 0, title: j < 0 ? null : visible(tests.names[j].slice(0, 500)), "aria-label": label, onclick: () => onSelect(j) }, text);
    return h(
      "header",
      { class: C.detailHead },
      h("div", { class: C.detailTitle }, h("h2", null, h("span", { class: C.testPath }, path && `${path}.`), h("span", { class: C.testName }, short)), h("span", { class: C.detailEnd }, size, h("button", { type: "button", class: C.buttonQuiet, onclick: () => onSelect(-1), "aria-label": "Close the selected test" }, "Close"))),
      h(
        "p",
        { class: C.facts },
        statusBadge(TEST_STATUS[tests.status[i]]),
        h("span", null, h("b", null, formatLength((to - from) / 1000))),
        h("span", null, visible(tests.workers[tests.lane[i]])),
        h("span", null, formatSpan(from, to, state().zone, tests.from_ms)),
        ...marksOf(tests.tags[i]).map(({ word, title }) => h("span", { class: `${C.tag} mark`, title }, word)),
        ...plainTags(tests.tags[i]).slice(0, MOST_TAGS).map((tag) => h("span", { class: C.tag }, visible(tag.slice(0, 200)))),
      ),
      h(
        "div",
        { class: C.detailSteps },
        h("button", { type: "button", class: C.buttonQuiet, "aria-label": "Previous failure", onclick: () => onStep(-1) }, "‹ Failure"),
        h("button", { type: "button", class: C.buttonQuiet, "aria-label": "Next failure", onclick: () => onStep(1) }, "Failure ›"),
        h("button", { type: "button", class: C.button, onclick: () => onShow(i) }, "Show in timeline"),
        copyButton("Copy link", () => sharedLinkOf(i)),
        copyButton("Copy as Markdown", () => markdownOf(i, traceback)),
        near("‹ On this worker", "Before on this worker: the previous test", before),
        near("On this worker ›", "After on this worker: the next test", after),
      ),
    );
  }

  /** @param {number} i */
  function sameTime(i) {
    return sameTimeView({ tests, test: i, zone: state().zone, hrefOf: linkOf, onSelect });
  }

  function showMachine() {
    const facts = selected < 0 ? [] : machineOf(selected);
    machine.hidden = facts.length === 0;
    fill(machine, "The machine meanwhile: ", ...facts.map(({ name, label, mean, peak }) => h("span", { title: `${name} ${label}: mean, and peak` }, `${name} ${label} `, h("b", null, mean), peak === mean ? "" : `, at most ${peak}`)));
  }

  return {
    element,
    show,
    showMachine,
    /** The zone of the times has changed. */
    refresh() {
      if (selected < 0) return;
      element.querySelector("header")?.replaceWith(head(selected));
      element.querySelector(`.${C.sameTime}`)?.replaceWith(sameTime(selected));
    },
    /** How attachments are looked at has changed. @param {ViewState} now */
    look(now) {
      const open = openOf(views.map((view) => view.key));
      for (const view of views) {
        view.turn(open.includes(view.key));
        view.show({ level: now.level, find: now.find });
      }
    },
  };
}

/** @param {string} key */
function rank(key) {
  const at = ORDER.indexOf(key.replace(/[\d:'"]+$/, ""));
  return at < 0 ? ORDER.length - 1.5 : at;
}
