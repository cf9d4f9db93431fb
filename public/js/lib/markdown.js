// SPDX-License-Identifier: Apache-2.0
// A failure as a comment of a review: Gerrit and the others take Markdown.

/** @typedef {import("./types.js").Job} Job */

/** @typedef {{name: string, result: string, when: string, where: string, link: string}} Told one test, in words */

const MOST_LINES = 12;
const MOST_CHARS = 1500;
const MOST_TESTS = 20;

/**
 * Text between backticks, more of them than it holds itself.
 * @param {string} text
 */
export function code(text) {
  const flat = text.replace(/\s+/g, " ").trim() || " ";
  const fence = "`".repeat(longestRun(flat) + 1);
  const space = flat.startsWith("`") || flat.endsWith("`") ? " " : "";
  return fence + space + flat + space + fence;
}

/** @param {string} text */
function longestRun(text) {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}

/** A block of lines as they stand; of long ones the end, which says what went wrong. @param {string} text */
export function block(text) {
  const lines = text.replace(/\s+$/, "").split("\n");
  let kept = lines.slice(-MOST_LINES).join("\n");
  if (kept.length > MOST_CHARS) kept = `…${kept.slice(-MOST_CHARS)}`;
  const fence = "`".repeat(Math.max(3, longestRun(kept) + 1));
  return `${fence}\n${kept}\n${fence}`;
}

/** @param {Pick<Job, "name"|"change_id"|"revision">} job */
function jobWords(job) {
  const change = job.change_id ? ` (change ${job.change_id}${job.revision ? `,${job.revision}` : ""})` : "";
  return `${code(job.name)}${change}`;
}

/**
 * Failures with one cause.
 * @param {Pick<Job, "name"|"change_id"|"revision">} job
 * @param {readonly Told[]} tests at least one
 * @param {string} message the cause
 */
export function failureMarkdown(job, tests, message) {
  const head = tests.length === 1 ? `${code(tests[0].name)} **${tests[0].result}** in ${jobWords(job)}` : `**${tests.length} tests** with the same cause in ${jobWords(job)}:`;
  const list = tests.slice(0, MOST_TESTS).map((test) => {
    const facts = [test.where, test.when, `[details](${test.link.replace(/\(/g, "%28").replace(/\)/g, "%29")})`].filter(Boolean).join(", ");
    return tests.length === 1 ? facts : `- ${code(test.name)}: ${facts}`;
  });
  if (tests.length > MOST_TESTS) list.push(`- and ${tests.length - MOST_TESTS} more`);
  return [head, list.join("\n"), message.trim() && block(message)].filter(Boolean).join("\n\n") + "\n";
}
