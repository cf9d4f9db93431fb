// SPDX-License-Identifier: Apache-2.0
// A scroll bar over more rows than an element can be high: browsers cap heights at 17 to 33 million pixels.

export const MOST_PX = 8e6;

/**
 * @param {number} count rows
 * @param {number} row_px usual height of one
 * @param {number} view_px height of what is seen
 */
export function scrollMap(count, row_px, view_px) {
  const high_px = Math.max(view_px, Math.min(MOST_PX, count * row_px));
  const room_px = high_px - view_px;
  const last = Math.max(0, count - view_px / row_px);
  return {
    /** Height of what is scrolled. */
    high_px,
    /** A difference beyond this is a jump of the bar, not a turn of the wheel. */
    jump_px: view_px * 4,
    /** Where the bar stands when this row, with its fraction, is the first. @param {number} row */
    topOf: (row) => (last > 0 ? Math.round((Math.min(row, last) / last) * room_px) : 0),
    /** @param {number} top_px @returns {number} a row with its fraction */
    rowOf: (top_px) => (room_px > 0 ? (Math.min(top_px, room_px) / room_px) * last : 0),
    /** @param {number} top_px */
    atEnd: (top_px) => top_px >= room_px - 1,
  };
}
