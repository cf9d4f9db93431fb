// SPDX-License-Identifier: Apache-2.0
// Workers under Trusted Types: the page's one policy lets through the scripts that are named here and nothing else.

const SCRIPTS = Object.freeze(["/js/workers/scan.js"]);

/** @typedef {{createPolicy: (name: string, rules: {createScriptURL: (url: string) => string}) => {createScriptURL: (url: string) => string}}} Factory */

/** @type {{createScriptURL: (url: string) => string}|null} */
let policy = null;

/** @param {string} path one of SCRIPTS */
function trusted(path) {
  const factory = /** @type {Factory|undefined} */ (Reflect.get(globalThis, "trustedTypes"));
  if (!factory) return path;
  policy ??= factory.createPolicy("app", {
    createScriptURL(url) {
      if (!SCRIPTS.includes(url)) throw new TypeError(`${url} is no script of these pages`);
      return url;
    },
  });
  return policy.createScriptURL(path);
}

/** A whole artifact, for a worker that reads it by itself. @param {string} id @returns {string|Blob} its address, or a gzip file */
export const wholeOf = (id) => `/api/blob/${encodeURIComponent(id)}`;

/** @param {string} path of a module of these pages */
export function startWorker(path) {
  return new Worker(trusted(path), { type: "module" });
}
