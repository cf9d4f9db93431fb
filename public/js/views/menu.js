// SPDX-License-Identifier: Apache-2.0
// A button that opens a list of choices which can be taken and left.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * @param {string} name
 */
export function menu(name) {
  const panel = h("div", { class: C.menuPanel });
  const element = h("details", { class: C.menu }, h("summary", { class: `${C.button} tool` }, name), panel);
  const close = () => {
    element.open = false;
  };
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.preventDefault();
    close();
    element.querySelector("summary")?.focus();
  });
  /** @param {Event} event */
  const outside = (event) => {
    if (event.target instanceof Node && !element.contains(event.target)) close();
  };
  element.addEventListener("toggle", () => {
    if (element.open) document.addEventListener("pointerdown", outside);
    else document.removeEventListener("pointerdown", outside);
  });
  return {
    element,
    /** @param {...Child} children */
    fill(...children) {
      // A choice changes the list that it stands in: the focus stays on it.
      const at = [...panel.querySelectorAll("input")].indexOf(/** @type {HTMLInputElement} */ (document.activeElement));
      const top = panel.scrollTop;
      fill(panel, ...children);
      panel.scrollTop = top;
      if (at >= 0) panel.querySelectorAll("input")[at]?.focus();
    },
  };
}

/**
 * @param {string} name
 * @param {boolean} on
 * @param {(on: boolean) => void} onChange
 */
export function option(name, on, onChange) {
  const input = h("input", { type: "checkbox", checked: on, onchange: () => onChange(input.checked) });
  return h("label", { class: C.menuOption }, input, h("span", null, name));
}
