// SPDX-License-Identifier: Apache-2.0
// To the parts of the page at once, where they stand below each other.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";

/** @type {[name: string, selector: string][]} */
const PLACES = [
  ["Findings", `.${C.runSide}`],
  ["Timeline", `.${C.plot}`],
  ["Tests", "#tests"],
  ["Console", "#console"],
];

/** @param {string} selector */
function jump(selector) {
  const place = document.querySelector(selector);
  if (!(place instanceof HTMLElement)) return;
  if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "start" });
}

/** @param {HTMLElement} nav @param {boolean} hasConsole */
export function fillJumps(nav, hasConsole) {
  fill(nav, ...PLACES.filter(([name]) => hasConsole || name !== "Console").map(([name, selector]) => h("button", { type: "button", class: C.buttonQuiet, onclick: () => jump(selector) }, name)));
}
