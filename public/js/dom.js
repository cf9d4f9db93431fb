// SPDX-License-Identifier: Apache-2.0
// Elements out of values.  Text goes in as text nodes and nothing is ever read as HTML.

/** @typedef {Node|string|number|null|undefined|false} Child */

/** @typedef {Record<string, string|number|boolean|null|undefined|((event: any) => void)>} Props */

/**
 * An element.  A prop whose name begins with "on" is a listener; true is an empty attribute; null, undefined and
 * false are no attribute at all.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props|null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  append(element, ...children);
  return element;
}

/**
 * @param {Element} parent
 * @param {...Child} children
 */
export function append(parent, ...children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) parent.append(child instanceof Node ? child : String(child));
  }
}

/**
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, ...children);
}

/**
 * The element with this id; its absence is a fault of the page.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * A link to another site; what is no web address is shown as text, so that nothing else can become a link.
 * @param {string|null|undefined} url
 * @param {string} text
 * @param {Props} [props]
 */
export function outLink(url, text, props) {
  if (!url || !/^https?:\/\//i.test(url)) return h("span", props ?? null, text);
  return h("a", { href: url, rel: "noopener noreferrer", ...props }, text);
}

/**
 * A moment as an element whose title gives it in full.
 * @param {number} ms
 * @param {string} text
 */
export function timeElement(ms, text) {
  const iso = new Date(ms).toISOString();
  return h("time", { datetime: iso, title: `${iso.slice(0, 19).replace("T", " ")} UTC` }, text);
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} viewBox
 * @param {string} className
 * @param {[string, Record<string, string>][]} shapes
 */
export function svg(viewBox, className, shapes) {
  const root = document.createElementNS(SVG, "svg");
  root.setAttribute("viewBox", viewBox);
  root.setAttribute("class", className);
  root.setAttribute("aria-hidden", "true");
  root.setAttribute("focusable", "false");
  for (const [name, attributes] of shapes) {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    root.append(shape);
  }
  return root;
}

/** Those that are asked for or there. @type {Map<string, Promise<void>>} */
const sheets = new Map();

/**
 * A style sheet of what is shown later; what it is for waits until it is there.
 * @param {string} href
 * @returns {Promise<void>}
 */
export function sheet(href) {
  // A saved file has it already.
  if (!sheets.has(href)) sheets.set(href, document.getElementById(href) ? Promise.resolve() : loadSheet(href));
  return /** @type {Promise<void>} */ (sheets.get(href));
}

/** @param {string} href @returns {Promise<void>} */
function loadSheet(href) {
  return new Promise((resolve, reject) => {
    const link = h("link", { rel: "stylesheet", href, onload: () => resolve(), onerror: () => {
      // Whoever tries again asks the server again.
      link.remove();
      sheets.delete(href);
      reject(new Error(`${href} cannot be loaded`));
    } });
    document.head.append(link);
  });
}
