// SPDX-License-Identifier: Apache-2.0
// The list of keys and gestures, made when it is first asked for.
import { sheet } from "../dom.js";
import { keySheet } from "./sheet.js";

/** @type {import("./sheet.js").Key[]} */
const SHEET = [
  ["n / p", "next / previous failure"],
  ["+ / -", "zoom in / out"],
  ["0", "show the whole run"],
  ["← →", "move in time (with Shift: a whole view); the timeline must have the focus"],
  ["↑ ↓", "zoom, the same; in the table of tests: the next row"],
  ["/", "filter the tests: words, or /a regular expression/"],
  ["d", "to the details of the selected test"],
  ["Esc", "close the selected test"],
  ["?", "this list"],
  ["wheel", "zoom at the pointer; with Shift: move"],
  ["drag", "move; with Shift: zoom to a range; double click shows the whole run"],
  ["click", "a test: its details; the name of a lane: fold it"],
];

/** @type {import("./sheet.js").Key[]} */
const CONSOLE_SHEET = [
  ["Enter", "in its search: the next hit; with Shift: the one before"],
  ["↑ ↓ Space", "in its lines: move, by a line or a page; Home and End: the first and the last"],
  ["10-20", "in the field of lines: select these, and make a link to them"],
  ["click", "the number of a line: select it; with Shift, or dragged: a range; its time: show it in the timeline"],
  ["Ctrl+C", "copy the selected lines, also those out of sight"],
  ["Esc", "select none"],
];

/** @type {HTMLDialogElement|null} */
let dialog = null;

export async function showKeys() {
  await sheet("/css/keys.css");
  dialog ??= keySheet("Keys and gestures", SHEET, [{ title: "Console", keys: CONSOLE_SHEET }]);
  if (!dialog.open) dialog.showModal();
}
