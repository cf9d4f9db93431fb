// SPDX-License-Identifier: Apache-2.0
// Files of a person's own, chosen or dropped anywhere on the page; a link or a text that is dropped there.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { counted, formatBytes } from "../lib/format.js";

/**
 * Take the files that are chosen; `onFiles` gets at least one.
 * @param {HTMLElement} button
 * @param {HTMLInputElement} input
 * @param {(files: File[]) => void} onFiles
 */
export function takeFiles(button, input, onFiles) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = ""; // the same file may be chosen again
    if (files.length > 0) onFiles(files);
  });
}

/**
 * Take what is dropped anywhere on the page: `onFiles` gets at least one, `onText` what a link leads to or a text says,
 * `onRefused` a sentence.  What is dragged from the page itself stays the browser's.
 * @param {{onFiles: (files: File[]) => void, onText: (text: string) => void, onRefused: (message: string) => void}} options
 */
export function takeDrops({ onFiles, onText, onRefused }) {
  let inside = 0;
  let own = false;
  /** @param {DragEvent} event */
  const carries = ({ dataTransfer: data }) => data !== null && (data.types.includes("Files") || (!own && (data.types.includes("text/uri-list") || data.types.includes("text/plain"))));
  /** @param {number} entered elements that it is over */
  const count = (entered) => {
    inside = entered;
    document.body.classList.toggle(C.dropping, inside > 0);
  };
  document.addEventListener("dragstart", () => {
    own = true;
  });
  document.addEventListener("dragend", () => {
    own = false;
  });
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
    const text = event.dataTransfer.getData("URL") || event.dataTransfer.getData("text/plain");
    if (folders) onRefused("A folder cannot be sent as it is. Send its files, or a tar or zip archive of it.");
    else if (files.length > 0) onFiles(files);
    else if (text.trim()) onText(text);
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
