// SPDX-License-Identifier: Apache-2.0
// Failures that have the same cause, put together.
import { plainText } from "./ansi.js";
import { UNFINISHED } from "./status.js";
import { classOf, failuresInTime, splitName } from "./testset.js";

/** @typedef {import("./testset.js").TestSet} TestSet */

/** @typedef {{key: string, text: string, tests: number[], first_ms: number}} Cause */

const NO_DETAILS = "No message was recorded";
const NEVER_ENDED = "Started and never finished";

/**
 * A message without what differs from one occurrence to the next: ids, addresses, numbers.
 * @param {string} text
 */
export function normalise(text) {
  return text
    .replace(/\b(?:req-)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, "<id>")
    .replace(/\breq-[\w-]+/g, "<id>")
    .replace(/\b0x[0-9a-f]+\b/gi, "<address>")
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?:\/\d+|:\d+)?\b/g, "<address>")
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b/gi, "<id>")
    .replace(/-?\d+(?:\.\d+)*/g, "#")
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
  for (const i of failuresInTime(tests)) {
    const lines = details.get(tests.names[i]);
    const text = lines?.length ? plainText(lines.join("\n")).trim() : tests.status[i] === UNFINISHED ? NEVER_ENDED : NO_DETAILS;
    const key = normalise(withoutTest(text, tests.names[i]));
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
