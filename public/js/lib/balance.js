// SPDX-License-Identifier: Apache-2.0
// Where the workers' time went: the longest gaps, and the classes that took the most.
import { BETWEEN } from "./gaps.js";
import { fullClassOf } from "./testset.js";

/** @typedef {import("./gaps.js").Gap} Gap */
/** @typedef {import("./testset.js").TestSet} TestSet */

/**
 * @param {readonly Gap[]} gaps
 * @param {number} most
 * @param {number} least_ms
 */
export function longestGaps(gaps, most, least_ms) {
  return gaps.filter((gap) => gap.to_ms - gap.from_ms >= least_ms).sort((a, b) => b.to_ms - b.from_ms - (a.to_ms - a.from_ms) || a.from_ms - b.from_ms).slice(0, most);
}

/** @typedef {{name: string, tests: number, busy_ms: number, setup_ms: number, failed: number}} ClassTime setup: all time before its first test on each worker that another class did not use */

/**
 * Classes by the time that they took, the longest first.
 * @param {TestSet} tests
 * @param {readonly Gap[]} gaps
 * @returns {ClassTime[]}
 */
export function classTimes(tests, gaps) {
  /** @type {Map<string, ClassTime>} */
  const found = new Map();
  /** @param {string} name */
  const of = (name) => {
    let one = found.get(name);
    if (!one) found.set(name, (one = { name, tests: 0, busy_ms: 0, setup_ms: 0, failed: 0 }));
    return one;
  };
  for (let i = 0; i < tests.count; i += 1) {
    const one = of(fullClassOf(tests.names[i]));
    one.tests += 1;
    one.busy_ms += tests.end[i] - tests.start[i];
    if (tests.status[i] >= 3) one.failed += 1;
  }
  for (const gap of gaps) if (gap.kind === BETWEEN) of(fullClassOf(tests.names[gap.after])).setup_ms += gap.to_ms - gap.from_ms;
  return [...found.values()].sort((a, b) => b.busy_ms + b.setup_ms - (a.busy_ms + a.setup_ms));
}
