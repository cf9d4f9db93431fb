// SPDX-License-Identifier: Apache-2.0
// Folds whose state is in the address.  What is usual is not said there, only what somebody has turned.
import { getState, onState, setState } from "../store.js";

/** @param {string} id */
const isTurned = (id) => getState().turned.includes(id);

/** How far something that unfolds in several steps is unfolded. @param {string} id */
export function stepsOf(id) {
  const said = getState().turned.find((one) => one === id || one.startsWith(`${id}.`));
  return said === undefined ? 0 : said === id ? 1 : Math.max(0, Math.min(1000, Math.floor(Number(said.slice(id.length + 1)) || 0)));
}

/** @param {string} id @param {number} steps */
export function setSteps(id, steps) {
  const others = getState().turned.filter((one) => one !== id && !one.startsWith(`${id}.`));
  setState({ turned: steps ? [...others, steps > 1 ? `${id}.${steps}` : id] : others });
}

/**
 * Attributes of a details element that is opened and closed by the address, and by whom it is told there.
 * @param {string} id without a full stop
 * @param {boolean} [usually] it is open
 */
export function foldProps(id, usually = false) {
  return { "data-fold": id, "data-usually": usually ? "open" : null, open: usually !== isTurned(id) };
}

/** @param {HTMLDetailsElement} fold */
const wanted = (fold) => (fold.dataset.usually === "open") !== isTurned(fold.dataset.fold ?? "");

function applyAll() {
  for (const fold of document.querySelectorAll("details[data-fold]")) {
    if (fold instanceof HTMLDetailsElement && fold.open !== wanted(fold)) fold.open = wanted(fold);
  }
}

// Toggles do not rise: they are heard on their way down.
document.addEventListener("toggle", ({ target: fold }) => {
  if (!(fold instanceof HTMLDetailsElement) || !fold.dataset.fold || fold.open === wanted(fold)) return;
  setSteps(fold.dataset.fold, isTurned(fold.dataset.fold) ? 0 : 1);
}, true);
onState((now, before) => {
  if (String(now.turned) !== String(before.turned)) applyAll();
});
applyAll();
