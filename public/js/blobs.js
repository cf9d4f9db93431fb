// SPDX-License-Identifier: Apache-2.0
// Parts of large artifacts: only the blocks that are asked for are fetched, and each only once.
import { blobJson, blockIndex, blockText } from "./api.js";
import { blocksOf, findDetails } from "./lib/blocks.js";

/** @typedef {import("./lib/types.js").Artifact} Artifact */
/** @typedef {import("./lib/types.js").BlockIndex} BlockIndex */

const KEPT_BLOCKS = 32;

/** A promise that is made at the first call; a failed one is not kept. @template T @param {() => Promise<T>} make */
function once(make) {
  /** @type {Promise<T>|null} */
  let made = null;
  return () => {
    made ??= make().catch((error) => {
      made = null;
      throw error;
    });
    return made;
  };
}

/** @param {string} id of an artifact */
function blockReader(id) {
  /** @type {Map<number, Promise<string>>} */
  const kept = new Map();
  const index = once(() => blockIndex(id));
  /** @param {number} block @returns {Promise<string>} */
  const read = (block) => {
    const found = kept.get(block);
    if (found) {
      kept.delete(block);
      kept.set(block, found);
      return found;
    }
    const text = blockText(id, block, block);
    kept.set(block, text);
    text.catch(() => kept.delete(block));
    const oldest = kept.keys().next();
    if (kept.size > KEPT_BLOCKS && !oldest.done) kept.delete(oldest.value);
    return text;
  };
  return { index, read };
}

/**
 * Attachments of tests.
 * @param {Artifact} artifact a `subunit-details`
 * @returns {(ordinal: number, name: string) => Promise<Record<string, string>>} empty when the test has none
 */
export function detailsSource(artifact) {
  if (!artifact.blocks) {
    const whole = once(() => blobJson(artifact.id));
    return async (_, name) => (await whole())[name] ?? {};
  }
  const { index, read } = blockReader(artifact.id);
  return async (ordinal, name) => {
    const { first, last } = blocksOf(await index(), ordinal);
    for (let block = last; block >= first; block -= 1) {
      const found = findDetails(await read(block), name);
      if (found) return found;
    }
    return {};
  };
}
