// SPDX-License-Identifier: Apache-2.0
// Parts of large artifacts: only the blocks that are asked for are fetched, and each only once.
import { blobJson, blockIndex, blockText } from "./api.js";
import { blocksOf, consoleLines, findDetails } from "./lib/blocks.js";

/** @typedef {import("./lib/types.js").Artifact} Artifact */
/** @typedef {import("./lib/types.js").BlockIndex} BlockIndex */
/** @typedef {import("./lib/types.js").SectionJson} SectionJson */
/** @typedef {import("./lib/blocks.js").ConsoleLine} ConsoleLine */

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

/**
 * @typedef {object} ConsoleSource
 * @property {() => Promise<{status: string|null, sections: SectionJson[], lines: number}>} head
 * @property {(from: number, to: number) => Promise<ConsoleLine[]>} lines
 */

/**
 * @param {Artifact} artifact a `console`
 * @returns {ConsoleSource}
 */
export function consoleSource(artifact) {
  return artifact.blocks ? blockConsole(artifact.id) : wholeConsole(artifact.id);
}

/** @param {string} id @returns {ConsoleSource} */
function blockConsole(id) {
  const { index, read } = blockReader(id);
  return {
    async head() {
      const { status, sections, lines } = await index();
      return { status: status ?? null, sections: sections ?? [], lines: lines ?? 0 };
    },
    async lines(from, to) {
      const known = await index();
      const first = blocksOf(known, from).first;
      const last = blocksOf(known, to - 1).last;
      const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
      const texts = await Promise.all(numbers.map(read));
      const lines = texts.flatMap((text, i) => consoleLines(text, known.blocks[first + i][4]));
      return lines.filter((line) => line.number >= from && line.number < to);
    },
  };
}

/** @param {string} id @returns {ConsoleSource} */
function wholeConsole(id) {
  const whole = once(async () => {
    const json = await blobJson(id);
    /** @type {SectionJson[]} */
    const sections = [];
    /** @type {ConsoleLine[]} */
    const lines = [];
    for (const script of json.scripts) {
      sections.push({ name: script.name, first: lines.length, count: script.lines.length, start_ms: null, end_ms: null });
      for (const { date, line } of script.lines) lines.push({ number: lines.length, date: date ?? "", text: line });
    }
    return { status: json.status ?? null, sections, lines };
  });
  return {
    async head() {
      const { status, sections, lines } = await whole();
      return { status, sections, lines: lines.length };
    },
    lines: async (from, to) => (await whole()).lines.slice(from, to),
  };
}
