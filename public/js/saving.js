// SPDX-License-Identifier: Apache-2.0
// A site as one file: its page, its modules and what it shows, fetched here and put together in this browser.
import { ApiError, blockIndex, request } from "./api.js";
import { loadProgram, loadScript } from "./lib/program.js";
import { filesOf, savedPage, savedPart } from "./lib/savedpage.js";
import { byWorth, fileName, leftOut, MOST_BYTES, roomOf } from "./lib/saveplan.js";

/** @typedef {import("./lib/types.js").Artifact} Artifact */
/** @typedef {import("./lib/types.js").Task} Task */
/** @typedef {import("./lib/saveplan.js").LeftOut} LeftOut */

/** Which module stands for which in the file: where there is no server, and where that changes what can be done. */
export const INSTEAD = Object.freeze({
  "/js/source.js": "/js/offline/source.js",
  "/js/sharing.js": "/js/offline/sharing.js",
  "/js/worker.js": "/js/offline/worker.js",
  "/js/views/save.js": "/js/offline/saved.js",
});

/** What the facts about the file may take, beside a few hundred bytes for each part that is left out. */
const FACTS_BYTES = 4000;
const LEFT_BYTES = 1500;

/** @param {unknown} data */
const jsonBytes = (data) => new TextEncoder().encode(JSON.stringify(data));

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function gzipped(bytes) {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** @param {AbortSignal} signal */
async function viewerPage(signal) {
  /** @param {string} path */
  const read = async (path) => (await request(path, { signal })).text();
  const html = await read(location.pathname);
  const { entry, texts } = filesOf(html);
  /** @param {Iterable<string>} paths */
  const readAll = async (paths) => new Map(await Promise.all([...paths].map(async (path) => /** @type {[string, string]} */ ([path, await read(path)]))));
  const [{ modules, workers, sheets }, files] = await Promise.all([loadProgram(entry, INSTEAD, read), readAll(texts)]);
  const nonce = crypto.getRandomValues(new Uint8Array(16)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  const page = savedPage({ html, texts: files, modules, sheets: await readAll(sheets), home: location.origin, nonce });
  const scripts = await Promise.all([...workers].map(async (path) => savedPart(path, new TextEncoder().encode(await loadScript(path, read)))));
  return { ...page, scripts };
}

/**
 * What there is room for; only the small indexes are fetched for it.
 * @param {readonly Artifact[]} artifacts
 * @param {number} room in bytes
 * @param {AbortSignal} signal
 */
async function chosen(artifacts, room, signal) {
  /** @type {{artifact: Artifact, index: Uint8Array<ArrayBuffer>|null}[]} */
  const kept = [];
  /** @type {LeftOut[]} */
  const left = [];
  let free = room - artifacts.length * LEFT_BYTES;
  for (const artifact of byWorth(artifacts)) {
    signal.throwIfAborted();
    const size = artifact.size ?? 0;
    const index = artifact.blocks && roomOf([size]) <= free ? await gzipped(jsonBytes(await blockIndex(artifact.id))) : null;
    const needed = roomOf(index ? [size, index.length] : [size]);
    if (needed > free) {
      left.push(leftOut(artifact));
    } else {
      free -= needed;
      kept.push({ artifact, index });
    }
  }
  return { kept, left };
}

/**
 * @param {string} id of an artifact
 * @param {number} size
 * @param {AbortSignal} signal
 * @param {(bytes: number) => void} came
 */
async function stored(id, size, signal, came) {
  const answer = await request(`/api/blob/${encodeURIComponent(id)}/gzip`, { signal });
  if (!answer.body) throw new Error("the server sent nothing");
  const bytes = new Uint8Array(size);
  let length = 0;
  const reader = answer.body.getReader();
  const next = () => reader.read().catch((error) => {
    throw signal.aborted ? error : new ApiError("The server stopped sending. Check that it runs and that you are online, then try again.", 0, "unreachable");
  });
  for (let piece = await next(); !piece.done; piece = await next()) {
    if (length + piece.value.length > size) throw new Error("the server sent more than it said");
    bytes.set(piece.value, length);
    length += piece.value.length;
    came(length);
  }
  if (length !== size) throw new Error("the server sent less than it said");
  return bytes;
}

/**
 * Throws ApiError, and AbortError when `signal` says so.
 * @param {Task} task
 * @param {{signal: AbortSignal, tell: (done: number, total: number) => void}} options bytes of what is fetched
 * @returns {Promise<{file: Blob, name: string, left: LeftOut[]}>}
 */
export async function saveSite(task, { signal, tell }) {
  const { head, tail, scripts } = await viewerPage(signal);
  const facts = savedPart("/api/task", await gzipped(jsonBytes(task)));
  /** @type {BlobPart[]} */
  const file = [head, ...scripts, facts];
  const fixed = new Blob([...file, tail]).size + FACTS_BYTES;
  const { kept, left } = await chosen(task.artifacts, MOST_BYTES - fixed, signal);
  const total = kept.reduce((sum, { artifact }) => sum + (artifact.size ?? 0), 0);
  let before = 0;
  tell(0, total);
  for (const { artifact: { id, size = 0 }, index } of kept) {
    const begun = before;
    const bytes = await stored(id, size, signal, (length) => tell(begun + length, total));
    before += size;
    // A Blob of its own: the text is not held a second time while the others come.
    file.push(new Blob([savedPart(`/api/blob/${id}`, bytes)]));
    if (index) file.push(savedPart(`/api/blob/${id}/blocks`, index));
  }
  const saved = { id: task.id, site: location.href.split("#")[0], saved_ms: Date.now(), limit: MOST_BYTES, left };
  file.push(savedPart("saved", jsonBytes(saved)), tail);
  return { file: new Blob(file, { type: "text/html" }), name: fileName(task), left };
}
