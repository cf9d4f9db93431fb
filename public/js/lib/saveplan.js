// SPDX-License-Identifier: Apache-2.0
// What a saved file takes with it, and what it has no room for.
import { base64Length } from "./base64.js";

/** @typedef {import("./types.js").Artifact} Artifact */
/** @typedef {{id: string, artifact_type: string, artifact_name: string, size: number}} LeftOut size in bytes, gzipped */

/** Of the whole file, in bytes. */
export const MOST_BYTES = 25e6;

/** First what is read first. */
const ORDER = ["subunit", "subunit-stats", "dstat", "subunit-details", "console"];

/** The element around a part, at most. */
const AROUND = 400;

/**
 * In the order in which they are worth their room; the server's own among equals.
 * @param {readonly Artifact[]} artifacts
 */
export function byWorth(artifacts) {
  /** @param {Artifact} artifact */
  const rank = ({ artifact_type: type }) => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);
  return artifacts.toSorted((a, b) => rank(a) - rank(b));
}

/** How much of the file so many bytes take. @param {readonly number[]} sizes of parts */
export const roomOf = (sizes) => sizes.reduce((sum, size) => sum + base64Length(size) + AROUND, 0);

/** @param {Artifact} artifact @returns {LeftOut} */
export function leftOut({ id, artifact_type, artifact_name, size }) {
  return { id, artifact_type, artifact_name, size: size ?? 0 };
}

const WORDS = /** @type {Record<string, string>} */ ({ subunit: "tests", "subunit-stats": "summary of the tests", dstat: "measurements of the machine", "subunit-details": "attachments of the tests", console: "console", "job-output": "tasks of the job" });

/** For a person. @param {LeftOut} one @param {number} limit */
export function whyLeftOut({ artifact_type: type, artifact_name: name, size }, limit) {
  return `The ${WORDS[type] ?? type} “${name}” (${megabytes(size)} compressed): with it the file would be larger than ${limit / 1e6} MB.`;
}

/** @param {number} bytes */
export const megabytes = (bytes) => (bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/**
 * What the file is called: by the job, in characters that every system takes.
 * @param {import("./types.js").Job} job
 */
export function fileName({ name, change_id: change, revision }) {
  const words = [name, change, change ? revision : null].filter((word) => word !== null && word !== undefined).join("-");
  const plain = words.slice(0, 1000).replace(/[^A-Za-z0-9_.+-]+/g, "-").replace(/^[.-]+/, "").slice(0, 120).replace(/[.-]+$/, "");
  return `${plain || "stackviz"}.html`;
}
