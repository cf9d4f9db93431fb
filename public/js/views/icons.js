// SPDX-License-Identifier: Apache-2.0
// One shape for each kind of result, so that nothing depends on colour.
import { h, svg } from "../dom.js";
import { C } from "../lib/classes.js";

/** @typedef {import("../lib/status.js").Kind} Kind */

/** @type {Record<Kind, [string, Record<string, string>][]>} */
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
