// SPDX-License-Identifier: Apache-2.0
// A look-up of which nothing is known yet.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { skeleton } from "./pieces.js";
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
  /** @type {readonly string[]} */
  let hosts = [];
  const element = h(
    "div",
    null,
    h("p", { class: C.muted }, `Looking up ${query} `, since),
    slow,
    skeleton(6, `Looking up ${query}`),
    onCancel && h("div", { class: C.actions }, h("button", { type: "button", class: C.button, onclick: onCancel }, "Cancel")),
  );
  const tell = () => {
    const passed_ms = performance.now() - began_ms;
    since.textContent = `· ${wholeSeconds(passed_ms)}`;
    if (passed_ms > SLOW_MS && hosts.length) slow.textContent = `Still no answer from ${hosts.join(", ")}.`;
  };
  const timer = setInterval(() => {
    if (element.isConnected) tell();
    else clearInterval(timer);
  }, 1000);
  return {
    element,
    /** @param {readonly string[]} asked hosts that have not answered */
    asking(asked) {
      hosts = asked;
    },
  };
}
