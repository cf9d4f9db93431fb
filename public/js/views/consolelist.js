// SPDX-License-Identifier: Apache-2.0
// Any number of lines as one list: only what is in sight are elements.  What stands at the top is kept as a row and
// pixels of it, so that rows may be of any height; the scroll bar only shows about where that is.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { allRows } from "../lib/consolelines.js";
import { scrollMap } from "../lib/scrollmap.js";
import { emptyRow, lineRow } from "./consolerow.js";

/** @typedef {import("../lib/consolelines.js").Rows} Rows */
/** @typedef {import("../lib/consolelines.js").Span} Span */

/** A line that has not been measured, by the size of letters. */
const ROW = Math.round((18 / 14) * parseFloat(getComputedStyle(document.documentElement).fontSize));
const SPARE = 6;
const IDLE_MS = 140;

/**
 * @param {{data: import("../consoledata.js").ConsoleData, look: () => import("./consolerow.js").Look, label: string,
 *   onTrouble: (error: unknown) => void, onSight: (first: number, last: number) => void}} options
 */
export function makeConsoleList({ data, look, label, onTrouble, onSight }) {
  /** @type {Rows} */
  let rows = allRows(0, data.lines);
  /** What stands at the top. */
  let row = 0;
  let into_px = 0;
  /** @type {Map<number, {element: HTMLElement, whole: boolean}>} by line */
  let shown = new Map();
  /** @type {Span|null} */
  let selected = null;
  let current = -1;
  let lastTop = 0;
  let asked = 0;
  let idle = 0;

  const inner = h("div", { class: C.consoleInner });
  const pane = h("div", { class: C.consolePane }, inner);
  const rest = h("div", { "aria-hidden": "true" });
  const box = h("div", { class: C.consoleLines, tabindex: "0", role: "region", "aria-label": label }, pane, rest);

  const map = () => scrollMap(rows.count, ROW, Math.max(ROW, box.clientHeight));
  const heightOf = (/** @type {number} */ at) => shown.get(rows.at(at))?.element.offsetHeight || ROW;

  function ask() {
    if (!asked) asked = requestAnimationFrame(render);
  }

  /** @param {number} by_px */
  function move(by_px) {
    into_px += by_px;
    while (into_px < 0 && row > 0) {
      row -= 1;
      into_px += heightOf(row);
    }
    for (let high = heightOf(row); into_px >= high && row < rows.count - 1; high = heightOf(row)) {
      into_px -= high;
      row += 1;
    }
    if (row === 0) into_px = Math.max(0, into_px);
  }

  box.addEventListener("scroll", () => {
    const top = box.scrollTop;
    const by = top - lastTop;
    if (by === 0) return;
    lastTop = top;
    const { jump_px, rowOf, atEnd } = map();
    if (top <= 0) jump(0);
    else if (Math.abs(by) > jump_px || atEnd(top)) jump(rowOf(top));
    else move(by);
    ask();
    clearTimeout(idle);
    idle = window.setTimeout(settle, IDLE_MS);
  }, { passive: true });

  /** @param {number} to with its fraction */
  function jump(to) {
    row = Math.max(0, Math.min(rows.count - 1, Math.floor(to)));
    into_px = (to - Math.floor(to)) * ROW;
  }

  /** The bar to where it belongs; nothing that is seen moves. */
  function settle() {
    const top = map().topOf(row + into_px / ROW);
    if (Math.abs(top - box.scrollTop) > 1) box.scrollTop = top;
    lastTop = box.scrollTop;
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== box) return;
    const page = box.clientHeight - ROW * 2;
    const by = { ArrowDown: ROW, ArrowUp: -ROW, PageDown: page, PageUp: -page, " ": event.shiftKey ? -page : page }[event.key];
    if (event.key === "Home") jump(0);
    else if (event.key === "End") jump(rows.count - 1);
    else if (by === undefined || event.shiftKey !== (event.key === " " && by < 0)) return;
    else move(by);
    event.preventDefault();
    render();
    settle();
  });

  function render() {
    cancelAnimationFrame(asked);
    asked = 0;
    const view_px = box.clientHeight;
    if (!view_px) return;
    performance.mark("console frame begins");
    let first = Math.max(0, row - SPARE);
    let end = Math.min(rows.count, row + Math.ceil((view_px + into_px) / ROW) + SPARE);
    put(first, end);
    // At the end there is nothing below the last line.
    const bottom = inner.offsetHeight - topIn(row) - into_px;
    if (end === rows.count && bottom < view_px) {
      for (let short = view_px - bottom; short > 0; ) {
        const before = row;
        move(-short);
        if (before === row && row === 0) break;
        first = Math.max(0, row - SPARE);
        end = Math.min(rows.count, row + Math.ceil((view_px + into_px) / ROW) + SPARE);
        put(first, rows.count);
        short = view_px - (inner.offsetHeight - topIn(row) - into_px);
        if (short < 1) break;
      }
    }
    inner.style.transform = `translateY(${-(topIn(row) + into_px)}px)`;
    performance.measure("console frame", "console frame begins");
    if (rows.count) onSight(rows.at(row), rows.at(Math.min(rows.count - 1, row + Math.floor(view_px / ROW))));
  }

  /** @param {number} at */
  const topIn = (at) => shown.get(rows.at(at))?.element.offsetTop ?? 0;

  /** @param {number} first @param {number} end rows that are to be elements */
  function put(first, end) {
    /** @type {typeof shown} */
    const now = new Map();
    const missing = [];
    const wanted = look();
    for (let at = first; at < end; at += 1) {
      const line = rows.at(at);
      const known = shown.get(line);
      const found = known?.whole ? undefined : data.peek(line);
      if (known && !found) now.set(line, known);
      else now.set(line, { element: found ? lineRow(found, wanted) : emptyRow(line), whole: found !== undefined });
      if (!known?.whole && !found) missing.push(line);
      paint(line, /** @type {{element: HTMLElement}} */ (now.get(line)).element);
    }
    for (const [line, { element }] of shown) if (now.get(line)?.element !== element) element.remove();
    let next = inner.firstChild;
    for (const { element } of now.values()) {
      if (element === next) next = next.nextSibling;
      else inner.insertBefore(element, next);
    }
    shown = now;
    data.need(missing, (error) => {
      if (error) onTrouble(error);
      else ask();
    });
  }

  /** @param {number} line @param {HTMLElement} element */
  function paint(line, element) {
    element.classList.toggle(C.selected, selected !== null && line >= selected[0] && line <= selected[1]);
    element.classList.toggle(C.current, line === current);
  }

  function repaint() {
    for (const [line, { element }] of shown) paint(line, element);
  }

  function resize() {
    rest.style.height = `${Math.max(0, map().high_px - box.clientHeight)}px`;
    render();
    settle();
  }
  new ResizeObserver(resize).observe(box);

  return {
    element: box,
    /** @param {Rows} next @param {number} line that should stay at the top */
    setRows(next, line) {
      rows = next;
      jump(next.count ? next.rowOf(line) : 0);
      resize();
    },
    /** @param {number} line @param {number} share of the height above it */
    show(line, share) {
      const at = rows.rowOf(line);
      const top = topIn(at) - topIn(row) - into_px;
      if (share > 0 && shown.has(rows.at(at)) && top >= 0 && top < box.clientHeight - ROW * 2) return;
      jump(Math.max(0, at - Math.floor((box.clientHeight / ROW) * share)));
      render();
      settle();
    },
    /** @param {Span|null} lines @param {number} now the line that a search is at, -1 = none */
    select(lines, now) {
      if (String(lines) === String(selected) && now === current) return;
      selected = lines;
      current = now;
      repaint();
    },
    /** Draw all rows anew. */
    refresh() {
      for (const { element } of shown.values()) element.remove();
      shown = new Map();
      render();
    },
    count: () => rows.count,
    top: () => (rows.count ? rows.at(row) : 0),
  };
}
