// SPDX-License-Identifier: Apache-2.0
// One test run: its parts, and how a change of state reaches each of them.
import { h, sheet } from "../dom.js";
import { C } from "../lib/classes.js";
import { findGaps } from "../lib/gaps.js";
import { reveal } from "../lib/range.js";
import { TEST_STATUS } from "../lib/status.js";
import { failuresInTime, splitName } from "../lib/testset.js";
import { zoneName } from "../lib/format.js";
import { addressOf } from "../store.js";
import { makeFilterBar } from "./filterbar.js";
import { makeMachine } from "./machine.js";
import { skeleton } from "./pieces.js";
import { countsView, runFacts } from "./summary.js";
import { makeTimeline } from "./timeline.js";

/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */

/**
 * @param {{tests: import("../lib/testset.js").TestSet, stats: import("../lib/types.js").StatsJson|null,
 *   hosts: readonly import("./machine.js").Host[], details: import("../lib/types.js").Artifact|null, job: import("../lib/types.js").Job,
 *   state: () => ViewState, set: (change: Partial<ViewState>) => void}} data
 */
export function makeRunView({ tests, stats, hosts, details, job, state, set }) {
  const failures = failuresInTime(tests);
  const { lanes, gaps } = findGaps(tests);
  const byName = new Map(tests.names.map((name, i) => [name, i]));
  /** Made when there is an expression. @type {ReturnType<typeof import("../matcher.js").makeMatcher>|null} */
  let matcher = null;
  const zone = () => state().zone;
  let selected = -1;
  /** @type {Uint8Array|null} */
  let mask = null;

  /** @param {number} i */
  const onSelect = (i) => set({ test: i < 0 ? "" : tests.names[i] });
  /** @param {number} lane */
  const fold = (lane) => {
    const label = tests.workers[lane];
    const { folded } = state();
    set({ folded: folded.includes(label) ? folded.filter((one) => one !== label) : [...folded, label] });
  };
  const timeline = makeTimeline(
    { tests, failures, gaps, zone: zone() },
    {
      onSelect: (i) => onPick(i, "both"),
      onFold: fold,
      onRange: (range, whole) => set({ range: whole ? null : [(range.from_ms - tests.from_ms) / 1000, (range.to_ms - tests.from_ms) / 1000] }),
    },
  );
  const [folding, metrics] = [menuButton("Lanes", tests.workers.length > 1), menuButton("Metrics", hosts.length > 0)];
  // Drawn in the first frame when its measurements are there as soon as the tests: a frame costs more than its charts.
  const machine = hosts.length ? makeMachine(hosts, () => {
    timeline.redraw();
    parts?.showMachine();
  }) : null;
  if (machine) timeline.setMachine(machine);
  /** @param {number} i @param {number} share */
  const show = (i, share) => {
    const wanted = { from_ms: tests.start[i], to_ms: tests.end[i] };
    const range = reveal(timeline.range(), timeline.run, wanted, share);
    if (range !== timeline.range()) timeline.setRange(range);
  };
  const counts = countsView(tests, (statuses) => addressOf({ statuses }), (statuses) => set({ statuses }));
  const filter = makeFilterBar(tests, set);
  const live = h("p", { class: C.visuallyHidden, role: "status" });
  const zones = zoneSwitch(tests.from_ms, (value) => set({ zone: value }));
  /** Somebody chose a test: its details shall be in sight, "both": the timeline, too. @type {"details"|"both"|null} */
  let look = null;
  /** @param {number} i @param {"details"|"both"} at */
  const onPick = (i, at) => {
    if (i === selected) parts?.lookAtDetails(i, at);
    else {
      look = at;
      onSelect(i);
    }
  };
  const onClose = () => {
    parts?.leaveDetails(timeline.element);
    onSelect(-1);
  };
  const side = h("div", { class: C.findings }, skeleton(8, "Loading the findings"));
  const below = h("div", { class: C.runParts });
  /** @type {ReturnType<typeof import("./runparts.js").makeRunParts>|null} */
  let parts = null;
  void timeline.drawn.then(async () => {
    const [{ makeRunParts }] = await Promise.all([import("./runparts.js"), sheet("/css/findings.css"), sheet("/css/details.css"), sheet("/css/tests.css")]);
    parts = makeRunParts({
      tests, stats, hosts: hosts.map(({ name }) => name), details, job, lanes, gaps, side, below, folding, metrics, machine, state, set, onPick, laneBox: timeline.laneBox, onClose,
      onStep: step,
      onShow: (i) => {
        show(i, 0.08);
        timeline.element.scrollIntoView({ block: "nearest" });
        parts?.lookAtDetails(i, "both");
      },
    });
    parts.arrange(mask, state());
    const { row } = state();
    showSelected();
    if (row) parts.place(row);
  });

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
    onPick(failures[(next + failures.length) % failures.length], "both");
  }

  /** @param {string} text @param {string} label @param {() => void} act */
  const tool = (text, label, act) => h("button", { type: "button", class: `${C.button} tool`, "aria-label": label, title: label, onclick: act }, text);
  const tools = h(
    "div",
    { class: C.toolbar },
    ...filter.elements,
    h("span", { class: C.toolbarEnd }, zones.element, folding, metrics, tool("‹ Failure", "Previous failure (p)", () => step(-1)), tool("Failure ›", "Next failure (n)", () => step(1)), tool("−", "Zoom out (-)", () => timeline.zoomBy(1.5)), tool("+", "Zoom in (+)", () => timeline.zoomBy(1 / 1.5)), tool("Fit", "Fit the whole run (0)", () => timeline.fit())),
  );
  const element = h(
    "div",
    { class: C.runGrid },
    h("div", { class: C.runHead }, counts.element, runFacts(tests, lanes)),
    h("div", { class: C.runSide }, side),
    h(
      "div",
      { class: C.runMain },
      h("section", { class: `${C.section} timeline`, "aria-label": "Timeline" }, tools, timeline.element, h("p", { class: C.visuallyHidden, id: "timeline-keys" }, "Arrow keys move and zoom, 0 shows the whole run, n and p go to failures, question mark lists all keys."), live),
      below,
    ),
  );

  return {
    element,
    drawn: timeline.drawn,
    step,
    zoomBy: timeline.zoomBy,
    fit: timeline.fit,
    focusFilter: filter.focus,
    focusDetails: () => parts?.focusDetails(),
    close() {
      if (state().test) onClose();
    },
    stop() {
      timeline.stop();
      matcher?.stop();
    },
    /**
     * @param {ViewState} now
     * @param {ViewState|null} before null at first: everything
     */
    apply(now, before) {
      const filtered = !before || now.text !== before.text || now.tag !== before.tag || now.least !== before.least || now.statuses.join() !== before.statuses.join();
      if (filtered) void refilter(now);
      else if (now.sort !== before.sort || now.descending !== before.descending) parts?.arrange(mask, now);
      if (!before || now.zone !== before.zone) rezone(now.zone, before !== null);
      if (!before || String(now.folded) !== String(before.folded)) refold(now.folded);
      if (!before || String(now.hosts) !== String(before.hosts) || String(now.charts) !== String(before.charts) || (now.charts === null) !== (before.charts === null)) void machine?.apply(now.hosts, now.charts);
      if (!before || String(now.range) !== String(before.range)) applyRange(now.range);
      if (!before || now.test !== before.test) select(now.test, before === null);
      else if (String(now.attachments) !== String(before.attachments) || (now.attachments === null) !== (before.attachments === null) || now.level !== before.level || now.find !== before.find) parts?.look(now);
      if (before && String(now.turned) !== String(before.turned)) parts?.turn();
      if (before && now.row !== before.row) parts?.place(now.row);
    },
  };

  /** @param {ViewState} now */
  async function refilter(now) {
    filter.show(now);
    counts.show(now.statuses);
    if (!now.text.trim() && !now.tag && !(now.least > 0) && !now.statuses.length) {
      meant(null, 0, null);
      return;
    }
    const { applyFilter, patternOf, searchText } = await import("../lib/filter.js");
    const pattern = patternOf(now.text);
    /** @type {Uint8Array|null} */
    let hits = null;
    /** Of the expression; without it the rest of the filter still holds. @type {string|null} */
    let trouble = null;
    if (pattern) {
      const { makeMatcher, ExpressionError } = await import("../matcher.js");
      matcher ??= makeMatcher(() => tests.names.map((_, i) => searchText(tests, i)));
      try {
        hits = await matcher.match(pattern);
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        trouble = error.message;
      }
      if (!hits && !trouble) return;
    }
    if (state().text !== now.text) return;
    const result = applyFilter(tests, state(), hits);
    meant(result.mask, result.count, trouble);
  }

  /** @param {Uint8Array|null} result null: all @param {number} count @param {string|null} trouble */
  function meant(result, count, trouble) {
    mask = result;
    filter.result(mask ? count : null, trouble);
    timeline.update({ mask });
    parts?.arrange(mask, state());
  }

  /** @param {import("../lib/format.js").Zone} value @param {boolean} again */
  function rezone(value, again) {
    zones.show(value);
    timeline.update({ zone: value });
    if (again) parts?.rezone();
  }

  /** @param {readonly string[]} folded */
  function refold(folded) {
    timeline.fold(folded);
    parts?.showLanes();
  }

  /** @param {[number, number]|null} seconds */
  function applyRange(seconds) {
    const wanted = seconds ? { from_ms: tests.from_ms + seconds[0] * 1000, to_ms: tests.from_ms + seconds[1] * 1000 } : timeline.run;
    const now = timeline.range();
    if (Math.abs(now.from_ms - wanted.from_ms) > 2 || Math.abs(now.to_ms - wanted.to_ms) > 2) timeline.setRange(wanted);
  }

  function showSelected() {
    void parts?.select(selected).then(() => {
      if (look && selected >= 0) parts?.lookAtDetails(selected, look);
      look = null;
    });
  }

  /** @param {string} name @param {boolean} first the address came with it */
  function select(name, first) {
    selected = name ? (byName.get(name) ?? -1) : -1;
    timeline.update({ selected });
    live.textContent = selected < 0 ? "" : `${TEST_STATUS[tests.status[selected]].label}: ${splitName(tests.names[selected]).short}. Press d for its details.`;
    showSelected();
    if (selected >= 0) {
      if (!first) show(selected, 0);
      else if (state().range === null) show(selected, 0);
    }
  }
}

/** What opens a list of choices; the list comes after the first frame. @param {string} name @param {boolean} needed */
function menuButton(name, needed) {
  return h("details", { class: C.menu, hidden: !needed }, h("summary", { class: `${C.button} tool` }, name));
}

/**
 * @param {number} ms a moment of the run, for the zone's name
 * @param {(zone: import("../lib/format.js").Zone) => void} onChange
 */
function zoneSwitch(ms, onChange) {
  /** @type {[import("../lib/format.js").Zone, string][]} */
  const kinds = [["utc", "UTC"], ["local", zoneName("local", ms)], ["start", "From start"]];
  const select = h("select", { "aria-label": "Times are shown in", onchange: () => onChange(/** @type {import("../lib/format.js").Zone} */ (select.value)) });
  for (const [value, label] of kinds) select.append(h("option", { value }, value === "local" ? `Local (${label})` : label));
  return {
    element: select,
    /** @param {import("../lib/format.js").Zone} zone */
    show(zone) {
      select.value = zone;
    },
  };
}
