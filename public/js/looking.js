// SPDX-License-Identifier: Apache-2.0
// A look-up heard as it goes on: /api/list in lines, each with all that is known.
import { ApiError, request } from "./api.js";

/** @typedef {import("./lib/types.js").Answer} Answer */

const LINES = "application/x-ndjson";

/**
 * The answer in the end; `onPart` gets what is known while some servers are still asked.  Throws ApiError.
 * @param {string} q
 * @param {(part: Answer) => void} onPart
 * @param {AbortSignal} [signal] ends the look-up on the server, too
 * @returns {Promise<Answer>}
 */
export async function lookUp(q, onPart, signal) {
  const headers = { "Content-Type": "application/json", Accept: `${LINES}, application/json;q=0.9` };
  const response = await request("/api/list", { method: "POST", headers, body: JSON.stringify({ q }), signal });
  if (!response.body || !response.headers.get("Content-Type")?.startsWith(LINES)) return await response.json();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await read(reader);
    if (done) throw new ApiError("The server ended its answer early. Try again.", 0, "cut");
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const said = JSON.parse(line);
      if (said.error) throw new ApiError(said.message, said.status, said.error);
      if (!said.asking) return said;
      onPart(said);
    }
  }
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The connection to the server broke. Check that it runs and that you are online, then try again.", 0, "unreachable");
  }
}
