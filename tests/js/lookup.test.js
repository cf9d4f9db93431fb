// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { groupJobs, movesNothing, rowKeys } from "../../public/js/lib/groups.js";
import { goPath, goQuery } from "../../public/js/lib/goquery.js";
import { jobStatus } from "../../public/js/lib/status.js";

/** @param {Partial<import("../../public/js/lib/types.js").Job>} facts */
const job = (facts) => ({ url: "https://logs.example.org/x/", name: "j", ...facts });

/** @param {string} address */
const located = (address) => {
  const { pathname, search, hash } = new URL(address, "http://localhost:5000");
  return goQuery({ pathname, search, hash });
};

test("jobs stand by pipeline, the newest revision first and what failed first", () => {
  const [change] = groupJobs([
    job({ name: "b", status: "SUCCESS", pipeline: "check", revision: 1, change_id: 7, finished_ms: 5 }),
    job({ name: "z", status: "SUCCESS", pipeline: "check", revision: 2, change_id: 7, finished_ms: 9 }),
    job({ name: "quiet", status: "FAILURE", voting: false, pipeline: "check", revision: 2, change_id: 7 }),
    job({ name: "late", status: "TIMED_OUT", pipeline: "check", revision: 2, change_id: 7 }),
    job({ name: "g", status: "SUCCESS", pipeline: "gate", revision: 2, change_id: 7, finished_ms: 12 }),
  ]);
  assert.deepEqual(change.groups.map((group) => [group.pipeline, group.revision, group.bad]), [["gate", 2, 0], ["check", 2, 2], ["check", 1, 0]]);
  assert.deepEqual(change.groups[1].jobs.map((one) => one.name), ["late", "quiet", "z"]);
});

test("changes of two Gerrits with one number stay apart", () => {
  const changes = groupJobs([job({ change_id: 7, gerrit: "a" }), job({ change_id: 7, gerrit: "b", change_subject: "s" })]);
  assert.deepEqual(changes.map((change) => [change.gerrit, change.subject]), [["a", null], ["b", "s"]]);
});

test("a job's status has a kind and a readable word, whatever the CI calls it", () => {
  assert.deepEqual(jobStatus("TIMED_OUT"), { kind: "bad", label: "Timed out" });
  assert.deepEqual(jobStatus("success"), { kind: "ok", label: "Success" });
  assert.deepEqual(jobStatus("NOT_REGISTERED").kind, "skip");
  assert.deepEqual(jobStatus("Fancy new state"), { kind: "none", label: "Fancy new state" });
  assert.deepEqual(jobStatus(null), { kind: "none", label: "No result" });
});

test("/go/ takes the rest of the address as it was pasted", () => {
  assert.equal(located("/go/271726,1"), "271726,1");
  assert.equal(located("/go/https://review.example.org/#/c/271726/"), "https://review.example.org/#/c/271726/");
  assert.equal(located("/go/https://logs.example.org/a%20b/?x=1&y=2#top"), "https://logs.example.org/a%20b/?x=1&y=2#top");
  assert.equal(located("/go/https:/logs.example.org/a/"), "https://logs.example.org/a/");
  assert.equal(located("/go/a%20b"), "a b");
  assert.equal(located("/go/%E0%A4%A"), "%E0%A4%A");
  assert.equal(located("/go/"), "");
});

test("what goPath makes is what goQuery reads", () => {
  for (const query of ["271726", "271726/1", "a b?c#d", "https://g.example.org/c/a/b/+/5/2", "I0123abc"]) assert.equal(located(goPath(query)), query);
});

test("a list grows under a hand only at its end, by rows as high as they were", () => {
  const now = rowKeys([job({ name: "a" }), job({ name: "b" })]);
  const grown = (/** @type {Partial<import("../../public/js/lib/types.js").Job>[]} */ ...jobs) => movesNothing(now, rowKeys(jobs.map(job)));
  assert.ok(grown({ name: "a" }, { name: "b", duration: "5 s" }));
  assert.ok(grown({ name: "b" }, { name: "a" }, { name: "c" }));
  assert.ok(!grown({ name: "b" }));
  assert.ok(!grown({ name: "a" }, { name: "b", status: "FAILURE" }), "what failed stands first");
  assert.ok(!grown({ name: "a", url: null, reason: "no logs" }, { name: "b" }), "a line more");
  assert.ok(!grown({ name: "a", builds: [{ url: null, status: null, duration: null, finished_ms: null }] }, { name: "b" }));
});
