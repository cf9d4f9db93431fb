// SPDX-License-Identifier: Apache-2.0
// The time axis: overview, lanes and machine, drawn together from one scene.
import { C } from "../lib/classes.js";
import { h } from "../dom.js";
import { indexLanes, layoutLanes } from "../lib/lanes.js";
import { clamp, pan, zoom } from "../lib/range.js";
import { TEST_STATUS } from "../lib/status.js";
import { counted } from "../lib/format.js";
import { makeLanesView } from "./lanesview.js";
import { makeOverview } from "./overview.js";
import { onThemeChange, readTheme } from "./canvas.js";

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
  const room = Math.max(5, (tests.to_ms - tests.from_ms) * 0.004);
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
  const cursor = h("div", { class: C.cursor, hidden: true });
  const brushBox = h("div", { class: C.brush, hidden: true });
  /** @type {ReturnType<typeof import("./tip.js").makeTip>|null} */
  let tip = null;
  const plot = h(
    "div",
    { class: C.plot, tabindex: "0", role: "application", "aria-label": label(tests), "aria-describedby": "timeline-keys" },
    overview.canvas, lanes.canvas, below, cursor, brushBox,
  );

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

  /** @param {number|null} ms @param {PointerEvent|null} event */
  function hover(ms, event) {
    cursor.hidden = ms === null;
    machine?.values(ms);
    if (ms === null || !event) {
      tip?.hide();
      return;
    }
    const box = plot.getBoundingClientRect();
    const x = event.clientX - box.left;
    cursor.style.transform = `translateX(${x}px)`;
    const y = event.clientY - lanes.canvas.getBoundingClientRect().top;
    const inLanes = event.target === lanes.canvas;
    const test = inLanes ? lanes.hit(scene, x, y) : -1;
    plot.classList.toggle(C.over, test >= 0);
    tip?.show(scene, test, inLanes ? lanes.lane(scene, y) : -1, ms, event, box);
  }

  // Nobody can take hold of what is not drawn.
  void drawn.then(async () => {
    const { bindGestures } = await import("./gestures.js");
    bindGestures(plot, overview.canvas, {
      scene: () => scene,
      setRange,
      hover,
      click(event) {
        if (event.target !== lanes.canvas) return;
        const box = lanes.canvas.getBoundingClientRect();
        const [x, y] = [event.clientX - box.left, event.clientY - box.top];
        const lane = x < scene.gutter - 5 ? lanes.lane(scene, y) : -1;
        if (lane >= 0) {
          onFold(lane);
          return;
        }
        const test = lanes.hit(scene, x, y);
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
    scene.gutter = width < 560 ? 26 : gutter;
    schedule();
  });
  sizes.observe(plot);
  const forgetTheme = onThemeChange(() => {
    scene.theme = readTheme();
    draw();
  });

  return {
    element: plot,
    drawn,
    /** @param {Machine} made */
    setMachine(made) {
      machine = made;
      below.replaceChildren(made.element);
    },
    /** @param {ReturnType<typeof import("./tip.js").makeTip>} made */
    setTip(made) {
      tip = made;
      plot.append(made.element);
    },
    redraw: schedule,
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
