// SPDX-License-Identifier: Apache-2.0
// A sheet of keys; css/keys.css has its looks.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";

/** @typedef {readonly [keys: string, what: string]} Key */

/**
 * @param {string} title
 * @param {readonly Key[]} keys
 * @param {{title: string, keys: readonly Key[]}[]} [more]
 * @returns {HTMLDialogElement} in the page, closed
 */
export function keySheet(title, keys, more = []) {
  /** @param {readonly Key[]} rows */
  const listOf = (rows) => h("dl", null, ...rows.flatMap(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)]));
  const parts = more.flatMap((part) => [h("h3", null, part.title), listOf(part.keys)]);
  const dialog = h("dialog", { class: C.help, "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, title), listOf(keys), ...parts);
  dialog.append(h("button", { type: "button", class: C.button, onclick: () => dialog.close() }, "Close"));
  document.body.append(dialog);
  return dialog;
}
