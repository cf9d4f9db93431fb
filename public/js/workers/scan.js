// SPDX-License-Identifier: Apache-2.0
// Reads a whole console once for a question, keeps nothing of it, and answers with numbers.  An expression that
// backtracks without end can be ended from outside, together with this thread.
import { makeScan } from "../lib/logscan.js";

const TELL_CHARS = 4e6;

addEventListener("message", async ({ data: { id, url, question, lines } }) => {
  try {
    const answer = await fetch(url);
    if (!answer.ok || !answer.body) throw new Error(`the server answered ${answer.status}`);
    const scan = makeScan(question, lines);
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let read = 0;
    let told = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const text = decoder.decode(part.value, { stream: true });
      scan.feed(text);
      read += part.value.length;
      if (read - told > TELL_CHARS) {
        told = read;
        postMessage({ id, read });
      }
    }
    scan.feed(decoder.decode());
    const result = scan.done();
    postMessage({ id, result }, { transfer: [result.hits.buffer, result.levels.buffer] });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
