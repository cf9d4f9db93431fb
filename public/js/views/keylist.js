// SPDX-License-Identifier: Apache-2.0
// The list of keys and gestures, made when it is first asked for.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";

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

/** @type {HTMLDialogElement|null} */
let dialog = null;

export function showKeys() {
  if (!dialog) {
    const close = h("button", { type: "button", class: C.button, onclick: () => dialog?.close() }, "Close");
    dialog = h("dialog", { class: C.help, "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, "Keys and gestures"), listOf(SHEET), h("h3", null, "Console"), listOf(CONSOLE_SHEET), close);
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
}
