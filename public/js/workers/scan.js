// SPDX-License-Identifier: Apache-2.0
// Reads a whole console once for a question, keeps nothing of it, and answers with numbers.  A question that is asked no
// more is ended from outside, together with this thread.
import { scanWhole } from "../lib/scanwhole.js";

addEventListener("message", async ({ data: { id, whole, question, lines } }) => {
  try {
    const result = await scanWhole(whole, question, lines, (read) => postMessage({ id, read }));
    postMessage({ id, result }, { transfer: [result.hits.buffer, result.levels.buffer] });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
