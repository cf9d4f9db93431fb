// SPDX-License-Identifier: Apache-2.0
// One test run: its parts, and how a change of state reaches each of them.
import { detailsSource } from "../blobs.js";
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { failuresInTime } from "../lib/failures.js";
import { applyFilter } from "../lib/filter.js";
import { reveal } from "../lib/range.js";
import { TEST_STATUS } from "../lib/status.js";
import { splitName } from "../lib/testset.js";
import { counted, formatCount } from "../lib/ticks.js";
import { zoneName } from "../lib/times.js";
import { makeDetails } from "./details.js";
import { makeFailures } from "./failures.js";
import { countsView, runFacts } from "./summary.js";
import { makeTable } from "./table.js";
import { makeTimeline } from "./timeline.js";

/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */

/**
 * @param {{tests: import("../lib/testset.js").TestSet, stats: import("../lib/types.js").StatsJson|null,
 *   dstat: import("../lib/dstat.js").Dstat|null, details: import("../lib/types.js").Artifact|null,
 *   state: () => ViewState, set: (change: Partial<ViewState>) => void}} data
 */
export function makeRunView({ tests, stats, dstat, details, state, set }) {
  const failures = failuresInTime(tests);
  const byName = new Map(tests.names.map((name, i) => [name, i]));
  const zone = () => state().zone;
  let selected = -1;
  /** @type {Uint8Array|null} */
  let mask = null;

  /** @param {number} i */
  const onSelect = (i) => set({ test: i < 0 ? "" : tests.names[i] });
  const timeline = makeTimeline(
    { tests, failures, dstat, zone: zone() },
    {
      onSelect,
      onRange: (range, whole) => set({ range: whole ? null : [(range.from_ms - tests.from_ms) / 1000, (range.to_ms - tests.from_ms) / 1000] }),
    },
  );
  /** @param {number} i @param {number} share */
  const show = (i, share) => {
    const wanted = { from_ms: tests.start[i], to_ms: tests.end[i] };
    const range = reveal(timeline.range(), timeline.run, wanted, share);
    if (range !== timeline.range()) timeline.setRange(range);
  };
  const counts = countsView(tests, (key) => {
    const now = state().statuses;
    set({ statuses: now.includes(key) ? now.filter((one) => one !== key) : [...now, key] });
  });
  const filter = h("input", { type: "search", placeholder: "Filter tests and tags", "aria-label": "Filter tests and tags", spellcheck: "false", oninput: () => set({ text: filter.value }) });
  const found = h("span", { class: C.muted, role: "status" });
  const live = h("p", { class: C.visuallyHidden, role: "status" });
  const zones = zoneSwitch(tests.from_ms, (value) => set({ zone: value }));
  /** Where the selection was made, its details may be out of sight. */
  let look = false;
  /** @param {number} i */
  const onPick = (i) => {
    look = true;
    if (i === selected) lookAtDetails();
    else onSelect(i);
  };
  const findings = makeFailures({ tests, stats, zone, onSelect: onPick });
  const attachments = makeDetails({
    tests,
    source: details && detailsSource(details),
    zone,
    onSelect: (i) => {
      if (i < 0) timeline.element.focus({ preventScroll: true });
      onSelect(i);
    },
    onStep: step,
    onShow: (i) => {
      show(i, 0.08);
      timeline.element.scrollIntoView({ block: "nearest" });
    },
  });
  const table = makeTable({ tests, zone, onSelect, onSort: (sort, descending) => set({ sort, descending }) });

  /** To the next failure in time from the selected test, or from the left edge of the view. @param {1|-1} by */
  function step(by) {
    if (!failures.length) return;
    const at = selected >= 0 ? tests.end[selected] : by > 0 ? -Infinity : Infinity;
    const here = failures.indexOf(selected);
    let next = here + by;
    if (here < 0) {
      next = failures.findIndex((i) => tests.end[i] > at);
      if (next < 0) next = failures.length;
      if (by < 0) next -= 1;
    }
    onPick(failures[(next + failures.length) % failures.length]);
  }

  /** @param {string} text @param {string} label @param {() => void} act */
  const tool = (text, label, act) => h("button", { type: "button", class: `${C.button} tool`, "aria-label": label, title: label, onclick: act }, text);
  const tools = h(
    "div",
    { class: C.toolbar },
    filter,
    found,
    h("span", { class: C.toolbarEnd }, zones.element, tool("‹ Failure", "Previous failure (p)", () => step(-1)), tool("Failure ›", "Next failure (n)", () => step(1)), tool("−", "Zoom out (-)", () => timeline.zoomBy(1.5)), tool("+", "Zoom in (+)", () => timeline.zoomBy(1 / 1.5)), tool("Fit", "Show the whole run (0)", () => timeline.fit())),
  );
  const element = h(
    "div",
    { class: C.runGrid },
    h("div", { class: C.runHead }, counts.element, runFacts(tests)),
    h("div", { class: C.runSide }, findings.element),
    h(
      "div",
      { class: C.runMain },
      h("section", { class: `${C.section} timeline`, "aria-label": "Timeline" }, tools, timeline.element, h("p", { class: C.visuallyHidden, id: "timeline-keys" }, "Arrow keys move and zoom, 0 shows the whole run, n and p go to failures, question mark lists all keys."), live),
      attachments.element,
      table.element,
    ),
  );

  return {
    element,
    step,
    zoomBy: timeline.zoomBy,
    fit: timeline.fit,
    focusFilter: () => filter.focus(),
    stop: timeline.stop,
    /**
     * @param {ViewState} now
     * @param {ViewState|null} before null at first: everything
     */
    apply(now, before) {
      const filtered = !before || now.text !== before.text || now.statuses.join() !== before.statuses.join();
      const rezoned = !before || now.zone !== before.zone;
      if (filtered) {
        const result = applyFilter(tests, now);
        mask = result.mask;
        if (filter.value !== now.text) filter.value = now.text;
        found.textContent = mask ? `${formatCount(result.count)} of ${counted(tests.count, "test")}` : "";
        counts.show(now.statuses);
        timeline.update({ mask });
      }
      if (filtered || now.sort !== before.sort || now.descending !== before.descending) table.arrange(mask, now.sort, now.descending);
      if (rezoned) {
        zones.show(now.zone);
        timeline.update({ zone: now.zone });
        if (before) {
          findings.render();
          table.refresh();
          attachments.refresh();
        }
      }
      if (!before || String(now.range) !== String(before.range)) applyRange(now.range);
      if (!before || now.test !== before.test) select(now.test, before === null);
    },
  };

  /** @param {[number, number]|null} seconds */
  function applyRange(seconds) {
    const wanted = seconds ? { from_ms: tests.from_ms + seconds[0] * 1000, to_ms: tests.from_ms + seconds[1] * 1000 } : timeline.run;
    const now = timeline.range();
    if (Math.abs(now.from_ms - wanted.from_ms) > 2 || Math.abs(now.to_ms - wanted.to_ms) > 2) timeline.setRange(wanted);
  }

  function lookAtDetails() {
    look = false;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    attachments.element.scrollIntoView({ block: "nearest", behavior: calm ? "instant" : "smooth" });
  }

  /** @param {string} name @param {boolean} first the address came with it */
  function select(name, first) {
    selected = name ? (byName.get(name) ?? -1) : -1;
    timeline.update({ selected });
    live.textContent = selected < 0 ? "" : `${TEST_STATUS[tests.status[selected]].label}: ${splitName(tests.names[selected]).short}`;
    findings.select(selected);
    table.select(selected);
    void attachments.show(selected).then(() => {
      if (look) lookAtDetails();
    });
    if (selected >= 0) {
      if (!first) show(selected, 0);
      else if (state().range === null) show(selected, 0);
    }
  }
}

/**
 * @param {number} ms a moment of the run, for the zone's name
 * @param {(zone: import("../lib/times.js").Zone) => void} onChange
 */
function zoneSwitch(ms, onChange) {
  /** @type {[import("../lib/times.js").Zone, string][]} */
  const kinds = [["utc", "UTC"], ["local", zoneName("local", ms)], ["start", "From start"]];
  const select = h("select", { "aria-label": "Times are shown in", onchange: () => onChange(/** @type {import("../lib/times.js").Zone} */ (select.value)) });
  for (const [value, label] of kinds) select.append(h("option", { value }, value === "local" ? `Local (${label})` : label));
  return {
    element: select,
    /** @param {import("../lib/times.js").Zone} zone */
    show(zone) {
      select.value = zone;
    },
  };
}
