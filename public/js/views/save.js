// SPDX-License-Identifier: Apache-2.0
// "Save as one file": the button, how far it is, and what came of it.  In a saved file offline/saved.js stands here.
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { megabytes, MOST_BYTES, whyLeftOut } from "../lib/saveplan.js";
import { lackNotice } from "./lack.js";
import { notice } from "./pieces.js";

/** How long the browser may take to begin to write the file. */
const KEPT_MS = 60000;

/**
 * @param {HTMLElement} head of the job, which is there
 * @param {import("../lib/types.js").Task} task
 */
export function showSaving(head, task) {
  const panel = h("div", { class: C.saving });
  const button = h("button", { type: "button", class: C.buttonQuiet, title: "An .html file that shows this site without a server or a network", onclick: () => void save() }, "Save as one file");
  head.querySelector(`.${C.jobTitle}`)?.append(h("span", { class: C.toolbarEnd }, button));
  head.append(panel);

  async function save() {
    const stop = new AbortController();
    const bar = h("progress", { "aria-label": "Saving", max: 1 });
    const said = h("span", { class: C.muted }, "Collecting the viewer");
    const cancel = h("button", { type: "button", class: C.buttonQuiet, onclick: () => stop.abort() }, "Cancel");
    fill(panel, h("div", { class: C.actions }, bar, said, cancel));
    button.disabled = true;
    cancel.focus();
    try {
      const { saveSite } = await import("../saving.js");
      const { file, name, left } = await saveSite(task, {
        signal: stop.signal,
        tell(done, total) {
          bar.value = total ? done / total : 1;
          said.textContent = `${megabytes(done)} of ${megabytes(total)}`;
        },
      });
      stop.signal.throwIfAborted();
      download(file, name);
      fill(panel, doneView(name, file.size, left));
    } catch (error) {
      if (stop.signal.aborted) fill(panel, h("p", { class: C.muted, role: "status" }, "Nothing was saved."));
      else fill(panel, lackNotice("bad", "The site could not be saved", error, () => void save()));
    }
    button.disabled = false;
    button.focus();
  }
}

/** @param {string} name @param {number} size @param {readonly import("../lib/saveplan.js").LeftOut[]} left */
function doneView(name, size, left) {
  const what = `${name}, ${megabytes(size)}`;
  if (left.length) return notice("warn", `Saved without all of it: ${what}`, left.map((one) => whyLeftOut(one, MOST_BYTES)).join("\n"));
  return h("p", { class: C.muted, role: "status" }, `Saved: ${what}. It opens in any browser, without a network.`);
}

/** @param {Blob} file @param {string} name */
function download(file, name) {
  const href = URL.createObjectURL(file);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), KEPT_MS);
}
