// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { BAND, DIMMED, indexLanes, markerColumns, paintLane, WHOLE } from "../../public/js/lib/lanes.js";
import { testAt } from "../../public/js/lib/pointing.js";
import { clamp, pan, reveal, zoom } from "../../public/js/lib/range.js";
import { FAIL, PASS, SKIP } from "../../public/js/lib/status.js";
import { makeTestSet } from "../../public/js/lib/testset.js";

/** @param {[number, number, string, number?][]} rows from, to, status, worker */
function set(rows) {
  return makeTestSet(rows.map(([from, to, status, worker = 0], i) => ({ name: `t${i}`, status, tags: [`worker-${worker}`], timestamps: [new Date(from).toISOString(), new Date(to).toISOString()], duration: (to - from) / 1000 })));
}

/** @param {ReturnType<typeof set>} tests @param {number} from @param {number} to @param {number} width @param {Uint8Array|null} [mask] @param {number} [lane] @param {readonly number[]} [ranks] */
function paint(tests, from, to, width, mask = null, lane = 0, ranks = BAND) {
  const into = new Uint8Array(width);
  paintLane(indexLanes(tests), lane, { from_ms: from, to_ms: to }, into, mask, ranks);
  return [...into];
}

/** Numbers that are the same in each run. @param {number} seed */
function randomly(seed) {
  let state = seed;
  return () => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

test("the worst status wins a pixel, and idle pixels are idle", () => {
  const tests = set([[0, 40, "success"], [40, 41, "fail"], [41, 60, "success"], [70, 71, "skip"]]);
  assert.deepEqual(paint(tests, 0, 100, 10), [PASS, PASS, PASS, PASS, FAIL, PASS, 0, SKIP, 0, 0]);
});

test("no failure is lost at any zoom, however many tests lie over it", () => {
  const random = randomly(7);
  /** @type {[number, number, string][]} */
  const rows = [];
  for (let i = 0; i < 3000; i += 1) {
    const from = Math.floor(random() * 100000);
    rows.push([from, from + Math.floor(random() * 3000), random() < 0.01 ? "fail" : "success"]);
  }
  const tests = set(rows);
  for (const width of [1, 7, 100, 1500]) {
    const painted = paint(tests, 0, 103001, width);
    rows.forEach(([from, , status]) => {
      if (status === "fail") assert.equal(painted[Math.floor((from / 103001) * width)], FAIL);
    });
  }
});

test("painting agrees with looking at every test for every pixel", () => {
  const random = randomly(3);
  /** @type {[number, number, string][]} */
  const rows = Array.from({ length: 60 }, () => {
    const from = Math.floor(random() * 1000);
    return [from, from + Math.floor(random() * 90), ["success", "fail", "skip"][Math.floor(random() * 3)]];
  });
  const tests = set(rows);
  const [from, to, width] = [137, 801, 83];
  const scale = width / (to - from);
  const slow = new Array(width).fill(0);
  for (let i = 0; i < tests.count; i += 1) {
    if (tests.end[i] < from || tests.start[i] >= to) continue;
    const x0 = Math.max(0, Math.floor((tests.start[i] - from) * scale));
    const x1 = Math.min(width, Math.max(x0 + 1, Math.floor((tests.end[i] - from) * scale)));
    for (let x = x0; x < x1; x += 1) slow[x] = Math.max(slow[x], tests.status[i]);
  }
  assert.deepEqual(paint(tests, from, to, width), slow);
});

test("what the filter leaves wins over what it does not", () => {
  const tests = set([[0, 100, "fail"], [50, 60, "success"]]);
  assert.deepEqual(paint(tests, 0, 100, 4, Uint8Array.of(0, 1)), [FAIL + DIMMED, FAIL + DIMMED, PASS, FAIL + DIMMED]);
});

test("a skip hides no test that passed, and is not hidden by one", () => {
  const tests = set([[0, 100, "success"], [50, 50, "skip"]]);
  assert.deepEqual(paint(tests, 0, 100, 4, null, 0, WHOLE), [PASS, PASS, PASS, PASS]);
  assert.deepEqual(paint(tests, 0, 100, 4, null, 0, BAND), [PASS, PASS, SKIP, PASS]);
});

test("lanes do not mix", () => {
  const tests = set([[0, 100, "success", 0], [0, 100, "fail", 3]]);
  assert.deepEqual(paint(tests, 0, 100, 2, null, 0), [PASS, PASS]);
  assert.deepEqual(paint(tests, 0, 100, 2, null, 1), [FAIL, FAIL]);
});

test("markers stand where failures ended, apart from each other, and only in view", () => {
  const tests = set([[0, 10, "fail", 0], [0, 11, "fail", 1], [0, 50, "fail", 0], [0, 99, "success", 0], [90, 500, "fail", 1]]);
  assert.deepEqual(markerColumns(indexLanes(tests), [FAIL], { from_ms: 0, to_ms: 100 }, 100, 3), [10, 50, 100]);
});

test("a pointer means the worst under it, else the nearest within reach", () => {
  const tests = set([[0, 100, "success"], [40, 42, "fail"], [200, 200, "skip"]]);
  const index = indexLanes(tests);
  assert.equal(testAt(index, 0, 41, 5), 1);
  assert.equal(testAt(index, 0, 90, 5), 0);
  assert.equal(testAt(index, 0, 197, 5), 2);
  assert.equal(testAt(index, 0, 150, 5), -1);
});

test("50,000 tests are painted in a few milliseconds", () => {
  const random = randomly(1);
  let at = 0;
  const tests = set(Array.from({ length: 50000 }, () => {
    const from = at;
    at += 1 + Math.floor(random() * 900);
    return [from, at, random() < 0.01 ? "fail" : "success"];
  }));
  const index = indexLanes(tests);
  const into = new Uint8Array(1200);
  const range = { from_ms: 0, to_ms: at };
  for (let i = 0; i < 5; i += 1) paintLane(index, 0, range, into, null, WHOLE);
  const before = performance.now();
  for (let i = 0; i < 10; i += 1) paintLane(index, 0, range, into, null, WHOLE);
  // About 1 ms on the machines that this was made on; the bound is for crowded ones.
  assert.ok((performance.now() - before) / 10 < 25);
});

const run = { from_ms: 0, to_ms: 1000 };

test("ranges stay inside the run and keep their length", () => {
  assert.deepEqual(clamp({ from_ms: -100, to_ms: 100 }, run), { from_ms: 0, to_ms: 200 });
  assert.deepEqual(pan({ from_ms: 700, to_ms: 900 }, run, 500), { from_ms: 800, to_ms: 1000 });
  assert.deepEqual(clamp({ from_ms: -9, to_ms: 5000 }, run), run);
  assert.equal(clamp({ from_ms: 5, to_ms: 5 }, run).to_ms - 5, 10);
});

test("the moment under the pointer stays there", () => {
  const near = zoom({ from_ms: 200, to_ms: 600 }, run, 0.5, 300);
  assert.deepEqual(near, { from_ms: 250, to_ms: 450 });
  assert.deepEqual(zoom(near, run, 100, 300), run);
});

test("revealing moves no more than it must", () => {
  const view = { from_ms: 0, to_ms: 100 };
  assert.equal(reveal(view, run, { from_ms: 10, to_ms: 20 }, 0), view);
  assert.deepEqual(reveal(view, run, { from_ms: 490, to_ms: 510 }, 0), { from_ms: 450, to_ms: 550 });
});
