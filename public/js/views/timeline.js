// SPDX-License-Identifier: Apache-2.0
// The time axis: overview, lanes and machine, drawn together from one scene.
import { C } from "../lib/classes.js";
import { h, sheet } from "../dom.js";
import { indexLanes, layoutLanes } from "../lib/lanes.js";
import { clamp, zoom } from "../lib/range.js";
import { TEST_STATUS } from "../lib/status.js";
import { counted } from "../lib/format.js";
import { makeLanesView } from "./lanesview.js";
import { makeOverview } from "./overview.js";
import { readTheme } from "./canvas.js";

/** @typedef {import("../lib/range.js").Range} Range */
/** @typedef {import("../lib/testset.js").TestSet} TestSet */
/** @typedef {ReturnType<typeof import("./machine.js").makeMachine>} Machine */
/** @typedef {import("../lib/format.js").Zone} Zone */

/** What waits for the first frame waits no longer than this: tabs in the background have no frames. */
const UNSEEN_MS = 1500;

/**
 * Everything that a frame is drawn from.
 * @typedef {object} Scene
 * @property {TestSet} tests
 * @property {import("../lib/lanes.js").LaneIndex} index
 * @property {readonly number[]} failures in order of time
 * @property {import("../lib/gaps.js").Gap[]} gaps
 * @property {import("../lib/lanes.js").Layout} layout
 * @property {Range} run with a little room at both ends
 * @property {number} run_ms when the first test began
 * @property {Range} range
 * @property {Uint8Array|null} mask
 * @property {number} selected test, or -1
 * @property {Zone} zone
 * @property {import("./canvas.js").Theme} theme
 * @property {number} width
 * @property {number} gutter
 * @property {(ms: number) => number} x
 */

/**
 * @param {{tests: TestSet, failures: readonly number[], gaps: import("../lib/gaps.js").Gap[], zone: Zone}} data
 * @param {{onRange: (range: Range, whole: boolean) => void, onSelect: (test: number) => void, onFold: (lane: number) => void}} events
 */
export function makeTimeline({ tests, failures, gaps, zone }, { onRange, onSelect, onFold }) {
  // Names of hosts are longer than "worker 12".
  const gutter = Math.min(180, Math.max(76, Math.max(...tests.workers.map((worker) => worker.length)) * 6.2 + 14));
  const length = tests.to_ms - tests.from_ms;
  // An axis must have a length, also that of a run that took no time.
  const room = length > 0 ? Math.max(5, length * 0.004) : 500;
  const run = { from_ms: tests.from_ms - room, to_ms: tests.to_ms + room };
  /** @type {Scene} */
  const scene = {
    tests, failures, gaps, run, zone,
    index: indexLanes(tests, gaps),
    layout: layoutLanes(tests.workers, []),
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
  /** @type {Machine|null} */
  let machine = null;
  const below = h("div", null);
  const plot = h(
    "div",
    { class: C.plot, tabindex: "0", role: "application", "aria-label": label(tests), "aria-describedby": "timeline-keys" },
    overview.canvas, lanes.canvas, below,
  );

  let stopped = false;
  let forgetTheme = () => {};
  let queued = 0;
  /** @type {(() => void)|null} */
  let said = null;
  /** The first frame is on the screen, as the next one begins, or nobody looks: what comes after it takes nothing from it. */
  const drawn = new Promise((resolve) => {
    said = () => requestAnimationFrame(() => setTimeout(resolve, 0));
    setTimeout(resolve, UNSEEN_MS);
  });
  function schedule() {
    if (!queued) queued = requestAnimationFrame(draw);
  }

  function draw() {
    queued = 0;
    if (scene.width < 20) return;
    const start = performance.now();
    overview.draw(scene);
    lanes.draw(scene);
    machine?.draw(scene);
    // Only the last one is kept: there may be thousands.
    performance.clearMeasures("timeline frame");
    performance.measure("timeline frame", { start });
    said?.();
    said = null;
  }

  /** @param {Range} range */
  function setRange(range) {
    scene.range = clamp(range, run);
    onRange(scene.range, scene.range.to_ms - scene.range.from_ms >= (run.to_ms - run.from_ms) * 0.9999);
    schedule();
  }

  // Nobody can take hold of what is not drawn.
  void drawn.then(async () => {
    const [{ layHands }, { onThemeChange }] = await Promise.all([import("./hands.js"), import("./themes.js"), sheet("/css/hands.css")]);
    if (stopped) return;
    layHands({ plot, strip: overview.canvas, lanes: lanes.canvas, scene, setRange, zoomed, onSelect, onFold, values: (rowOf) => machine?.values(rowOf) });
    forgetTheme = onThemeChange((printing) => {
      scene.theme = readTheme(printing);
      draw();
    });
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
    scene.gutter = width < 560 ? 26 : gutter;
    schedule();
  });
  sizes.observe(plot);

  return {
    element: plot,
    drawn,
    /** @param {Machine} made */
    setMachine(made) {
      machine = made;
      below.replaceChildren(made.element);
    },
    redraw: schedule,
    /** Where the lane of a test is in the window. @param {number} i */
    laneBox(i) {
      const top = lanes.canvas.getBoundingClientRect().top + scene.layout.tops[tests.lane[i]];
      return { top, bottom: top + scene.layout.heights[tests.lane[i]] };
    },
    /** @param {readonly string[]} folded labels of lanes */
    fold(folded) {
      scene.layout = layoutLanes(tests.workers, folded);
      schedule();
    },
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
      stopped = true;
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
