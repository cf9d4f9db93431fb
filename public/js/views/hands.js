// SPDX-License-Identifier: Apache-2.0
// What the pointer and the keys mean on the timeline.  Loaded after the first frame.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { laneAt, SLACK, testUnder } from "../lib/pointing.js";
import { pan } from "../lib/range.js";
import { rowAt } from "../lib/window.js";
import { bindGestures } from "./gestures.js";
import { makeTip } from "./tip.js";

/** @typedef {import("../lib/range.js").Range} Range */

/**
 * @param {{plot: HTMLElement, strip: HTMLCanvasElement, lanes: HTMLCanvasElement, scene: import("./timeline.js").Scene,
 *   setRange: (range: Range) => void, zoomed: (factor: number) => Range, onSelect: (test: number) => void, onFold: (lane: number) => void,
 *   values: (rowOf: (dstat: import("../lib/dstat.js").Dstat) => number) => void}} options values: show those of a row of each machine, -1 = of none
 */
export function layHands({ plot, strip, lanes, scene, setRange, zoomed, onSelect, onFold, values }) {
  const cursor = h("div", { class: C.cursor, hidden: true });
  const brush = h("div", { class: C.brush, hidden: true });
  const tip = makeTip();
  plot.append(cursor, brush, tip.element);

  /** Where an event is on the lanes, in pixels. @param {PointerEvent} event */
  function place(event) {
    const box = lanes.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {number|null} ms @param {PointerEvent|null} event */
  function hover(ms, event) {
    cursor.hidden = ms === null;
    values((dstat) => (ms === null ? -1 : rowAt(dstat, ms)));
    if (ms === null || !event) {
      tip.hide();
      return;
    }
    const box = plot.getBoundingClientRect();
    cursor.style.transform = `translateX(${event.clientX - box.left}px)`;
    const { x, y } = place(event);
    const inLanes = event.target === lanes;
    const test = inLanes ? testUnder(scene, x, y) : -1;
    plot.classList.toggle(C.over, test >= 0);
    tip.show(scene, test, inLanes ? laneAt(scene.layout, y) : -1, ms, event, box);
  }

  bindGestures(plot, strip, {
    scene: () => scene,
    setRange,
    hover,
    click(event) {
      if (event.target !== lanes) return;
      const { x, y } = place(event);
      const lane = x < scene.gutter - SLACK ? laneAt(scene.layout, y) : -1;
      const test = testUnder(scene, x, y);
      if (lane >= 0) onFold(lane);
      else if (test >= 0) onSelect(test);
    },
    fit: () => setRange(scene.run),
    brush(x0, x1) {
      brush.hidden = x1 === null;
      if (x1 === null) return;
      brush.style.left = `${x0}px`;
      brush.style.width = `${x1 - x0}px`;
    },
  });

  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { range, run } = scene;
    const length = range.to_ms - range.from_ms;
    /** @type {Record<string, () => Range>} */
    const moves = {
      ArrowLeft: () => pan(range, run, -length * (event.shiftKey ? 0.8 : 0.15)),
      ArrowRight: () => pan(range, run, length * (event.shiftKey ? 0.8 : 0.15)),
      ArrowUp: () => zoomed(1 / 1.5),
      ArrowDown: () => zoomed(1.5),
      Home: () => pan(range, run, run.from_ms - range.from_ms),
      End: () => pan(range, run, run.to_ms - range.to_ms),
    };
    const to = moves[event.key];
    if (!to) return;
    event.preventDefault();
    setRange(to());
  });
}
