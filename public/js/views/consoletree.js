// SPDX-License-Identifier: Apache-2.0
// The console's phases and tasks beside its lines: where one is, how long each took, which failed.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { groupSections, tookMs } from "../lib/outline.js";
import { counted, formatLength, visible } from "../lib/format.js";
import { foldProps } from "./folds.js";
import { kindIcon } from "./pieces.js";

/** @typedef {import("../lib/types.js").SectionJson} SectionJson */

/**
 * @param {readonly SectionJson[]} sections
 * @param {ReadonlySet<SectionJson>} failed
 * @param {(section: SectionJson) => void} onPick
 */
export function makeConsoleTree(sections, failed, onPick) {
  /** @type {{section: SectionJson, button: HTMLElement, fold: HTMLDetailsElement|null}[]} */
  const entries = [];
  let here = -1;

  /** @param {SectionJson} section @param {string} label @param {HTMLDetailsElement|null} fold */
  function entry(section, label, fold) {
    const bad = failed.has(section);
    const errors = (section.levels?.ERROR ?? 0) + (section.levels?.CRITICAL ?? 0);
    const took = tookMs(section);
    const button = h(
      "button",
      { type: "button", class: `${C.treeEntry} ${bad ? C.treeFailed : ""}`, title: `${visible(section.name)}: ${counted(section.count, "line")}`, onclick: () => onPick(section) },
      bad && kindIcon("bad"),
      h("span", { class: C.treeName }, visible(label) || "(no name)", bad && h("span", { class: C.visuallyHidden }, " (failed)")),
      errors > 0 && h("span", { class: C.treeErrors }, counted(errors, "error")),
      took !== null && h("span", { class: C.treeTook }, formatLength(took / 1000)),
    );
    entries.push({ section, button, fold });
    return button;
  }

  const groups = groupSections(sections).map((group, n) => {
    const [only] = group.leaves;
    if (group.leaves.length === 1) return h("li", null, entry(only.section, group.name, null));
    const bad = group.leaves.some(({ section }) => failed.has(section));
    const fold = h("details", foldProps(`tree${n}`, bad), h("summary", null, bad && kindIcon("bad"), h("span", { class: C.treeName }, visible(group.name)), group.took_ms !== null && h("span", { class: C.treeTook }, formatLength(group.took_ms / 1000))));
    fold.append(h("ul", null, ...group.leaves.map(({ section, label }) => h("li", null, entry(section, label, fold)))));
    return h("li", null, fold);
  });
  const list = h("ul", null, ...groups);
  const element = h("nav", { class: C.tree, "aria-label": "Sections of the console" }, list);

  return {
    element,
    /** Mark where one is. @param {number} line */
    follow(line) {
      let at = -1;
      for (let low = 0, high = entries.length - 1; low <= high; ) {
        const middle = (low + high) >> 1;
        if (entries[middle].section.first <= line) {
          at = middle;
          low = middle + 1;
        } else {
          high = middle - 1;
        }
      }
      if (at === here) return;
      entries[here]?.button.removeAttribute("aria-current");
      here = at;
      const entered = entries[at];
      if (!entered) return;
      entered.button.setAttribute("aria-current", "location");
      const shownBy = entered.fold && !entered.fold.open ? entered.fold : entered.button;
      const top = shownBy.offsetTop;
      if (top < element.scrollTop || top + shownBy.offsetHeight > element.scrollTop + element.clientHeight) element.scrollTop = top - element.clientHeight / 3;
    },
  };
}
