// SPDX-License-Identifier: Apache-2.0
// Failures told to somebody else: as a link, and as a comment of a review.
import { plainText } from "../lib/ansi.js";
import { failureMarkdown } from "../lib/markdown.js";
import { TEST_STATUS } from "../lib/status.js";
import { formatLength } from "../lib/format.js";
import { formatSpan } from "../lib/moments.js";
import { sharedAddressOf } from "../sharing.js";
import { addressOf, getState } from "../store.js";
import { DEFAULT_STATE } from "../lib/urlstate.js";

/**
 * @param {{tests: import("../lib/testset.js").TestSet, job: import("../lib/types.js").Job, zone: () => import("../lib/format.js").Zone}} data
 */
export function makeTeller({ tests, job, zone }) {
  /** A test as it is found without the filters of whoever sends it. @param {number} i */
  const alone = (i) => ({ ...DEFAULT_STATE, group: getState().group, test: tests.names[i] });
  /** @param {number} i */
  const sharedLinkOf = (i) => sharedAddressOf(alone(i));

  /** @param {number} i */
  const told = (i) => ({
    name: tests.names[i],
    result: TEST_STATUS[tests.status[i]].label.toLowerCase(),
    // "Since start" means nothing to who does not see the run.
    when: `${formatSpan(tests.start[i], tests.end[i], zone() === "local" ? "local" : "utc", tests.from_ms)} (${formatLength((tests.end[i] - tests.start[i]) / 1000)})`,
    where: tests.workers[tests.lane[i]],
    link: sharedLinkOf(i),
  });

  return {
    /** @param {number} i */
    linkOf: (i) => addressOf(alone(i)),
    sharedLinkOf,
    /** @param {readonly number[]} ids @param {string} text the cause */
    markdownOf: (ids, text) => failureMarkdown(job, ids.map(told), plainText(text)),
  };
}
