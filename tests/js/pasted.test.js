// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { lookupIn } from "../../public/js/lib/pasted.js";

const ID = `I${"0123456789".repeat(4)}`;
const UUID = "d6b05d233d1b47a9b51694b4da905ab1";

test("what is looked up is found in the text around it", () => {
  /** @type {[string, string][]} */
  const cases = [
    [`    Change-Id: ${ID}\n`, ID],
    ["Reviewed-on: https://review.opendev.org/c/openstack/nova/+/271726\nTested-by: Zuul", "https://review.opendev.org/c/openstack/nova/+/271726"],
    [`Change 271726 (https://review.opendev.org/271726), build ${UUID}`, "https://review.opendev.org/271726"],
    ["it fails, see [the build](https://zuul.opendev.org/t/openstack/build/abc).", "https://zuul.opendev.org/t/openstack/build/abc"],
    ["the change 42,3 of 2016", "42,3"],
    ["change 271726, patchset 2 of 2016-06-01 12:00", "271726"],
    ["271726,1\nand more", "271726,1"],
    ["since 2016 or 2016-06-01 there is review.opendev.org/271726/2 for it", "271726/2"],
    [`build ${UUID} failed`, UUID],
    ["git fetch origin refs/changes/26/271726/2 && git checkout", "refs/changes/26/271726/2"],
  ];
  for (const [text, wanted] of cases) assert.equal(lookupIn(text), wanted);
});

test("one word is taken as it is, and so are words that mean nothing: the server says what it takes", () => {
  assert.equal(lookupIn("  openstack%2Fnova~271726 "), "openstack%2Fnova~271726");
  assert.equal(lookupIn("<https://logs.example.org/a/>"), "<https://logs.example.org/a/>");
  assert.equal(lookupIn("sample"), "sample");
  assert.equal(lookupIn("it broke\n again in 2016"), "it broke again in 2016");
  assert.equal(lookupIn(" \n"), "");
});
