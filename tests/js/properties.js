// SPDX-License-Identifier: Apache-2.0
// What the property tests share: the same inputs with each run, and texts as strangers write them.
import fc from "fast-check";

fc.configureGlobal({ seed: 20261122, numRuns: Number(process.env.PROPERTY_RUNS ?? 200) });

/** Any text that JSON can carry: quotes, controls, half pairs, what turns the direction of writing. */
const unit = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(..."aB1 .,:;/%&=+#?~\"'\\`[](){}<>|*^$-_\n\r\t") },
  { weight: 1, arbitrary: fc.constantFrom("\0", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "\ud800", "\udc00", "😀", "é", "İ", "ß", "ſ", "K") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
);
export const anyText = fc.array(unit, { maxLength: 40 }).map((units) => units.join(""));
/** Texts without half pairs: what can stand in an address. */
export const wholeText = anyText.map((text) => text.toWellFormed());

/** Pieces of a text, cut anywhere. @param {string} text @param {readonly number[]} places */
export function cut(text, places) {
  const borders = [0, ...places.map((place) => place % (text.length + 1)).sort((a, b) => a - b), text.length];
  return borders.slice(1).map((to, i) => text.slice(borders[i], to));
}

/** Evenly, in thousandths; double() gives as many numbers below 1e-150 as above. @param {number} min @param {number} max */
export const between = (min, max) => fc.integer({ min: min * 1000, max: max * 1000 }).map((n) => n / 1000);

export { fc };
