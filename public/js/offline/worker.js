// SPDX-License-Identifier: Apache-2.0
// In place of worker.js in a saved file: each worker is one script without imports, started from memory.
import { part } from "./archive.js";

/** @typedef {{createPolicy: (name: string, rules: {createScriptURL: (url: string) => string}) => {createScriptURL: (url: string) => string}}} Factory */

/** @type {Map<string, string>} */
const made = new Map();
/** @type {{createScriptURL: (url: string) => string}|null} */
let policy = null;

/** @param {string} path a module of the site @returns {string} */
function trusted(path) {
  const script = part(path);
  if (!script) throw new TypeError(`this file has no ${path}`);
  const url = made.get(path) ?? URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  made.set(path, url);
  const factory = /** @type {Factory|undefined} */ (Reflect.get(globalThis, "trustedTypes"));
  if (!factory) return url;
  policy ??= factory.createPolicy("app", {
    createScriptURL(address) {
      if (![...made.values()].includes(address)) throw new TypeError(`${address} is no script of this file`);
      return address;
    },
  });
  return policy.createScriptURL(url);
}

/** @param {string} id @returns {string|Blob} */
export const wholeOf = (id) => new Blob([part(`/api/blob/${id}`) ?? new Uint8Array()]);

/** @param {string} path as on the site */
export function startWorker(path) {
  return new Worker(trusted(path));
}
