// SPDX-License-Identifier: Apache-2.0
// What of the machines is shown: which of them, and which of their columns.
import { chartsOf } from "../lib/metrics.js";
import { otherCharts } from "../lib/othercharts.js";
import { group, option } from "./menus.js";

/**
 * @param {{names: readonly string[], keys: readonly string[]|null, loaded: readonly {dstat: import("../lib/dstat.js").Dstat}[]}} choice as it is now
 * @param {readonly string[]} hosts the names of all
 * @param {(change: {hosts: string[]}|{charts: string[]}) => void} set
 * @returns {import("../dom.js").Child[]}
 */
export function machineChoices({ names, keys, loaded }, hosts, set) {
  /** @param {typeof chartsOf} charts @param {(chart: import("../lib/metrics.js").Chart) => string} nameOf @returns {Map<string, string>} key → what it is called */
  const known = (charts, nameOf) => new Map(loaded.flatMap(({ dstat }) => charts(dstat).map((chart) => [chart.key, nameOf(chart)])));
  const usual = known(chartsOf, ({ name }) => name);
  const others = known(otherCharts, ({ name, series }) => `${name}: ${series[0].label}`);
  const now = keys ?? [...usual.keys()];
  /** @param {[string, string]} entry */
  const chartOption = ([key, name]) => option(name, now.includes(key), (on) => set({ charts: on ? [...now, key] : now.filter((one) => one !== key) }));
  return [
    hosts.length > 1 && group("Machines", hosts.map((name) => option(name, names.includes(name), (on) => set({ hosts: on ? [...names, name] : names.filter((one) => one !== name) })))),
    group("Charts", [...usual].map(chartOption)),
    others.size > 0 && group("Other columns", [...others].map(chartOption)),
  ];
}
