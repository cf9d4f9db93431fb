// SPDX-License-Identifier: Apache-2.0
// Where each lane lies: thinner ones the more there are, and folded ones the thinnest.

/** Above the lanes are the axis and the markers of failures. */
export const LANES_TOP = 32;
export const FOLDED = 5;
const GAP = 3;

/** @typedef {{tops: number[], heights: number[], whole: number}} Layout in CSS pixels */

/**
 * @param {readonly string[]} labels of the lanes
 * @param {readonly string[]} folded labels of those that are
 * @returns {Layout}
 */
export function layoutLanes(labels, folded) {
  const thin = new Set(folded);
  const open = labels.filter((label) => !thin.has(label)).length;
  const tall = open <= 8 ? 24 : open <= 16 ? 18 : open <= 40 ? 13 : 8;
  const heights = labels.map((label) => (thin.has(label) ? FOLDED : tall));
  let y = LANES_TOP;
  const tops = heights.map((height) => {
    const top = y;
    y += height + GAP;
    return top;
  });
  return { tops, heights, whole: y + GAP };
}

/** @param {Layout} layout @param {number} y @returns {number} lane, -1 for none */
export function laneAt({ tops, heights }, y) {
  // The space below a lane belongs to it: between lanes there is nothing to be meant.
  for (let lane = tops.length - 1; lane >= 0; lane -= 1) if (y >= tops[lane]) return y < tops[lane] + heights[lane] + GAP ? lane : -1;
  return -1;
}
