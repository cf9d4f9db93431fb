// SPDX-License-Identifier: Apache-2.0
// What chooses the tests that are meant: words or an expression, a tag, how long they took.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { counted, formatCount, formatLength, visible } from "../lib/format.js";
import { tagsOf } from "../lib/testset.js";

/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */

const LENGTHS = [0.1, 1, 5, 10, 30, 60, 300, 600];
const MOST_TAGS = 200;

/**
 * @param {import("../lib/testset.js").TestSet} tests
 * @param {(change: Partial<ViewState>) => void} set
 */
export function makeFilterBar(tests, set) {
  const hint = "Words, or /an expression/ (with i behind it: any case)";
  const text = h("input", { type: "search", placeholder: "Filter: words or /regex/", "aria-label": "Filter tests and tags", title: hint, spellcheck: "false", autocomplete: "off", oninput: () => set({ text: text.value }) });
  const longest_s = tests.byStart.reduce((most, i) => Math.max(most, tests.end[i] - tests.start[i]), 0) / 1000;
  const least = h("select", { "aria-label": "Least duration", onchange: () => set({ least: Number(least.value) }) });
  const tag = h("select", { "aria-label": "Tag", onchange: () => set({ tag: tag.value }) });
  const tags = tagsOf(tests);
  const clear = h("button", { type: "button", class: C.buttonQuiet, hidden: true, onclick: () => set({ text: "", tag: "", least: 0, statuses: [] }) }, "Clear");
  const found = h("span", { class: C.muted, role: "status" });
  tag.hidden = tags.length === 0;

  /** @param {ViewState} now */
  function show(now) {
    if (text.value !== now.text) text.value = now.text;
    const lengths = [...new Set([...LENGTHS.filter((s) => s <= longest_s), ...(now.least ? [now.least] : [])])].sort((a, b) => a - b);
    fill(least, h("option", { value: "0" }, "Any duration"), ...lengths.map((s) => h("option", { value: s }, `≥ ${formatLength(s)}`)));
    least.value = String(now.least);
    const listed = tags.slice(0, MOST_TAGS);
    if (now.tag && !listed.some((one) => one.tag === now.tag)) listed.push(tags.find((one) => one.tag === now.tag) ?? { tag: now.tag, count: 0 });
    fill(tag, h("option", { value: "" }, "Any tag"), ...listed.map((one) => h("option", { value: one.tag }, `${visible(one.tag.slice(0, 60))} (${formatCount(one.count)})`)));
    tag.value = now.tag;
  }

  return {
    elements: [text, least, tag, found, clear],
    focus: () => text.focus(),
    show,
    /** @param {number|null} count null = all @param {string|null} trouble what is wrong with the expression */
    result(count, trouble) {
      text.setAttribute("aria-invalid", String(trouble !== null));
      found.classList.toggle(C.bad, trouble !== null);
      const amount = count === null ? "" : `${formatCount(count)} of ${counted(tests.count, "test")}`;
      found.textContent = [trouble, amount].filter(Boolean).join("; without it ");
      clear.hidden = count === null && trouble === null;
    },
  };
}
