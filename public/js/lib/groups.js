// SPDX-License-Identifier: Apache-2.0
// The answer of a look-up, arranged as it is read: changes, then pipelines of a revision.
import { jobStatus, KIND_ORDER } from "./status.js";

/** @typedef {import("./types.js").Job} Job */

/** @typedef {{key: string, pipeline: string|null, revision: number|null, newest_ms: number, jobs: Job[], bad: number}} Group */

/** @typedef {{key: string, id: number|null, gerrit: string|null, project: string|null, subject: string|null, url: string|null, groups: Group[]}} Change */

/**
 * @param {readonly Job[]} jobs
 * @returns {Change[]} in the order of their first entry
 */
export function groupJobs(jobs) {
  /** @type {Map<string, Change>} */
  const changes = new Map();
  for (const job of jobs) {
    const key = `${job.gerrit ?? ""} ${job.change_id ?? ""}`;
    let change = changes.get(key);
    if (!change) {
      change = { key, id: job.change_id ?? null, gerrit: job.gerrit ?? null, project: null, subject: null, url: null, groups: [] };
      changes.set(key, change);
    }
    change.project ??= job.change_project ?? null;
    change.subject ??= job.change_subject ?? null;
    change.url ??= job.change_url ?? null;
    groupOf(change, job).jobs.push(job);
  }
  for (const change of changes.values()) {
    for (const group of change.groups) finish(group);
    change.groups.sort((a, b) => (b.revision ?? 0) - (a.revision ?? 0) || b.newest_ms - a.newest_ms || compare(a.key, b.key));
  }
  return [...changes.values()];
}

/**
 * @param {Change} change
 * @param {Job} job
 */
function groupOf(change, job) {
  const key = `${job.pipeline ?? ""} ${job.revision ?? ""}`;
  let group = change.groups.find((g) => g.key === key);
  if (!group) {
    group = { key, pipeline: job.pipeline ?? null, revision: job.revision ?? null, newest_ms: 0, jobs: [], bad: 0 };
    change.groups.push(group);
  }
  return group;
}

/**
 * The rows of a list from top to bottom; rows with equal keys take the same room.
 * @param {readonly Job[]} jobs
 */
export function rowKeys(jobs) {
  return groupJobs(jobs).flatMap((change) =>
    change.groups.flatMap((group) => group.jobs.map((job) => [change.key, group.key, job.name, job.url ? "" : job.reason, job.builds?.length ? "older" : ""].join("\n"))),
  );
}

/**
 * Whether a list can take the place of another while somebody is about to press one of its rows.
 * @param {readonly string[]} before @param {readonly string[]} after
 */
export function movesNothing(before, after) {
  return before.every((key, i) => key === after[i]);
}

/** @param {Group} group */
function finish(group) {
  group.newest_ms = Math.max(0, ...group.jobs.map((job) => job.finished_ms ?? 0));
  group.bad = group.jobs.filter((job) => jobStatus(job.status).kind === "bad").length;
  group.jobs.sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name));
}

/** A failed job that votes stands before one that does not. @param {Job} job */
function rank(job) {
  return KIND_ORDER[jobStatus(job.status).kind] * 2 + (job.voting === false ? 1 : 0);
}

/**
 * @param {string} a
 * @param {string} b
 */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
