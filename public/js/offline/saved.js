// SPDX-License-Identifier: Apache-2.0
// In place of views/save.js in a saved file: where it is from, and what it does not have.
import { h, outLink, timeElement } from "../dom.js";
import { C } from "../lib/classes.js";
import { whyLeftOut } from "../lib/saveplan.js";
import { warningList } from "../views/pieces.js";
import { saved } from "./source.js";

/** @param {HTMLElement} head of the job, which is there */
export function showSaving(head) {
  const when = `${new Date(saved.saved_ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  head.append(
    h(
      "div",
      { class: C.saving },
      h("p", { class: C.muted }, "A saved site: it needs no network, only its links do. Saved on ", timeElement(saved.saved_ms, when), " from ", outLink(saved.site, saved.site), "; links that you copy lead there, for as long as that server keeps it."),
      warningList(saved.left.map((one) => whyLeftOut(one, saved.limit)), "Left out of this file"),
    ),
  );
}
