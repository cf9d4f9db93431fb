// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { counted, formatBytes, formatCount, formatLength, formatMoment, formatPercent, niceMax, timeTicks } from "../../public/js/lib/format.js";
import { formatAgo, formatFull, formatSpan } from "../../public/js/lib/moments.js";

const NOON = Date.UTC(2016, 5, 1, 12, 0, 0);

test("a length is as exact as it deserves, and short tests are not all zero", () => {
  const cases = /** @type {[number, string][]} */ ([[0, "0 s"], [0.0000005, "< 1 ms"], [0.0034, "3 ms"], [0.42, "0.42 s"], [12.34, "12.3 s"], [59.96, "1m 00s"], [245, "4m 05s"], [3800, "1h 03m 20s"]]);
  for (const [seconds, text] of cases) assert.equal(formatLength(seconds), text);
  assert.equal(formatLength(NaN), "unknown");
});

test("a moment in UTC, and from the start, on either side of it", () => {
  assert.equal(formatMoment(NOON + 61234, "utc", NOON, 3), "12:01:01.234");
  assert.equal(formatMoment(NOON + 61999, "utc", NOON), "12:01:01");
  assert.equal(formatMoment(NOON + 61234, "start", NOON), "+1:01");
  assert.equal(formatMoment(NOON - 5000, "start", NOON), "-0:05");
  assert.equal(formatMoment(NOON + 3723400, "start", NOON, 1), "+1:02:03.4");
  assert.equal(formatFull(NOON + 5, "utc", NOON), "2016-06-01 12:00:00.005 UTC");
});

test("a span says its day and zone once", () => {
  assert.equal(formatSpan(NOON, NOON + 1500, "utc", NOON), "2016-06-01 12:00:00.000 to 12:00:01.500 UTC");
  assert.equal(formatSpan(NOON, NOON + 43200e3, "utc", NOON), "2016-06-01 12:00:00.000 to 2016-06-02 00:00:00.000 UTC");
  assert.equal(formatSpan(NOON, NOON + 1500, "start", NOON), "+0:00.000 to +0:01.500 from the start");
});

test("how long ago", () => {
  assert.equal(formatAgo(NOON, NOON + 30000), "just now");
  assert.equal(formatAgo(NOON, NOON + 3600e3), "1 hour ago");
  assert.equal(formatAgo(NOON + 10, NOON), "just now");
});

test("marks of the axis are round, inside, and never more than there is room for", () => {
  const ticks = timeTicks(NOON + 1234, NOON + 3600e3, 8, "utc", NOON);
  assert.ok(ticks.length >= 3 && ticks.length <= 8);
  assert.ok(ticks.every((tick) => tick.ms % 600e3 === 0 && tick.ms >= NOON + 1234 && tick.ms <= NOON + 3600e3));
  assert.equal(ticks[0].label, "12:10");
  assert.deepEqual(timeTicks(NOON + 500, NOON + 2600, 3, "start", NOON).map((tick) => tick.label), ["+0:01", "+0:02"]);
  assert.equal(timeTicks(NOON, NOON + 40, 4, "utc", NOON)[1].label, "12:00:00.01");
  assert.deepEqual(timeTicks(NOON, NOON, 4, "utc", NOON), []);
});

test("scales end on round numbers that nothing is above", () => {
  assert.equal(niceMax(3.2 * 1024 ** 3, 1024), 4 * 1024 ** 3);
  assert.equal(niceMax(71, 1000), 80);
  assert.equal(niceMax(0, 1000), 1);
  for (const value of [1, 7.3, 999, 1023, 1024, 5e9]) assert.ok(niceMax(value, 1024) >= value);
});

test("quantities", () => {
  assert.equal(formatBytes(0), "0 B");
  assert.equal(formatBytes(1536), "1.50 KiB");
  assert.equal(formatBytes(80 * 1024 ** 2), "80 MiB");
  assert.equal(formatBytes(NaN), "–");
  assert.equal(formatPercent(9.96), "10 %");
  assert.equal(formatPercent(0.31), "0.3 %");
  assert.equal(formatCount(1234567), "1,234,567");
  assert.equal(counted(1, "test"), "1 test");
  assert.equal(counted(1500, "test"), "1,500 tests");
});
