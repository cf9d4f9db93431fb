// SPDX-License-Identifier: Apache-2.0
// What every text has that an expression fits: where that is missing, the expression need not be tried.

/** @typedef {import("./exprparse.js").Node} Node */

/** The one character of a set that stands for itself in JSON, too; a letter of both cases as the small one. @param {import("./charsets.js").CharSet} set */
function only(set) {
  const [first, last, small, end] = set;
  const letter = set.length === 4 && first === last && small === end && first >= 65 && first <= 90 && small === first + 32;
  const unit = set.length === 2 && first === last ? first : letter ? small : 0;
  return unit >= 32 && unit < 127 && unit !== 34 && unit !== 92 ? String.fromCharCode(unit) : "";
}

/**
 * @param {Node} tree
 * @param {boolean} anyCase how it was read; then the text is in small letters
 * @returns {string} the longest such text that is plain to see, "" = none
 */
export function neededText(tree, anyCase) {
  let best = "";
  let run = "";
  const end = () => {
    if (run.length > best.length) best = run;
    run = "";
  };
  /** @param {Node} node */
  const visit = (node) => {
    if (node.kind === "set") {
      const unit = node.set.length === 4 && !anyCase ? "" : only(node.set);
      if (unit) run += unit;
      else end();
    } else if (node.kind === "all") {
      node.parts.forEach(visit);
    } else if (node.kind !== "assert") {
      end();
      if (node.kind === "repeat" && node.least > 0) visit(node.part);
      end();
    }
  };
  visit(tree);
  end();
  return best;
}
