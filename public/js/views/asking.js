// SPDX-License-Identifier: Apache-2.0
// A look-up while it is under way: the answer comes whole, when the last source has answered or was given up.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { skeleton } from "./notice.js";
import { wholeSeconds } from "./progress.js";

const SLOW_MS = 4000;

/**
 * @param {string} query
 * @param {(() => void)|null} onCancel
 */
export function askingView(query, onCancel) {
  const began_ms = performance.now();
  const since = h("span", null);
  const slow = h("p", { class: C.muted, role: "status" });
  const view = h(
    "div",
    null,
    h("p", { class: C.muted }, `Looking up ${query} `, since),
    slow,
    skeleton(6, `Looking up ${query}`),
    onCancel && h("div", { class: C.actions }, h("button", { type: "button", class: C.button, onclick: onCancel }, "Cancel")),
  );
  const timer = setInterval(() => {
    if (!view.isConnected) {
      clearInterval(timer);
      return;
    }
    const passed_ms = performance.now() - began_ms;
    since.textContent = `· ${wholeSeconds(passed_ms)}`;
    if (passed_ms > SLOW_MS && !slow.textContent) slow.textContent = "A source is slow. What the others know is shown as soon as it has answered or was given up.";
  }, 1000);
  return view;
}
