// SPDX-License-Identifier: Apache-2.0
// In place of source.js in a saved file: the file itself answers as the daemon did.
import { part, partText } from "./archive.js";

/** @typedef {import("../lib/types.js").BlockIndex} BlockIndex */
/** @typedef {import("../lib/saveplan.js").LeftOut} LeftOut */

/** @typedef {{id: string, site: string, saved_ms: number, limit: number, left: LeftOut[]}} Saved */

/** @type {Saved} */
export const saved = JSON.parse(partText("saved"));

/** Ends a stream of deflate whose blocks end with a full flush. */
const FINAL_BLOCK = Uint8Array.of(3, 0);

export const siteId = () => /** @type {string|undefined} */ (saved.id);

/** @param {string} path of the API @param {RequestInit} options @returns {Promise<Response>} */
export async function send(path, options) {
  options.signal?.throwIfAborted();
  const whole = part(path);
  if (whole) return inflated([whole], "gzip");
  const [, blob, id, first, last] = /^(\/api\/blob\/([^/]+))(?:\/blocks(?:\/(\d+)(?:-(\d+))?)?)?$/.exec(path) ?? [];
  const file = blob ? part(blob) : null;
  if (file && first) return inflated(await blocks(blob, file, Number(first), Number(last ?? first)), "deflate-raw");
  if (saved.left.some((one) => one.id === id)) return refused(410, "left-out", `It was left out of this file, which may have ${saved.limit / 1e6} MB. It is at ${saved.site} for as long as that server keeps it.`);
  return refused(404, "not-found", "This file does not have it.");
}

/** @type {Map<string, Promise<BlockIndex>>} */
const indexes = new Map();

/** @param {string} blob @param {Uint8Array<ArrayBuffer>} file @param {number} first @param {number} last */
async function blocks(blob, file, first, last) {
  const index = indexes.get(blob) ?? send(`${blob}/blocks`, {}).then((answer) => answer.json());
  indexes.set(blob, index);
  const all = (await index).blocks;
  const [[from], [to, size]] = [all[first], all[last]];
  return [file.subarray(from, to + size), FINAL_BLOCK];
}

/** @param {Uint8Array<ArrayBuffer>[]} bytes @param {CompressionFormat} format */
function inflated(bytes, format) {
  return new Response(new Blob(bytes).stream().pipeThrough(new DecompressionStream(format)));
}

/** @param {number} status @param {string} error @param {string} message */
function refused(status, error, message) {
  return new Response(JSON.stringify({ error, message }), { status });
}
