// SPDX-License-Identifier: Apache-2.0
// What a saved file carries: answers of the API under their addresses, in script elements that no browser runs.
import { fromBase64 } from "../lib/base64.js";

/** @type {Map<string, Uint8Array<ArrayBuffer>>} */
const taken = new Map();

/**
 * @param {string} name
 * @returns {Uint8Array<ArrayBuffer>|null} null: the file has no such part
 */
export function part(name) {
  const found = taken.get(name);
  if (found) return found;
  for (const element of document.querySelectorAll("script[data-part]")) {
    if (!(element instanceof HTMLElement) || element.dataset.part !== name) continue;
    const bytes = fromBase64(element.textContent ?? "");
    taken.set(name, bytes);
    // Its text would take memory a second time.
    element.remove();
    return bytes;
  }
  return null;
}

/** @param {string} name */
export function partText(name) {
  const bytes = part(name);
  if (!bytes) throw new Error(`this file is not whole: it has no ${name}`);
  return new TextDecoder().decode(bytes);
}
