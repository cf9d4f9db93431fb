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
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
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
  document.addEventListener("keydown", (event) => void (event.defaultPrevented || press(event)));
  for (const event of early) {
    const box = document.activeElement;
    // The keys before have led into a field: what followed is its text.
    if (box instanceof HTMLInputElement && !(event.target instanceof HTMLInputElement)) type(box, event);
    else press(event);
  }
}

/** What a key would have typed. @param {HTMLInputElement} box @param {KeyboardEvent} event */
function type(box, { key, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey || (key.length > 1 && key !== "Backspace")) return;
  const end = box.selectionEnd ?? box.value.length;
  const start = box.selectionStart ?? end;
  if (key === "Backspace") box.setRangeText("", start === end ? Math.max(0, start - 1) : start, end, "end");
  else box.setRangeText(key, start, end, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}
