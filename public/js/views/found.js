// SPDX-License-Identifier: Apache-2.0
// A look-up from its first question to its last answer: what each source adds appears without moving what somebody is
// about to press.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { movesNothing, rowKeys } from "../lib/groups.js";
import { counted } from "../lib/format.js";
import { askingView } from "./asking.js";
import { graft } from "./graft.js";
import { answerView } from "./joblist.js";

/** @typedef {import("../lib/types.js").Answer} Answer */

/**
 * @param {import("./joblist.js").ListOptions & {onStop: (() => void)|null, say: (text: string) => void}} options
 *   `onStop` gives the look-up up; `say` tells those who do not see
 */
export function makeFound(options) {
  const { query, onStop, say } = options;
  const waiting = askingView(query, onStop);
  const box = h("div", null);
  const note = h("span", null);
  const actions = h("span", null);
  const bar = h("p", { class: C.foundBar }, note, actions);
  const element = h("div", null, waiting.element);
  /** The rows that are on the page; null = there is no list yet. @type {string[]|null} */
  let shown = null;
  /** What is not shown yet, because it would move them. @type {Answer|null} */
  let held = null;
  /** @type {readonly string[]} */
  let hosts = [];

  /** On a touch screen a finger on its way is not seen. */
  const engaged = () => box.matches(":hover") || box.contains(document.activeElement) || matchMedia("(hover: none)").matches;

  /** @param {Answer} answer */
  function apply(answer) {
    held = null;
    shown = rowKeys(answer.results);
    if (!bar.isConnected) fill(element, bar, box);
    graft(box, answerView(answer, options, true));
  }

  /** @param {Answer} answer */
  function take(answer) {
    const rows = rowKeys(answer.results);
    if (shown && engaged() && !movesNothing(shown, rows)) held = answer;
    else apply(answer);
    // Never a line more or less: the bar stands above the rows.
    const more = held ? rows.filter((key) => !shown?.includes(key)).length : 0;
    const show = held && h("button", { type: "button", class: C.button, onclick: reveal }, more ? `Show ${more} more` : "Show what is new");
    const stop = !held && hosts.length > 0 && onStop && h("button", { type: "button", class: C.button, onclick: onStop }, "Stop");
    fill(actions, show || stop);
    const jobs = counted(answer.results.length, "job");
    note.title = hosts.join(", ");
    if (hosts.length) fill(note, `${jobs} so far, asking ${hosts.length > 1 ? counted(hosts.length, "more server") : hosts[0]}`);
    else fill(note, jobs, answer.warnings?.length ? h("span", null, ", not all sources: ", h("a", { href: "#look-up-says", onclick: toWarnings }, "why")) : ", all sources asked");
    say(held ? `${more ? `${more} more` : "Something new"}; the button above the list shows it` : hosts.length ? `${jobs} so far` : jobs);
  }

  function reveal() {
    if (!held) return;
    const [answer, before] = [held, new Set(shown)];
    apply(answer);
    take(answer);
    const first = (shown ?? []).findIndex((key) => !before.has(key));
    const rows = box.querySelectorAll(`.${C.job} > .${C.jobMain} > .${C.jobOpen}`);
    const row = rows[Math.max(0, first)];
    if (row instanceof HTMLElement) row.focus();
  }

  /** The address is the query's. @param {Event} event */
  function toWarnings(event) {
    event.preventDefault();
    document.getElementById("look-up-says")?.scrollIntoView({ block: "nearest" });
  }

  return {
    element,
    /** Whether there is anything to press. */
    get empty() {
      return shown === null;
    },
    /** @param {Answer} answer known so far */
    part(answer) {
      hosts = answer.asking ?? [];
      waiting.asking(hosts);
      if (answer.results.length) take(answer);
    },
    /** @param {Answer} answer all that there is */
    end(answer) {
      hosts = [];
      if (shown) {
        take(answer);
        return;
      }
      fill(element, answerView(answer, options));
      say(answer.choices?.length ? counted(answer.choices.length, "change") : counted(answer.results.length, "job"));
    },
    /** The rest is not waited for. @param {string} why */
    stopped(why) {
      fill(actions);
      fill(note, `${why}: ${hosts.join(", ")}`);
    },
  };
}
