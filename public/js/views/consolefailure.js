// SPDX-License-Identifier: Apache-2.0
// What a Zuul build failed by: task, host and the output of the failure, before the lines of its console.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { parseRuns } from "../lib/sgr.js";
import { visible } from "../lib/format.js";
import { foldProps } from "./folds.js";
import { painted } from "./painted.js";

const MOST_SHOWN = 3;

/**
 * @param {readonly import("../lib/outline.js").Failure[]} failures the decisive one first
 * @param {(failure: import("../lib/outline.js").Failure) => (() => void)|null} goTo null: it is nowhere in the console
 */
export function failuresView(failures, goTo) {
  const views = failures.slice(0, MOST_SHOWN).map((failure, i) => {
    const go = goTo(failure);
    const where = [failure.phase, failure.host, failure.rc === null ? "" : `exit status ${failure.rc}`].filter(Boolean).join(" · ");
    const texts = failure.texts.map(([key, text, sgr]) => h("div", null, h("span", { class: C.muted }, key), h("pre", { class: C.consoleOutput, tabindex: "0", "aria-label": key }, ...painted(text, parseRuns(sgr)))));
    const show = go && h("button", { type: "button", class: C.button, onclick: (/** @type {Event} */ event) => {
      event.preventDefault();
      go();
    } }, "Show in the console");
    return h("details", { class: C.consoleFailure, ...foldProps(`why${i}`, i === 0) }, h("summary", null, h("b", null, `Failed: ${visible(failure.title)}`), h("span", { class: C.muted }, ` ${visible(where)}`)), show, ...texts);
  });
  const more = failures.length - views.length;
  return h("div", null, ...views, more > 0 && h("p", { class: C.muted }, `and ${more} more`));
}
