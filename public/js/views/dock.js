// SPDX-License-Identifier: Apache-2.0
// Where the details of the selected test stand: on wide screens in the timeline's column, at the foot of the window as
// long as their own place is below it; else as a sheet over the page.  How they are brought into sight, and the focus to
// them and back.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { setSteps, stepsOf } from "./folds.js";

/** As in the style sheets. */
const WIDE = "(min-width: 68.75em)";
/** The fold that says that they may take nearly all of the window. */
const TALL = "tall";
/** Between a lane and the details, and between a lane and the window's upper edge: the axis is above it. */
const BELOW_PX = 8;
const ABOVE_PX = 60;

/** @param {(test: number) => {top: number, bottom: number}} laneBox where the lane of a test is in the window */
export function makeDock(laneBox) {
  const element = h("section", { class: `${C.section} details`, id: "details", tabindex: "-1", hidden: true });
  const size = h("button", { type: "button", class: C.buttonQuiet, onclick: () => setSteps(TALL, stepsOf(TALL) ? 0 : 1) });
  /** Where on the page it was tapped: a sheet may open over that. @type {{top: number, bottom: number}|null} */
  let tapped = null;
  /** What had the focus before the details got it. @type {HTMLElement|null} */
  let opener = null;

  /** How tall they may be has changed. */
  function turn() {
    const tall = stepsOf(TALL) > 0;
    element.classList.toggle(C.tall, tall);
    size.textContent = tall ? "Shorter" : "Taller";
  }
  turn();

  const isWide = () => matchMedia(WIDE).matches;

  function focus() {
    const active = document.activeElement;
    if (element.contains(active)) return;
    opener = active instanceof HTMLElement && active !== document.body ? active : null;
    element.focus({ preventScroll: true });
  }

  return {
    element,
    size,
    turn,
    isWide,
    focus,
    /** The next look is for this one, which may be made anew until then. @param {HTMLElement} row */
    tap: (row) => {
      const { top, bottom } = row.getBoundingClientRect();
      tapped = { top: top + scrollY, bottom: bottom + scrollY };
    },
    /** @param {HTMLElement} otherwise gets the focus when nothing had it before */
    leave(otherwise) {
      if (element.contains(document.activeElement)) (opener?.isConnected ? opener : otherwise).focus({ preventScroll: true });
      opener = null;
    },
    /**
     * The details are at hand, and the timeline with the test, as far as there is room for both.
     * @param {number} test
     * @param {boolean} timeline is wanted in sight, too
     */
    look(test, timeline) {
      if (element.hidden) return;
      const pane = element.getBoundingClientRect();
      const lane = laneBox(test);
      const near = isWide() || (lane.bottom > 0 && lane.top < innerHeight);
      let by = 0;
      if (timeline && near && lane.top < 0) by = lane.top - ABOVE_PX;
      else if (timeline && near && lane.bottom + BELOW_PX > pane.top && lane.top < pane.bottom) by = lane.bottom + BELOW_PX - pane.top;
      else if (pane.top < 0) by = pane.top - BELOW_PX;
      else if (pane.bottom > innerHeight) by = pane.bottom - innerHeight;
      if (!isWide() && tapped && tapped.bottom - scrollY + BELOW_PX > pane.top) by = Math.min(tapped.bottom - scrollY + BELOW_PX - pane.top, tapped.top - scrollY - ABOVE_PX);
      tapped = null;
      if (by) scrollBy({ top: by, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
    },
  };
}
