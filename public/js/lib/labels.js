// SPDX-License-Identifier: Apache-2.0
// Where in a lane there is room for the names of its tests.

/** @typedef {{x0: number, x1: number, id: number, ink: string}} Box a test in pixels, both ends in sight; ink "" = it gets no name */

/**
 * Each name's stretch of its own: from where no test before it reaches to where the next one begins.  Tests of one lane
 * may overlap, and two names on one place are none.
 * @param {Box[]} boxes are put in order of their begin
 * @param {number} least what a name needs, in pixels
 * @returns {{box: Box, from: number, room: number}[]}
 */
export function labelRooms(boxes, least) {
  boxes.sort((a, b) => a.x0 - b.x0 || a.x1 - b.x1);
  const rooms = [];
  let reached = -Infinity;
  for (let k = 0; k < boxes.length; k += 1) {
    const box = boxes[k];
    const from = Math.max(box.x0, reached);
    const to = k + 1 < boxes.length ? Math.min(box.x1, boxes[k + 1].x0) : box.x1;
    if (box.ink && to - from >= least) rooms.push({ box, from, room: to - from });
    reached = Math.max(reached, box.x1);
  }
  return rooms;
}
