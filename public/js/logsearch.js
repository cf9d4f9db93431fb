// SPDX-License-Identifier: Apache-2.0
// Questions to a whole console, answered beside the page; the next one ends the one before.
import { tester } from "./lib/logscan.js";
import { startWorker } from "./worker.js";

/** Without a sign of life for so long, an expression tries too many ways to fit, or the server is gone. */
const SILENT_MS = 8000;

/** @typedef {{hits: Uint32Array, levels: Uint8Array, lines: number}} Found */

/** The question was given up for another. */
export class GivenUpError extends Error {}

/** @param {string} url of the console's text */
export function makeLogSearch(url) {
  /** @type {Worker|null} */
  let worker = null;
  let count = 0;
  /** @type {{id: number, resolve: (found: Found) => void, reject: (error: Error) => void, timer: number, tell: (read: number) => void}|null} */
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

  const silence = () => window.setTimeout(() => stop(new Error("It takes too long: the expression tries too many ways to fit, or the server does not answer.")), SILENT_MS);

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
      if (data.error !== undefined) reject(new Error(data.error));
      else resolve(data.result);
    });
    made.addEventListener("error", () => stop(new Error("the search could not be started")));
    return made;
  }

  return {
    stop: () => stop(new GivenUpError("stopped")),
    /**
     * @param {import("./lib/logscan.js").Question|null} question null: the levels alone
     * @param {number} lines
     * @param {(read: number) => void} tell how many bytes were read
     * @returns {Promise<Found>}
     */
    ask(question, lines, tell) {
      try {
        if (question) tester(question);
      } catch (error) {
        return Promise.reject(new Error(error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error)));
      }
      if (open) stop(new GivenUpError("another question came"));
      worker ??= start();
      const asked = worker;
      count += 1;
      const id = count;
      return new Promise((resolve, reject) => {
        open = { id, resolve, reject, tell, timer: silence() };
        asked.postMessage({ id, url, question, lines });
      });
    },
  };
}
