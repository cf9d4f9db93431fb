// SPDX-License-Identifier: Apache-2.0
// What the page of a task surely needs from the server, asked for while its other scripts are still on their way: this
// one is run as soon as it and its imports are there.
import { blobJson, blobText, task } from "./api.js";
import { arrangeArtifacts } from "./lib/runs.js";
import { siteId } from "./source.js";

export const uuid = siteId() ?? "";

/** Answers that nobody has taken yet, by what was asked. @type {Map<string, Promise<any>>} */
const waiting = new Map();

/** @param {string} key @param {Promise<unknown>} answer */
function keep(key, answer) {
  waiting.set(key, answer);
  // Whoever takes it is told; until then a failure is nobody's.
  answer.catch(() => {});
}

/** Each answer is given once: who asks again wants to know how it is now. @param {string} key */
function take(key) {
  const answer = waiting.get(key);
  waiting.delete(key);
  return answer;
}

/** @returns {Promise<import("./lib/types.js").Task>} */
export const askedTask = () => take(uuid) ?? task(uuid);

/** @param {string} id @returns {Promise<any>} */
export const askedJson = (id) => take(id) ?? blobJson(id);

/** @param {string} id @returns {Promise<string>} */
export const askedText = (id) => take(id) ?? blobText(id);

async function askAhead() {
  const { artifacts } = await waiting.get(uuid);
  const { runs, dstats } = arrangeArtifacts(artifacts);
  // An address that names its run: that run is asked for when the address is read.
  const run = /[#&]run=/.test(location.hash) ? null : runs[0];
  for (const wanted of [run?.subunit, run?.stats]) if (wanted) keep(wanted.id, blobJson(wanted.id));
  if (runs.length && dstats.length) keep(dstats[0].id, blobText(dstats[0].id));
}

if (uuid) {
  keep(uuid, task(uuid));
  askAhead().catch(() => {});
}
