// SPDX-License-Identifier: Apache-2.0
// Expressions in linear time, beside the browser's own: what fits, and where; and what they cost, in steps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeExpression } from "../../public/js/lib/expression.js";
import { ExpressionError, parseExpression } from "../../public/js/lib/exprparse.js";
import { classesOf, makeProgram } from "../../public/js/lib/exprprogram.js";
import { States } from "../../public/js/lib/exprstates.js";

const ROUNDS = 12000;
const UNITS = ["a", "b", "c", "A", "B", "_", " ", "-", "7", "é", "É", "ſ", "K", "k", "ß", "\n", "\r", "\u2028", "😀", "\u0130", "i", "µ", "μ", "Μ"];
const ATOMS = ["a", "b", "c", "B", "-", "7", "é", "K", "k", "ſ", "s", "µ", ".", ".", "\\w", "\\W", "\\d", "\\D", "\\s", "\\S", "\\.", "\\x41", "\\u00e9", "\\t", "\\n", "[ab]", "[^ab]", "[a-c]", "[^\\d_]", "[\\w-]", "[^\\W\\d]", "[\\s\\S]", "[]", "[^]", "[é-ÿ]", "[^µ]", "[\\b]", "{", "}", "]", "{,3}", "x{"];
const PLACES = ["^", "$", "\\b", "\\B"];
const REPEATS = ["*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}", "{0}", "{0,}"];

/** @param {number} seed */
function makeRandom(seed) {
  let state = seed;
  /** Whole numbers below one. @param {number} below */
  const number = (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return Math.floor(((state ^ (state >>> 13)) >>> 0) / 2 ** 32 * below);
  };
  /** @template T @param {readonly T[]} list */
  const one = (list) => list[number(list.length)];
  return { number, one };
}

/** @typedef {{source: string, empty: boolean, odd: boolean}} Made empty: it may take nothing; odd: it repeats such a part */

/** @param {ReturnType<typeof makeRandom>} random @param {number} depth @returns {Made} */
function makeSource(random, depth) {
  const kind = random.number(depth > 0 ? 10 : 4);
  if (kind < 3) return { source: random.one(ATOMS), empty: false, odd: false };
  if (kind === 3) return { source: random.one(PLACES), empty: true, odd: false };
  const inner = Array.from({ length: 1 + random.number(3) }, () => makeSource(random, depth - 1));
  const odd = inner.some((part) => part.odd);
  if (kind < 6) return { source: inner.map(({ source }) => source).join(""), empty: inner.every((part) => part.empty), odd };
  if (kind < 8) {
    const open = random.one(["(", "(?:", `(?<n${random.number(1e6)}>`]);
    if (random.number(4) === 0) inner.push({ source: "", empty: true, odd: false });
    return { source: `${open}${inner.map(({ source }) => source).join("|")})`, empty: inner.some((part) => part.empty), odd };
  }
  const [part] = inner;
  const repeat = random.one(REPEATS);
  return { source: `(?:${part.source})${repeat}${random.number(3) ? "" : "?"}`, empty: part.empty || /[*?]|0/.test(repeat), odd: part.odd || part.empty };
}

/** @param {string} source @param {string} flags @param {string} text @returns {[number, number][]} */
const browserPlaces = (source, flags, text) => [...text.matchAll(new RegExp(source, `g${flags}`))].filter(([found]) => found).map(({ index, 0: found }) => [index, found.length]);

test("thousands of expressions fit what RegExp says, and where", () => {
  const random = makeRandom(20161101);
  let tried = 0;
  let placed = 0;
  let fitted = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const { source, odd } = makeSource(random, 4);
    const anyCase = random.number(2) === 0;
    const lines = random.number(2) === 0;
    const flags = `${anyCase ? "i" : ""}${lines ? "m" : ""}`;
    /** @type {RegExp} */
    let browser;
    try {
      browser = new RegExp(source, flags);
    } catch {
      assert.throws(() => makeExpression(source, { anyCase, lines }), ExpressionError, source);
      continue;
    }
    /** @type {import("../../public/js/lib/expression.js").Expression} */
    let ours;
    try {
      ours = makeExpression(source, { anyCase, lines });
    } catch (error) {
      // RegExp may write a part out a million times.
      assert.match(String(error), /too large/, source);
      continue;
    }
    for (let n = 0; n < 4; n += 1) {
      const text = Array.from({ length: random.number(13) }, () => random.one(UNITS)).join("");
      const said = JSON.stringify({ source, flags, text });
      const fits = browser.test(text);
      assert.equal(ours.fits(text), fits, said);
      assert.equal(ours.fits(`b${text}a`, 1, 1 + text.length), fits, `within more: ${said}`);
      const small = text.toLowerCase();
      if (fits) assert.ok((anyCase ? small : text).includes(ours.needle), `needle ${ours.needle}: ${said}`);
      tried += 1;
      fitted += Number(fits);
      if (odd) continue;
      placed += 1;
      assert.deepEqual(ours.places(text), browserPlaces(source, flags, text), said);
    }
  }
  assert.ok(tried > ROUNDS && placed > ROUNDS / 2 && fitted > tried / 5 && fitted < tried * 0.9, `${tried} tried, ${placed} with places, ${fitted} fitted`);
});

test("every unit is in the sets that RegExp has it in, in any case too", () => {
  for (const set of [".", "\\w", "\\W", "\\d", "\\s", "\\S", "[^a]", "[k-s]", "[^k-s]", "ſ", "K", "µ", "ǆ", "ß", "[\\W]", "[^\\Wé]", "[à-þ]", "[^à-þ]", "[α-ω]", "[\\ud800-\\udfff]", "[^\\u0100-\\uffff]", "i", "İ"]) {
    for (const flags of ["", "i"]) {
      const ours = makeExpression(`^${set}$`, { anyCase: flags === "i" });
      const browser = new RegExp(`^${set}$`, flags);
      for (let unit = 0; unit <= 0xffff; unit += 1) {
        const text = String.fromCharCode(unit);
        if (ours.fits(text) !== browser.test(text)) assert.fail(`${set} ${flags}: ${unit.toString(16)}`);
      }
    }
  }
});

/** What a text of so many units costs. @param {string} source @param {(length: number) => string} textOf @param {number} length */
function cost(source, textOf, length) {
  const ours = makeExpression(source, { anyCase: false });
  ours.fits(textOf(length));
  return ours.work();
}

test("what makes RegExp try without end costs steps by length alone", () => {
  /** @type {[string, (length: number) => string][]} */
  const hard = [
    ["(a+)+$", (n) => `${"a".repeat(n)}!`],
    ["(a|aa)*c", (n) => "a".repeat(n)],
    ["(a|a?)+$", (n) => `${"a".repeat(n)}!`],
    ["(.*)*x(.*)*y", (n) => "x".repeat(n)],
    ["(.*a){20}b", (n) => "a".repeat(n)],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", (n) => "a".repeat(n)],
    ["(x+x+)+y", (n) => "x".repeat(n)],
  ];
  for (const [source, textOf] of hard) {
    const [first, second] = [cost(source, textOf, 100000), cost(source, textOf, 200000)];
    assert.ok(second <= 2 * first, `${source}: ${first}, ${second}`);
    assert.ok(second < 200000 * 2, `${source}: ${second} for 200,000 units`);
  }
  const ours = makeExpression("(x?){50}x{50}", { anyCase: false });
  assert.ok(ours.fits("x".repeat(50)) && !ours.fits("x".repeat(49)));
  assert.ok(ours.work() < 50000, String(ours.work()));
});

test("what is remembered is bounded: forgotten when full, still right, and no unit costs more than each step once", () => {
  const random = makeRandom(7);
  // A state for each way in which the last 18 units can be.
  const program = makeProgram(parseExpression("[ab]*a[ab]{17}c", { anyCase: false, lines: false }), { backwards: false, anywhere: true });
  const states = new States(program, classesOf(program), "any");
  const browser = /a[ab]{17}c/;
  let units = 0;
  let most = 0;
  let forgotten = 0;
  for (let n = 0; n < 40; n += 1) {
    const text = Array.from({ length: 5000 }, () => random.one("aaabbb".split(""))).join("") + random.one(["c", ""]);
    assert.equal(states.fits(text, 0, text.length), browser.test(text));
    units += text.length + 1;
    forgotten += Number(states.held < most);
    most = Math.max(most, states.held);
  }
  assert.ok(forgotten > 1 && most <= 2 ** 19, `${most} held, ${forgotten} times forgotten`);
  assert.ok(states.work < units * (1 + program.kinds.length), `${states.work} for ${units} units`);
});

test("places are right after a flush, and only as many as the work allows", () => {
  const random = makeRandom(11);
  const text = Array.from({ length: 20000 }, () => random.one("aab".split(""))).join("");
  const source = "a[ab]{9}a|b[ab]{9}b";
  assert.deepEqual(makeExpression(source, { anyCase: false }).places(text), browserPlaces(source, "", text));
  const greedy = makeExpression("a(?:.*c)?", { anyCase: false });
  const found = greedy.places("a".repeat(20000), 200, 50000);
  assert.ok(found.length >= 1 && found.length < 20, String(found.length));
  assert.ok(greedy.work() < 120000, String(greedy.work()));
  assert.equal(makeExpression("a", { anyCase: false }).places("a".repeat(500), 200).length, 200);
});

test("what cannot be matched, and what is wrong, is said by its part", () => {
  /** @type {[string, RegExp][]} */
  const bad = [
    ["(a)\\1", /linear time.*reference to a group \(\\1\)/],
    ["\\k<a>", /linear time.*\(\\k\)/],
    ["(?=a)b", /linear time.*to follow \(\(\?=\)/],
    ["b(?!a)", /linear time.*\(\(\?!\)/],
    ["(?<=a)b", /linear time.*to stand before \(\(\?<=\)/],
    ["(?<!a)b", /linear time.*\(\(\?<!\)/],
    ["x(y{50}){50}z", /“\(y\{50\}\)\{50\}” is too large: written out it has more than 2000 parts/],
    ["(a{900})(b{900})(c{900})", /The expression is too large/],
    ["a{1,9999999999}", /too large/],
    ["a".repeat(2001), /longer than 2000/],
    ["(", /“\(” is not closed/],
    ["a)", /“\)” closes/],
    ["[a", /“\[a” is not closed/],
    ["+a", /nothing before “\+”/],
    ["a+*", /“a\+\*”/],
    ["\\", /single backslash/],
    ["\\y", /“\\y” is not known/],
    ["\\x4", /“\\x” is not known/],
    ["(?i)a", /“\(\?i” is not known/],
    ["a{3,1}", /wrong way round/],
    ["[b-a]", /“b-a” is the wrong way round/],
    ["\\b+", /no length/],
  ];
  for (const [source, message] of bad) assert.throws(() => makeExpression(source, { anyCase: false }), (error) => error instanceof ExpressionError && message.test(String(error)), source);
  assert.ok(makeExpression(`${"(".repeat(900)}a${")".repeat(900)}`, { anyCase: false }).fits("a"));
  assert.ok(makeExpression(`${"(".repeat(600)}a${"+)".repeat(600)}`, { anyCase: false }).fits("a"));
});
