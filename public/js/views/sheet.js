// SPDX-License-Identifier: Apache-2.0
// The sheet of keys: "?" or the button opens it.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";

/**
 * @param {HTMLElement} button
 * @param {readonly [string, string][]} rows keys, and what they do
 */
export function keySheet(button, rows) {
  const list = h("dl", null, ...rows.flatMap(([keys, what]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, what)]));
  const dialog = h("dialog", { class: C.help, "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, "Keys"), list);
  dialog.append(h("button", { type: "button", class: C.button, onclick: () => dialog.close() }, "Close"));
  document.body.append(dialog);
  button.addEventListener("click", () => dialog.showModal());
  return dialog;
}
