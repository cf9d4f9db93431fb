// SPDX-License-Identifier: Apache-2.0
// Bytes as text that may stand anywhere in a page.

/** A multiple of three: pieces can be put one behind the other. */
const PIECE = 3 * 8192;

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += PIECE) pieces.push(btoa(String.fromCharCode(...bytes.subarray(at, at + PIECE))));
  return pieces.join("");
}

/** How many characters so many bytes take. @param {number} bytes */
export const base64Length = (bytes) => Math.ceil(bytes / 3) * 4;

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export function fromBase64(text) {
  const bytes = new Uint8Array((text.length / 4) * 3);
  let length = 0;
  for (let at = 0; at < text.length; at += (PIECE / 3) * 4) {
    const piece = atob(text.slice(at, at + (PIECE / 3) * 4));
    for (let i = 0; i < piece.length; i += 1) bytes[length++] = piece.charCodeAt(i);
  }
  return bytes.slice(0, length);
}
