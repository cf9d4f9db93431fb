// SPDX-License-Identifier: Apache-2.0
// When what is drawn has to change its colours.
import { DARK } from "./canvas.js";

/**
 * Call when the page turns light or dark: the system did, the person chose, or it goes to paper.
 * @param {(printing: boolean) => void} changed draws at once: a page that is printed gets no other frame
 * @returns {() => void} to call no longer
 */
export function onThemeChange(changed) {
  const forget = new AbortController();
  const { signal } = forget;
  const paper = matchMedia("print");
  let printing = paper.matches;
  /** @param {boolean} now */
  const print = (now) => {
    printing = now;
    changed(now);
  };
  const again = () => changed(printing);
  matchMedia(DARK).addEventListener("change", again, { signal });
  document.addEventListener("schemechange", again, { signal });
  paper.addEventListener("change", () => print(paper.matches), { signal });
  addEventListener("beforeprint", () => print(true), { signal });
  addEventListener("afterprint", () => print(false), { signal });
  return () => forget.abort();
}
