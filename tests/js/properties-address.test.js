// SPDX-License-Identifier: Apache-2.0
// Whatever is looked at or pasted survives its address, and whatever an address holds means something.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLines, parseLines } from "../../public/js/lib/consolelines.js";
import { goPath, goQuery } from "../../public/js/lib/goquery.js";
import { lookupIn } from "../../public/js/lib/pasted.js";
import { clamp, pan, reveal, zoom } from "../../public/js/lib/range.js";
import { DEFAULT_STATE, formatState, LEVELS, parseState } from "../../public/js/lib/urlstate.js";
import { anyText, between, fc, wholeText } from "./properties.js";

/** @typedef {import("../../public/js/lib/urlstate.js").ViewState} ViewState */

const OWN = new Set(["run", "t", "test", "filter", "status", "tag", "min", "zone", "sort", "fold", "charts", "hosts", "file", "level", "find", "turned", "row"]);
const entries = fc.array(wholeText.filter(Boolean), { maxLength: 5 });
const range = fc.tuple(fc.integer({ min: -1e9, max: 1e9 }), fc.integer({ min: 1, max: 1e9 })).map(([from, length]) => /** @type {[number, number]} */ ([from / 1000, (from + length) / 1000]));

/** @type {import("fast-check").Arbitrary<ViewState>} */
const anyState = fc.record({
  group: wholeText,
  range: fc.option(range),
  test: wholeText,
  text: wholeText,
  statuses: fc.subarray(["fail", "unfinished", "skip", "pass"]),
  tag: wholeText,
  least: fc.integer({ min: 0, max: 1e6 }).map((ms) => ms / 1000),
  zone: fc.constantFrom("utc", "local", "start"),
  sort: fc.constantFrom("status", "name", "worker", "start", "duration"),
  descending: fc.boolean(),
  folded: entries,
  charts: fc.option(entries),
  hosts: entries,
  attachments: fc.option(entries),
  level: fc.constantFrom("", ...LEVELS),
  find: wholeText,
  turned: entries,
  row: fc.integer({ min: 0, max: 9_999_999 }),
  more: fc.dictionary(wholeText.filter((name) => name !== "" && !OWN.has(name)), wholeText, { maxKeys: 5 }).map((more) => ({ ...more })),
}, { noNullPrototype: true });

test("a state survives its own address", () => {
  fc.assert(fc.property(anyState, (state) => assert.deepEqual(parseState(formatState(state)), state)));
});

test("a state of any texts has an address, and one that stays as it is", () => {
  const odd = fc.tuple(anyState, anyText, anyText).map(([state, one, other]) => ({ ...state, text: one, find: other, folded: [`${one}|`, `|${other}`], more: { [one || "x"]: other } }));
  fc.assert(fc.property(odd, (state) => {
    const address = formatState(state);
    assert.match(address, /^(?:#[\x21-\x7e]*)?$/);
    assert.equal(formatState(parseState(address)), address);
  }));
});

test("whatever an address holds is a proper state, and its own address is another of the same", () => {
  const words = fc.array(fc.tuple(fc.constantFrom(...OWN, "L10-L20", "__proto__", "x"), fc.constantFrom("=", ""), anyText), { maxLength: 8 });
  fc.assert(fc.property(words.map((all) => all.map((one) => one.join("")).join("&")), (hash) => {
    const state = parseState(hash);
    assert.deepEqual(Object.keys(state).sort(), Object.keys(DEFAULT_STATE).sort());
    assert.deepEqual(parseState(formatState(state)), { ...state, range: parseState(formatState(state)).range });
  }));
});

test("a query survives /go/", () => {
  fc.assert(fc.property(wholeText.map((text) => text.trim()).filter((text) => text !== "" && !/^https?:/i.test(text)), (query) => {
    const { pathname, search, hash } = new URL(goPath(query), "https://here.example");
    // Dots that are a whole piece of a path are the browser's.
    if (/(?:^|\/)\.{1,2}(?:\/|$)/.test(query)) return;
    assert.equal(goQuery({ pathname, search, hash }), query);
  }));
  // An empty query or fragment is not told from none.
  const urls = fc.webUrl({ validSchemes: ["http", "https"], withQueryParameters: true, withFragments: true }).filter((url) => !/\?#|[?#]$/.test(url));
  fc.assert(fc.property(urls, (url) => {
    const { pathname, search, hash } = new URL(goPath(url), "https://here.example");
    const { href } = new URL(url);
    assert.equal(new URL(goQuery({ pathname, search, hash })).href, href);
    assert.equal(new URL(goQuery({ pathname: pathname.replace("//", "/"), search, hash })).href, href);
  }));
  fc.assert(fc.property(anyText, (text) => assert.match(goPath(text), /^\/go\//)));
  fc.assert(fc.property(anyText, anyText, anyText, (pathname, search, hash) => assert.equal(typeof goQuery({ pathname: `/go/${pathname}`, search, hash }), "string")));
});

test("what is looked up is one line of the text, and to look for it again finds the same", () => {
  fc.assert(fc.property(anyText, (text) => {
    const found = lookupIn(text);
    assert.ok(text.trim().replace(/\s+/g, " ").includes(found));
    assert.equal(found === "", text.trim() === "");
    assert.equal(lookupIn(found), found);
  }));
});

test("lines survive their name", () => {
  const line = fc.integer({ min: 0, max: 99_999_998 });
  fc.assert(fc.property(line, line, (a, b) => {
    const span = /** @type {[number, number]} */ ([Math.min(a, b), Math.max(a, b)]);
    assert.deepEqual(parseLines(formatLines(span)), span);
  }));
  fc.assert(fc.property(anyText, (word) => {
    const span = parseLines(word);
    assert.ok(span === null || (span[0] >= 0 && span[0] <= span[1]));
  }));
});

test("no gesture leaves the run, or turns the stretch that is shown around", () => {
  const moment = fc.integer({ min: 0, max: 4e12 });
  const some = fc.tuple(moment, fc.integer({ min: 1, max: 1e9 })).map(([from_ms, length]) => ({ from_ms, to_ms: from_ms + length }));
  const share = between(0, 1);
  fc.assert(fc.property(some, share, share, between(0.001, 100), fc.integer({ min: -2e9, max: 2e9 }), some, share, (run, a, b, factor, by, wanted, least) => {
    const whole = run.to_ms - run.from_ms;
    const shown = clamp({ from_ms: run.from_ms + whole * Math.min(a, b), to_ms: run.from_ms + whole * Math.max(a, b) }, run);
    for (const next of [shown, zoom(shown, run, factor, shown.from_ms + (shown.to_ms - shown.from_ms) * a), pan(shown, run, by), reveal(shown, run, wanted, least)]) {
      const room = 0.01 + whole * 1e-9;
      assert.ok(next.from_ms >= run.from_ms - room && next.to_ms <= run.to_ms + room && next.to_ms > next.from_ms, JSON.stringify([run, shown, next]));
      assert.ok(next.to_ms - next.from_ms >= Math.min(10, whole) - room);
    }
  }));
});
