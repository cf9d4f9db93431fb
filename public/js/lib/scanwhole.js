// SPDX-License-Identifier: Apache-2.0
// One question to a whole console, which is read once and not kept.
import { makeScan } from "./logscan.js";

/** Between signs of life: a page that searches by itself draws and listens then. */
const TELL_MS = 50;
/** Characters that are searched before the clock is looked at. */
const SLICE = 16384;

/** @param {string|Blob} whole its address, or a gzip file */
async function open(whole) {
  if (whole instanceof Blob) return whole.stream().pipeThrough(new DecompressionStream("gzip"));
  const answer = await fetch(whole);
  if (!answer.ok || !answer.body) throw new Error(`The console does not come: the server answered ${answer.status}.`);
  return answer.body;
}

/**
 * @param {string|Blob} whole the console: its address, or a gzip file
 * @param {import("./logscan.js").Question|null} question
 * @param {number} lines how many there are
 * @param {(read: number) => unknown} tell how many bytes were read, now and then; it is waited for
 */
export async function scanWhole(whole, question, lines, tell) {
  const reader = (await open(whole)).getReader();
  try {
    const scan = makeScan(question, lines);
    const decoder = new TextDecoder();
    let read = 0;
    let told = performance.now();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const text = decoder.decode(part.value, { stream: true });
      read += part.value.length;
      for (let at = 0; at < text.length; at += SLICE) {
        scan.feed(text.slice(at, at + SLICE));
        if (performance.now() - told < TELL_MS) continue;
        await tell(read);
        told = performance.now();
      }
    }
    scan.feed(decoder.decode());
    return scan.done();
  } finally {
    reader.cancel().catch(() => {});
  }
}
