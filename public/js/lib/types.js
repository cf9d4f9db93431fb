// SPDX-License-Identifier: Apache-2.0
// The shapes that come over the HTTP API, for the type checker alone.

/** @typedef {{url: string|null, status: string|null, duration: string|null, finished_ms: number|null}} Build */

/**
 * A CI job: an entry of /api/list, and the facts of a task.
 * @typedef {object} Job
 * @property {string|null} url the log directory; null when it cannot be scraped
 * @property {string} name
 * @property {string|null} [status] the CI's own word
 * @property {string|null} [pipeline]
 * @property {string|null} [ci_username]
 * @property {number|null} [change_id]
 * @property {number|null} [revision]
 * @property {string|null} [change_project]
 * @property {string|null} [change_subject]
 * @property {string|null} [change_url]
 * @property {string|null} [gerrit]
 * @property {boolean|null} [voting]
 * @property {string|null} [duration] as the CI wrote it
 * @property {number|null} [finished_ms]
 * @property {string|null} [reason] why url is null
 * @property {Build[]} [builds] older ones, newest first
 */

/** @typedef {{q: string, change_id: number, change_project: string, change_subject: string, change_branch?: string|null}} Choice */

/** @typedef {{results: Job[], message?: string|null, choices?: Choice[], warnings?: string[], asking?: string[]}} Answer `asking`: hosts whose answers are still to come */

/** @typedef {"queued"|"pending"|"finished"|"error"|"cancelled"|"expired"} TaskState */

/** @typedef {{stage: string, done: number, total: number}} Progress */

/**
 * @typedef {object} Status what /api/status and /api/events say of a task
 * @property {TaskState} status
 * @property {string} uuid
 * @property {string|null} [message]
 * @property {string|null} [error]
 * @property {Progress|null} [progress]
 * @property {Job} job
 * @property {number} created_ms
 * @property {number|null} [finished_ms]
 */

/**
 * @typedef {object} Artifact
 * @property {string} id
 * @property {string} artifact_type
 * @property {string} artifact_name
 * @property {boolean} primary
 * @property {boolean} blocks whether it can be read by block
 * @property {number} [size]
 * @property {Record<string, unknown>} [meta]
 */

/**
 * A finished task.  Its job's `status` may be called anything; it is the CI's word.
 * @typedef {Job & {id: string, artifacts: Artifact[], warnings?: string[]}} Task
 */

/** @typedef {{name: string, status: string, tags: string[], timestamps: [string, string], duration: number}} TestJson */

/** @typedef {{name: string, duration: number, details: string[]|null}} FailureJson */

/** @typedef {{name: string, duration: number, details: string|null}} SkipJson */

/** @typedef {{count: number, start: string|null, end: string|null, total_duration: number, failures: FailureJson[], skips: SkipJson[], warnings?: string[]}} StatsJson */

/** @typedef {{name: string, first: number, count: number, start_ms: number|null, end_ms: number|null, levels?: Record<string, number>}} SectionJson */

/**
 * The index of a blob that can be read by block; each block is
 * [offset, size, plain size, CRC-32, ordinal of its first test or line, when that was seen].
 * @typedef {object} BlockIndex
 * @property {number} version
 * @property {"test"|"line"} unit
 * @property {number} plain_size
 * @property {[number, number, number, number, number, number|null][]} blocks
 * @property {string|null} [status]
 * @property {number} [lines]
 * @property {SectionJson[]} [sections]
 */

export {};
