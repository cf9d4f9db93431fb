// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDstat } from "../../public/js/lib/dstat.js";
import { findRows, linesOf, logLines } from "../../public/js/lib/loglines.js";
import { chartsOf, columnEdges, reduceColumns } from "../../public/js/lib/metrics.js";
import { otherCharts } from "../../public/js/lib/othercharts.js";
import { overStretch } from "../../public/js/lib/window.js";

const LOG = logLines(
  [
    "before any record",
    "2016-06-01 12:00:00,123 4711 DEBUG    [tempest.lib] Request",
    "    Body: ERROR is only a word here",
    "2016-06-01 12:00:01.5 ERROR nova.compute [req-1] it broke",
    "Traceback (most recent call last):",
    "",
    "ValueError: INFO",
    "2016-06-01T12:00:02Z INFO fine",
    "WARNING: python's own",
    "",
  ].join("\n"),
);

test("a filter by level takes no record apart", () => {
  assert.equal(LOG.lines.length, 9);
  assert.deepEqual([...linesOf(LOG, "error")], [0, 3, 4, 5, 6]);
  assert.deepEqual([...linesOf(LOG, "warning")], [0, 3, 4, 5, 6, 8]);
  assert.deepEqual([...linesOf(LOG, "info")], [0, 3, 4, 5, 6, 7, 8]);
  assert.equal(linesOf(LOG, "").length, 9);
  assert.equal(logLines("plain\nERRORS are words").leveled, false);
});

test("a search counts lines among those that are shown", () => {
  assert.deepEqual(findRows(LOG, linesOf(LOG, ""), "error"), [2, 3, 6]);
  assert.deepEqual(findRows(LOG, linesOf(LOG, "error"), "ERROR"), [1, 4]);
  assert.deepEqual(findRows(LOG, linesOf(LOG, ""), ""), []);
});


test("empty cells are no zeros, signs and exponents are read", () => {
  const text = ['"memory_tracker"', '"system","memory usage",,"load avg",', '"time","used","free","1m","odd"', "01-06 12:00:00,100,,1e3,-2.5", "01-06 12:00:20,,5,  ,.5", "01-06 12:00:40,300,7,2,x", "01-06 12:01:00,12345678901234567890,8"].join("\n");
  const dstat = parseDstat(text, Date.UTC(2016, 5, 1));
  assert.ok(dstat);
  assert.deepEqual([...(dstat.columns.get("memory_usage/used") ?? [])], [100, NaN, 300, Math.fround(1.2345678901234567e19)]);
  assert.deepEqual([...(dstat.columns.get("load_avg/1m") ?? [])], [1000, NaN, 2, NaN]);
  assert.deepEqual([...(dstat.columns.get("load_avg/odd") ?? [])], [-2.5, 0.5, NaN, NaN]);
  assert.deepEqual(chartsOf(dstat).map((chart) => chart.key), ["memory", "load"]);
  assert.deepEqual(otherCharts(dstat).map((chart) => chart.key), ["memory_usage/free", "load_avg/odd"]);
  const at = Date.UTC(2016, 5, 1, 12);
  assert.deepEqual(overStretch(dstat, chartsOf(dstat).slice(0, 1), at, at + 40000).map(({ mean, peak }) => [mean, peak]), [["200 B", "300 B"]]);
  assert.deepEqual(overStretch(dstat, chartsOf(dstat), at + 9e6, at + 9.1e6), []);
});

test("many rows a pixel: buckets say what the rows say", () => {
  const count = 5003;
  const time = Float64Array.from({ length: count }, (_, i) => i);
  const values = Float32Array.from({ length: count }, (_, i) => (i % 97 === 0 ? NaN : (i * 7919) % 1009));
  const edges = columnEdges(time, { from_ms: 3.5, to_ms: 4990 }, 40);
  const { low, high, mean } = reduceColumns(values, edges);
  for (let x = 0; x < 40; x += 1) {
    const rows = [...values.subarray(edges[x], edges[x + 1])].filter((value) => !Number.isNaN(value));
    assert.equal(low[x], Math.min(...rows));
    assert.equal(high[x], Math.max(...rows));
    assert.ok(Math.abs(mean[x] - rows.reduce((sum, value) => sum + value, 0) / rows.length) < 1e-3);
  }
});
