// SPDX-License-Identifier: Apache-2.0
// Regular expressions over many texts, beside the page and not for longer than a person waits.
import { startWorker } from "./worker.js";

const DEADLINE_MS = 2000;
const NO_THREAD = "This browser starts no second thread here, and expressions could make the page hang. Words can be searched for.";

/** What is wrong with an expression, to be shown. */
export class PatternError extends Error {}

/**
 * @param {() => string[]} texts is asked once for each worker
 */
export function makeMatcher(texts) {
  /** @type {Worker|null} */
  let worker = null;
  /** The one question that is open. @type {{id: number, resolve: (hits: Uint8Array) => void, reject: (error: Error) => void, timer: number}|null} */
  let open = null;
  let count = 0;

  function stop() {
    worker?.terminate();
    worker = null;
    if (open) clearTimeout(open.timer);
    open = null;
  }

  function start() {
    const made = startWorker("/js/workers/match.js");
    made.addEventListener("message", ({ data }) => {
      if (!open || data.id !== open.id) return;
      clearTimeout(open.timer);
      open.resolve(data.hits);
      open = null;
    });
    made.addEventListener("error", () => {
      const { reject } = open ?? {};
      stop();
      reject?.(new PatternError(NO_THREAD));
    });
    made.postMessage({ texts: texts() });
    return made;
  }

  return {
    stop,
    /**
     * @param {string} source
     * @param {string} flags
     * @returns {Promise<Uint8Array>} 1 for each text that fits; a later question leaves this one without an answer
     */
    match(source, flags) {
      try {
        RegExp(source, flags);
      } catch (error) {
        return Promise.reject(new PatternError(error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error)));
      }
      // Who still works on what is asked no more would keep the next waiting.
      if (open) stop();
      try {
        worker ??= start();
      } catch {
        return Promise.reject(new PatternError(NO_THREAD));
      }
      count += 1;
      const id = count;
      const asked = worker;
      return new Promise((resolve, reject) => {
        const timer = window.setTimeout(() => {
          stop();
          reject(new PatternError("It takes too long: it tries too many ways to fit."));
        }, DEADLINE_MS);
        open = { id, resolve, reject, timer };
        asked.postMessage({ id, source, flags });
      });
    },
  };
}
