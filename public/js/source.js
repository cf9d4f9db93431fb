// SPDX-License-Identifier: Apache-2.0
// Where a site comes from: the daemon.  In a saved file offline/source.js stands here.

/** @param {string} path of the API @param {RequestInit} options */
export const send = (path, options) => fetch(path, options);

/** Of the task; undefined when the address has none. */
export const siteId = () => /^\/s\/([^/]+)/.exec(location.pathname)?.[1];
