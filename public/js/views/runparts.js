// SPDX-License-Identifier: Apache-2.0
// What stands around the timeline: findings, the selected test, the table.  Loaded and made after the first frame, so
// that the timeline waits for none of it.
import { detailsSource } from "../blobs.js";
import { fill } from "../dom.js";
import { overStretch } from "../lib/window.js";
import { makeDetails } from "./details.js";
import { makeDock } from "./dock.js";
import { makeFailures } from "./failures.js";
import { machineChoices } from "./machinemenu.js";
import { laneChoices } from "./lanesmenu.js";
import { bindMenu } from "./menus.js";
import { makeTable } from "./table.js";
import { makeTeller } from "./telling.js";
import { makeWorkers } from "./workers.js";
import { addressOf, notePlace } from "../store.js";

/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */

/** Charts that are told of a single test. */
const IN_BRIEF = ["cpu", "memory", "disk"];

/**
 * @param {{tests: import("../lib/testset.js").TestSet, stats: import("../lib/types.js").StatsJson|null, hosts: readonly string[], details: import("../lib/types.js").Artifact|null,
 *   job: import("../lib/types.js").Job, lanes: readonly import("../lib/gaps.js").LaneTime[], gaps: readonly import("../lib/gaps.js").Gap[],
 *   side: HTMLElement, below: HTMLElement, folding: HTMLDetailsElement, metrics: HTMLDetailsElement, machine: ReturnType<typeof import("./machine.js").makeMachine>|null,
 *   state: () => ViewState, set: (change: Partial<ViewState>) => void, onPick: (test: number, at: "details"|"both") => void, laneBox: (test: number) => {top: number, bottom: number},
 *   onClose: () => void, onStep: (by: 1|-1) => void, onShow: (test: number) => void}} options
 */
export function makeRunParts({ tests, stats, hosts, details, job, lanes, gaps, side, below, folding, metrics, machine, state, set, onPick, laneBox, onClose, onStep, onShow }) {
  const zone = () => state().zone;
  const { linkOf, sharedLinkOf, markdownOf } = makeTeller({ tests, job, zone });
  const dock = makeDock(laneBox);
  /** @param {number} i @param {HTMLElement} link @param {"details"|"both"} at */
  const pickAt = (i, link, at) => {
    dock.tap(link);
    onPick(i, at);
  };
  const findings = makeFailures({ tests, stats, zone, onSelect: (i, link) => pickAt(i, link, dock.isWide() ? "both" : "details"), linkOf, sharedLinkOf, markdownOf });
  const workers = makeWorkers({ tests, lanes, gaps, zone, hrefOf: addressOf, set });
  const attachments = makeDetails({
    tests,
    source: details && detailsSource(details),
    state,
    set,
    onSelect: (i) => (i < 0 ? onClose() : onPick(i, "details")),
    onStep,
    onShow,
    element: dock.element,
    size: dock.size,
    linkOf,
    sharedLinkOf,
    markdownOf: (i, traceback) => markdownOf([i], traceback || (stats?.failures.find((failure) => failure.name === tests.names[i])?.details ?? []).join("\n")),
    machineOf: (i) => {
      const host = machine?.first();
      return host ? overStretch(host.dstat, host.usual.filter((chart) => IN_BRIEF.includes(chart.key)), tests.start[i], tests.end[i]) : [];
    },
  });
  const table = makeTable({ tests, zone, onSelect: (i, row) => pickAt(i, row, "details"), onSort: (sort, descending) => set({ sort, descending, row: 0 }), onPlace: (row) => notePlace({ row }) });
  const showLanes = bindMenu(folding, () => laneChoices(tests, state().folded, set));
  const showMetrics = bindMenu(metrics, () => (machine ? machineChoices(machine.choice(), hosts, set) : []));
  fill(side, findings.element, workers.element);
  below.before(dock.element);
  fill(below, table.element);

  return {
    showLanes,
    showMachine() {
      attachments.showMachine();
      showMetrics();
    },
    look: attachments.look,
    turn() {
      findings.turn();
      dock.turn();
    },
    /** That the focus goes to the details, and back. */
    focusDetails: dock.focus,
    leaveDetails: dock.leave,
    place: table.place,
    /** @param {Uint8Array|null} mask @param {ViewState} now */
    arrange: (mask, now) => table.arrange(mask, now.sort, now.descending),
    rezone() {
      findings.render();
      workers.render();
      table.refresh();
      attachments.refresh();
    },
    /** @param {number} i */
    select(i) {
      findings.select(i);
      table.select(i);
      return attachments.show(i);
    },
    /** Somebody chose it: a sheet that covers what they were at gets the focus. @param {number} i @param {"details"|"both"} at */
    lookAtDetails(i, at) {
      dock.look(i, at === "both");
      if (!dock.isWide()) dock.focus();
    },
  };
}
