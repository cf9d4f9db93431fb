// SPDX-License-Identifier: Apache-2.0
// What a person is told instead of, or above, the thing that was asked for.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * @param {"info"|"warn"|"bad"} tone
 * @param {string} title
 * @param {string|null} [message] paragraphs parted by line breaks
 * @param {...Child} actions
 */
export function notice(tone, title, message, ...actions) {
  const className = tone === "bad" ? C.noticeBad : tone === "warn" ? C.noticeWarn : C.notice;
  return h(
    "div",
    { class: className, role: tone === "bad" ? "alert" : null },
    h("p", null, h("strong", null, title)),
    ...(message ?? "").split("\n").filter((line) => line.trim()).map((line) => h("p", null, line)),
    actions.length > 0 && h("div", { class: C.actions }, ...actions),
  );
}

/**
 * @param {readonly string[]|undefined} warnings
 * @param {string} title
 */
export function warningList(warnings, title) {
  if (!warnings || warnings.length === 0) return null;
  if (warnings.length === 1) return h("p", { class: C.noticeWarn }, h("strong", null, `${title}: `), warnings[0]);
  const list = h("ul", null, ...warnings.map((text) => h("li", null, text)));
  const first = h("span", { class: C.muted }, ` ${warnings[0]}`);
  const fold = h("details", { class: `${C.noticeWarn} folded`, "data-fold": "warnings" }, h("summary", null, h("strong", null, `${title} (${warnings.length})`), first), list);
  fold.addEventListener("toggle", () => {
    first.hidden = fold.open;
  });
  return fold;
}

/** Lines that stand for what is being loaded. @param {number} lines @param {string} label */
export function skeleton(lines, label) {
  const bars = Array.from({ length: lines }, () => h("span", null));
  return h("div", { class: C.skeleton, role: "status", "aria-label": label }, ...bars);
}
