// SPDX-License-Identifier: Apache-2.0
// Texts of strangers: cut, coloured, searched and read in parts, none of which loses or makes up anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase64, toBase64 } from "../../public/js/lib/base64.js";
import { blocksOf, findDetails } from "../../public/js/lib/blocks.js";
import { consoleLines, lastState, LEVELS } from "../../public/js/lib/consolelines.js";
import { makeExpression } from "../../public/js/lib/expression.js";
import { ExpressionError } from "../../public/js/lib/exprparse.js";
import { formatCount, formatLength, niceMax, timeTicks, visible } from "../../public/js/lib/format.js";
import { logLines } from "../../public/js/lib/loglines.js";
import { makeScan } from "../../public/js/lib/logscan.js";
import { block, code } from "../../public/js/lib/markdown.js";
import { readQuestion } from "../../public/js/lib/question.js";
import { parseRuns, piecesOf } from "../../public/js/lib/sgr.js";
import { lookUp } from "../../public/js/looking.js";
import { anyText, between, cut, fc, wholeText } from "./properties.js";

const colours = fc.array(fc.tuple(fc.nat(30), fc.nat(12), fc.constantFrom("B1", "U/4", "SI", "f/0", "x", "")), { maxLength: 6 }).map((runs) => runs.map(([at, length, look]) => `${at}+${length}:${look}`).join(" "));

test("pieces of a coloured line are the line", () => {
  const hits = fc.array(fc.tuple(fc.nat(10), fc.integer({ min: 1, max: 9 })), { maxLength: 4 }).map((steps) => {
    let at = 0;
    return steps.map(([gap, length]) => /** @type {[number, number]} */ ([(at += gap), (at += length) - (at - length) && length]));
  });
  fc.assert(fc.property(anyText, colours, hits, fc.nat(40), fc.nat(40), (text, stored, found, a, b) => {
    const [from, to] = [a, b].map((at) => at % (text.length + 1)).sort((x, y) => x - y);
    const runs = parseRuns(stored);
    for (let i = 1; i < runs.length; i += 1) assert.ok(runs[i].start >= runs[i - 1].end);
    const pieces = piecesOf(text, from, to, runs, found);
    assert.equal(pieces.map((piece) => piece.text).join(""), text.slice(from, to));
    assert.ok(pieces.every((piece) => piece.text !== ""));
    let at = from;
    for (const piece of pieces) {
      for (let place = at; place < at + piece.text.length; place += 1) {
        assert.equal(piece.hit, found.some(([start, length]) => start <= place && place < start + length));
        assert.equal(piece.classes, runs.find((run) => run.start <= place && place < run.end)?.classes ?? "");
      }
      at += piece.text.length;
    }
  }));
  fc.assert(fc.property(anyText, (words) => assert.ok(parseRuns(words).every((run) => run.start <= run.end))));
});

const line = fc.record({ text: anyText.map((text) => text.replace(/\n/g, " ")), level: fc.constantFrom(...LEVELS) });
/** As the server lays a console out. @param {readonly {text: string, level: string}[]} lines */
const laidOut = (lines) => `{"scripts":[{"name":"a","lines":[\n${lines.map(({ text, level }) => JSON.stringify({ date: "2016-06-01 12:00:00.000", line: text, ...(level && { level }) })).join(",\n")}\n]}]}`;
const question = fc.record({ text: fc.oneof(anyText, fc.constantFrom("a", "1 ", "\\", "\"", "İ", "k", "ss")), exact: fc.boolean(), pattern: fc.constant(false) }).filter(({ text }) => text !== "");

test("a console is searched as its lines are, however it is cut", () => {
  fc.assert(fc.property(fc.array(line, { maxLength: 12 }), question, fc.array(fc.nat(2000), { maxLength: 6 }), (lines, asked, places) => {
    const text = laidOut(lines);
    const scan = makeScan(asked, lines.length);
    for (const piece of cut(text, places)) scan.feed(piece);
    const { hits, levels, lines: count } = scan.done();
    assert.equal(count, lines.length);
    assert.deepEqual([...levels], lines.map(({ level }) => LEVELS.indexOf(level)));
    const fold = (/** @type {string} */ one) => (asked.exact ? one : one.toLowerCase());
    assert.deepEqual([...hits], lines.flatMap((one, n) => (fold(one.text).includes(fold(asked.text)) ? [n] : [])));
    assert.deepEqual(consoleLines(text, 0).map((one) => [one.text, LEVELS[one.level]]), lines.map((one) => [one.text, one.level]));
  }));
});

test("what is marked in a line is what was asked for", () => {
  const repetitive = fc.string({ unit: fc.constantFrom("a", "A", "b"), maxLength: 20 });
  const short = fc.record({ text: fc.constantFrom("a", "aa", "aba", "B"), exact: fc.boolean(), pattern: fc.constant(false) });
  fc.assert(fc.property(fc.oneof(anyText, repetitive), fc.oneof(question, short), (text, asked) => {
    const { fits, places } = readQuestion(asked);
    const fold = (/** @type {string} */ one) => (asked.exact ? one : one.toLowerCase());
    let end = 0;
    if (fold(text).length === text.length) assert.equal(places(text).length, fold(text).split(fold(asked.text)).length - 1);
    for (const [at, length] of places(text)) {
      assert.ok(at >= end);
      assert.equal(fold(text.slice(at, at + length)), fold(asked.text));
      end = at + length;
    }
    assert.equal(fits(text, 0, text.length), fold(text).includes(fold(asked.text)));
  }));
});

test("an expression of any characters is RegExp's, or is refused in words", () => {
  const source = fc.array(fc.constantFrom("a", "b", "é", ".", "*", "+", "?", "|", "(", ")", "(?:", "[", "]", "^", "$", "\\b", "\\w", "\\", "{2}", "{,", "-", "\n", "K"), { maxLength: 10 }).map((units) => units.join(""));
  fc.assert(fc.property(source, fc.array(fc.constantFrom("a", "b", "é", "K", "k", " ", "\n", "-"), { maxLength: 12 }).map((units) => units.join("")), fc.boolean(), (pattern, text, anyCase) => {
    let ours;
    try {
      ours = makeExpression(pattern, { anyCase });
    } catch (error) {
      assert.ok(error instanceof ExpressionError && error.message.length > 10, `${pattern}: ${error}`);
      return;
    }
    const theirs = new RegExp(pattern, anyCase ? "i" : "");
    assert.equal(ours.fits(text), theirs.test(text), `${pattern} in ${JSON.stringify(text)}`);
    assert.ok(!ours.fits(text) || (anyCase ? text.toLowerCase() : text).includes(ours.needle));
  }), { numRuns: 2000 });
});

test("a test's attachments are found in the block that has them, whatever their names", () => {
  fc.assert(fc.property(fc.uniqueArray(anyText, { minLength: 1, maxLength: 6 }), anyText, (names, value) => {
    const text = `{\n${names.map((name, n) => `${JSON.stringify(name)}:${JSON.stringify({ traceback: `${n}${value}` })}`).join(",\n")}\n}\n`;
    names.forEach((name, n) => assert.deepEqual(findDetails(text, name), { traceback: `${n}${value}` }));
    assert.equal(findDetails(text, `${names.join("")}!`), null);
  }));
  fc.assert(fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }), fc.nat(40), (steps, ordinal) => {
    let at = 0;
    const blocks = steps.map((step, i) => /** @type {[number, number, number, number, number, null]} */ ([0, 0, 0, 0, i === 0 ? 0 : (at += step), null]));
    const { first, last } = blocksOf(/** @type {any} */ ({ blocks }), ordinal);
    blocks.forEach((one, i) => {
      // The last that begins at or before it, and those before that that begin with it.
      if (one[4] <= ordinal && (i === blocks.length - 1 || blocks[i + 1][4] > ordinal)) assert.equal(last, i);
      if (one[4] === ordinal) assert.ok(first <= Math.max(i, 1) && i <= last);
    });
    assert.ok(first <= last);
  }));
});

test("an answer in lines is read alike however its bytes are cut", async () => {
  const job = fc.record({ name: wholeText }, { noNullPrototype: true });
  const parts = fc.array(fc.record({ results: fc.array(job, { maxLength: 3 }), asking: fc.constant(["a.example"]) }, { noNullPrototype: true }), { maxLength: 4 });
  const { fetch } = globalThis;
  try {
    await fc.assert(fc.asyncProperty(parts, fc.array(job, { maxLength: 3 }), fc.array(fc.nat(3000), { maxLength: 8 }), async (before, results, places) => {
      const bytes = new TextEncoder().encode([...before, { results }].map((one) => `${JSON.stringify(one)}\n`).join(""));
      const borders = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const body = new ReadableStream({
        start(controller) {
          borders.slice(1).forEach((to, i) => to > borders[i] && controller.enqueue(bytes.slice(borders[i], to)));
          controller.close();
        },
      });
      globalThis.fetch = async () => new Response(body, { headers: { "Content-Type": "application/x-ndjson" } });
      /** @type {unknown[]} */
      const heard = [];
      assert.deepEqual(await lookUp("1", (part) => heard.push(part)), { results });
      assert.deepEqual(heard, before);
    }), { numRuns: 60 });
  } finally {
    globalThis.fetch = fetch;
  }
});

test("of a line that wrote over itself a state is left that it had", () => {
  fc.assert(fc.property(fc.array(anyText.map((text) => text.replaceAll("␍", "")), { maxLength: 5 }), (states) => {
    const text = states.join("␍");
    const { from, to, hidden } = lastState(text);
    const written = states.filter((state) => state.trim() !== "");
    if (states.length > 1) assert.equal(text.slice(from, to), written.at(-1) ?? "");
    else assert.equal(text.slice(from, to), text);
    assert.equal(hidden, states.length > 1 ? Math.max(0, written.length - 1) : 0);
  }));
});

test("text that is shown hides nothing, and Markdown's fences hold it", () => {
  const hidden = /[^\P{Cc}\n\t]|[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;
  const ticked = fc.string({ unit: fc.constantFrom("`", "``", "a", "\n"), maxLength: 12 });
  fc.assert(fc.property(fc.oneof(anyText, ticked), (text) => {
    const shown = visible(text);
    assert.doesNotMatch(shown, hidden);
    assert.equal(visible(shown), shown);
    const { lines } = logLines(text);
    assert.equal(lines.join("\n"), text.replace(/\n$/, ""));
    for (const fenced of [code(text), block(text)]) {
      const fence = /^`+/.exec(fenced)?.[0] ?? "";
      assert.ok(fence && fenced.endsWith(fence));
      const runs = fenced.slice(fence.length, -fence.length).match(/`+/g) ?? [];
      assert.ok(runs.every((run) => run.length < fence.length), fenced);
    }
    assert.ok(!code(text).includes("\n"));
  }));
});

test("bytes survive base64", () => {
  const many = fc.tuple(fc.nat(80_000), fc.nat(255)).map(([length, by]) => Uint8Array.from({ length }, (_, i) => i * by));
  fc.assert(fc.property(fc.oneof({ weight: 15, arbitrary: fc.uint8Array({ maxLength: 200 }) }, many), (bytes) => {
    assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
    assert.ok(Buffer.from(fromBase64(toBase64(bytes))).equals(bytes));
  }));
});

test("lengths, counts and axes of any numbers", () => {
  fc.assert(fc.property(fc.oneof(between(0, 1e5), fc.double()), (seconds) => assert.match(formatLength(seconds), /^(?:unknown|< 1 ms|\d[\d.hms e+]*|\d+ ms)$/)));
  fc.assert(fc.property(fc.nat(), (n) => assert.equal(formatCount(n).replaceAll(",", ""), String(n))));
  fc.assert(fc.property(fc.oneof(between(0.001, 1e5), fc.double({ min: 1e-9, max: 1e15, noNaN: true })), fc.constantFrom(1000, 1024), (value, base) => {
    const most = niceMax(value, /** @type {1000|1024} */ (base));
    assert.ok(most >= value && most <= value * 2.01, `${most}`);
  }));
  fc.assert(fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1, max: 1e10 }), fc.integer({ min: 1, max: 30 }), fc.constantFrom("utc", "local", "start"), (from, span, most, zone) => {
    const ticks = timeTicks(from, from + span, most, zone, from);
    assert.ok(ticks.length <= most + 1, `${ticks.length} of ${most}`);
    for (const [i, tick] of ticks.entries()) assert.ok(tick.ms >= from && tick.ms <= from + span && (i === 0 || tick.ms > ticks[i - 1].ms));
  }));
});
