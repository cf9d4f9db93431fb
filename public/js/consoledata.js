// SPDX-License-Identifier: Apache-2.0
// A console by block: what is in sight is fetched, what was seen is kept for a while.
import { blockIndex, blockText } from "./api.js";
import { blockAtTime, consoleLines, dateMs } from "./lib/consolelines.js";
import { blocksOf } from "./lib/blocks.js";
import { wholeOf } from "./worker.js";

/** @typedef {import("./lib/consolelines.js").ConsoleLine} ConsoleLine */

/** Of text: lines of a megabyte make blocks of megabytes. */
const KEPT_CHARS = 10e6;
const SPAN_BLOCKS = 32;

/**
 * @param {string} id of the artifact
 * @param {import("./lib/types.js").BlockIndex} index
 */
function makeConsoleData(id, index) {
  /** @type {Map<number, ConsoleLine[]>} */
  const kept = new Map();
  let kept_chars = 0;
  /** @type {Map<number, {stop: AbortController, done: Promise<ConsoleLine[]>}>} */
  const coming = new Map();

  /** @param {number} block @returns {Promise<ConsoleLine[]>} */
  function load(block) {
    const found = kept.get(block);
    if (found) return Promise.resolve(found);
    const under = coming.get(block);
    if (under) return under.done;
    const stop = new AbortController();
    const done = blockText(id, block, block, stop.signal).then((text) => {
      const lines = consoleLines(text, index.blocks[block][4]);
      kept.set(block, lines);
      kept_chars += index.blocks[block][2];
      for (const oldest of kept.keys()) {
        if (kept_chars <= KEPT_CHARS || oldest === block) break;
        kept.delete(oldest);
        kept_chars -= index.blocks[oldest][2];
      }
      return lines;
    }).finally(() => {
      if (coming.get(block)?.stop === stop) coming.delete(block);
    });
    coming.set(block, { stop, done });
    return done;
  }

  /** @param {number} line */
  const blockOf = (line) => blocksOf(index, line).last;

  /** The first line that is not before a moment. @param {number} ms */
  async function lineAt(ms) {
    for (let block = blockAtTime(index.blocks, ms); block < index.blocks.length; block += 1) {
      const found = (await load(block)).find(({ date }) => dateMs(date) >= ms);
      if (found) return found.number;
    }
    return index.lines ?? 0;
  }

  return {
    /** The whole text, for a thread of its own. */
    whole: () => wholeOf(id),
    lines: index.lines ?? 0,
    lineAt,
    /** @param {number} line @returns {ConsoleLine|undefined} when it is here already */
    peek(line) {
      const block = blockOf(line);
      const lines = kept.get(block);
      if (!lines) return undefined;
      kept.delete(block);
      kept.set(block, lines);
      return lines[line - index.blocks[block][4]];
    },
    /**
     * Fetch what these lines are in, and give up what is no longer wanted.
     * @param {readonly number[]} lines
     * @param {(error: unknown) => void} changed after each block; with what is wrong, if something is
     */
    need(lines, changed) {
      const wanted = new Set(lines.map(blockOf));
      for (const [block, { stop }] of coming) {
        if (wanted.has(block)) continue;
        coming.delete(block);
        stop.abort();
      }
      for (const block of wanted) {
        if (kept.has(block) || coming.has(block)) continue;
        load(block).then(() => changed(null), (error) => {
          if (!(error instanceof DOMException && error.name === "AbortError")) changed(error);
        });
      }
    },
    /** The text of a stretch. @param {number} first @param {number} last @returns {Promise<string>} */
    async text(first, last) {
      const [from, to] = [blockOf(first), blockOf(last)];
      const parts = [];
      for (let block = from; block <= to; block += SPAN_BLOCKS) {
        const text = await blockText(id, block, Math.min(to, block + SPAN_BLOCKS - 1));
        const lines = consoleLines(text, index.blocks[block][4]).filter(({ number }) => number >= first && number <= last);
        parts.push(lines.map((line) => line.text).join("\n"));
      }
      return parts.join("\n");
    },
  };
}

/** @typedef {ReturnType<typeof makeConsoleData>} ConsoleData */

/** @param {string} id */
export async function openConsole(id) {
  const index = await blockIndex(id);
  return { index, data: makeConsoleData(id, index) };
}
