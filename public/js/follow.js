// SPDX-License-Identifier: Apache-2.0
// A task's progress as it comes: server-sent events, and polling when those do not get through.
import { ApiError } from "./api.js";
import { status as askStatus } from "./scrapes.js";

/** @typedef {import("./lib/types.js").Status} Status */

const STREAM_TRIES = 3;
const POLL_FIRST_MS = 500;
const POLL_MOST_MS = 8000;

/** @param {Status} s */
export function ended(s) {
  return s.status !== "queued" && s.status !== "pending";
}

/**
 * Call back with each state until the end state, which is the value.  Throws ApiError for an unknown task; a server
 * that is away for a while (a restart) is waited for, with `onTrouble` told.
 * @param {string} uuid
 * @param {(s: Status) => void} onStatus
 * @param {(message: string|null) => void} onTrouble
 * @returns {Promise<Status>}
 */
export async function follow(uuid, onStatus, onTrouble) {
  let wait_ms = POLL_FIRST_MS;
  for (let streams = 0; ; ) {
    if (streams < STREAM_TRIES && "EventSource" in globalThis) {
      const { last, events } = await stream(uuid, (s) => {
        onTrouble(null);
        onStatus(s);
      });
      if (last && ended(last)) return last;
      streams = events > 1 ? 0 : streams + 1;
    }
    try {
      const s = await askStatus(uuid);
      onTrouble(null);
      onStatus(s);
      if (ended(s)) return s;
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status >= 400 && error.status < 500 && error.status !== 429)) throw error;
      onTrouble(error.message);
    }
    await sleep(wait_ms);
    wait_ms = Math.min(POLL_MOST_MS, wait_ms * 1.5);
  }
}

/**
 * One connection, to its end.
 * @param {string} uuid
 * @param {(s: Status) => void} onStatus
 * @returns {Promise<{last: Status|null, events: number}>}
 */
function stream(uuid, onStatus) {
  return new Promise((resolve) => {
    const source = new EventSource(`/api/events/${encodeURIComponent(uuid)}`);
    /** @type {Status|null} */
    let last = null;
    let events = 0;
    const done = () => {
      source.close();
      resolve({ last, events });
    };
    source.addEventListener("status", (event) => {
      const s = /** @type {Status} */ (JSON.parse(event.data));
      last = s;
      events += 1;
      onStatus(s);
      if (ended(s)) done();
    });
    source.addEventListener("error", done);
  });
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
