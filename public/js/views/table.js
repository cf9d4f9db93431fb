// SPDX-License-Identifier: Apache-2.0
// All tests as text: the twin of the timeline.  Only the rows in sight exist as elements.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { sortTests } from "../lib/order.js";
import { marksOf, plainTags } from "../lib/marks.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { counted, formatCount, formatLength, formatMoment, visible } from "../lib/format.js";
import { statusBadge } from "./pieces.js";

/** @typedef {import("../lib/urlstate.js").SortKey} SortKey */

/** As high as the size of letters asks for. */
const ROW = Math.round(2 * parseFloat(getComputedStyle(document.documentElement).fontSize));
const MOST_HEIGHT = 440;
const SPARE = 8;

/** @type {{key: SortKey, label: string}[]} */
const COLUMNS = [
  { key: "status", label: "Result" },
  { key: "name", label: "Test" },
  { key: "worker", label: "Worker" },
  { key: "start", label: "Start" },
  { key: "duration", label: "Duration" },
];

/**
 * @param {{tests: import("../lib/testset.js").TestSet, zone: () => import("../lib/format.js").Zone, onSelect: (test: number, row: HTMLElement) => void,
 *   onSort: (key: SortKey, descending: boolean) => void, onPlace: (row: number) => void}} options onPlace: which row is the first in sight
 */
export function makeTable({ tests, zone, onSelect, onSort, onPlace }) {
  /** @type {Uint32Array} */
  let order = new Uint32Array(0);
  let first = -1;
  let last = -1;
  let selected = -1;
  /** The row that Tab leads to. */
  let active = 0;
  /** @type {{key: SortKey, descending: boolean}} */
  let sorted = { key: "start", descending: false };
  /** @type {Uint8Array|null} */
  let mask = null;

  const heads = COLUMNS.map(({ key, label }) =>
    h("th", { scope: "col", class: `col-${key}` }, h("button", { type: "button", onclick: () => onSort(key, sorted.key === key ? !sorted.descending : key === "duration" || key === "status") }, label)),
  );
  const above = h("tr", { class: C.spacer, "aria-hidden": "true" }, h("td", null));
  const below = h("tr", { class: C.spacer, "aria-hidden": "true" }, h("td", null));
  const body = h("tbody", null, above, below);
  const table = h("table", { "aria-label": "Tests" }, h("thead", null, h("tr", { "aria-rowindex": "1" }, ...heads)), body);
  const empty = h("p", { class: C.muted, hidden: true }, "No test fits the filter.");
  const box = h("div", { class: C.tableBox }, table);
  box.style.setProperty("--row", `${ROW}px`);
  const count = h("span", { class: C.muted, role: "status" });
  const element = h("section", { class: C.section, id: "tests" }, h("div", { class: C.groupHead }, h("h2", null, "Tests"), count), empty, box);

  // Known without asking: a question about sizes while the page is being built costs a layout of all of it.
  let scrolled = 0;
  let tall = MOST_HEIGHT;
  box.addEventListener(
    "scroll",
    () => {
      scrolled = box.scrollTop;
      onPlace(Math.round(scrolled / ROW));
      render(false);
    },
    { passive: true },
  );
  new ResizeObserver(([{ contentRect }]) => {
    tall = contentRect.height || MOST_HEIGHT;
    render(false);
  }).observe(box);
  body.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(tall / ROW) - 2);
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    active = Math.max(0, Math.min(order.length - 1, to));
    reveal(active);
    render(true);
    rowButton(active)?.focus();
  });

  /** @param {number} at */
  function reveal(at) {
    const top = at * ROW;
    const room = tall - ROW * 2;
    if (top < scrolled) scrolled = top;
    else if (top > scrolled + room) scrolled = top - room;
    else return;
    box.scrollTop = scrolled;
  }

  /** @param {number} at @returns {HTMLButtonElement|null} */
  function rowButton(at) {
    return body.querySelector(`tr[aria-rowindex="${at + 2}"] button`);
  }

  /** @param {boolean} anew */
  function render(anew) {
    const from = Math.max(0, Math.floor(scrolled / ROW) - SPARE);
    const to = Math.min(order.length, Math.ceil((scrolled + tall) / ROW) + SPARE);
    if (!anew && from === first && to === last) return;
    first = from;
    last = to;
    const focused = body.contains(document.activeElement);
    above.style.height = `${from * ROW}px`;
    below.style.height = `${(order.length - to) * ROW}px`;
    const rows = [];
    for (let at = from; at < to; at += 1) rows.push(rowView(at));
    body.replaceChildren(above, ...rows, below);
    if (focused) rowButton(active)?.focus({ preventScroll: true });
  }

  /** @param {number} at */
  function rowView(at) {
    const i = order[at];
    const name = tests.names[i];
    const { path, short } = splitName(name);
    const pick = (/** @type {Event} */ { currentTarget }) => {
      active = at;
      onSelect(i, /** @type {HTMLElement} */ (currentTarget));
    };
    return h(
      "tr",
      { "aria-rowindex": at + 2, class: i === selected ? C.selected : null, "aria-current": i === selected ? "true" : null, onclick: pick },
      h("td", { class: C.colStatus }, statusBadge(TEST_STATUS[tests.status[i]])),
      h("td", { title: visible(name.slice(0, 1000)) }, h("button", { type: "button", tabindex: at === active ? "0" : "-1" }, h("span", { class: C.testName }, short.slice(0, 300)), ...marksOf(tests.tags[i]).map(({ word, title }) => h("span", { class: `${C.tag} mark`, title }, word)), h("span", { class: C.testPath }, path.slice(0, 300)), ...plainTags(tests.tags[i]).slice(0, 6).map((tag) => h("span", { class: C.tag }, visible(tag.slice(0, 60)))))),
      h("td", { class: C.colWorker }, visible(tests.workers[tests.lane[i]])),
      h("td", { class: C.colStart }, formatMoment(tests.start[i], zone(), tests.from_ms, 0)),
      h("td", { class: C.colDuration }, formatLength((tests.end[i] - tests.start[i]) / 1000)),
    );
  }

  function arrange() {
    order = sortTests(tests, mask, sorted.key, sorted.descending);
    active = Math.max(0, order.indexOf(selected));
    table.setAttribute("aria-rowcount", String(order.length + 1));
    count.textContent = mask ? `${formatCount(order.length)} of ${counted(tests.count, "test")}` : counted(tests.count, "test");
    COLUMNS.forEach(({ key }, n) => heads[n].setAttribute("aria-sort", key !== sorted.key ? "none" : sorted.descending ? "descending" : "ascending"));
    empty.hidden = order.length > 0;
    box.hidden = order.length === 0;
    render(true);
  }

  return {
    element,
    /** @param {Uint8Array|null} newMask @param {SortKey} key @param {boolean} descending */
    arrange(newMask, key, descending) {
      mask = newMask;
      sorted = { key, descending };
      arrange();
    },
    /** @param {number} i */
    select(i) {
      selected = i;
      const at = i < 0 ? -1 : order.indexOf(i);
      if (at >= 0) {
        active = at;
        reveal(at);
      }
      render(true);
    },
    /** Bring a row to the top. @param {number} row */
    place(row) {
      if (row === Math.round(scrolled / ROW)) return;
      scrolled = Math.min(row, Math.max(0, order.length - 1)) * ROW;
      render(true);
      box.scrollTop = scrolled;
    },
    refresh: () => render(true),
  };
}
