// SPDX-License-Identifier: Apache-2.0
// One attachment of a test: numbered lines, a search through all of them, a filter by level.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { findRows, hitsIn, linesOf, logLines, toneOf } from "../lib/loglines.js";
import { counted, formatCount, visible } from "../lib/format.js";
import { copyButton } from "./copy.js";
import { painted } from "./painted.js";

/** Lines that are elements at a time, and characters of one of them. */
const MOST_ROWS = 1500;
const MOST_CHARS = 20000;

/** @type {[string, string][]} */
const LEVELS = [["", "All levels"], ["info", "Info and worse"], ["warning", "Warnings and errors"], ["error", "Errors"]];

/** @typedef {{level: string, find: string}} Look */

/**
 * @param {string} key its name
 * @param {ReturnType<typeof import("../lib/ansi.js").takeColours>} content
 * @param {{open: boolean, look: Look, onTurn: () => void, onLook: (look: Partial<Look>) => void}} options
 */
export function attachmentView(key, { text, runs }, { open, look: first, onTurn, onLook }) {
  const log = logLines(text);
  const name = visible(key.slice(0, 300));
  const body = h("div", null);
  const element = h("details", { class: C.attachment, open }, h("summary", null, h("b", null, name), h("span", { class: C.muted }, ` ${counted(log.lines.length, "line")}`)), body);
  let look = first;
  /** @type {Uint32Array} */
  let rows = new Uint32Array(0);
  /** @type {number[]} places in rows */
  let hits = [];
  let at = -1;
  /** The first row that is an element. */
  let top = 0;

  const pre = h("div", { class: C.logLines, role: "region", tabindex: "0", "aria-label": name });
  const note = h("span", { class: C.muted, role: "status" });
  const find = h("input", { type: "search", placeholder: "Search", "aria-label": `Search in ${name}`, spellcheck: "false", oninput: () => onLook({ find: find.value }) });
  const level = h("select", { "aria-label": "Least level", onchange: () => onLook({ level: level.value }) }, ...LEVELS.map(([value, label]) => h("option", { value }, label)));
  level.hidden = !log.leveled;
  find.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  });
  /** @param {string} sign @param {string} label @param {1|-1} by */
  const stepper = (sign, label, by) => h("button", { type: "button", class: C.buttonQuiet, "aria-label": label, title: label, onclick: () => step(by) }, sign);
  const bar = h("div", { class: C.attachmentBar }, find, stepper("↑", "Previous hit", -1), stepper("↓", "Next hit", 1), level, note, copyButton("Copy", () => text, `Copy ${name}`));

  /** @param {1|-1} by */
  function step(by) {
    if (!hits.length) return;
    at = (at + by + hits.length) % hits.length;
    bring(hits[at]);
  }

  /** @param {number} row */
  function bring(row) {
    if (row < top || row >= top + MOST_ROWS) top = Math.max(0, row - MOST_ROWS / 2);
    render();
    const line = pre.querySelector(`.${C.current}`);
    if (line instanceof HTMLElement) pre.scrollTop = Math.max(0, line.offsetTop - pre.offsetTop - pre.clientHeight / 3);
  }

  /** @param {number} row */
  function lineView(row) {
    const n = rows[row];
    const line = h("div", { class: `${C.logLine} ${toneOf(log.levels[n])}`, "data-n": n + 1 });
    const whole = log.lines[n];
    line.append(...painted(whole, runs.get(n) ?? [], hitsIn(whole, look.find), 0, Math.min(whole.length, MOST_CHARS)));
    if (!line.textContent) line.textContent = " ";
    if (whole.length > MOST_CHARS) line.append(h("span", { class: C.muted }, ` … ${formatCount(whole.length - MOST_CHARS)} more characters`));
    if (hits[at] === row) line.classList.add(C.current);
    return line;
  }

  function render() {
    const end = Math.min(rows.length, top + MOST_ROWS);
    /** @param {string} label @param {number} to */
    const more = (label, to) => h("button", { type: "button", class: C.buttonQuiet, onclick: () => {
      top = to;
      render();
      pre.scrollTop = 0;
    } }, label);
    const children = [];
    for (let row = top; row < end; row += 1) children.push(lineView(row));
    fill(pre, top > 0 && more(`${counted(top, "line")} above`, Math.max(0, top - MOST_ROWS)), ...children, end < rows.length && more(`${counted(rows.length - end, "line")} below`, end));
    const parts = [];
    if (look.find) parts.push(hits.length ? `${at >= 0 ? `${formatCount(at + 1)} of ` : ""}${counted(hits.length, "line")} with it` : "no line has it");
    if (rows.length < log.lines.length) parts.push(`${formatCount(rows.length)} of ${counted(log.lines.length, "line")} shown`);
    note.textContent = parts.join(", ");
  }

  /** @param {boolean} seek go to the first hit */
  function arrange(seek) {
    rows = linesOf(log, log.leveled ? look.level : "");
    hits = findRows(log, rows, look.find);
    at = seek && hits.length ? 0 : -1;
    top = 0;
    if (find.value !== look.find) find.value = look.find;
    level.value = look.level;
    if (at === 0) bring(hits[0]);
    else render();
  }

  const make = () => {
    if (!element.open || body.firstChild) return;
    body.append(bar, pre);
    arrange(true);
  };
  element.addEventListener("toggle", () => {
    make();
    if (element.open === open) return;
    open = element.open;
    onTurn();
  });
  make();
  return {
    key,
    element,
    /** @param {boolean} wanted */
    turn(wanted) {
      open = wanted;
      element.open = wanted;
    },
    /** @param {Look} now */
    show(now) {
      if (now.level === look.level && now.find === look.find) return;
      look = now;
      if (body.firstChild) arrange(true);
    },
  };
}
