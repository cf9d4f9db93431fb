// SPDX-License-Identifier: Apache-2.0
// Failures that have the same cause, put together.
import { plainText } from "./ansi.js";
import { UNFINISHED } from "./status.js";
import { classOf, failuresInTime, splitName } from "./testset.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{key: string, text: string, tests: number[], first_ms: number}} Cause */

const NO_DETAILS = "No message was recorded";
const NEVER_ENDED = "Started and never finished";

/** What is another each time, the longest forms first. @type {readonly [RegExp, string][]} */
const PASSING = [
  [/\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?(?:\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{4}|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* {1,2}\d{1,2})(?:,? \d{1,2}:\d\d:\d\d)?(?: \d{4})?(?: (?:GMT|UTC))?/g, "<time>"],
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d)\b)?/g, "<time>"],
  [/\b(?:req-)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, "<id>"],
  [/\breq-[\w-]+/g, "<id>"],
  // Ports of Neutron and what hangs on them: the begin of an id.
  [/\b(tap|qvo|qvb|qbr|qr-|qg-|ha-|sg-)[0-9a-f]{8}-[0-9a-f]{2}\b/g, "$1<id>"],
  [/\btmp[._]?[A-Za-z0-9_]{6,10}\b/g, "<id>"],
  [/\b0x[0-9a-f]+\b/gi, "<address>"],
  [/\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/gi, "<address>"],
  [/(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:\/\d+|:\d+)?(?![\w.]*\d)/g, "<address>"],
  [/\[?(?<![\w:])(?=[0-9a-f:]*:[0-9a-f:]*:)(?=[0-9a-f:]*\d)(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}|[0-9a-f]{0,4}(?::[0-9a-f]{1,4})*::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?)(?![\w:]*\w)(?:\]:\d+|\]|\/\d+)?/gi, "<address>"],
  [/\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b/gi, "<id>"],
];
/** Of a name a number is a part ("ipv4", "sha256"), unless it is one that was drawn. */
const NUMBER = /(?<![A-Za-z_])-?\d+(?:\.\d+)*|(?<=[A-Za-z_])\d{4,}/g;
/** Numbers that say what happened: other ones are another cause. */
const MEANT_BEFORE = /(?:HTTP(?:\/[\d.]+)?|\bstatus(?:[ _]code)?|code|\berrno|\bexit(?:ed)?(?: with)?(?: status| code)?|\brc|\bsignal)['"]?[\s:=(]{0,3}-?$/i;
const MEANT_AFTER = /^ (?:GET|HEAD|POST|PUT|PATCH|DELETE)\b/;

/**
 * A message without what differs from one occurrence to the next: times, ids, addresses, numbers.
 * @param {string} text
 */
export function normalise(text) {
  return PASSING.reduce((rest, [pattern, sign]) => rest.replace(pattern, sign), text)
    .replace(NUMBER, (number, at, whole) => {
      if (number.length > 4) return "#";
      const before = whole.slice(Math.max(0, at - 30), at);
      const after = whole.slice(at + number.length, at + number.length + 12);
      const compared = /^[1-5]\d\d$/.test(number) && (/!= $/.test(before) || /^ != /.test(after));
      return compared || MEANT_BEFORE.test(before) || MEANT_AFTER.test(after) ? number : "#";
    })
    .replace(/\s+/g, " ")
    .trim();
}

/**
 * @param {TestSet} tests
 * @param {ReadonlyMap<string, string[]|null>} details last lines of the traceback by test name
 * @returns {Cause[]} by their first failure in time; so are the tests of each
 */
export function groupFailures(tests, details) {
  /** @type {Map<string, Cause>} */
  const causes = new Map();
  /** @type {Set<string>|null} */
  let words = null;
  const known = () => (words ??= testWords(tests));
  for (const i of failuresInTime(tests)) {
    const lines = details.get(tests.names[i]);
    const text = lines?.length ? plainText(lines.join("\n")).trim() : tests.status[i] === UNFINISHED ? NEVER_ENDED : NO_DETAILS;
    const key = normalise(withoutOthers(withoutTest(text, tests.names[i]), known));
    const cause = causes.get(key);
    if (cause) cause.tests.push(i);
    else causes.set(key, { key, text, tests: [i], first_ms: tests.end[i] });
  }
  return [...causes.values()];
}

/**
 * A message without the names of the test whose it is: "(PortsTest:test_list) timed out" is one cause for all of them.
 * @param {string} text
 * @param {string} name
 */
function withoutTest(text, name) {
  const { short } = splitName(name);
  const own = [name, `${classOf(name)}:${short}`, `${classOf(name)}.${short}`, classOf(name), short].filter((part) => part.length > 4);
  return own.reduce((rest, part) => rest.replaceAll(part, "<test>"), text);
}

/** Classes and methods of the run that are called like a test: nothing else is. @param {TestSet} tests */
function testWords(tests) {
  /** @type {Set<string>} */
  const words = new Set();
  for (const name of tests.names) {
    const bracket = name.search(/[([]/);
    for (const word of name.slice(0, bracket > 0 ? bracket : name.length).split(".").slice(-2)) if (LIKE_A_TEST.test(word)) words.add(word);
  }
  return words;
}

const LIKE_A_TEST = /^(?:test[A-Z_]|setUp|tearDown)|Test/;

/**
 * A message without the names of other tests, for whose sake, or with whose resources, it came about.
 * @param {string} text
 * @param {() => ReadonlySet<string>} known
 */
function withoutOthers(text, known) {
  return text.replace(/\w+/g, (word) => (LIKE_A_TEST.test(word) && known().has(word) ? "<test>" : word)).replace(/<test>(?:[.:]<test>)+/g, "<test>");
}

/**
 * Skips by their reason, the most frequent first.
 * @param {readonly import("./types.js").SkipJson[]} skips
 * @returns {{reason: string, names: string[]}[]}
 */
export function groupSkips(skips) {
  /** @type {Map<string, string[]>} */
  const reasons = new Map();
  for (const skip of skips) {
    const reason = plainText(skip.details ?? "").trim() || "No reason was given";
    const names = reasons.get(reason);
    if (names) names.push(skip.name);
    else reasons.set(reason, [skip.name]);
  }
  return [...reasons].map(([reason, names]) => ({ reason, names })).sort((a, b) => b.names.length - a.names.length);
}
