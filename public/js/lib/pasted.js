// SPDX-License-Identifier: Apache-2.0
// What to look up, in the text that somebody copied around it.

/** The forms that mean one thing only, the most telling first; a number alone is long enough to be no year. */
const FORMS = [
  /https?:\/\/\S+/i,
  /\bI[0-9a-f]{40}\b/,
  /\brefs\/changes\/\d{2}\/\d+\/\d+/,
  /\b[0-9a-f]{32}\b/,
  /\bchange[\s:#]+(\d{1,10}(?:[,/]\d{1,4})?)\b/i,
  /(?<![\w.-])(\d{5,10}(?:[,/]\d{1,4})?)(?![\w-])/,
];
/** What stands behind a link in a sentence, a mail or Markdown. */
const AFTER = /[>)\]}"'`.,;:!?]+$/;

/**
 * "Change-Id: I0123…" of a commit message is looked up by what stands behind the word; so is a link in a sentence.
 * @param {string} text
 * @returns {string} the whole text, in one line, when it is one word or nothing in it can be looked up; "" when it is blank
 */
export function lookupIn(text) {
  const words = text.trim().replace(/\s+/g, " ");
  if (!words.includes(" ")) return words;
  for (const form of FORMS) {
    const found = form.exec(words);
    if (found) return (found[1] ?? found[0]).replace(AFTER, "");
  }
  return words;
}
