// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { labelRooms } from "../../public/js/lib/labels.js";

/** @param {...[number, number, string?]} rows from, to, ink */
const rooms = (...rows) => labelRooms(rows.map(([x0, x1, ink = "black"], id) => ({ x0, x1, id, ink })), 50).map(({ box, from, room }) => [box.id, from, room]);

test("tests that follow each other have the whole of their boxes for their names", () => {
  assert.deepEqual(rooms([100, 200], [0, 100], [200, 240]), [[1, 0, 100], [0, 100, 100]]);
});

test("where tests overlap a name has what is its own alone, or is left out", () => {
  assert.deepEqual(rooms([0, 200], [100, 300]), [[0, 0, 100], [1, 200, 100]]);
  assert.deepEqual(rooms([0, 200], [20, 300]), [[1, 200, 100]]);
  assert.deepEqual(rooms([0, 500], [100, 300], [300, 400]), [[0, 0, 100]], "what lies inside of another has nothing of its own");
  assert.deepEqual(rooms([0, 200], [0, 200], [0, 200]), []);
});

test("what gets no name takes its room all the same", () => {
  assert.deepEqual(rooms([0, 300, ""], [100, 400]), [[1, 300, 100]]);
});

test("no two names share a pixel, whatever overlaps", () => {
  let state = 5;
  const random = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  for (let round = 0; round < 200; round += 1) {
    const boxes = Array.from({ length: 12 }, (_, id) => {
      const x0 = Math.floor(random() * 900);
      return { x0, x1: x0 + Math.floor(random() * 300), id, ink: random() < 0.8 ? "black" : "" };
    });
    const found = labelRooms(boxes, 50);
    for (const { box, from, room } of found) {
      assert.ok(from >= box.x0 && from + room <= box.x1);
      for (const other of boxes) assert.ok(other === box || other.x1 <= from || other.x0 >= from + room, `${other.id} lies under the name of ${box.id}`);
    }
  }
});
