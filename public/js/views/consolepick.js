// SPDX-License-Identifier: Apache-2.0
// Clicks in the console: numbers select lines (with Shift, or dragged over: a range), times lead to the timeline.
import { copyText } from "./copy.js";
import { C } from "../lib/classes.js";
import { dateMs } from "../lib/consolelines.js";

/** @typedef {import("../lib/consolelines.js").Span} Span */

/**
 * @param {HTMLElement} box
 * @param {{span: () => Span|null, onPick: (span: Span|null) => void, onTime: (ms: number) => void, text: () => Promise<string>|null}} options
 */
export function pickLines(box, { span, onPick, onTime, text }) {
  /** Where a drag began, -1 = there is none. */
  let began = -1;

  /** @param {Event} event @param {string} part */
  function lineOf(event, part) {
    const target = event.target instanceof Element ? event.target.closest(`.${part}`) : null;
    const line = target?.closest(`.${C.consoleLine}`);
    return line instanceof HTMLElement ? Number(line.dataset.line) : -1;
  }

  box.addEventListener("pointerdown", (event) => {
    began = event.button === 0 && event.pointerType === "mouse" && !event.shiftKey ? lineOf(event, C.consoleNumber) : -1;
    if (began >= 0) event.preventDefault();
  });
  // The browser's own selection, which Shift makes longer, too, would be what is copied.
  box.addEventListener("mousedown", (event) => {
    if (lineOf(event, C.consoleNumber) < 0) return;
    event.preventDefault();
    getSelection()?.removeAllRanges();
  });
  box.addEventListener("pointerup", (event) => {
    const line = lineOf(event, C.consoleLine);
    if (began >= 0 && line >= 0 && line !== began) onPick([Math.min(began, line), Math.max(began, line)]);
    began = -1;
  });
  box.addEventListener("click", (event) => {
    const number = lineOf(event, C.consoleNumber);
    if (number >= 0 && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const had = span();
      if (event.shiftKey && had) onPick([Math.min(had[0], number), Math.max(had[1], number)]);
      else onPick(had && had[0] === number && had[1] === number ? null : [number, number]);
      box.focus({ preventScroll: true });
    }
    const time = event.target instanceof Element ? event.target.closest(`button.${C.consoleTime}`) : null;
    if (time instanceof HTMLElement) onTime(dateMs(time.title));
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && span()) {
      event.preventDefault();
      onPick(null);
    }
  });
  // What the browser has selected goes first; else the selected lines, also those that are no elements.
  document.addEventListener("copy", (event) => {
    const lines = box.contains(document.activeElement) && !String(getSelection()) ? text() : null;
    if (!lines) return;
    event.preventDefault();
    void lines.then(copyText);
  });
}
