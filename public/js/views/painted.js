// SPDX-License-Identifier: Apache-2.0
// Text of a terminal as elements: its colours, and what was searched for marked.
import { h } from "../dom.js";
import { piecesOf } from "../lib/sgr.js";
import { visible } from "../lib/format.js";

/**
 * @param {string} text
 * @param {readonly import("../lib/sgr.js").Run[]} runs
 * @param {readonly [number, number][]} [hits]
 * @param {number} [from]
 * @param {number} [to]
 * @returns {(Node|string)[]}
 */
export function painted(text, runs, hits = [], from = 0, to = text.length) {
  return piecesOf(text, from, to, runs, hits).map((piece) => {
    const shown = visible(piece.text);
    const node = piece.classes ? h("span", { class: piece.classes }, shown) : shown;
    return piece.hit ? h("mark", null, node) : node;
  });
}
