// SPDX-License-Identifier: Apache-2.0
// Which lanes are drawn tall: each by itself, and all of a host at once where the results name hosts.
import { group, option } from "./menus.js";

/**
 * @param {import("../lib/testset.js").TestSet} tests
 * @param {readonly string[]} folded labels
 * @param {(change: {folded: string[]}) => void} set
 * @returns {import("../dom.js").Child[]}
 */
export function laneChoices({ workers, hosts }, folded, set) {
  /** @param {readonly string[]} labels @param {boolean} open */
  const turn = (labels, open) => set({ folded: [...folded.filter((label) => !labels.includes(label)), ...(open ? [] : labels)] });
  /** @param {string} name @param {readonly string[]} labels */
  const choice = (name, labels) => option(name, labels.some((label) => !folded.includes(label)), (open) => turn(labels, open));
  const named = [...new Set(hosts)].filter(Boolean);
  const lanes = workers.map((label) => choice(label, [label]));
  if (named.length < 2) return lanes;
  return [
    group("Hosts", named.map((host) => choice(host, workers.filter((_, lane) => hosts[lane] === host)))),
    group("Lanes", lanes),
  ];
}
