// SPDX-License-Identifier: Apache-2.0
// The timeline's menus: lists of choices that can be taken and left, made when they are opened.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { visible } from "../lib/format.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * @param {HTMLDetailsElement} element with its summary
 * @param {() => Child[]} choices as they are now
 * @returns {() => void} to be told that they have changed
 */
export function bindMenu(element, choices) {
  const panel = h("div", { class: C.menuPanel });
  element.append(panel);

  function refresh() {
    if (!element.open) return;
        // A choice changes the list that it stands in: the focus stays on it.
    const at = [...panel.querySelectorAll("input")].indexOf(/** @type {HTMLInputElement} */ (document.activeElement));
    const top = panel.scrollTop;
    fill(panel, ...choices());
    panel.scrollTop = top;
    if (at >= 0) panel.querySelectorAll("input")[at]?.focus();
  }

  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.preventDefault();
    element.open = false;
    element.querySelector("summary")?.focus();
  });
  /** @param {Event} event */
  const outside = (event) => {
    if (event.target instanceof Node && !element.contains(event.target)) element.open = false;
  };
  element.addEventListener("toggle", () => {
    if (element.open) document.addEventListener("pointerdown", outside);
    else document.removeEventListener("pointerdown", outside);
    refresh();
  });
  refresh();
  return refresh;
}

/**
 * @param {string} name
 * @param {boolean} on
 * @param {(on: boolean) => void} onChange
 */
export function option(name, on, onChange) {
  const input = h("input", { type: "checkbox", checked: on, onchange: () => onChange(input.checked) });
  return h("label", { class: C.menuOption }, input, h("span", null, visible(name)));
}

/** @param {string} name @param {readonly HTMLElement[]} options */
export function group(name, options) {
  return h("fieldset", null, h("legend", null, name), ...options);
}
