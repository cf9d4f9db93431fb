// SPDX-License-Identifier: Apache-2.0
// An expression over many texts, a slice at a time: the page draws and listens in between, for as long as it takes.
import { makeExpression } from "./lib/expression.js";

export { ExpressionError } from "./lib/exprparse.js";

const SLICE_MS = 10;
/** Texts that are looked at before the clock is. */
const AT_ONCE = 16;

/** @param {() => string[]} texts is asked once */
export function makeMatcher(texts) {
  /** @type {string[]|null} */
  let all = null;
  let turn = 0;

  return {
    stop() {
      turn += 1;
    },
    /**
     * Throws ExpressionError.
     * @param {{source: string, anyCase: boolean}} pattern
     * @returns {Promise<Uint8Array|null>} 1 for each text that it fits; null: another was asked for, or none any more
     */
    async match({ source, anyCase }) {
      turn += 1;
      const mine = turn;
      const { fits } = makeExpression(source, { anyCase, lines: true });
      all ??= texts();
      const hits = new Uint8Array(all.length);
      let began = performance.now();
      for (let i = 0; i < all.length; i += 1) {
        hits[i] = Number(fits(all[i]));
        if (i % AT_ONCE || performance.now() - began < SLICE_MS) continue;
        await new Promise((go) => {
          setTimeout(go);
        });
        if (mine !== turn) return null;
        began = performance.now();
      }
      return hits;
    },
  };
}
