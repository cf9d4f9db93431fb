// SPDX-License-Identifier: Apache-2.0
// What is told of a run as a whole: gaps, classes, neighbours, filters, failures to pass on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { neighboursOf } from "../../public/js/lib/concurrent.js";
import { applyFilter, patternOf } from "../../public/js/lib/filter.js";
import { slowestTests, sortTests } from "../../public/js/lib/order.js";
import { classTimes, longestGaps } from "../../public/js/lib/balance.js";
import { AFTER, BEFORE, BETWEEN, findGaps, INSIDE } from "../../public/js/lib/gaps.js";
import { FOLDED, indexLanes, LANES_TOP, layoutLanes, markerColumns, paintLane, WHOLE } from "../../public/js/lib/lanes.js";
import { laneAt } from "../../public/js/lib/pointing.js";
import { block, code, failureMarkdown } from "../../public/js/lib/markdown.js";
import { marksOf, plainTags } from "../../public/js/lib/marks.js";
import { BETWEEN_CLASSES, FAIL, PASS } from "../../public/js/lib/status.js";
import { fullClassOf, makeTestSet, tagsOf } from "../../public/js/lib/testset.js";

/** @param {[string, number, number, string?, string[]?][]} rows name, from s, to s, status, tags */
function run(rows) {
  return makeTestSet(rows.map(([name, from, to, status = "success", tags = ["worker-0"]]) => ({ name, status, tags, timestamps: [new Date(from * 1000).toISOString(), new Date(to * 1000).toISOString()], duration: to - from })));
}

const tests = run([
  ["m.A.test_1", 0, 10],
  ["m.A.test_2", 12, 20],
  ["m.B.test_1", 25, 30, "fail"],
  ["m.C.test_1", 5, 12, "success", ["worker-1", "smoke"]],
  ["m.C.test_2", 12, 40, "success", ["worker-1", "slow"]],
]);

test("what a worker did when no test ran adds up to the whole run", () => {
  const { lanes, gaps } = findGaps(tests);
  assert.deepEqual(gaps.map((gap) => [gap.lane, gap.kind, gap.from_ms, gap.to_ms]), [[0, INSIDE, 10000, 12000], [0, BETWEEN, 20000, 25000], [0, AFTER, 30000, 40000], [1, BEFORE, 0, 5000]]);
  for (const lane of lanes) assert.equal(lane.busy_ms + lane.between_ms + lane.inside_ms + lane.edge_ms, 40000);
  assert.deepEqual(longestGaps(gaps, 2, 1000).map((gap) => gap.to_ms - gap.from_ms), [10000, 5000]);
});

test("tests that overlap on one worker are not counted twice", () => {
  const { lanes, gaps } = findGaps(run([["a.B.x", 0, 10], ["a.B.y", 2, 5], ["a.B.z", 6, 14], ["a.B.w", 14, 14]]));
  assert.equal(lanes[0].busy_ms, 14000);
  assert.deepEqual(gaps, []);
});

test("classes by their time, what came before them counted in", () => {
  const { gaps } = findGaps(tests);
  assert.deepEqual(classTimes(tests, gaps).map((one) => [one.name, one.tests, one.busy_ms, one.setup_ms, one.failed]), [["m.C", 2, 35000, 0, 0], ["m.A", 2, 18000, 0, 0], ["m.B", 1, 5000, 5000, 1]]);
  assert.equal(fullClassOf("setUpClass (a.b.C)"), "a.b.C");
  assert.equal(fullClassOf("a.b.C.test_x[smoke,id.1]"), "a.b.C");
  assert.equal(fullClassOf("plain"), "");
});

test("the time between classes is painted, and hides nothing", () => {
  const { gaps } = findGaps(tests);
  const into = new Uint8Array(8);
  paintLane(indexLanes(tests, gaps), 0, { from_ms: 0, to_ms: 40000 }, into, null, WHOLE);
  assert.deepEqual([...into], [PASS, PASS, PASS, PASS, BETWEEN_CLASSES, FAIL, 0, 0]);
});

test("markers of what the filter leaves", () => {
  const index = indexLanes(tests);
  const range = { from_ms: 0, to_ms: 40000 };
  assert.deepEqual(markerColumns(index, [FAIL], range, 40, 1), [30]);
  assert.deepEqual(markerColumns(index, [FAIL], range, 40, 1, Uint8Array.of(1, 1, 0, 1, 1)), []);
});

test("neighbours in time on every worker", () => {
  const [own, other] = neighboursOf(tests, 1);
  assert.deepEqual(own, { lane: 0, during: [], before: 0, after: 2 });
  assert.deepEqual(other, { lane: 1, during: [4], before: 3, after: -1 });
  assert.deepEqual(neighboursOf(run([["a", 0, 0], ["b", 0, 0], ["c", 0, 0]]), 1)[0], { lane: 0, during: [], before: 0, after: 2 });
});

test("filters: words, expressions, tag, duration, status, all together", () => {
  const all = { text: "", statuses: [], tag: "", least: 0 };
  assert.equal(applyFilter(tests, all).mask, null);
  assert.deepEqual([...(applyFilter(tests, { ...all, least: 8 }).mask ?? [])], [1, 1, 0, 0, 1]);
  assert.deepEqual([...(applyFilter(tests, { ...all, tag: "smoke" }).mask ?? [])], [0, 0, 0, 1, 0]);
  assert.deepEqual([...(applyFilter(tests, { ...all, text: "test_1 m.", statuses: ["pass"] }).mask ?? [])], [1, 0, 0, 1, 0]);
  assert.equal(applyFilter(tests, { ...all, text: "/_1$/", tag: "smoke" }, Uint8Array.of(1, 0, 1, 1, 0)).count, 1);
  assert.deepEqual(tagsOf(tests), [{ tag: "slow", count: 1 }, { tag: "smoke", count: 1 }]);
});

test("what is an expression, and what is words", () => {
  assert.deepEqual(patternOf("/a.b/i"), { source: "a.b", anyCase: true });
  assert.deepEqual(patternOf("/a/b/"), { source: "a/b", anyCase: false });
  assert.deepEqual(patternOf("/half"), { source: "half", anyCase: false });
  assert.equal(patternOf("/"), null);
  assert.equal(patternOf("a/b"), null);
});

test("the slowest without sorting are the slowest with it", () => {
  assert.deepEqual(slowestTests(tests, 3), [...sortTests(tests, null, "duration", true)].slice(0, 3));
  assert.deepEqual([...sortTests(tests, null, "start", true)], [...tests.byStart].reverse());
});

test("lanes of several hosts bear their names", () => {
  const hosts = run([["a", 0, 1, "success", ["worker-0", "host:one"]], ["b", 0, 1, "success", ["worker-1", "host:two"]], ["c", 1, 2, "success", ["worker-2", "host:two"]], ["d", 2, 3, "success", ["worker-2", "host:one"]]]);
  assert.deepEqual(hosts.workers, ["one #0", "two #1", "worker 2"]);
});

test("folded lanes are thin, and every height belongs to a lane", () => {
  const layout = layoutLanes(["a", "b", "c"], ["b", "gone"]);
  assert.deepEqual(layout.heights, [24, FOLDED, 24]);
  assert.deepEqual([LANES_TOP - 1, LANES_TOP, layout.tops[1], layout.tops[2] + 5, layout.whole + 5].map((y) => laneAt(layout, y)), [-1, 0, 1, 2, -1]);
  assert.ok(layoutLanes(Array.from({ length: 100 }, (_, i) => String(i)), []).heights[0] < 10);
});

test("marks are words, other tags stay tags", () => {
  assert.deepEqual(marksOf(["flaky", "smoke", "estimated", "orig:worker-9", "unfinished"]).map(({ word }) => word), ["flaky", "estimated", "unfinished"]);
  assert.deepEqual(plainTags(["flaky", "smoke", "orig:worker-9"]), ["smoke"]);
});

test("a comment in which no name can break out of its quotes", () => {
  assert.equal(code("a `b` ``c``"), "``` a `b` ``c`` ```");
  assert.equal(code("x\n\n# y"), "`x # y`");
  assert.equal(block("a\n```\nb"), "````\na\n```\nb\n````");
  assert.equal(block(Array.from({ length: 40 }, (_, i) => String(i)).join("\n")).split("\n").length, 14);
  const told = { name: "m.A.test_1", result: "failed", when: "12:00 UTC", where: "worker 1", link: "http://x/s/1/#test=a(b)" };
  const text = failureMarkdown({ name: "job", change_id: 12, revision: 3 }, [told], "Boom");
  assert.equal(text, "`m.A.test_1` **failed** in `job` (change 12,3)\n\nworker 1, 12:00 UTC, [details](http://x/s/1/#test=a%28b%29)\n\n```\nBoom\n```\n");
  assert.match(failureMarkdown({ name: "job" }, Array.from({ length: 25 }, () => told), "x"), /25 tests.*\n\n(- .*\n){20}- and 5 more\n/);
});
