// SPDX-License-Identifier: Apache-2.0
// Keys that work anywhere on the page.
import { byId } from "../dom.js";

/** @typedef {{step: (by: 1|-1) => void, zoomBy: (factor: number) => void, fit: () => void, focusFilter: () => void, focusDetails: () => void, close: () => void}} Keyed */

/**
 * @param {{view: () => Keyed|null, early: readonly KeyboardEvent[]}} target `early`: what was pressed before this
 */
export function bindKeys({ view, early }) {
  const list = async () => (await import("./keylist.js")).showKeys();
  byId("help").addEventListener("click", () => void list());

  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
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
      "?": () => void list(),
      d: () => view()?.focusDetails(),
      Escape: () => view()?.close(),
    };
    const act = does[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", press);
  early.forEach(press);
}
