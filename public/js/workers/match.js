// SPDX-License-Identifier: Apache-2.0
// Which texts a regular expression fits.  It runs here because one that backtracks without end can only be ended from
// outside, together with its thread.

/** @type {readonly string[]} */
let texts = [];

/** What is matched comes first, then expressions as they are typed. */
addEventListener("message", ({ data }) => {
  if (data.texts) texts = data.texts;
  if (data.source === undefined) return;
  const pattern = new RegExp(data.source, data.flags);
  const hits = Uint8Array.from(texts, (text) => (pattern.test(text) ? 1 : 0));
  postMessage({ id: data.id, hits }, { transfer: [hits.buffer] });
});
