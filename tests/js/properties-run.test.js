// SPDX-License-Identifier: Apache-2.0
// Runs of any tests: their order, gaps, lanes and curves, each beside a way to it that is plain to see and slow.
import assert from "node:assert/strict";
import { test } from "node:test";
import { classTimes } from "../../public/js/lib/balance.js";
import { neighboursOf } from "../../public/js/lib/concurrent.js";
import { someRows } from "../../public/js/lib/consolelines.js";
import { findGaps } from "../../public/js/lib/gaps.js";
import { DIMMED, indexLanes, layoutLanes, markerColumns, paintLane, WHOLE } from "../../public/js/lib/lanes.js";
import { slowestTests, sortTests } from "../../public/js/lib/order.js";
import { drawCurve, fillColumn, toColumns } from "../../public/js/lib/plot.js";
import { scrollMap } from "../../public/js/lib/scrollmap.js";
import { FAIL, PASS } from "../../public/js/lib/status.js";
import { makeTestSet } from "../../public/js/lib/testset.js";
import { anyText, between, fc } from "./properties.js";

/** @typedef {import("../../public/js/lib/testset.js").TestSet} TestSet */

const BEGAN = Date.UTC(2016, 5, 1, 12);
const stamp = (/** @type {number} */ ms) => new Date(BEGAN + ms).toISOString();
const name = fc.oneof(fc.constantFrom("a.b.C.one", "a.b.C.two", "a.b.D.one", "setUpClass (a.b.C)", "lone"), anyText.filter(Boolean));
const oneTest = fc.tuple(name, fc.nat(5000), fc.nat(2000), fc.constantFrom("success", "fail", "skip"), fc.subarray(["worker-0", "worker-1", "worker-7", "smoke", "unfinished", "host:h", "orig:worker-3"]));
const anySet = fc.array(oneTest, { minLength: 1, maxLength: 25 }).map((all) =>
  makeTestSet(all.map(([title, start, length, status, tags], n) => /** @type {any} */ ({ name: `${title}.${n}`, timestamps: [stamp(start), stamp(start + length)], status, tags }))),
);

test("no order loses or doubles a test, and each is one", () => {
  const key = fc.constantFrom("status", "name", "worker", "start", "duration");
  fc.assert(fc.property(anySet, key, fc.boolean(), fc.infiniteStream(fc.boolean()), fc.nat(8), (tests, by, descending, bits, most) => {
    const mask = Uint8Array.from(tests.names, () => Number(bits.next().value));
    const order = [...sortTests(tests, mask, /** @type {any} */ (by), descending)];
    assert.deepEqual(order.toSorted((a, b) => a - b), tests.names.flatMap((_, i) => (mask[i] ? [i] : [])));
    /** @type {Record<string, (i: number) => number|string>} */
    const values = { status: (i) => tests.status[i], name: (i) => tests.names[i], worker: (i) => tests.lane[i], start: (i) => tests.start[i], duration: (i) => tests.end[i] - tests.start[i] };
    for (let n = 1; n < order.length; n += 1) {
      const [before, after] = [order[n - 1], order[n]].map(values[by]);
      assert.ok(descending ? before >= after : before <= after);
    }
    const longest = tests.names.map((_, i) => tests.end[i] - tests.start[i]).sort((a, b) => b - a);
    assert.deepEqual(slowestTests(tests, most).map((i) => tests.end[i] - tests.start[i]), longest.slice(0, most));
  }));
});

test("what each worker did adds up to the run, and no gap lies in a test", () => {
  fc.assert(fc.property(anySet, (tests) => {
    const { lanes, gaps } = findGaps(tests);
    const whole = tests.to_ms - tests.from_ms;
    for (const lane of lanes) assert.equal(lane.busy_ms + lane.between_ms + lane.inside_ms + lane.edge_ms, whole);
    for (const gap of gaps) {
      assert.ok(gap.from_ms < gap.to_ms && gap.from_ms >= tests.from_ms && gap.to_ms <= tests.to_ms);
      for (let i = 0; i < tests.count; i += 1) assert.ok(tests.lane[i] !== gap.lane || tests.end[i] <= gap.from_ms || tests.start[i] >= gap.to_ms);
    }
    const times = classTimes(tests, gaps);
    assert.equal(times.reduce((sum, one) => sum + one.tests, 0), tests.count);
    assert.equal(times.reduce((sum, one) => sum + one.failed, 0), tests.status.reduce((sum, status) => sum + Number(status >= 3), 0));
  }));
});

test("every other test is a test's neighbour at most once, and those that ran with it are told", () => {
  fc.assert(fc.property(anySet, fc.nat(), (tests, at) => {
    const i = at % tests.count;
    const found = neighboursOf(tests, i);
    assert.equal(found.length, tests.workers.length);
    const told = found.flatMap(({ during, before, after }) => [...during, before, after]).filter((j) => j >= 0);
    assert.equal(new Set(told).size, told.length);
    assert.ok(!told.includes(i));
    for (let j = 0; j < tests.count; j += 1) {
      if (tests.lane[j] !== tests.lane[i] && tests.start[j] < tests.end[i] && tests.end[j] > tests.start[i]) assert.ok(told.includes(j));
    }
  }));
});

test("a pixel of a lane shows the worst that touches it, and no test that is in sight vanishes", () => {
  fc.assert(fc.property(anySet, fc.integer({ min: 1, max: 60 }), fc.nat(5000), fc.integer({ min: 1, max: 7000 }), fc.option(fc.infiniteStream(fc.boolean())), (tests, width, from, length, bits) => {
    const index = indexLanes(tests);
    const range = { from_ms: BEGAN + from, to_ms: BEGAN + from + length };
    const mask = bits && Uint8Array.from(tests.names, () => Number(bits.next().value));
    const rank = (/** @type {number} */ value) => WHOLE.indexOf(value % DIMMED) + (value >= DIMMED ? WHOLE.length : 0);
    tests.workers.forEach((_, lane) => {
      const into = new Uint8Array(width);
      paintLane(index, lane, range, into, mask, WHOLE);
      const wanted = new Uint8Array(width);
      for (let i = 0; i < tests.count; i += 1) {
        if (tests.lane[i] !== lane || tests.start[i] >= range.to_ms || tests.end[i] < range.from_ms) continue;
        const value = tests.status[i] + (mask && !mask[i] ? DIMMED : 0);
        const x0 = Math.max(0, Math.floor(((tests.start[i] - range.from_ms) / length) * width + 1e-9));
        const x1 = Math.min(width, Math.max(x0 + 1, Math.floor(((tests.end[i] - range.from_ms) / length) * width + 1e-9)));
        for (let x = x0; x < x1; x += 1) if (!wanted[x] || rank(value) < rank(wanted[x])) wanted[x] = value;
      }
      // A border that falls on a pixel's may fall on either side of it.
      const same = into.filter((value, x) => value === wanted[x] || value === wanted[x - 1] || value === wanted[x + 1]);
      assert.equal(same.length, width, `${into} for ${wanted}`);
    });
    const columns = markerColumns(index, [FAIL, PASS], range, width, 3);
    for (const [n, x] of columns.entries()) assert.ok(x >= 0 && x <= width && (n === 0 || x - columns[n - 1] >= 3));
  }));
});

test("lanes lie under each other, however many are folded", () => {
  fc.assert(fc.property(fc.uniqueArray(anyText, { maxLength: 60 }), fc.infiniteStream(fc.boolean()), (labels, bits) => {
    const { tops, heights, whole } = layoutLanes(labels, labels.filter(() => bits.next().value));
    for (let n = 1; n < labels.length; n += 1) assert.ok(tops[n] >= tops[n - 1] + heights[n - 1]);
    assert.ok(labels.length === 0 || whole >= tops[labels.length - 1] + heights[labels.length - 1]);
  }));
});

const points = fc.array(fc.tuple(between(0, 20), fc.oneof({ weight: 5, arbitrary: between(-1e5, 1e5) }, fc.constant(NaN))), { maxLength: 30 });

test("a curve stays between its points, and its peaks are points", () => {
  fc.assert(fc.property(points, fc.integer({ min: 1, max: 50 }), between(0, 50), (steps, width, reach) => {
    let x = -10;
    const at = Float64Array.from(steps, ([step]) => (x += step));
    const values = Float32Array.from(steps, ([, value]) => value);
    const columns = toColumns(at, values, reach, width);
    const known = values.filter((value) => !Number.isNaN(value));
    const [low, high] = [Math.min(...known), Math.max(...known)];
    assert.equal(columns.length, width);
    const room = 1e-3 + (high - low) * 1e-5;
    for (const value of columns) assert.ok(Number.isNaN(value) || (value >= low - room && value <= high + room), `${value}`);
    at.forEach((place, k) => {
      const column = Math.floor(place);
      const shared = at.some((other, n) => n > k && Math.floor(other) === column && !Number.isNaN(values[n]));
      if (column >= 0 && column < width && !shared && !Number.isNaN(values[k])) assert.equal(columns[column], values[k]);
    });
    const there = [...at.keys()].filter((k) => !Number.isNaN(values[k]));
    for (let column = 0; column < width; column += 1) {
      const after = there.find((k) => Math.floor(at[k]) >= column) ?? -1;
      if (after >= 0 && Math.floor(at[after]) === column) continue;
      const before = there.findLast((k) => Math.floor(at[k]) < column) ?? -1;
      if (before < 0 || after < 0 || at[after] - at[before] > reach) {
        assert.ok(Number.isNaN(columns[column]));
      } else {
        const wanted = values[before] + ((column + 0.5 - at[before]) / (at[after] - at[before])) * (values[after] - values[before]);
        assert.ok(Math.abs(columns[column] - wanted) <= room, `${columns[column]} for ${wanted}`);
      }
    }
  }));
});

test("nothing is painted beside its column, whatever its ends are", () => {
  const end = fc.oneof(fc.double(), between(-5, 25));
  fc.assert(fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 20 }), fc.nat(), end, end, between(0, 1), (width, height, place, top, bottom, alpha) => {
    const picture = { width, height, words: new Uint32Array(width * height).fill(0xff000000) };
    const x = place % width;
    fillColumn(picture, x, top, bottom, 0xffffffff, alpha);
    picture.words.forEach((word, i) => assert.ok(i % width === x || word === 0xff000000));
    const filled = picture.words.filter((word) => word !== 0xff000000).length;
    assert.ok(filled <= Math.max(0, Math.ceil(Math.min(bottom, height)) - Math.floor(Math.max(top, 0))) || Number.isNaN(top + bottom));
    drawCurve(picture, Float32Array.from({ length: width }, (_, n) => (n % 2 ? top : bottom)), 1, 0xff112233);
    assert.equal(picture.words.length, width * height);
  }));
});

test("the bar reaches both ends, and where it stands is the row that is seen", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 5e7 }), fc.integer({ min: 10, max: 40 }), fc.integer({ min: 50, max: 3000 }), between(0, 1), (count, row_px, view_px, share) => {
    const map = scrollMap(count, row_px, view_px);
    const last = Math.max(0, count - view_px / row_px);
    assert.equal(map.rowOf(0), 0);
    assert.ok(Math.abs(map.rowOf(map.high_px - view_px) - last) < 1e-6);
    const row = share * last;
    const pixel = last / Math.max(1, map.high_px - view_px);
    assert.ok(Math.abs(map.rowOf(map.topOf(row)) - row) <= pixel + 1e-6);
  }));
  fc.assert(fc.property(fc.uniqueArray(fc.nat(500), { minLength: 1 }).map((all) => Uint32Array.from(all).sort()), fc.nat(600), (numbers, line) => {
    const rows = someRows(numbers);
    const wanted = numbers.findIndex((number) => number >= line);
    assert.equal(rows.rowOf(line), wanted < 0 ? numbers.length - 1 : wanted);
  }));
});
