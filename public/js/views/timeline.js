// SPDX-License-Identifier: Apache-2.0
// The time axis: overview, lanes and machine, drawn together from one scene.
import { C } from "../lib/classes.js";
import { h } from "../dom.js";
import { indexLanes } from "../lib/lanes.js";
import { chartsOf, rowAt, sampleRange } from "../lib/metrics.js";
import { clamp, pan, zoom } from "../lib/range.js";
import { TEST_STATUS } from "../lib/status.js";
import { counted } from "../lib/ticks.js";
import { makeChartView } from "./chartview.js";
import { bindGestures } from "./gestures.js";
import { makeLanesView } from "./lanesview.js";
import { makeOverview } from "./overview.js";
import { onThemeChange, readTheme } from "./theme.js";
import { makeTip } from "./tip.js";

/** @typedef {import("../lib/range.js").Range} Range */
/** @typedef {import("../lib/testset.js").TestSet} TestSet */
/** @typedef {import("../lib/dstat.js").Dstat} Dstat */
/** @typedef {import("../lib/times.js").Zone} Zone */

/**
 * Everything that a frame is drawn from.
 * @typedef {object} Scene
 * @property {TestSet} tests
 * @property {import("../lib/lanes.js").LaneIndex} index
 * @property {readonly number[]} failures in order of time
 * @property {Dstat|null} dstat
 * @property {Range} run with a little room at both ends
 * @property {number} run_ms when the first test began
 * @property {Range} range
 * @property {Uint8Array|null} mask
 * @property {number} selected test, or -1
 * @property {Zone} zone
 * @property {import("./theme.js").Theme} theme
 * @property {number} width
 * @property {number} gutter
 * @property {(ms: number) => number} x
 */

/**
 * @param {{tests: TestSet, failures: readonly number[], dstat: Dstat|null, zone: Zone}} data
 * @param {{onRange: (range: Range, whole: boolean) => void, onSelect: (test: number) => void}} events
 */
export function makeTimeline({ tests, failures, dstat, zone }, { onRange, onSelect }) {
  const room = Math.max(5, (tests.to_ms - tests.from_ms) * 0.004);
  const run = { from_ms: tests.from_ms - room, to_ms: tests.to_ms + room };
  /** @type {Scene} */
  const scene = {
    tests, failures, dstat, run, zone,
    index: indexLanes(tests),
    run_ms: tests.from_ms,
    range: run,
    mask: null,
    selected: -1,
    theme: readTheme(),
    width: 0,
    gutter: 0,
    x: (ms) => scene.gutter + ((ms - scene.range.from_ms) / (scene.range.to_ms - scene.range.from_ms)) * (scene.width - scene.gutter),
  };
  const overview = makeOverview();
  const lanes = makeLanesView();
  const charts = dstat ? chartsOf(dstat).map(makeChartView) : [];
  const cursor = h("div", { class: C.cursor, hidden: true });
  const brushBox = h("div", { class: C.brush, hidden: true });
  const tip = makeTip();
  const plot = h(
    "div",
    { class: C.plot, tabindex: "0", role: "application", "aria-label": label(tests), "aria-describedby": "timeline-keys" },
    overview.canvas, lanes.canvas, ...charts.map((chart) => chart.element), cursor, brushBox, tip.element,
  );

  let queued = 0;
  function schedule() {
    if (!queued) queued = requestAnimationFrame(draw);
  }

  function draw() {
    queued = 0;
    if (scene.width < 20) return;
    performance.mark("frame");
    overview.draw(scene);
    lanes.draw(scene);
    if (dstat && charts.length) {
      const sample = sampleRange(dstat, scene.range, Math.max(1, Math.floor(scene.width - scene.gutter)));
      for (const chart of charts) chart.draw(scene, sample);
    }
    performance.measure("timeline frame", "frame");
    performance.clearMarks("frame");
  }

  /** @param {Range} range */
  function setRange(range) {
    scene.range = clamp(range, run);
    onRange(scene.range, scene.range.to_ms - scene.range.from_ms >= (run.to_ms - run.from_ms) * 0.9999);
    schedule();
  }

  /** @param {number|null} ms @param {PointerEvent|null} event */
  function hover(ms, event) {
    cursor.hidden = ms === null;
    for (const chart of charts) chart.values(ms === null || !dstat ? -1 : rowAt(dstat, ms));
    if (ms === null || !event) {
      tip.hide();
      return;
    }
    const box = plot.getBoundingClientRect();
    const x = event.clientX - box.left;
    cursor.style.transform = `translateX(${x}px)`;
    const test = event.target === lanes.canvas ? lanes.hit(scene, x, event.clientY - lanes.canvas.getBoundingClientRect().top) : -1;
    plot.classList.toggle(C.over, test >= 0);
    tip.show(scene, test, ms, event, box);
  }

  bindGestures(plot, overview.canvas, {
    scene: () => scene,
    setRange,
    hover,
    click(event) {
      if (event.target !== lanes.canvas) return;
      const box = lanes.canvas.getBoundingClientRect();
      const test = lanes.hit(scene, event.clientX - box.left, event.clientY - box.top);
      if (test >= 0) onSelect(test);
    },
    fit: () => setRange(run),
    brush(x0, x1) {
      brushBox.hidden = x1 === null;
      if (x1 === null) return;
      brushBox.style.left = `${x0}px`;
      brushBox.style.width = `${x1 - x0}px`;
    },
  });

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const length = scene.range.to_ms - scene.range.from_ms;
    /** @type {Record<string, () => Range>} */
    const moves = {
      ArrowLeft: () => pan(scene.range, run, -length * (event.shiftKey ? 0.8 : 0.15)),
      ArrowRight: () => pan(scene.range, run, length * (event.shiftKey ? 0.8 : 0.15)),
      ArrowUp: () => zoomed(1 / 1.5),
      ArrowDown: () => zoomed(1.5),
      Home: () => pan(scene.range, run, run.from_ms - scene.range.from_ms),
      End: () => pan(scene.range, run, run.to_ms - scene.range.to_ms),
    };
    const to = moves[event.key];
    if (!to) return;
    event.preventDefault();
    setRange(to());
  });

  /** @param {number} factor */
  function zoomed(factor) {
    const { range, selected } = scene;
    const middle = selected >= 0 ? (tests.start[selected] + tests.end[selected]) / 2 : NaN;
    const at_ms = middle >= range.from_ms && middle <= range.to_ms ? middle : (range.from_ms + range.to_ms) / 2;
    return zoom(range, run, factor, at_ms);
  }

  const sizes = new ResizeObserver(() => {
    const width = Math.floor(plot.clientWidth);
    if (width === scene.width) return;
    scene.width = width;
    scene.gutter = width < 560 ? 26 : 76;
    schedule();
  });
  sizes.observe(plot);
  const forgetTheme = onThemeChange(() => {
    scene.theme = readTheme();
    schedule();
  });

  return {
    element: plot,
    hasMetrics: charts.length > 0,
    run,
    range: () => scene.range,
    setRange,
    fit: () => setRange(run),
    /** @param {number} factor */
    zoomBy: (factor) => setRange(zoomed(factor)),
    /** @param {Partial<Pick<Scene, "mask"|"selected"|"zone">>} change */
    update(change) {
      Object.assign(scene, change);
      schedule();
    },
    stop() {
      sizes.disconnect();
      forgetTheme();
      cancelAnimationFrame(queued);
    },
  };
}

/** @param {TestSet} tests */
function label(tests) {
  const counts = [4, 3, 2, 1].filter((s) => tests.counts[s]).map((s) => `${tests.counts[s]} ${TEST_STATUS[s].plural}`);
  return `Timeline of ${counted(tests.count, "test")} on ${counted(tests.workers.length, "lane")}: ${counts.join(", ")}. The table of tests below holds the same.`;
}
