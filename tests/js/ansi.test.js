// SPDX-License-Identifier: Apache-2.0
// Colours of terminals in what tests attached.  The same cases as tests/parsers/test_sgr.py: one text looks alike in both places.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainText, takeColours } from "../../public/js/lib/ansi.js";
import { groupFailures, groupSkips } from "../../public/js/lib/failures.js";
import { makeTestSet } from "../../public/js/lib/testset.js";

const E = "\u001b";

/** The look that sequences give to what follows them. @param {...string} parameters */
const look = (...parameters) => takeColours(`${parameters.map((one) => `${E}[${one}m`).join("")}x`).runs.get(0)?.[0].classes ?? "";

/** @param {string} text */
const rows = (text) => {
  const { text: plain, runs } = takeColours(text);
  return plain.split("\n").map((line, n) => [line, (runs.get(n) ?? []).map(({ start, end, classes }) => `${line.slice(start, end)}(${classes})`).join(" ")]);
};

test("sixteen colours and four marks, swapped and dim", () => {
  /** @type {[string[], string][]} */
  const cases = [
    [["30"], "ink-0"], [["97"], "ink-f"], [["40"], "ground-0"], [["107"], "ground-f"], [["1;4;33;44"], "sgr-bold sgr-under ink-3 ground-4"],
    [["33", "39"], ""], [["43", "49"], ""], [["9;4;3;1"], "sgr-bold sgr-italic sgr-under sgr-struck"], [["1;3;4;9", "22", "24"], "sgr-italic sgr-struck"],
    [["4:3"], "sgr-under"], [["4", "4:0"], ""], [["1;31", ""], ""], [["1;31", "00"], ""], [["0;31;0;1"], "sgr-bold"],
    [["7"], "ground-7"], [["31;7"], "ground-1"], [["31;42;7"], "ink-2 ground-1"], [["31;42;7", "27"], "ink-1 ground-2"], [["2"], "ink-8"], [["2;31"], "ink-1"], [["2", "22"], ""],
  ];
  for (const [parameters, wanted] of cases) assert.equal(look(...parameters), wanted, parameters.join());
});

test("of 256 and of 16 million the nearest; what is none changes nothing", () => {
  assert.deepEqual([1, 9, 196, 46, 21, 232, 244, 252, 255].map((n) => look(`38;5;${n}`)), ["1", "9", "1", "2", "4", "0", "8", "7", "f"].map((ink) => `ink-${ink}`));
  assert.deepEqual(["38;2;255;0;0", "38;2;255;160;160", "38:2:255:0:0", "38:2::255:0:0", "38:5:1", "38;2;200;200;0"].map((one) => look(one)), ["1", "9", "1", "1", "1", "3"].map((ink) => `ink-${ink}`));
  assert.equal(look("48;5;226"), "ground-3");
  assert.equal(look("38;2;255;0;0;1"), "sgr-bold ink-1", "what follows it");
  assert.equal(look("38;5;1;48;5;4;4"), "sgr-under ink-1 ground-4");
  assert.equal(look("58;5;1;4"), "sgr-under", "the colour of the line under it is not kept");
  for (const parameters of ["5", "8", "10", "73", "99999999999", "38", "38;5", "38;5;256", "38;2;1", "38;2;999;0;0", ":", "31:1"]) assert.equal(look(parameters), "", parameters);
});

test("over lines, equal neighbours as one, each with bounds", () => {
  assert.deepEqual(rows(`${E}[31ma${E}[31mb${E}[0;31mc${E}[32m${E}[31md`), [["abcd", "abcd(ink-1)"]]);
  assert.deepEqual(rows(`${E}[31ma\n\nb\nc${E}[m d\ne`), [["a", "a(ink-1)"], ["", ""], ["b", "b(ink-1)"], ["c d", "c(ink-1)"], ["e", ""]]);
  assert.equal(takeColours(`${E}[31m${"a\n".repeat(1100)}`).runs.size, 1001);
  const many = takeColours(`${Array.from({ length: 5000 }, (_, n) => `${E}[3${(n % 7) + 1}mx`).join("")}\nb`);
  assert.deepEqual([many.text.length, many.runs.get(0)?.length, many.runs.get(1)?.[0].classes], [5002, 100, "ink-2"], "what the last of them was");
});

test("other sequences vanish, torn ones too, and never text behind them", () => {
  for (const sequence of ["[2J", "[10;20H", "[?25l", "[1 q", "[>4;2m", "]0;title\u0007", "]2;t\u001b\\", "]8;id=1;http://x/?a;b\u001b\\", "Pq#0\u001b\\", "_x\u001b\\", "(B", "#8", "7", "=", "c", "", "\u001b", "\\", "[8mha:AAA=\u001b[0m"]) {
    assert.deepEqual(rows(`a${E}${sequence}b${E}[31mc${E}[0m`), [["abc", "c(ink-1)"]], sequence);
  }
  assert.deepEqual(rows(`a${E}[31\nb${E}[\nc${E}[38;5;${E}[32md`), [["a", ""], ["b", ""], ["c[38;5;d", "d(ink-2)"]]);
  assert.deepEqual(rows(`a${E}]0;title without end\nb`), [["a0;title without end", ""], ["b", ""]]);
  assert.deepEqual(rows(`a${E}]8;;http://x${E}[31mb`), [["a8;;http://xb", "b(ink-1)"]]);
  assert.deepEqual(rows(`a${E}P secret ${E}[8mshown${E}[0m`), [["a secret shown", ""]]);
  assert.equal(plainText(`1 %${E}[1G2 %${E}[0G3 %`), "1 %\r2 %\r3 %");
  assert.equal(plainText("<b>as it is</b>\r\n"), "<b>as it is</b>\r\n");
});

test("whatever stands in it, no sequence stays, the runs lie in their lines, and time is linear", () => {
  const alphabet = [E, "[", "]", "m", "3", "1", ";", ":", "x", "\n", "\u0007", "\\", "P", " "];
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let n = 0; n < 2000; n += 1) {
    const text = Array.from({ length: 40 }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
    const { text: plain, runs } = takeColours(text);
    assert.ok(!plain.includes(E), JSON.stringify(text));
    assert.equal(plain.split("\n").length, text.split("\n").length);
    for (const [line, found] of runs) for (const { start, end } of found) assert.ok(start >= 0 && start < end && end <= plain.split("\n")[line].length);
  }
  for (const part of [`${E}]`, `${E}[`, `${E}P`, `${E}]x`, `${E}[8mha:`, `${E}[31`, "x"]) {
    const began = performance.now();
    takeColours(E + part.repeat(1e6 / part.length));
    assert.ok(performance.now() - began < 3000, part);
  }
});

test("causes and reasons are told without sequences: colours make no other cause", () => {
  const tests = makeTestSet(["a.b.C.test_1", "a.b.C.test_2"].map((name) => ({ name, status: "fail", tags: ["worker-0"], duration: 1, timestamps: ["2016-06-01T12:00:00.000Z", "2016-06-01T12:00:01.000Z"] })));
  const [cause, ...others] = groupFailures(tests, new Map([["a.b.C.test_1", [`${E}[1;31mValueError: no${E}[0m`]], ["a.b.C.test_2", ["ValueError: no"]]]));
  assert.deepEqual([cause.text, cause.tests.length, others.length], ["ValueError: no", 2, 0]);
  assert.deepEqual(groupSkips([{ name: "x", duration: 1, details: `${E}[33mnot here${E}[0m` }]), [{ reason: "not here", names: ["x"] }]);
});
