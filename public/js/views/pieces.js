// SPDX-License-Identifier: Apache-2.0
// Pieces that stand in many views: the shape of a result, a notice, lines for what is being loaded.
import { h, svg } from "../dom.js";
import { C } from "../lib/classes.js";

/** @typedef {import("../dom.js").Child} Child */
/** @typedef {import("../lib/status.js").Kind} Kind */

/** One shape for each kind of result, so that nothing depends on colour. @type {Record<Kind, [string, Record<string, string>][]>} */
const SHAPES = {
  ok: [["path", { d: "M3 8.5 6.5 12 13 4.5", fill: "none", stroke: "currentColor", "stroke-width": "2.2" }]],
  bad: [
    ["rect", { x: "1.5", y: "1.5", width: "13", height: "13", rx: "2", fill: "currentColor" }],
    ["path", { d: "M5 5 11 11M11 5 5 11", fill: "none", stroke: "var(--on-bad)", "stroke-width": "2" }],
  ],
  warn: [
    ["path", { d: "M8 1.6 15 14H1Z", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "stroke-linejoin": "round" }],
    ["path", { d: "M8 6v4M8 11.2v1.4", fill: "none", stroke: "currentColor", "stroke-width": "1.8" }],
  ],
  skip: [["path", { d: "M3 4l5 4-5 4zM9 4l5 4-5 4z", fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linejoin": "round" }]],
  none: [["circle", { cx: "8", cy: "8", r: "5", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "stroke-dasharray": "3 2.2" }]],
};

/** @param {Kind} kind */
export function kindIcon(kind) {
  return svg("0 0 16 16", `${C.icon} ${C.kind[kind]}`, SHAPES[kind]);
}

/**
 * Shape, colour and word together.
 * @param {{kind: Kind, label: string}} status
 */
export function statusBadge(status) {
  return h("span", { class: `${C.badge} ${C.kind[status.kind]}` }, kindIcon(status.kind), h("span", null, status.label));
}

/**
 * What a person is told instead of, or above, the thing that was asked for.
 * @param {"info"|"warn"|"bad"} tone
 * @param {string} title
 * @param {string|null} [message] paragraphs parted by line breaks
 * @param {...Child} actions
 */
export function notice(tone, title, message, ...actions) {
  const className = tone === "bad" ? C.noticeBad : tone === "warn" ? C.noticeWarn : C.notice;
  return h(
    "div",
    { class: className, role: tone === "bad" ? "alert" : null },
    h("p", null, h("strong", null, title)),
    ...(message ?? "").split("\n").filter((line) => line.trim()).map((line) => h("p", null, line)),
    actions.length > 0 && h("div", { class: C.actions }, ...actions),
  );
}

/**
 * @param {readonly string[]|undefined} warnings
 * @param {string} title
 */
export function warningList(warnings, title) {
  if (!warnings || warnings.length === 0) return null;
  if (warnings.length === 1) return h("p", { class: C.noticeWarn }, h("strong", null, `${title}: `), warnings[0]);
  const list = h("ul", null, ...warnings.map((text) => h("li", null, text)));
  const first = h("span", { class: C.muted }, ` ${warnings[0]}`);
  const fold = h("details", { class: `${C.noticeWarn} folded`, "data-fold": "warnings" }, h("summary", null, h("strong", null, `${title} (${warnings.length})`), first), list);
  fold.addEventListener("toggle", () => {
    first.hidden = fold.open;
  });
  return fold;
}

/** Lines that stand for what is being loaded. @param {number} lines @param {string} label */
export function skeleton(lines, label) {
  const bars = Array.from({ length: lines }, () => h("span", null));
  return h("div", { class: C.skeleton, role: "status", "aria-label": label }, ...bars);
}
