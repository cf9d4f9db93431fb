// SPDX-License-Identifier: Apache-2.0
// What a person looks at, as the fragment of the address: it survives a reload and can be sent to somebody else.

/**
 * @typedef {object} ViewState
 * @property {string} group name of the run, "" = the first
 * @property {[number, number]|null} range seconds since the run's start; null = the whole run
 * @property {string} test name of the selected test, "" = none
 * @property {string} text of the filter
 * @property {string[]} statuses of the filter, none = all
 * @property {import("./times.js").Zone} zone
 * @property {import("./filter.js").SortKey} sort
 * @property {boolean} descending
 */

/** @type {Readonly<ViewState>} */
export const DEFAULT_STATE = Object.freeze({ group: "", range: null, test: "", text: "", statuses: [], zone: "utc", sort: "start", descending: false });

const STATUS_KEYS = ["fail", "unfinished", "skip", "pass"];
const SORTS = ["start", "duration", "status", "name", "worker"];

/**
 * @param {string} hash with or without its "#"; whatever it holds, the result is a proper state
 * @returns {ViewState}
 */
export function parseState(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const zone = given.get("zone");
  const sort = given.get("sort") ?? "";
  const key = sort.replace(/^-/, "");
  return {
    group: given.get("run") ?? "",
    range: parseRange(given.get("t")),
    test: given.get("test") ?? "",
    text: given.get("filter") ?? "",
    statuses: (given.get("status") ?? "").split(",").filter((status) => STATUS_KEYS.includes(status)),
    zone: zone === "local" || zone === "start" ? zone : "utc",
    sort: SORTS.includes(key) ? /** @type {import("./filter.js").SortKey} */ (key) : "start",
    descending: SORTS.includes(key) && sort.startsWith("-"),
  };
}

/**
 * @param {ViewState} state
 * @returns {string} with its "#", or "" when there is nothing to say
 */
export function formatState(state) {
  /** @type {[string, string][]} */
  const said = [
    ["run", state.group],
    ["t", state.range ? state.range.map((s) => String(Math.round(s * 1000) / 1000)).join("~") : ""],
    ["test", state.test],
    ["filter", state.text],
    ["status", state.statuses.join(",")],
    ["zone", state.zone === "utc" ? "" : state.zone],
    ["sort", state.sort === "start" && !state.descending ? "" : (state.descending ? "-" : "") + state.sort],
  ];
  const params = said.filter(([, value]) => value !== "");
  if (params.length === 0) return "";
  return `#${params.map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%20/g, "+").replace(/%2C/g, ",")}`).join("&")}`;
}

/** @param {string|null} text @returns {[number, number]|null} */
function parseRange(text) {
  const match = /^(-?\d+(?:\.\d+)?)~(-?\d+(?:\.\d+)?)$/.exec(text ?? "");
  if (!match) return null;
  const from = Number(match[1]);
  const to = Number(match[2]);
  return to > from && to - from < 1e9 ? [from, to] : null;
}
