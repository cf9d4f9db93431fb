// SPDX-License-Identifier: Apache-2.0
// The measurements of one machine or several below the lanes: which are shown, and their values at the pointer.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { parseDstat } from "../lib/dstat.js";
import { chartsOf, sampleRange } from "../lib/metrics.js";
import { visible } from "../lib/format.js";
import { makeChartView } from "./chartview.js";
import { lackNotice } from "./lack.js";

/** @typedef {import("../lib/dstat.js").Dstat} Dstat */
/** @typedef {import("../lib/metrics.js").Chart} Chart */
/** @typedef {import("./timeline.js").Scene} Scene */

/** @typedef {{name: string, load: () => Promise<{text: string, near_ms: number}>}} Host a dstat artifact; loaded when it is to be shown */

/** @typedef {{name: string, dstat: Dstat, usual: Chart[], others: Chart[], views: ReturnType<typeof makeChartView>[]}} Loaded */

/**
 * @param {readonly Host[]} hosts
 * @param {() => void} changed
 */
export function makeMachine(hosts, changed) {
  /** @type {Map<string, Loaded|null>} null: there is nothing in it */
  const loaded = new Map();
  /** @type {Loaded[]} */
  let shown = [];
  /** That it was drawn once is marked, for who measures. */
  let drawn = false;
  /** @type {string[]|null} */
  let keys = null;
  /** @type {string[]} */
  let names = [];
  const trouble = h("div", null);
  const box = h("div", null);
  const element = h("div", { class: C.machine }, box, trouble);

  /** @param {string} name */
  async function load(name) {
    const host = hosts.find((one) => one.name === name);
    if (!host || loaded.has(name)) return;
    const { text, near_ms } = await host.load();
    const dstat = parseDstat(text, near_ms);
    loaded.set(name, dstat && { name, dstat, usual: chartsOf(dstat), others: [], views: [] });
  }

  /** @param {readonly string[]} wantedHosts none = the first @param {string[]|null} wantedKeys null = the usual ones */
  async function apply(wantedHosts, wantedKeys) {
    names = wantedHosts.filter((name) => hosts.some((host) => host.name === name));
    if (!names.length) names = hosts.slice(0, 1).map((host) => host.name);
    keys = wantedKeys;
    const asked = names;
    fill(trouble);
    try {
      await Promise.all(names.map(load));
      // What is not usual is looked for when it is asked for.
      const { otherCharts } = wantedKeys?.length ? await import("../lib/othercharts.js") : { otherCharts: null };
      if (otherCharts) for (const host of loaded.values()) if (host) host.others = otherCharts(host.dstat);
    } catch (error) {
      if (asked === names) fill(trouble, lackNotice("warn", "The machine's measurements could not be loaded", error, () => void apply(wantedHosts, wantedKeys)));
    }
    if (asked === names) arrange();
  }

  function arrange() {
    shown = names.flatMap((name) => loaded.get(name) ?? []);
    fill(box);
    for (const host of shown) {
      const wanted = keys === null ? host.usual : [...host.usual, ...host.others].filter((chart) => keys?.includes(chart.key));
      host.views = wanted.map((chart) => makeChartView(chart, host.dstat));
      if (shown.length > 1 && host.views.length) box.append(h("p", { class: C.machineName }, visible(host.name)));
      box.append(...host.views.map((view) => view.element));
    }
    changed();
  }

  return {
    element,
    apply,
    /** Of the first machine that is shown. */
    first: () => shown[0] ?? null,
    /** @param {Scene} scene */
    draw(scene) {
      for (const { dstat, views } of shown) {
        if (!views.length) continue;
        const sample = sampleRange(dstat, scene.range, Math.max(1, Math.round((scene.width - scene.gutter) * (devicePixelRatio || 1))));
        for (const view of views) view.draw(scene, sample);
      }
      if (!drawn && shown.length) performance.mark("machine drawn");
      drawn ||= shown.length > 0;
    },
    /** What may be chosen from, and what is. */
    choice: () => ({ names, keys, loaded: [...loaded.values()].filter((host) => host !== null) }),
    /** @param {(dstat: Dstat) => number} rowOf the row whose values are shown, -1 for none */
    values(rowOf) {
      for (const { dstat, views } of shown) for (const view of views) view.values(rowOf(dstat));
    },
  };
}
