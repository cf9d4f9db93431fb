// SPDX-License-Identifier: Apache-2.0
// Questions to a whole console, answered beside the page; the next one ends the one before.
import { startWorker } from "./worker.js";

/** Whoever searches says many times a second how far it is: without a word for so long, nothing comes from the server. */
const SILENT_MS = 8000;

/** @typedef {{hits: Uint32Array, levels: Uint8Array, lines: number}} Found */
/** @typedef {import("./lib/question.js").Question} Question */
/** @typedef {{id: number, question: Question|null, lines: number, resolve: (found: Found) => void, reject: (error: Error) => void, timer: number, tell: (read: number) => void}} Open */

/** The question was given up for another. */
export class GivenUpError extends Error {}

/** Its message is for a person: what is wrong with the question, or why there is no answer. */
export class SearchError extends Error {}

/** @param {() => string|Blob} whole the console: its address, or a gzip file */
export function makeLogSearch(whole) {
  /** @type {Worker|null} */
  let worker = null;
  /** No thread can be started: the page searches, in slices. */
  let alone = false;
  let count = 0;
  /** @type {Open|null} */
  let open = null;

  /** @param {Error} error */
  function stop(error) {
    worker?.terminate();
    worker = null;
    if (!open) return;
    clearTimeout(open.timer);
    open.reject(error);
    open = null;
  }

  const silence = () => window.setTimeout(() => stop(new SearchError("The console does not come: the server does not answer.")), SILENT_MS);

  /** @param {Open} asked */
  async function searchHere(asked) {
    clearTimeout(asked.timer);
    try {
      const { scanWhole } = await import("./lib/scanwhole.js");
      const found = await scanWhole(whole(), asked.question, asked.lines, async (read) => {
        asked.tell(read);
        await new Promise((go) => {
          setTimeout(go);
        });
        if (open !== asked) throw new GivenUpError("another question came");
      });
      if (open !== asked) return;
      open = null;
      asked.resolve(found);
    } catch (error) {
      if (open === asked) stop(error instanceof GivenUpError ? error : new SearchError(error instanceof Error ? error.message : String(error)));
    }
  }

  function withoutThread() {
    worker?.terminate();
    worker = null;
    alone = true;
    if (open) void searchHere(open);
  }

  function start() {
    const made = startWorker("/js/workers/scan.js");
    made.addEventListener("message", ({ data }) => {
      if (!open || data.id !== open.id) return;
      clearTimeout(open.timer);
      if (data.read !== undefined) {
        open.tell(data.read);
        open.timer = silence();
        return;
      }
      const { resolve, reject } = open;
      open = null;
      if (data.error !== undefined) reject(new SearchError(data.error));
      else resolve(data.result);
    });
    made.addEventListener("error", withoutThread);
    return made;
  }

  /** @param {Open} asked */
  function send(asked) {
    try {
      if (!alone) worker ??= start();
    } catch {
      alone = true;
    }
    if (worker) worker.postMessage({ id: asked.id, whole: whole(), question: asked.question, lines: asked.lines });
    else void searchHere(asked);
  }

  return {
    stop: () => stop(new GivenUpError("stopped")),
    /**
     * @param {Question|null} question null: the levels alone
     * @param {number} lines
     * @param {(read: number) => void} tell how many bytes were read
     * @returns {Promise<Found>}
     */
    ask(question, lines, tell) {
      if (open) stop(new GivenUpError("another question came"));
      count += 1;
      const id = count;
      return new Promise((resolve, reject) => {
        open = { id, question, lines, resolve, reject, tell, timer: silence() };
        send(open);
      });
    },
  };
}
