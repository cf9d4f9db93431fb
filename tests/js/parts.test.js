// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, findDetails } from "../../public/js/lib/blocks.js";
import { parseDstat } from "../../public/js/lib/dstat.js";
import { chartsOf, columnEdges, reduceColumns, sampleRange, total } from "../../public/js/lib/metrics.js";
import { rowAt } from "../../public/js/lib/window.js";
import { DEFAULT_STATE, formatState, parseState } from "../../public/js/lib/urlstate.js";

const HEAD = [
  '"Dstat 0.7.3 CSV output"',
  '"Author:","x",,,,"URL:","y"',
  '"Host:","vm",,,,"User:","root"',
  '"Cmdline:","dstat",,,,"Date:","z"',
  '"system","total cpu usage",,,"memory usage","net/total",',
  '"time","usr","sys","wai","used","recv","send"',
];

test("dstat as columns; the year is the run's", () => {
  const dstat = parseDstat([...HEAD, "01-06 12:00:00,10,5,1,1e9,3,4", "01-06 12:00:01,20,6,,1e9,3,4", ""].join("\n"), Date.UTC(2016, 5, 1));
  assert.ok(dstat);
  assert.deepEqual([...dstat.time], [Date.UTC(2016, 5, 1, 12), Date.UTC(2016, 5, 1, 12, 0, 1)]);
  assert.deepEqual([...(dstat.columns.get("total_cpu_usage/usr") ?? [])], [10, 20]);
  assert.ok(Number.isNaN(dstat.columns.get("total_cpu_usage/wai")?.[1]));
  assert.equal(dstat.step_ms, 1000);
  assert.deepEqual(chartsOf(dstat).map((chart) => [chart.key, chart.series.length]), [["cpu", 3], ["memory", 1], ["network", 2]]);
});

test("rows on both sides of New Year, from either side", () => {
  const text = [...HEAD, "31-12 23:59:59,1,1,1,1,1,1", "01-01 00:00:00,2,1,1,1,1,1"].join("\n");
  for (const near of [Date.UTC(2016, 11, 31, 23), Date.UTC(2017, 0, 1, 1)]) {
    assert.deepEqual([...(parseDstat(text, near)?.time ?? [])], [Date.UTC(2016, 11, 31, 23, 59, 59), Date.UTC(2017, 0, 1)]);
  }
});

test("a header in the middle, an empty line in the head, and rows out of order", () => {
  const text = [...HEAD.slice(0, 4), "", ...HEAD.slice(4), "01-06 12:00:00,10,5,1,1,3,4", ...HEAD, "01-06 11:00:00,9,9,9,9,9,9", "01-06 12:00:05,20,5,1,1,3,4"].join("\n");
  assert.deepEqual([...(parseDstat(text, Date.UTC(2016, 5, 1))?.columns.get("total_cpu_usage/usr") ?? [])], [10, 20]);
  assert.equal(parseDstat(HEAD.join("\n"), 0), null);
  assert.equal(parseDstat("<html>", 0), null);
});

test("peaks survive when many rows fall on a pixel", () => {
  const time = Float64Array.from({ length: 100 }, (_, i) => i * 10);
  const values = Float32Array.from({ length: 100 }, (_, i) => (i === 37 ? 99 : 1));
  const edges = columnEdges(time, { from_ms: 0, to_ms: 1000 }, 4);
  const { low, high, mean } = reduceColumns(values, edges);
  assert.deepEqual([...high], [1, 99, 1, 1]);
  assert.deepEqual([...low], [1, 1, 1, 1]);
  assert.ok(mean[1] > 1 && mean[1] < 99);
  const outside = reduceColumns(values, columnEdges(time, { from_ms: 5000, to_ms: 6000 }, 2));
  assert.ok(outside.high.every(Number.isNaN));
});

test("the row at a moment, and none where nothing was measured", () => {
  const dstat = { time: Float64Array.of(0, 1000, 2000, 60000), columns: new Map(), step_ms: 1000 };
  assert.equal(rowAt(dstat, 1400), 1);
  assert.equal(rowAt(dstat, 1600), 2);
  assert.equal(rowAt(dstat, 30000), -1);
  assert.equal(rowAt(dstat, 61000), 3);
});

test("close up the rows themselves are drawn, with a neighbour on each side", () => {
  const dstat = { time: Float64Array.of(0, 1000, 2000, 3000), columns: new Map(), step_ms: 1000 };
  const near = sampleRange(dstat, { from_ms: 1200, to_ms: 1300 }, 100);
  assert.deepEqual([...near.x], [-200, 800]);
  assert.deepEqual([...near.reduce(Float32Array.of(1, 2, 3, 4)).mean], [2, 3]);
  const far = sampleRange(dstat, { from_ms: 0, to_ms: 4000 }, 2);
  assert.deepEqual([...far.reduce(Float32Array.of(1, 2, 3, 9)).high], [2, 9]);
});

test("a stack's peaks are those of moments that were", () => {
  const sum = total([{ label: "a", colour: 1, values: Float32Array.of(90, 10) }, { label: "b", colour: 2, values: Float32Array.of(5, NaN) }]);
  assert.deepEqual([...sum], [95, 10]);
});

/** @param {number[]} firsts @returns {import("../../public/js/lib/types.js").BlockIndex} */
const index = (firsts) => ({ version: 1, unit: "line", plain_size: 1, blocks: firsts.map((first) => [0, 1, 1, 0, first, null]) });

test("the block of a line", () => {
  assert.deepEqual(blocksOf(index([0, 10, 20]), 0), { first: 0, last: 0 });
  assert.deepEqual(blocksOf(index([0, 10, 20]), 19), { first: 1, last: 1 });
  assert.deepEqual(blocksOf(index([0, 10, 20]), 500), { first: 2, last: 2 });
  assert.deepEqual(blocksOf(index([0, 10, 10, 20]), 10), { first: 1, last: 2 });
  assert.deepEqual(blocksOf(index([4]), 1), { first: 0, last: 0 });
});

test("details out of any block: the first, the last, one in the middle", () => {
  const odd = 'a"b\\c [é] <img>';
  const line = `${JSON.stringify(odd)}:{"traceback":"x\\ny"}`;
  for (const text of [`{\n${line},\n"other":{"stdout":"1"},\n`, `"other":{},\n${line}\n}\n`, line]) assert.deepEqual(findDetails(text, odd), { traceback: "x\ny" });
  assert.equal(findDetails(`{\n${line}\n}`, "other"), null);
  assert.equal(findDetails("{\n}\n", odd), null);
  assert.deepEqual(findDetails('"caf\\u00e9":{"a":"b"},\n', "café"), { a: "b" });
});

test("the state survives its own address", () => {
  /** @type {import("../../public/js/lib/urlstate.js").ViewState} */
  const state = { group: "a b/c.subunit", range: [1.5, 300.123], test: "x[a=1,b].test é&#% +", text: "foo bar", statuses: ["fail", "skip"], tag: "smoke", least: 2.5, zone: "start", sort: "duration", descending: true, folded: ["worker 1", "a,b%"], charts: ["cpu"], hosts: ["h/x.csv"], attachments: ["pythonlogging:''", "a,b"], turned: ["f12.3", "same"], row: 120, level: "error", find: "x & y", more: { "L10-L20": "", console: "a=b" } };
  assert.deepEqual(parseState(formatState(state)), state);
  assert.deepEqual(parseState(formatState({ ...state, charts: [] })).charts, []);
  assert.equal(formatState({ ...DEFAULT_STATE }), "");
});

test("whatever an address holds is a proper state", () => {
  for (const hash of ["", "#", "#t=5~1&zone=mars&sort=-evil&status=a,fail,&test=%E0%A4%A", "#t=1e999~2", "#/old/route?x"]) {
    const state = parseState(hash);
    assert.equal(state.range, null);
    assert.equal(state.zone, "utc");
    assert.equal(state.sort, "start");
    assert.ok(state.statuses.every((status) => status === "fail"));
  }
});
