// SPDX-License-Identifier: Apache-2.0
// What hands do on the timeline: wheel, drag, pinch, click, double click.
import { pan, zoom } from "../lib/range.js";

/** @typedef {import("../lib/range.js").Range} Range */

/**
 * @typedef {object} Target
 * @property {() => {range: Range, run: Range, gutter: number, width: number}} scene
 * @property {(range: Range) => void} setRange
 * @property {(ms: number|null, event: PointerEvent|null) => void} hover
 * @property {(event: PointerEvent) => void} click
 * @property {() => void} fit
 * @property {(x0: number, x1: number|null) => void} brush a stretch of the plot while it is drawn; null = drawn no longer
 */

const STILL = 4;

/**
 * @param {HTMLElement} plot the lanes and charts
 * @param {HTMLCanvasElement} strip the overview, in the plot
 * @param {Target} target
 */
export function bindGestures(plot, strip, target) {
  /** @type {Map<number, number>} pointer id → x */
  const down = new Map();
  /** @type {{kind: "pan"|"brush"|"window"|"draw", x: number, range: Range, moved: boolean}|null} */
  let drag = null;
  /** @type {{gap: number, range: Range, at_ms: number}|null} */
  let pinch = null;

  /** @param {number} x @param {Range} range */
  const toTime = (x, range) => {
    const { gutter, width } = target.scene();
    return range.from_ms + ((x - gutter) / (width - gutter)) * (range.to_ms - range.from_ms);
  };
  /** @param {MouseEvent} event */
  const xOf = (event) => event.clientX - plot.getBoundingClientRect().left;

  plot.addEventListener(
    "wheel",
    (event) => {
      const { range, run, gutter, width } = target.scene();
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        target.setRange(pan(range, run, ((sideways * unit) / (width - gutter)) * (range.to_ms - range.from_ms)));
        return;
      }
      const whole = range.to_ms - range.from_ms >= run.to_ms - run.from_ms;
      // Nothing is left to zoom out of: the wheel is the page's.
      if (whole && event.deltaY > 0 && !event.ctrlKey) return;
      event.preventDefault();
      const strength = event.ctrlKey ? 0.01 : 0.002;
      target.setRange(zoom(range, run, Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) * strength), toTime(Math.max(gutter, xOf(event)), event.target === strip ? run : range)));
    },
    { passive: false },
  );

  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const x = xOf(event);
    down.set(event.pointerId, x);
    const { range, run } = target.scene();
    if (down.size === 2) {
      const [a, b] = [...down.values()];
      pinch = { gap: Math.max(10, Math.abs(a - b)), range, at_ms: toTime((a + b) / 2, range) };
      drag = null;
      return;
    }
    let kind = /** @type {"pan"|"brush"|"window"|"draw"} */ (event.shiftKey ? "brush" : "pan");
    if (event.target === strip) {
      const ms = toTime(x, run);
      const partial = range.to_ms - range.from_ms < (run.to_ms - run.from_ms) * 0.999;
      kind = partial && ms >= range.from_ms && ms <= range.to_ms ? "window" : "draw";
    }
    drag = { kind, x, range, moved: false };
  });

  plot.addEventListener("pointermove", (event) => {
    const x = xOf(event);
    if (down.has(event.pointerId)) down.set(event.pointerId, x);
    if (pinch && down.size === 2) {
      const [a, b] = [...down.values()];
      target.setRange(zoom(pinch.range, target.scene().run, pinch.gap / Math.max(10, Math.abs(a - b)), pinch.at_ms));
      return;
    }
    if (!drag) {
      const { gutter, range, run } = target.scene();
      target.hover(x < gutter ? null : toTime(x, event.target === strip ? run : range), event);
      return;
    }
    if (!drag.moved) {
      if (Math.abs(x - drag.x) < STILL) return;
      drag.moved = true;
      plot.setPointerCapture(event.pointerId);
      target.hover(null, null);
    }
    move(drag, x);
  });

  /** @param {{kind: string, x: number, range: Range}} now @param {number} x */
  function move(now, x) {
    const { run, gutter, width } = target.scene();
    const share = (x - now.x) / (width - gutter);
    if (now.kind === "pan") target.setRange(pan(now.range, run, -share * (now.range.to_ms - now.range.from_ms)));
    else if (now.kind === "window") target.setRange(pan(now.range, run, share * (run.to_ms - run.from_ms)));
    else target.brush(Math.max(gutter, Math.min(now.x, x)), Math.min(width, Math.max(now.x, x)));
  }

  /** @param {PointerEvent} event */
  function up(event) {
    down.delete(event.pointerId);
    if (pinch) {
      if (down.size < 2) pinch = null;
      drag = null;
      return;
    }
    const now = drag;
    drag = null;
    if (!now) return;
    const x = xOf(event);
    const { run, gutter, width } = target.scene();
    if (now.kind === "brush" || now.kind === "draw") target.brush(0, null);
    if (event.type === "pointercancel") return;
    if (!now.moved) {
      if (event.target === strip) target.setRange(pan(now.range, run, toTime(x, run) - (now.range.from_ms + now.range.to_ms) / 2));
      else target.click(event);
    } else if (now.kind === "brush" || now.kind === "draw") {
      const base = now.kind === "draw" ? run : now.range;
      const from_ms = toTime(Math.max(gutter, Math.min(now.x, x)), base);
      target.setRange({ from_ms, to_ms: toTime(Math.min(width, Math.max(now.x, x)), base) });
    }
  }

  plot.addEventListener("pointerup", up);
  plot.addEventListener("pointercancel", up);
  plot.addEventListener("pointerleave", (event) => {
    down.delete(event.pointerId);
    if (drag && !drag.moved) drag = null;
    target.hover(null, null);
  });
  plot.addEventListener("dblclick", () => target.fit());
}
