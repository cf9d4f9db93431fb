// SPDX-License-Identifier: Apache-2.0
// What is shown becomes something newer with what is the same left alone: pressed buttons, the focus, open folds.

/** What is changed from inside; everything else is replaced. */
const KEPT = new Set(["DETAILS", "DIV", "HEADER", "LI", "SECTION", "UL"]);

/**
 * @param {Node} parent
 * @param {Node} fresh whose children are taken over
 */
export function graft(parent, fresh) {
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, i) => {
    const old = parent.childNodes[i];
    if (!old) parent.appendChild(node);
    else if (!old.isEqualNode(node)) {
      if (old instanceof Element && node instanceof Element && KEPT.has(old.tagName) && old.tagName === node.tagName && old.className === node.className) graft(old, node);
      else parent.replaceChild(node, old);
    }
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild?.remove();
}
