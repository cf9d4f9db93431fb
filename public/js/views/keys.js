// SPDX-License-Identifier: Apache-2.0
// Keys that work anywhere on the page, and the sheet that lists them.
import { C } from "../lib/classes.js";
import { byId, h } from "../dom.js";

/** @typedef {{step: (by: 1|-1) => void, zoomBy: (factor: number) => void, fit: () => void, focusFilter: () => void}} Keyed */

/** @type {[keys: string, what: string][]} */
const SHEET = [
  ["n / p", "next / previous failure"],
  ["+ / -", "zoom in / out"],
  ["0", "show the whole run"],
  ["← →", "move in time (with Shift: a whole view); the timeline must have the focus"],
  ["↑ ↓", "zoom, the same; in the table of tests: the next row"],
  ["/", "filter the tests: words, or /a regular expression/"],
  ["Esc", "close the selected test"],
  ["?", "this list"],
  ["wheel", "zoom at the pointer; with Shift: move"],
  ["drag", "move; with Shift: zoom to a range; double click shows the whole run"],
  ["click", "a test: its details; the name of a lane: fold it"],
];

/** @type {[keys: string, what: string][]} */
const CONSOLE_SHEET = [
  ["Enter", "in its search: the next hit; with Shift: the one before"],
  ["↑ ↓ Space", "in its lines: move, by a line or a page; Home and End: the first and the last"],
  ["10-20", "in the field of lines: select these, and make a link to them"],
  ["click", "the number of a line: select it; with Shift, or dragged: a range; its time: show it in the timeline"],
  ["Ctrl+C", "copy the selected lines, also those out of sight"],
  ["Esc", "select none"],
];

/** @param {[keys: string, what: string][]} rows */
const listOf = (rows) => h("dl", null, ...rows.flatMap(([keys, what]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, what)]));

/**
 * @param {{view: () => Keyed|null, set: (change: {test: string}) => void}} target
 */
export function bindKeys({ view, set }) {
  const dialog = h("dialog", { class: C.help, "aria-labelledby": "help-title" });
  dialog.append(h("h2", { id: "help-title" }, "Keys and gestures"), listOf(SHEET), h("h3", null, "Console"), listOf(CONSOLE_SHEET), h("button", { type: "button", class: C.button, onclick: () => dialog.close() }, "Close"));
  document.body.append(dialog);
  byId("help").addEventListener("click", () => dialog.showModal());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || dialog.open) return;
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.target instanceof HTMLTextAreaElement;
    if (typing) return;
    /** @type {Record<string, () => void>} */
    const does = {
      n: () => view()?.step(1),
      p: () => view()?.step(-1),
      "+": () => view()?.zoomBy(1 / 1.5),
      "=": () => view()?.zoomBy(1 / 1.5),
      "-": () => view()?.zoomBy(1.5),
      0: () => view()?.fit(),
      "/": () => view()?.focusFilter(),
      "?": () => dialog.showModal(),
      Escape: () => set({ test: "" }),
    };
    const act = does[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
