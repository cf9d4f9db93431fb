// SPDX-License-Identifier: Apache-2.0
// Consoles of any size: lines out of blocks, the scan of all of them, the scroll bar, the tree.
import assert from "node:assert/strict";
import { test } from "node:test";
import { allRows, blockAtTime, consoleLines, dateMs, formatLines, lastState, leveledLines, parseLines, someRows, toneOf } from "../../public/js/lib/consolelines.js";
import { makeScan } from "../../public/js/lib/logscan.js";
import { ExpressionError } from "../../public/js/lib/exprparse.js";
import { failureAt, groupSections, sectionOf } from "../../public/js/lib/outline.js";
import { MOST_PX, scrollMap } from "../../public/js/lib/scrollmap.js";

/** @typedef {[text: string, level?: string]} Given */

/** As the server lays it out. @param {Given[][]} sections */
function layOut(sections) {
  const scripts = sections.map((lines, i) => `{"name":"s${i}","lines":[\n${lines.map(([line, level]) => JSON.stringify({ date: i % 2 ? "" : "2016-06-01 12:00:00.123", line, ...(level ? { level } : {}) })).join(",\n")}\n]}`);
  return `{"status":"FAILURE","remaining":[],"scripts":[\n${scripts.join(",\n")}\n]}\n`;
}

/** @type {Given[][]} */
const SECTIONS = [
  [["a, }"], ['say "date":" \\n tab\there'], ["ERROR: it broke", "ERROR"]],
  [["caf\u00e9 STRASSE"], ['","level":"ERROR'], ["", "WARNING"], ["line İ of Istanbul"]],
  [["the end", "CRITICAL"]],
];
const ALL = SECTIONS.flat();

test("lines out of a block, heads passed over, levels as the server gave them", () => {
  const lines = consoleLines(layOut(SECTIONS), 40);
  assert.deepEqual(lines.map(({ number, text }) => [number, text]), ALL.map(([text], i) => [40 + i, text]));
  assert.deepEqual(lines.map(({ level }) => toneOf(level)), ["", "", "error", "", "", "warning", "", "error"]);
});

test("a scan finds what looking at each line finds, however the text is cut", () => {
  const text = layOut(SECTIONS);
  for (const exact of [false, true]) {
    for (const [words, pattern] of /** @type {[string, boolean][]} */ ([["error", false], ["ERROR", false], ["date", false], ["line", false], ["level", false], ['"', false], ["\\", false], ["n tab", false], ["\t", false], ["t", false], ["é s", false], ["i", false], ["İ", false], [",", false], ["a", false], ["^$", true], ["b.o", true], ["\\bthe\\b|caf", true], ['":"', true], ["bro(?:ke|wn)", true], ["STRASS[ef]", true], ["^the", true], ["date.*n", true], ["level", true], ["here$", true], ["^line .* Istanbul$", true]])) {
      const question = { text: words, exact, pattern };
      /** @param {string} line */
      const has = (line) => (pattern ? new RegExp(words, exact ? "" : "i").test(line) : exact ? line.includes(words) : line.toLowerCase().includes(words.toLowerCase()));
      const expected = ALL.flatMap(([line], i) => (has(line) ? [i] : []));
      for (const size of [1, 7, 64, 1e6]) {
        const scan = makeScan(question, ALL.length);
        for (let at = 0; at < text.length; at += size) scan.feed(text.slice(at, at + size));
        const { hits, levels, lines } = scan.done();
        assert.deepEqual([...hits], expected, `${words} ${exact} by ${size}`);
        assert.deepEqual([...levels], [0, 0, 2, 0, 0, 1, 0, 3]);
        assert.equal(lines, ALL.length);
      }
    }
  }
});

test("more hits than there was room for at first", () => {
  const text = layOut([Array.from({ length: 5000 }, (_, n) => /** @type {Given} */ ([`line ${n}`]))]);
  const scan = makeScan({ text: "line", exact: true, pattern: false }, 5000);
  scan.feed(text);
  assert.equal(scan.done().hits.length, 5000);
  assert.throws(() => makeScan({ text: "(", exact: true, pattern: true }, 1), ExpressionError);
});

test("links to lines, in any order, and what is none", () => {
  assert.deepEqual(parseLines("L10-L20"), [9, 19]);
  assert.deepEqual(parseLines("20-10"), [9, 19]);
  assert.deepEqual(parseLines(" L7 "), [6, 6]);
  for (const word of ["", "L0", "L", "L1-L", "L1-L2-L3", "x", "L123456789"]) assert.equal(parseLines(word), null, word);
  assert.equal(formatLines([9, 19]), "L10-L20");
  assert.equal(formatLines([6, 6]), "L7");
});

test("what a line wrote over itself is folded to its last state", () => {
  assert.deepEqual(lastState("10 %␍20 %␍100 %"), { from: 10, to: 15, hidden: 2 });
  assert.deepEqual(lastState("done␍"), { from: 0, to: 4, hidden: 0 });
  assert.deepEqual(lastState("␍␍"), { from: 0, to: 0, hidden: 0 });
  assert.deepEqual(lastState("plain"), { from: 0, to: 5, hidden: 0 });
});

test("rows: all of a stretch, or some lines", () => {
  const all = allRows(10, 20);
  assert.deepEqual([all.count, all.at(0), all.rowOf(15), all.rowOf(3), all.rowOf(99)], [10, 10, 5, 0, 9]);
  const some = someRows(Uint32Array.of(3, 8, 100));
  assert.deepEqual([some.count, some.at(2), some.rowOf(8), some.rowOf(9), some.rowOf(0), some.rowOf(1000)], [3, 100, 1, 2, 0, 2]);
  assert.deepEqual([...leveledLines(Uint8Array.of(0, 1, 2, 3, 2), 2, 1, 4)], [2, 3]);
});

test("moments of lines and of blocks, also where some have none", () => {
  assert.equal(dateMs("2016-06-01 12:00:00.123"), Date.UTC(2016, 5, 1, 12, 0, 0, 123));
  assert.equal(dateMs("2016-06-01 12:00:00"), Date.UTC(2016, 5, 1, 12));
  assert.ok(Number.isNaN(dateMs("")));
  /** @type {[number, number, number, number, number, number|null][]} */
  const blocks = [100, null, 200, 300].map((ms, i) => [0, 0, 0, 0, i * 10, ms]);
  assert.deepEqual([0, 100, 150, 200, 201, 999].map((ms) => blockAtTime(blocks, ms)), [0, 0, 0, 0, 2, 3]);
});

test("the scroll bar of a million rows reaches each of them, and that of few is exact", () => {
  const few = scrollMap(1000, 18, 600);
  assert.equal(few.high_px, 18000);
  assert.equal(few.topOf(500), 9000);
  assert.ok(Math.abs(few.rowOf(9000) - 500) < 0.001);
  const many = scrollMap(1e6, 18, 600);
  assert.equal(many.high_px, MOST_PX);
  for (const row of [0, 1, 12345, 500000, 999960]) assert.ok(Math.abs(many.rowOf(many.topOf(row)) - row) < 2, String(row));
  assert.ok(many.atEnd(MOST_PX - 600));
  assert.equal(scrollMap(3, 18, 600).topOf(2), 0);
  assert.equal(scrollMap(0, 18, 600).rowOf(10), 0);
});

/** @param {string} name @param {number} first @param {number} ms */
const section = (name, first, ms) => ({ name, first, count: 10, start_ms: ms, end_ms: ms + 1000 });
const ZUUL = [section("setup", 0, 0), section("run: playbooks/x.yaml", 10, 1000), section("run: playbooks/x.yaml | role : do it", 20, 2000), section("run: playbooks/x.yaml | role : do it", 30, 9000), section("post: playbooks/y.yaml", 40, 20000), section("post: playbooks/y.yaml | role : do it", 50, 21000)];

test("playbooks with their tasks; other sections alone", () => {
  const groups = groupSections(ZUUL);
  assert.deepEqual(groups.map(({ name, leaves, first, last, took_ms }) => [name, leaves.length, first, last, took_ms]), [["setup", 1, 0, 9, 1000], ["run: playbooks/x.yaml", 3, 10, 39, 9000], ["post: playbooks/y.yaml", 2, 40, 59, 2000]]);
  assert.deepEqual(groups[1].leaves.map(({ label }) => label), ["(beginning)", "role : do it", "role : do it"]);
});

test("the failing task is found in the console: of its name the nearest in time", () => {
  const task = { name: "do it", role: "role", start_ms: 8900, hosts: { node: { result: "failed", rc: 2, msg: "non-zero", stderr: "bad", sgr: { stderr: "0+3:1" } } } };
  const output = { failed: null, failures: [], playbooks: [{ playbook: "opendev.org/a/playbooks/x.yaml", phase: "run", plays: [{ tasks: [task] }] }] };
  const failure = failureAt(output, { playbook: 0, play: 0, task: 0, host: "node" });
  assert.ok(failure);
  assert.deepEqual([failure.title, failure.rc, failure.texts], ["role : do it", 2, [["msg", "non-zero", ""], ["stderr", "bad", "0+3:1"]]]);
  assert.equal(sectionOf(ZUUL, failure)?.first, 30);
  const whole = failureAt(output, { playbook: 0, play: null, task: null, host: null });
  assert.ok(whole);
  assert.equal(sectionOf(ZUUL, whole)?.first, 30);
  assert.equal(failureAt(output, { playbook: 7, play: 0, task: 0, host: null }), null);
});
