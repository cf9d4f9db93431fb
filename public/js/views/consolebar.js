// SPDX-License-Identifier: Apache-2.0
// The console's controls: search, levels, the timeline's range, going to a line, copying.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { parseLines } from "../lib/consolelines.js";
import { copyButton } from "./copy.js";

const QUIET_MS = 150;

/** @typedef {{text: string, exact: boolean, pattern: boolean, only: boolean, level: string, limited: boolean}} Wanted only: lines with what is searched for alone */

/** @type {[string, string][]} */
const LEVELS = [["", "All lines"], ["warning", "Warnings and errors"], ["error", "Errors"]];

/**
 * @param {{onWant: (change: Partial<Wanted>) => void, onStep: (by: 1|-1) => void, onLines: (span: import("../lib/consolelines.js").Span) => void,
 *   copyText: () => Promise<string>, copyLink: () => string, timed: boolean}} options
 */
export function makeConsoleBar({ onWant, onStep, onLines, copyText, copyLink, timed }) {
  let waiting = 0;
  const find = h("input", { type: "search", placeholder: "Search all lines", "aria-label": "Search the whole console", spellcheck: "false", autocomplete: "off", maxlength: "500" });
  const say = () => {
    clearTimeout(waiting);
    waiting = 0;
    onWant({ text: find.value });
  };
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = window.setTimeout(say, QUIET_MS);
  });
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (waiting) say();
    else onStep(event.shiftKey ? -1 : 1);
  });
  /** @param {string} label @param {string} title @param {(on: boolean) => void} act */
  const toggle = (label, title, act) => h("button", { type: "button", class: C.buttonQuiet, "aria-pressed": "false", "aria-label": title, title, onclick: (/** @type {Event} */ event) => act(/** @type {Element} */ (event.currentTarget).getAttribute("aria-pressed") !== "true") }, label);
  const exact = toggle("Aa", "Capitals count", (on) => onWant({ exact: on }));
  const pattern = toggle(".*", "Regular expression", (on) => onWant({ pattern: on }));
  const only = toggle("Only these", "Only these: show only the lines with it", (on) => onWant({ only: on }));
  const limited = toggle("Timeline's range", "Show only what was written during the timeline's range", (on) => onWant({ limited: on }));
  limited.hidden = !timed;
  const level = h("select", { "aria-label": "Least level of lines", onchange: () => onWant({ level: level.value }) }, ...LEVELS.map(([value, label]) => h("option", { value }, label)));
  const note = h("span", { class: C.consoleNote, role: "status" });
  const line = h("input", { type: "text", class: C.consoleGoto, inputmode: "text", placeholder: "Line, or 10-20", "aria-label": "Go to line, or select lines", size: "12" });
  line.addEventListener("keydown", (event) => {
    const span = event.key === "Enter" && parseLines(line.value);
    if (!span) return;
    event.preventDefault();
    onLines(span);
  });
  const picked = h("span", { class: C.consolePicked, hidden: true });
  const pickedName = h("b", null);
  picked.append(pickedName, copyButton("Copy text", copyText, "Copy text: copy the selected lines"), copyButton("Copy link", copyLink, "Copy link to the selected lines"));
  const element = h(
    "div",
    { class: C.consoleBar, role: "search" },
    find,
    exact,
    pattern,
    h("button", { type: "button", class: C.buttonQuiet, "aria-label": "Previous hit", title: "Previous hit (Shift+Enter)", onclick: () => onStep(-1) }, "↑"),
    h("button", { type: "button", class: C.buttonQuiet, "aria-label": "Next hit", title: "Next hit (Enter)", onclick: () => onStep(1) }, "↓"),
    only,
    note,
    h("span", { class: C.toolbarEnd }, level, limited, line, picked),
  );

  return {
    element,
    focus: () => find.focus(),
    /** @param {string} text @param {boolean} [bad] */
    say(text, bad = false) {
      note.textContent = text;
      note.classList.toggle(C.bad, bad);
    },
    /** @param {Wanted} now */
    show(now) {
      if (document.activeElement !== find && find.value !== now.text) find.value = now.text;
      for (const [button, on] of /** @type {[HTMLElement, boolean][]} */ ([[exact, now.exact], [pattern, now.pattern], [only, now.only], [limited, now.limited]])) button.setAttribute("aria-pressed", String(on));
      level.value = now.level;
    },
    /** @param {string} name of the selected lines, "" = none */
    picked(name) {
      picked.hidden = !name;
      pickedName.textContent = name;
    },
  };
}
