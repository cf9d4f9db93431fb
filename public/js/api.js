// SPDX-License-Identifier: Apache-2.0
// The daemon's HTTP API as functions.  Every failure is an ApiError whose message can be shown to a person.
import { send } from "./source.js";

/** @typedef {import("./lib/types.js").BlockIndex} BlockIndex */
/** @typedef {import("./lib/types.js").Task} Task */

export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} httpStatus 0 when there was no answer
   * @param {string} code
   */
  constructor(message, httpStatus, code) {
    super(message);
    this.status = httpStatus;
    this.code = code;
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof ApiError ? error.message : `Something went wrong in this page: ${error instanceof Error ? error.message : String(error)}`;
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
export async function request(path, options) {
  let response;
  try {
    response = await send(path, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Check that it runs and that you are online, then try again.", 0, "unreachable");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** @param {Response} response */
async function failure(response) {
  let message = `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  let code = "http-error";
  try {
    const body = await response.json();
    if (typeof body.message === "string" && body.message) message = body.message;
    if (typeof body.error === "string") code = body.error;
  } catch {
    // An answer that is not ours (a proxy's page, say): the status alone is all there is to tell.
  }
  const wait = response.headers.get("Retry-After");
  if (wait && /^\d+$/.test(wait)) message = `${message.replace(/(; try again later)?\.?$/, ".")} Try again in ${wait} seconds.`;
  return new ApiError(sentence(message), response.status, code);
}

/** The server's words as a sentence; names of hosts and files stay as they are. @param {string} text */
export function sentence(text) {
  return text.replace(/^[a-z](?=[a-z]* )/, (first) => first.toUpperCase());
}

/**
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 */
export async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  return await response.json();
}

/**
 * @param {string} uuid
 * @returns {Promise<Task>}
 */
export function task(uuid) {
  return post("/api/task", { q: uuid });
}

/**
 * @param {string} id of an artifact
 * @param {AbortSignal} [signal]
 */
export async function blobText(id, signal) {
  return await (await request(`/api/blob/${encodeURIComponent(id)}`, { signal })).text();
}

/** @param {string} id */
export async function blobJson(id) {
  return await (await request(`/api/blob/${encodeURIComponent(id)}`, {})).json();
}

/**
 * @param {string} id
 * @returns {Promise<BlockIndex>}
 */
export async function blockIndex(id) {
  return await (await request(`/api/blob/${encodeURIComponent(id)}/blocks`, {})).json();
}

/**
 * @param {string} id
 * @param {number} first
 * @param {number} last
 * @param {AbortSignal} [signal]
 */
export async function blockText(id, first, last, signal) {
  const span = first === last ? `${first}` : `${first}-${last}`;
  return await (await request(`/api/blob/${encodeURIComponent(id)}/blocks/${span}`, { signal })).text();
}
