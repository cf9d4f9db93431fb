// SPDX-License-Identifier: Apache-2.0
// Scrapes through the API: started, watched and cancelled; files in place of one; what was made last.
import { ApiError, post, request } from "./api.js";

/** @typedef {import("./lib/types.js").Status} Status */

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
