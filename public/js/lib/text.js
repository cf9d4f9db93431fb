// SPDX-License-Identifier: Apache-2.0
// Text of strangers, made safe to look at: nothing in it may hide itself or reorder what stands around it.

const ESCAPE = String.fromCharCode(27);
// Colours of terminals; what other sequences there are is shown as what it is.
const COLOURS = new RegExp(`${ESCAPE}\\[[0-9;]*[mK]`, "g");

/**
 * Characters without a shape of their own as their numbers: controls, and those that turn the direction of writing.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(/[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, (char) => {
    if (char === "\n" || char === "\t") return char;
    return char === "\r" ? "" : `⟨${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A line that was written for a terminal. @param {string} text */
export function terminalLine(text) {
  return visible(text.replace(COLOURS, ""));
}
