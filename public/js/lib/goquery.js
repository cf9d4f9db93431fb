// SPDX-License-Identifier: Apache-2.0
// What stands behind /go/ in the address: a query as it was pasted there.

const PREFIX = "/go/";

/**
 * @param {{pathname: string, search: string, hash: string}} location
 * @returns {string} the query, empty when there is none
 */
export function goQuery(location) {
  const path = location.pathname.startsWith(PREFIX) ? location.pathname.slice(PREFIX.length) : "";
  const query = path + location.search + location.hash;
  // Proxies like to fold the two slashes of a URL inside a path into one.
  const url = query.replace(/^(https?):\/+(?=[^/])/i, "$1://");
  if (url !== query || /^https?:\/\//i.test(query)) return url;
  try {
    return decodeURIComponent(query).trim();
  } catch {
    return query;
  }
}

/** @param {string} query */
export function goPath(query) {
  const pieces = /^https?:\/\//i.test(query) ? query : encodeURIComponent(query.toWellFormed()).replace(/%(2F|2C|3A|40)/g, decodeURIComponent);
  return PREFIX + pieces;
}
