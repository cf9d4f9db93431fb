// SPDX-License-Identifier: Apache-2.0
// The daemon's HTTP API as functions.  Every failure is an ApiError whose message can be shown to a person.
import { send } from "./source.js";

/** @typedef {import("./lib/types.js").BlockIndex} BlockIndex */
/** @typedef {import("./lib/types.js").Status} Status */
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
  if (wait && /^\d+$/.test(wait)) message += ` Try again in ${wait} seconds.`;
  return new ApiError(message, response.status, code);
}

/**
 * @param {string} path
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 */
async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  return await response.json();
}

/**
 * Start (or join) the scrape of a listing entry; the key to cancel it is kept for this tab.
 * @param {object & {url: string|null}} entry
 * @param {{force?: boolean}} [options]
 * @returns {Promise<{status: string, uuid: string}>}
 */
export async function scrape(entry, options) {
  const answer = await post("/api/scrape", options?.force ? { ...entry, force: true } : entry);
  if (answer.cancel_key) remember(answer.uuid, answer.cancel_key);
  return answer;
}

/**
 * Send files in place of a log address.
 * @param {readonly File[]} files
 * @param {AbortSignal} [signal]
 * @returns {Promise<{status: string, uuid: string}>}
 */
export async function upload(files, signal) {
  let path = "/api/upload";
  /** @type {BodyInit} */
  let body;
  if (files.length === 1) {
    path += `?name=${encodeURIComponent(files[0].name.slice(-200))}`;
    body = files[0];
  } else {
    body = new FormData();
    for (const file of files) body.append("file", file);
  }
  try {
    const answer = await (await request(path, { method: "POST", headers: { Accept: "application/json" }, body, signal })).json();
    if (answer.cancel_key) remember(answer.uuid, answer.cancel_key);
    return answer;
  } catch (error) {
    // A server that takes no more of a body may end the connection before the browser reads why.
    if (error instanceof ApiError && error.status === 0) error.message += " It may also be that so much is more than it takes.";
    throw error;
  }
}

/** The sites that this server made last. @returns {Promise<Status[]>} */
export async function recent() {
  return (await (await request("/api/recent", {})).json()).sites;
}

/**
 * @param {string} uuid
 * @param {AbortSignal} [signal]
 * @returns {Promise<Status>}
 */
export function status(uuid, signal) {
  return post("/api/status", { q: uuid }, signal);
}

/**
 * @param {string} uuid
 * @returns {Promise<Status>}
 */
export function cancel(uuid) {
  return post("/api/cancel", { q: uuid, cancel_key: cancelKey(uuid) });
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

const KEY = "cancel ";

/**
 * @param {string} uuid
 * @param {string} key
 */
function remember(uuid, key) {
  try {
    sessionStorage.setItem(KEY + uuid, key);
  } catch {
    // Storage may be forbidden; then this tab cannot cancel, and nothing else is lost.
  }
}

/** @param {string} uuid */
export function cancelKey(uuid) {
  try {
    return sessionStorage.getItem(KEY + uuid);
  } catch {
    return null;
  }
}
