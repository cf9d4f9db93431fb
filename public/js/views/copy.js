// SPDX-License-Identifier: Apache-2.0
// Buttons that put text into the clipboard, on servers without TLS, too.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";

/** @param {string} text @returns {Promise<boolean>} whether it is there now */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no such clipboard for pages without TLS, and a person may forbid it.
    return copySelected(text);
  }
}

/** @param {string} text */
function copySelected(text) {
  const focused = document.activeElement;
  const area = h("textarea", { class: C.visuallyHidden, "aria-hidden": "true", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return done;
}

/**
 * @param {string} label
 * @param {() => string|Promise<string>} make the text
 * @param {string} [name] for who hears the page
 */
export function copyButton(label, make, name) {
  const said = h("span", { class: C.copied, role: "status" });
  const button = h("button", { type: "button", class: C.buttonQuiet, "aria-label": name ?? null, onclick: async () => {
    const done = await copyText(await make());
    said.textContent = done ? "✓ copied" : "could not be copied";
    setTimeout(() => said.replaceChildren(), 2500);
  } }, label, said);
  return button;
}
