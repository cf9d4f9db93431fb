// SPDX-License-Identifier: Apache-2.0
// A run's tests as columns: what 50,000 objects would cost in memory and time, arrays do not.
import { FAIL, testStatus, UNFINISHED } from "./status.js";
import { visible } from "./format.js";

/** @typedef {import("./types.js").TestJson} TestJson */

/**
 * Test `i` is the i-th of the `subunit` artifact, which is also its ordinal in `subunit-details`.
 * @typedef {object} TestSet
 * @property {number} count
 * @property {string[]} names
 * @property {Float64Array} start ms UTC
 * @property {Float64Array} end ms UTC, never before start
 * @property {Uint8Array} status see status.js
 * @property {Uint16Array} lane index into `workers`
 * @property {(readonly string[])[]} tags besides the worker's
 * @property {string[]} workers labels of the lanes
 * @property {string[]} hosts of the lanes, "" where the results tell none
 * @property {number} from_ms of the whole run
 * @property {number} to_ms the same when it took no time
 * @property {Uint32Array} byStart tests in order of their start
 * @property {number[]} counts tests by status
 */

const NO_TAGS = Object.freeze(/** @type {string[]} */ ([]));

/**
 * @param {readonly TestJson[]} json
 * @returns {TestSet}
 */
export function makeTestSet(json) {
  const count = json.length;
  const names = new Array(count);
  const start = new Float64Array(count);
  const end = new Float64Array(count);
  const status = new Uint8Array(count);
  const worker = new Int32Array(count);
  const tags = new Array(count);
  const counts = [0, 0, 0, 0, 0];
  let from_ms = Infinity;
  let to_ms = -Infinity;
  for (let i = 0; i < count; i += 1) {
    const test = json[i];
    names[i] = test.name;
    start[i] = Date.parse(test.timestamps[0]);
    end[i] = Math.max(start[i], Date.parse(test.timestamps[1]));
    status[i] = testStatus(test.status, test.tags);
    counts[status[i]] += 1;
    worker[i] = workerOf(test.tags);
    const others = test.tags.filter((tag) => !WORKER.test(tag));
    tags[i] = others.length ? others : NO_TAGS;
    if (start[i] < from_ms) from_ms = start[i];
    if (end[i] > to_ms) to_ms = end[i];
  }
  if (!(to_ms >= from_ms)) from_ms = to_ms = Number.isFinite(from_ms) ? from_ms : 0;
  const { lane, workers, hosts } = makeLanes(worker, tags);
  return { count, names, start, end, status, lane, tags, workers, hosts, from_ms, to_ms, byStart: orderBy(start), counts };
}

const WORKER = /^worker-(\d{1,6})$/;

/** @param {readonly string[]} tags */
function workerOf(tags) {
  for (const tag of tags) {
    const match = WORKER.exec(tag);
    if (match) return Number(match[1]);
  }
  return -1;
}

/**
 * Lanes in the order of the workers' numbers.  Where the server renumbered them, the lane bears the original label.
 * @param {Int32Array} worker
 * @param {(readonly string[])[]} tags
 */
function makeLanes(worker, tags) {
  const numbers = [...new Set(worker)].sort((a, b) => a - b);
  const laneOf = new Map(numbers.map((number, i) => [number, i]));
  const workers = numbers.map((number) => (number < 0 ? "no worker" : `worker ${number}`));
  const lane = new Uint16Array(worker.length);
  /** Of each lane; null once its tests are of several. @type {(string|null|undefined)[]} */
  const hosts = new Array(numbers.length);
  for (let i = 0; i < worker.length; i += 1) {
    const at = laneOf.get(worker[i]) ?? 0;
    lane[i] = at;
    for (const tag of tags[i]) {
      if (tag.startsWith("orig:")) workers[at] = tag.slice(5).replace("-", " ");
      else if (tag.startsWith("host:")) hosts[at] = hosts[at] === undefined || hosts[at] === tag.slice(5) ? tag.slice(5) : null;
    }
  }
  hosts.forEach((host, at) => {
    if (host) workers[at] = `${host.slice(0, 60)} ${workers[at].replace(/^worker /, "#")}`;
  });
  return { lane, workers, hosts: Array.from(hosts, (host) => host ?? "") };
}

/**
 * Indices in the order of their values, equal ones as they stood.
 * @param {Float64Array} values
 */
function orderBy(values) {
  const order = Uint32Array.from(values, (_, i) => i);
  return order.sort((a, b) => values[a] - values[b] || a - b);
}

/**
 * Failed and unfinished tests in the order in which they ended.
 * @param {TestSet} tests
 * @returns {number[]}
 */
export function failuresInTime(tests) {
  const failed = [];
  for (let i = 0; i < tests.count; i += 1) if (tests.status[i] === FAIL || tests.status[i] === UNFINISHED) failed.push(i);
  return failed.sort((a, b) => tests.end[a] - tests.end[b] || a - b);
}

/**
 * The tags of a run, those of most tests first.
 * @param {TestSet} tests
 * @returns {{tag: string, count: number}[]}
 */
export function tagsOf(tests) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const tags of tests.tags) for (const tag of tags) if (!tag.startsWith("orig:")) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].map(([tag, count]) => ({ tag, count })).sort((a, b) => b.count - a.count || (a.tag < b.tag ? -1 : 1));
}

/**
 * A test's name in two parts for the eye: where it is, and what it is called.
 * @param {string} name
 */
export function splitName(name) {
  // Dots inside brackets belong to the parameters of a scenario, not to the path.
  const bracket = name.search(/[([]/);
  const head = bracket > 0 ? name.slice(0, bracket) : name;
  const dot = head.lastIndexOf(".");
  return { path: dot > 0 ? visible(name.slice(0, dot)) : "", short: visible(name.slice(dot + 1) || name) };
}

/**
 * The class that a test is of, for a name that says what failed without the whole path.
 * @param {string} name
 */
export function classOf(name) {
  const { path } = splitName(name);
  return path.slice(path.lastIndexOf(".") + 1);
}

const SETUP = /^(?:setUpClass|tearDownClass|setUpModule|tearDownModule) \(([^)]+)\)/;

/**
 * A test's class with its module, as it stands in the name: for comparing, not for showing.
 * @param {string} name
 */
export function fullClassOf(name) {
  const setup = SETUP.exec(name);
  if (setup) return setup[1];
  const bracket = name.search(/[([]/);
  const dot = name.lastIndexOf(".", bracket > 0 ? bracket : name.length);
  return dot > 0 ? name.slice(0, dot) : "";
}

/**
 * The index of the first value that is not below, in ascending `values`.
 * @param {ArrayLike<number>} values
 * @param {number} value
 */
export function lowerBound(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
