// SPDX-License-Identifier: Apache-2.0
// The list beside the timeline: failures by cause, skips by reason, the slowest tests.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { groupFailures, groupSkips } from "../lib/failures.js";
import { slowestTests } from "../lib/order.js";
import { marksOf } from "../lib/marks.js";
import { TEST_STATUS } from "../lib/status.js";
import { classOf, splitName } from "../lib/testset.js";
import { counted, formatLength, formatMoment, visible } from "../lib/format.js";
import { copyButton } from "./copy.js";
import { foldProps, setSteps, stepsOf } from "./folds.js";
import { kindIcon } from "./pieces.js";

/** @typedef {import("../lib/testset.js").TestSet} TestSet */
/** @typedef {import("../lib/types.js").StatsJson} StatsJson */

const MOST_CAUSES = 25;
const FIRST_TESTS = 6;
const MORE_TESTS = 200;
const SLOWEST = 10;

/**
 * @param {{tests: TestSet, stats: StatsJson|null, zone: () => import("../lib/format.js").Zone, onSelect: (test: number, link: HTMLElement) => void,
 *   linkOf: (test: number) => string, sharedLinkOf: (test: number) => string, markdownOf: (tests: readonly number[], text: string) => string}} options
 */
export function makeFailures({ tests, stats, zone, onSelect, linkOf, sharedLinkOf, markdownOf }) {
  const element = h("div", null);
  /** @type {Map<number, HTMLAnchorElement>} */
  const buttons = new Map();
  /** Lists that can show more, so that a selected test can be brought to light. @type {Map<number, () => void>} */
  const unfold = new Map();
  /** Bring each list to the length that the address, or the selected test, wants. @type {Set<() => void>} */
  const lists = new Set();
  let selected = -1;
  const details = new Map((stats?.failures ?? []).map((failure) => [failure.name, failure.details]));
  const byName = new Map(tests.names.map((name, i) => [name, i]));

  function render() {
    buttons.clear();
    unfold.clear();
    lists.clear();
    element.replaceChildren(failuresSection(), ...skipsSection(), slowestSection());
    mark();
  }

  function failuresSection() {
    const causes = groupFailures(tests, details);
    const total = causes.reduce((sum, cause) => sum + cause.tests.length, 0);
    const title = h("h2", { id: "failures" }, total ? counted(total, "failure") : "No failures");
    if (!total) return h("section", { class: C.section }, title, h("p", { class: C.muted }, `All ${counted(tests.count - tests.counts[2], "test")} that ran passed.`));
    // Hundreds of causes are not read one by one; they are all there when they are asked for.
    const rest = causes.slice(MOST_CAUSES);
    const more = h("button", { type: "button", class: C.buttonQuiet, onclick: () => setSteps("causes", 1) }, `${counted(rest.length, "more cause")}, ${counted(rest.reduce((sum, cause) => sum + cause.tests.length, 0), "failure")}`);
    /** @type {HTMLElement[]} */
    let shown = [];
    const bring = () => {
      const wanted = stepsOf("causes") > 0 || rest.some((cause) => cause.tests.includes(selected));
      if (wanted === shown.length > 0) return;
      if (wanted) {
        shown = rest.map(causeView);
        more.replaceWith(...shown);
      } else {
        shown[0].before(more);
        for (const view of shown) view.remove();
        shown = [];
        hide();
      }
    };
    const hide = () => {
      for (const i of rest.flatMap((cause) => cause.tests)) {
        buttons.delete(i);
        unfold.set(i, () => {
          bring();
          if (!buttons.has(i)) unfold.get(i)?.();
        });
      }
    };
    hide();
    const by = total > 1 && h("span", { class: C.muted }, causes.length < total ? `${counted(causes.length, "cause")}, the first in time first` : "the first in time first");
    const section = h("section", { class: C.section }, h("div", { class: C.groupHead }, title, by), ...causes.slice(0, MOST_CAUSES).map(causeView), rest.length > 0 && more);
    if (rest.length) lists.add(bring);
    if (rest.length) bring();
    return section;
  }

  /** @param {import("../lib/failures.js").Cause} cause */
  function causeView(cause) {
    const many = cause.tests.length > 1;
    const head = h("div", { class: C.causeHead }, many && h("span", { class: C.causeCount }, `${cause.tests.length} ×`), h("p", { class: C.causeText, title: visible(cause.text.slice(0, 2000)) }, visible(cause.text)));
    const copying = h("div", { class: C.causeCopy }, copyButton("Copy link", () => sharedLinkOf(cause.tests[0]), "Copy link to the first of these failures"), copyButton("Copy as Markdown", () => markdownOf(cause.tests, cause.text), "Copy as Markdown: these failures"));
    return h("article", { class: C.cause }, head, testList(cause.tests, `cause${cause.tests[0]}`), copying);
  }

  /** @param {readonly number[]} ids @param {string} fold */
  function testList(ids, fold) {
    const list = h("ul", { class: C.causeTests });
    let shown = 0;
    const more = h("button", { type: "button", class: C.buttonQuiet, onclick: () => setSteps(fold, stepsOf(fold) + 1) });
    function bring() {
      const usual = Math.min(ids.length, FIRST_TESTS + stepsOf(fold) * MORE_TESTS);
      const wanted = ids.indexOf(selected) >= usual ? ids.length : usual;
      if (wanted === shown) return;
      for (const i of ids.slice(shown, wanted)) list.append(h("li", null, testButton(i)));
      for (const i of ids.slice(wanted, shown)) {
        list.lastElementChild?.remove();
        buttons.delete(i);
      }
      shown = wanted;
      more.hidden = shown >= ids.length;
      more.textContent = `${ids.length - shown} more`;
      mark();
    }
    bring();
    lists.add(bring);
    for (const i of ids) unfold.set(i, bring);
    return h("div", null, list, more);
  }

  /** @param {number} i */
  function testButton(i) {
    const button = testLink(i, `${formatMoment(tests.end[i], zone(), tests.from_ms)} · ${formatLength((tests.end[i] - tests.start[i]) / 1000)}`);
    buttons.set(i, button);
    return button;
  }

  /** @param {number} i @param {string} when */
  function testLink(i, when) {
    const name = tests.names[i];
    const link = h(
      "a",
      { class: C.testLink, href: linkOf(i), title: visible(name.slice(0, 1000)), onclick: (/** @type {MouseEvent} */ event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        onSelect(i, link);
      } },
      kindIcon(TEST_STATUS[tests.status[i]].kind),
      h("span", { class: C.visuallyHidden }, TEST_STATUS[tests.status[i]].label),
      h("span", { class: C.testHead }, h("span", { class: C.testName }, splitName(name).short.slice(0, 300)), ...marksOf(tests.tags[i]).map(({ word }) => h("span", { class: `${C.tag} mark` }, word))),
      h("span", { class: C.testWhere }, h("span", { class: C.testPath }, classOf(name).slice(0, 300)), h("span", null, when)),
    );
    return link;
  }

  function skipsSection() {
    const groups = groupSkips(stats?.skips ?? []);
    if (!groups.length) return [];
    const items = groups.map(({ reason, names }, n) => {
      const ids = names.map((name) => byName.get(name)).filter((i) => i !== undefined);
      const body = h("div", null);
      const fold = h("details", { class: C.skip, ...foldProps(`skip${n}`) }, h("summary", null, h("span", { class: C.causeCount }, `${names.length} ×`), ` ${visible(reason)}`), body);
      fold.addEventListener("toggle", () => body.firstChild ?? body.append(testList(ids, `skipped${n}`)));
      return fold;
    });
    return [h("section", { class: C.section }, h("h2", { id: "skips" }, counted(tests.counts[2], "skip")), ...items)];
  }

  function slowestSection() {
    const ids = slowestTests(tests, SLOWEST);
    const list = h("ul", { class: C.causeTests }, ...ids.map((i) => h("li", null, testLink(i, formatLength((tests.end[i] - tests.start[i]) / 1000)))));
    return h("section", { class: C.section }, h("h2", null, "Slowest tests"), list);
  }

  function mark() {
    for (const [i, button] of buttons) {
      button.classList.toggle(C.selected, i === selected);
      if (i === selected) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  render();
  return {
    element,
    render,
    /** What is folded has changed. */
    turn() {
      for (const bring of lists) bring();
    },
    /** @param {number} i */
    select(i) {
      selected = i;
      if (i >= 0 && !buttons.has(i)) unfold.get(i)?.();
      mark();
      const button = buttons.get(i);
      // Only inside this list: the page itself stays where it is.
      const box = element.parentElement;
      if (button && box && box.scrollHeight > box.clientHeight) {
        const top = button.offsetTop - box.offsetTop;
        if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 40) box.scrollTop = top - box.clientHeight / 3;
      }
    },
  };
}
