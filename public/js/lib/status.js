// SPDX-License-Identifier: Apache-2.0
// What a result means: its kind decides colour and shape, its label is what is read.

/** @typedef {"ok"|"bad"|"warn"|"skip"|"none"} Kind */

/** @type {Record<string, Kind>} */
const JOB_KINDS = {
  SUCCESS: "ok",
  SUCCEEDED: "ok",
  FAILURE: "bad",
  FAILED: "bad",
  ERROR: "bad",
  TIMED_OUT: "bad",
  POST_FAILURE: "bad",
  NODE_FAILURE: "bad",
  RETRY_LIMIT: "bad",
  DISK_FULL: "bad",
  CONFIG_ERROR: "bad",
  MERGER_FAILURE: "bad",
  MERGE_FAILURE: "bad",
  LOST: "bad",
  UNSTABLE: "warn",
  ABORTED: "warn",
  CANCELED: "warn",
  CANCELLED: "warn",
  UNREACHABLE: "warn",
  RETRY: "warn",
  SKIPPED: "skip",
  NOT_BUILT: "skip",
  NOT_REGISTERED: "skip",
};

/**
 * @param {string|null|undefined} word the CI's own word
 * @returns {{kind: Kind, label: string}}
 */
export function jobStatus(word) {
  if (!word) return { kind: "none", label: "No result" };
  const kind = JOB_KINDS[word.trim().toUpperCase().replace(/[\s-]+/g, "_")] ?? "none";
  const spaced = word.trim().replace(/_/g, " ").toLowerCase();
  return { kind, label: spaced.charAt(0).toUpperCase() + spaced.slice(1) };
}

/** Order in which a group shows its jobs: what went wrong first. @type {Record<Kind, number>} */
export const KIND_ORDER = { bad: 0, warn: 1, none: 2, ok: 3, skip: 4 };

// A test's status as a number; the larger is the worse, and the worse wins a pixel.
export const PASS = 1;
export const SKIP = 2;
export const UNFINISHED = 3;
export const FAIL = 4;
/** No test: the time between two classes, when one is torn down and the next set up. */
export const BETWEEN_CLASSES = 5;
export const TEST_STATUSES = Object.freeze([FAIL, UNFINISHED, SKIP, PASS]);

/** @type {Record<number, {key: string, label: string, plural: string, kind: Kind}>} */
export const TEST_STATUS = {
  [PASS]: { key: "pass", label: "Passed", plural: "passed", kind: "ok" },
  [SKIP]: { key: "skip", label: "Skipped", plural: "skipped", kind: "skip" },
  [UNFINISHED]: { key: "unfinished", label: "Unfinished", plural: "unfinished", kind: "warn" },
  [FAIL]: { key: "fail", label: "Failed", plural: "failed", kind: "bad" },
};

/**
 * @param {string} status as in the artifact
 * @param {readonly string[]} tags
 */
export function testStatus(status, tags) {
  if (tags.includes("unfinished")) return UNFINISHED;
  if (status === "success") return PASS;
  if (status === "skip") return SKIP;
  return FAIL;
}
