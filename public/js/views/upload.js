// SPDX-License-Identifier: Apache-2.0
// Files of a person's own, chosen or dropped anywhere on the page.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { counted, formatBytes } from "../lib/format.js";

/**
 * Take files from the button and from whatever is dropped; `onFiles` gets at least one, `onRefused` a sentence.
 * @param {{button: HTMLElement, input: HTMLInputElement, onFiles: (files: File[]) => void, onRefused: (message: string) => void}} options
 */
export function takeFiles({ button, input, onFiles, onRefused }) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // the same file may be chosen again
    if (files.length > 0) onFiles(files);
  });
  let inside = 0;
  /** @param {DragEvent} event */
  const carries = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** @param {number} entered elements that the files are over */
  const count = (entered) => {
    inside = entered;
    document.body.classList.toggle(C.dropping, inside > 0);
  };
  document.addEventListener("dragenter", (event) => {
    if (carries(event)) count(inside + 1);
  });
  document.addEventListener("dragleave", (event) => {
    if (carries(event)) count(Math.max(0, inside - 1));
  });
  document.addEventListener("dragover", (event) => {
    if (!carries(event) || !event.dataTransfer) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    if (!carries(event) || !event.dataTransfer) return;
    event.preventDefault();
    count(0);
    const folders = [...event.dataTransfer.items].some((item) => item.webkitGetAsEntry()?.isDirectory);
    const files = [...event.dataTransfer.files];
    if (folders) onRefused("A folder cannot be sent as it is. Send its files, or a tar or zip archive of it.");
    else if (files.length > 0) onFiles(files);
  });
}

/**
 * What is being sent, and the way to stop it.
 * @param {readonly File[]} files
 * @param {() => void} onCancel
 */
export function sendingView(files, onCancel) {
  const size = formatBytes(files.reduce((sum, file) => sum + file.size, 0));
  const what = files.length === 1 ? files[0].name : counted(files.length, "file");
  return h(
    "section",
    { class: C.notice },
    h("p", { role: "status" }, h("strong", null, `Sending ${what}`), ` (${size})`),
    h("progress", { class: C.bar, "aria-label": `Sending ${what}` }),
    h("div", { class: C.actions }, h("button", { type: "button", class: C.button, onclick: onCancel }, "Cancel")),
  );
}
