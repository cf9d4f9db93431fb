// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupFailures, groupSkips, normalise } from "../../public/js/lib/failures.js";
import { applyFilter } from "../../public/js/lib/filter.js";
import { sortTests } from "../../public/js/lib/order.js";
import { arrangeArtifacts } from "../../public/js/lib/runs.js";
import { FAIL, UNFINISHED } from "../../public/js/lib/status.js";
import { classOf, makeTestSet, splitName } from "../../public/js/lib/testset.js";
import { visible } from "../../public/js/lib/format.js";

const NOON = Date.UTC(2016, 5, 1, 12, 0, 0);

/**
 * @param {string} name
 * @param {string} status
 * @param {number} from
 * @param {number} seconds
 * @param {string[]} tags
 */
const one = (name, status, from, seconds, tags = ["worker-0"]) => ({
  name,
  status,
  tags,
  timestamps: /** @type {[string, string]} */ ([new Date(NOON + from * 1000).toISOString(), new Date(NOON + (from + seconds) * 1000).toISOString()]),
  duration: seconds,
});

const tests = makeTestSet([
  one("a.B.test_one", "success", 0, 4),
  one("a.B.test_two", "fail", 4, 2, ["worker-1", "smoke"]),
  one("a.C.test_three", "skip", 4, 0),
  one("a.C.test_four", "fail", 5, 9, ["worker-1", "unfinished"]),
  one("a.C.test_five", "fail", 1, 2),
]);

test("a run as columns", () => {
  assert.equal(tests.count, 5);
  assert.equal(tests.from_ms, NOON);
  assert.equal(tests.to_ms, NOON + 14000);
  assert.deepEqual([...tests.status].map((s) => s === FAIL || s === UNFINISHED), [false, true, false, true, true]);
  assert.equal(tests.status[3], UNFINISHED);
  assert.deepEqual(tests.workers, ["worker 0", "worker 1"]);
  assert.deepEqual(tests.tags[1], ["smoke"]);
  assert.deepEqual([...tests.byStart], [0, 4, 1, 2, 3]);
});

test("lanes bear the workers' own numbers where the server renumbered them; tests without a worker have a lane", () => {
  const odd = makeTestSet([one("x", "success", 0, 1, ["worker-1", "orig:worker-9"]), one("y", "success", 0, 1, ["worker-0"]), one("z", "success", 0, 1, [])]);
  assert.deepEqual(odd.workers, ["no worker", "worker 0", "worker 9"]);
  assert.deepEqual([...odd.lane], [2, 1, 0]);
});

test("a run without a length still has one", () => {
  const flat = makeTestSet([one("x", "success", 3, 0)]);
  assert.equal(flat.to_ms, flat.from_ms, "a run that took no time is told so");
  assert.deepEqual([makeTestSet([]).from_ms, makeTestSet([]).to_ms], [0, 0]);
});

test("names in two parts, dots of parameters left alone", () => {
  assert.deepEqual(splitName("a.b.C.test_x"), { path: "a.b.C", short: "test_x" });
  assert.deepEqual(splitName("a.C.test_x(v1.2)"), { path: "a.C", short: "test_x(v1.2)" });
  assert.deepEqual(splitName("plain"), { path: "", short: "plain" });
  assert.deepEqual(splitName("ends."), { path: "ends", short: "ends." });
  assert.equal(classOf("a.b.C.test_x"), "C");
});

test("names and lines cannot hide or turn what stands around them", () => {
  assert.equal(splitName("a.\u202etest_evil\u0000").short, "⟨202E⟩test_evil⟨0000⟩");
  assert.equal(visible("a\tb\r\nc \u{1f600} é"), "a\tb\nc \u{1f600} é");
});

test("equal causes come together, in order of time", () => {
  const details = new Map([
    ["a.B.test_two", ["Timed out", "Details: (B:test_two) Server 4f6c2a3e-1111-2222-3333-444455556666 after 196 s"]],
    ["a.C.test_five", ["Timed out", "Details: (C:test_five) Server 0a6c2a3e-1111-2222-3333-444455556666 after 12 s"]],
  ]);
  const causes = groupFailures(tests, details);
  assert.deepEqual(causes.map((cause) => cause.tests), [[4, 1], [3]]);
  assert.match(causes[1].text, /never finished/);
});

test("what differs from one occurrence to the next is taken out, and words are not", () => {
  assert.equal(normalise("10.0.0.5:22 at 0xdeadbeef, req-ab-12"), normalise("10.1.2.3:80 at 0x12, req-zz-9"));
  assert.notEqual(normalise("Connection refused"), normalise("Connection reset"));
  assert.equal(normalise("deadbeefcafe is a word"), "deadbeefcafe is a word");
});

/** Messages of one cause, as they stand in real runs, but for what is another each time. @type {[string, string][]} */
const SAME = [
  ["Failed to connect to 10.0.0.5:22", "Failed to connect to 172.24.5.117:22022"],
  ["fixed IP 2001:db8::f816:3eff:fe3a:1b2c is not up", "fixed IP fd00:1:2:3::5 is not up"],
  ["connect to [2001:db8::1]:8774 failed", "connect to [::1]:9696 failed"],
  ["Port fa:16:3e:3a:1b:2c has no address", "Port fa:16:3e:00:ff:99 has no address"],
  ["Expired at Wed, 01 Jun 2016 12:00:00 GMT", "Expired at Thu, 2 Jun 2016 01:02:03 GMT"],
  ["No event since 2016-06-01T12:00:00.123Z", "No event since 2016-07-11T02:10:09Z"],
  ["No event since 2016-06-01 12:00:00,123", "No event since 2016-07-11 02:10:09.5"],
  ["Start directory is not importable: '/tmp/tmpj13epcc9'", "Start directory is not importable: '/tmp/tmpx_a81kz2'"],
  ["Device tap3f2a9b1c-4d is gone", "Device tap00aa11bb-ff is gone"],
  ["Commit 4422fca is not known", "Commit 97d3474a0b is not known"],
  ["Details: tempest-VolumesTest-server-1829123 timed out after 196 s", "Details: tempest-VolumesTest-server-77 timed out after 197 s"],
  ["Image cirros123456 was not found", "Image cirros99887 was not found"],
  ["Unexpected status 500: Request req-1e2f", "Unexpected status 500: Request req-99aa"],
];

/** Messages of two causes, however alike. @type {[string, string][]} */
const OTHERS = [
  ["Connection refused", "Connection reset"],
  ["Request (X:y): 500 POST http://10.0.0.1/v2/servers", "Request (X:y): 404 POST http://10.0.0.1/v2/servers"],
  ["AssertionError: 404 != 200", "AssertionError: 500 != 200"],
  ["Unexpected HTTP status code: 503", "Unexpected HTTP status code: 401"],
  ["Details: {'code': 409, 'message': 'In use'}", "Details: {'code': 400, 'message': 'In use'}"],
  ["[Errno 2] /etc/hosts", "[Errno 13] /etc/hosts"],
  ["ssh exited with status 1", "ssh exited with status 255"],
  ["Worker killed by signal 9", "Worker killed by signal 11"],
  ["No route over ipv4", "No route over ipv6"],
  ["Hash sha1 does not fit", "Hash sha256 does not fit"],
  ["API of v2 is gone", "API of v3 is gone"],
  ["ImportError: No module named test_foo", "ImportError: No module named test_bar"],
  ["deadbeefcafe is a word", "a word"],
];

test("messages that differ in what is another each time are one cause", () => {
  for (const [text, other] of SAME) assert.equal(normalise(text), normalise(other));
});

test("numbers and names that say what happened part causes", () => {
  for (const [text, other] of OTHERS) assert.notEqual(normalise(text), normalise(other));
});

test("the names of other tests part no causes; words that are no test's do", () => {
  const names = ["a.VolumesTest.test_list", "a.VolumesTest.test_show", "a.ServersTestJSON.test_boot[id-1,smoke]", "a.b.refused", "a.b.reset"];
  const run = makeTestSet(names.map((name, n) => one(name, "fail", n, 1)));
  /** @param {string[]} messages */
  const causes = (messages) => groupFailures(run, new Map(messages.map((text, n) => [names[n], [text]]))).filter((cause) => !/No message/.test(cause.text)).map((cause) => cause.tests);
  assert.deepEqual(causes(["Quota taken by (ServersTestJSON:test_boot)", "Quota taken by (VolumesTest:test_list)"]), [[0, 1]]);
  assert.deepEqual(causes(["no server tempest-VolumesTest-server-1", "no server tempest-ServersTestJSON-server-2"]), [[0, 1]]);
  assert.deepEqual(causes(["after a.ServersTestJSON.test_boot", "after a.VolumesTest.test_list"]), [[0, 1]]);
  assert.deepEqual(causes(["Connection refused", "Connection reset"]), [[0], [1]]);
  assert.deepEqual(causes(["No module named test_foo", "No module named test_bar"]), [[0], [1]]);
});

test("skips by reason", () => {
  const groups = groupSkips([{ name: "a", duration: 0, details: null }, { name: "b", duration: 0, details: "no ec2" }, { name: "c", duration: 0, details: "no ec2 " }]);
  assert.deepEqual(groups, [{ reason: "no ec2", names: ["b", "c"] }, { reason: "No reason was given", names: ["a"] }]);
});

test("filters count exactly, and leave no mask when there is nothing to filter", () => {
  assert.equal(applyFilter(tests, { text: " ", statuses: [], tag: "", least: 0 }).mask, null);
  assert.equal(applyFilter(tests, { text: "C test", statuses: [], tag: "", least: 0 }).count, 3);
  assert.equal(applyFilter(tests, { text: "smoke", statuses: [], tag: "", least: 0 }).count, 1);
  const failed = applyFilter(tests, { text: "", statuses: ["fail"], tag: "", least: 0 });
  assert.deepEqual([...(failed.mask ?? [])], [0, 1, 0, 0, 1]);
});

test("sorts are stable, and masks hold", () => {
  assert.deepEqual([...sortTests(tests, null, "duration", true)], [3, 0, 4, 1, 2]);
  assert.deepEqual([...sortTests(tests, null, "name", false)].map((i) => tests.names[i].slice(-4)), ["_one", "_two", "five", "four", "hree"]);
  assert.deepEqual([...sortTests(tests, applyFilter(tests, { text: "", statuses: ["fail"], tag: "", least: 0 }).mask, "start", false)], [4, 1]);
  assert.deepEqual([...sortTests(tests, null, "status", true)].slice(0, 3), [4, 1, 3]);
});

test("artifacts as runs, measurements and consoles; the first of a kind counts", () => {
  /** @param {string} id @param {string} type @param {string} name */
  const a = (id, type, name) => ({ id, artifact_type: type, artifact_name: name, primary: true, blocks: false });
  const { runs, dstats, consoles } = arrangeArtifacts([a("1", "subunit", "x"), a("2", "subunit-stats", "x"), a("3", "dstat", "d"), a("4", "subunit-details", "alone"), a("5", "subunit-stats", "y"), a("6", "subunit", "x"), a("7", "console", "c")]);
  assert.deepEqual(runs.map((run) => [run.name, run.subunit?.id, run.stats?.id]), [["x", "1", "2"], ["y", undefined, "5"]]);
  assert.deepEqual([dstats.length, consoles.length], [1, 1]);
});

test("lanes bear the name of their host; without hosts there are workers", () => {
  const two = makeTestSet([one("x", "success", 0, 1, ["worker-0", "host:b"]), one("y", "success", 0, 1, ["worker-1", "host:b"]), one("z", "success", 1, 2, ["worker-2", "host:a"]), one("w", "success", 1, 2, [])]);
  assert.deepEqual(two.workers, ["no worker", "b #0", "b #1", "a #2"]);
  assert.deepEqual(two.hosts, ["", "b", "b", "a"]);
  const mixed = makeTestSet([one("x", "success", 0, 1, ["worker-0", "host:b"]), one("y", "success", 0, 1, ["worker-0", "host:a"])]);
  assert.deepEqual([mixed.workers, mixed.hosts], [["worker 0"], [""]], "a lane of several hosts is none's");
  assert.deepEqual(makeTestSet([one("x", "success", 0, 1, ["worker-3"])]).hosts, [""]);
});
