// SPDX-License-Identifier: Apache-2.0
// What stands where something could not be had.
import { ApiError, messageOf } from "../api.js";
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { notice } from "./pieces.js";

/**
 * With a way to try again; what the server has lost ends its site, whose page offers to scrape it again.
 * @param {"warn"|"bad"} tone
 * @param {string} title
 * @param {unknown} error
 * @param {() => void} again
 */
export function lackNotice(tone, title, error, again) {
  if (error instanceof ApiError && error.code === "data-lost") return notice("warn", title, error.message, h("button", { type: "button", class: C.button, onclick: () => location.reload() }, "Scrape it again…"));
  if (error instanceof ApiError && error.status === 410) return notice("info", title, error.message);
  return notice(tone, title, messageOf(error), h("button", { type: "button", class: C.button, onclick: again }, "Try again"));
}
