// SPDX-License-Identifier: Apache-2.0
// What the server has to say of a test besides its result, in words.

/** @type {Record<string, string>} */
const MARKS = {
  flaky: "It was tried more than once, with different results",
  estimated: "The report does not say when it began: its place on the time axis is estimated",
  unfinished: "It began and never ended; what it shows of its end is the end of the recording",
};

/**
 * @param {readonly string[]} tags
 * @returns {{word: string, title: string}[]}
 */
export function marksOf(tags) {
  return tags.length ? Object.entries(MARKS).filter(([word]) => tags.includes(word)).map(([word, title]) => ({ word, title })) : [];
}

/** Tags that are neither marks nor notes for the machine. @param {readonly string[]} tags */
export function plainTags(tags) {
  return tags.filter((tag) => !Object.hasOwn(MARKS, tag) && !tag.startsWith("orig:"));
}
