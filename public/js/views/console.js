// SPDX-License-Identifier: Apache-2.0
// The job's console: its sections, and windows of their lines as they are asked for.
import { consoleSource } from "../blobs.js";
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { severity } from "../lib/blocks.js";
import { jobStatus } from "../lib/status.js";
import { terminalLine, visible } from "../lib/text.js";
import { counted, formatCount } from "../lib/ticks.js";
import { formatLength } from "../lib/times.js";
import { messageOf } from "./ending.js";
import { statusBadge } from "./icons.js";
import { notice, skeleton } from "./notice.js";

/** @typedef {import("../lib/types.js").SectionJson} SectionJson */
/** @typedef {import("../blobs.js").ConsoleSource} ConsoleSource */

const WINDOW = 200;
const LONG = 4000;

/**
 * @param {import("../lib/types.js").Artifact} artifact
 * @param {boolean} open the longest section at once: there is nothing else to see
 */
export function consoleView(artifact, open) {
  const source = consoleSource(artifact);
  const body = h("div", null, skeleton(4, "Loading the console's sections"));
  const note = h("span", { class: C.muted });
  const element = h("section", { class: `${C.section} console`, id: "console" }, h("div", { class: C.groupHead }, h("h2", null, "Console"), note), body);
  const load = async () => {
    try {
      const { status, sections, lines } = await source.head();
      fill(note, artifact.artifact_name, ` · ${counted(lines, "line")} `, status && statusBadge(jobStatus(status)));
      fill(body, ...sections.map((section) => sectionView(section, source)));
      const longest = sections.reduce((best, section, i) => (section.count > sections[best].count ? i : best), 0);
      if (open) body.children[longest]?.setAttribute("open", "");
      if (!sections.length) fill(body, h("p", { class: C.muted }, "The console has no lines."));
    } catch (error) {
      fill(body, notice("bad", "The console could not be loaded", messageOf(error), h("button", { type: "button", class: C.button, onclick: () => void load() }, "Try again")));
    }
  };
  void load();
  return element;
}

/** @param {SectionJson} section @param {ConsoleSource} source */
function sectionView(section, source) {
  const took = section.start_ms !== null && section.end_ms !== null ? ` · ${formatLength((section.end_ms - section.start_ms) / 1000)}` : "";
  const body = h("div", null);
  const fold = h("details", null, h("summary", null, h("b", null, visible(section.name) || "(no name)"), h("span", { class: C.muted }, ` ${counted(section.count, "line")}${took}`)), body);
  fold.addEventListener("toggle", () => {
    if (fold.open && !body.firstChild) linesView(body, section, source);
  });
  return fold;
}

/**
 * A window that can be made longer at both ends, or be put to the section's end.
 * @param {HTMLElement} body
 * @param {SectionJson} section
 * @param {ConsoleSource} source
 */
function linesView(body, section, source) {
  const end = section.first + section.count;
  let from = section.first;
  let to = section.first;
  const trouble = h("div", null);
  const list = h("ol", { class: C.consoleLines, tabindex: "0", "aria-label": `Lines of ${section.name}` });
  const earlier = h("button", { type: "button", class: C.buttonQuiet, onclick: () => void grow("before") });
  const more = h("button", { type: "button", class: C.buttonQuiet, onclick: () => void grow("after") });
  const jump = h("button", { type: "button", class: C.buttonQuiet, onclick: () => void place(Math.max(section.first, end - WINDOW), end) }, "Go to the end");
  const start = h("button", { type: "button", class: C.buttonQuiet, onclick: () => void place(section.first, Math.min(end, section.first + WINDOW)) }, "Go to the beginning");
  body.append(h("div", { class: C.more }, start, earlier), list, h("div", { class: C.more }, more, jump), trouble);

  /** @param {"before"|"after"} side */
  async function grow(side) {
    const a = side === "before" ? Math.max(section.first, from - WINDOW) : to;
    const b = side === "before" ? from : Math.min(end, to + WINDOW);
    await load(a, b, (lines) => {
      if (side === "before") list.prepend(...lines);
      else list.append(...lines);
      from = Math.min(from, a);
      to = Math.max(to, b);
    });
  }

  /** @param {number} a @param {number} b */
  async function place(a, b) {
    await load(a, b, (lines) => {
      list.replaceChildren(...lines);
      from = a;
      to = b;
    });
  }

  /** @param {number} a @param {number} b @param {(lines: HTMLElement[]) => void} put */
  async function load(a, b, put) {
    const buttons = [earlier, more, jump, start];
    for (const button of buttons) button.disabled = true;
    try {
      const lines = await source.lines(a, b);
      put(lines.map(lineView));
      fill(trouble);
    } catch (error) {
      fill(trouble, notice("bad", "These lines could not be loaded", messageOf(error)));
    }
    for (const button of buttons) button.disabled = false;
    earlier.hidden = from <= section.first;
    start.hidden = earlier.hidden;
    more.hidden = to >= end;
    jump.hidden = more.hidden;
    earlier.textContent = `${formatCount(Math.min(WINDOW, from - section.first))} earlier lines`;
    more.textContent = `${formatCount(Math.min(WINDOW, end - to))} more lines (${formatCount(end - to)} left)`;
  }

  void place(section.first, Math.min(end, section.first + WINDOW));
}

/** @param {import("../lib/blocks.js").ConsoleLine} line */
function lineView(line) {
  const shown = terminalLine(line.text);
  const kind = severity(shown);
  const text = h("span", { class: C.consoleText }, shown.slice(0, LONG));
  if (shown.length > LONG) {
    const all = h("button", { type: "button", class: C.buttonQuiet, onclick: () => {
      text.textContent = shown;
    } }, `${formatCount(shown.length - LONG)} more characters`);
    text.append(all);
  }
  return h(
    "li",
    { class: kind === "plain" ? C.consoleLine : `${C.consoleLine} ${kind}` },
    h("span", { class: C.consoleNumber }, line.number + 1),
    h("span", { class: C.consoleTime, title: line.date }, line.date.slice(11, 19)),
    text,
  );
}
