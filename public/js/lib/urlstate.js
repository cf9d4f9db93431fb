// SPDX-License-Identifier: Apache-2.0
// What a person looks at, as the fragment of the address: it survives a reload and can be sent to somebody else.

/** @typedef {"start"|"duration"|"status"|"name"|"worker"} SortKey */

/** @type {readonly SortKey[]} */
const SORT_KEYS = ["status", "name", "worker", "start", "duration"];

/**
 * @typedef {object} ViewState
 * @property {string} group name of the run, "" = the first
 * @property {[number, number]|null} range seconds since the run's start; null = the whole run
 * @property {string} test name of the selected test, "" = none
 * @property {string} text of the filter
 * @property {string[]} statuses of the filter, none = all
 * @property {string} tag of the filter, "" = any
 * @property {number} least seconds that a test must have taken
 * @property {import("./format.js").Zone} zone
 * @property {SortKey} sort
 * @property {boolean} descending
 * @property {string[]} folded labels of the lanes that are drawn thin
 * @property {string[]|null} charts keys of those that are shown, null = the usual ones
 * @property {string[]} hosts names of the dstat artifacts that are shown, none = the first
 * @property {string[]|null} attachments which of the test's are open, null = the first
 * @property {string} level least level of an attachment's lines, "" = all
 * @property {string} find what is searched for in the attachment
 * @property {string[]} turned folds that are not as they usually are, by their ids
 * @property {number} row the first that is in sight of the table
 * @property {Readonly<Record<string, string>>} more parameters of other parts of the page, by name; a bare word such as L10-L20 has the value ""
 */

/** @type {Readonly<ViewState>} */
export const DEFAULT_STATE = Object.freeze({
  group: "", range: null, test: "", text: "", statuses: [], tag: "", least: 0, zone: "utc", sort: "start", descending: false,
  folded: [], charts: null, hosts: [], attachments: null, level: "", find: "", turned: [], row: 0, more: Object.freeze({}),
});

const STATUS_KEYS = ["fail", "unfinished", "skip", "pass"];
export const LEVELS = Object.freeze(["info", "warning", "error"]);
const OWN = ["run", "t", "test", "filter", "status", "tag", "min", "zone", "sort", "fold", "charts", "hosts", "file", "level", "find", "turned", "row"];
const MOST_MORE = 20;

/**
 * @param {string} hash with or without its "#"; whatever it holds, the result is a proper state
 * @returns {ViewState}
 */
export function parseState(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  /** @param {string} name */
  const get = (name) => given.get(name) ?? "";
  const zone = get("zone");
  const sort = get("sort");
  const key = sort.replace(/^-/, "");
  const known = SORT_KEYS.some((one) => one === key);
  const least = Number(get("min"));
  return {
    group: get("run"),
    range: parseRange(given.get("t")),
    test: get("test"),
    text: get("filter"),
    statuses: list(get("status")).filter((status) => STATUS_KEYS.includes(status)),
    tag: get("tag"),
    least: least > 0 && least < 1e9 ? least : 0,
    zone: zone === "local" || zone === "start" ? zone : "utc",
    sort: known ? /** @type {SortKey} */ (key) : "start",
    descending: known && sort.startsWith("-"),
    folded: list(get("fold")),
    charts: given.has("charts") ? list(get("charts")) : null,
    hosts: list(get("hosts")),
    attachments: given.has("file") ? list(get("file")) : null,
    level: LEVELS.includes(get("level")) ? get("level") : "",
    find: get("find"),
    turned: list(get("turned")),
    row: /^\d{1,7}$/.test(get("row")) ? Number(get("row")) : 0,
    more: Object.fromEntries([...given].filter(([name]) => name !== "" && !OWN.includes(name)).slice(0, MOST_MORE)),
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
    ["tag", state.tag],
    ["min", state.least ? String(state.least) : ""],
    ["zone", state.zone === "utc" ? "" : state.zone],
    ["sort", state.sort === "start" && !state.descending ? "" : (state.descending ? "-" : "") + state.sort],
    ["fold", joined(state.folded)],
    ["charts", state.charts === null ? "" : joined(state.charts) || NONE],
    ["hosts", joined(state.hosts)],
    ["file", state.attachments === null ? "" : joined(state.attachments) || NONE],
    ["level", state.level],
    ["find", state.find],
    ["turned", joined(state.turned)],
    ["row", state.row ? String(state.row) : ""],
  ];
  const words = Object.entries(state.more).map(([key, value]) => (value === "" ? encode(key) : `${encode(key)}=${encode(value)}`));
  const params = said.filter(([, value]) => value !== "").map(([key, value]) => `${key}=${encode(value)}`);
  const parts = [...words, ...params];
  return parts.length ? `#${parts.join("&")}` : "";
}

/** A list that is meant to be empty. */
const NONE = ",";

/** Half of a pair of units, which an input field can hold, has no form in an address. @param {string} text */
function encode(text) {
  return encodeURIComponent(text.toWellFormed()).replace(/%20/g, "+").replace(/%2C/g, ",").replace(/%2F/g, "/").replace(/%3A/g, ":");
}

/** A comma inside an entry is written as %2C once more. @param {readonly string[]} entries */
function joined(entries) {
  return entries.map((entry) => entry.replace(/%/g, "%25").replace(/,/g, "%2C")).join(",");
}

/** @param {string} text */
function list(text) {
  return text.split(",").filter(Boolean).slice(0, 1000).map((entry) => entry.replace(/%2C/g, ",").replace(/%25/g, "%"));
}

/** @param {string|null} text @returns {[number, number]|null} */
function parseRange(text) {
  const match = /^(-?\d+(?:\.\d+)?)~(-?\d+(?:\.\d+)?)$/.exec(text ?? "");
  if (!match) return null;
  const from = Number(match[1]);
  const to = Number(match[2]);
  return to > from && to - from < 1e9 ? [from, to] : null;
}
