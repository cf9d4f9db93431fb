// SPDX-License-Identifier: Apache-2.0
// The viewer's page made into a file that stands alone: its sheets and scripts inside, what it shows behind them.
// All that is not our own source stands in base64, so that nothing in it can be taken for markup.
import { toBase64 } from "./base64.js";
import { nameOf } from "./program.js";

const TAG = /<link\b[^>]*>|<script\b[^>]*>\s*<\/script>/g;
/** A module that others import, and that is only to run early. */
const EARLY = /\sasync\b/;
const CHARSET = '<meta charset="utf-8" />';

/** @param {string} tag @param {string} name */
const attribute = (tag, name) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "";

/** @param {string} tag @returns {{kind: "sheet"|"icon"|"hint"|"script"|"module", path: string}} */
function fileOf(tag) {
  const rel = attribute(tag, "rel");
  if (tag.startsWith("<script")) return { kind: attribute(tag, "type") !== "module" ? "script" : EARLY.test(tag) ? "hint" : "module", path: attribute(tag, "src") };
  const path = attribute(tag, "href");
  if (rel === "stylesheet") return { kind: "sheet", path };
  if (rel === "icon") return { kind: "icon", path };
  if (rel === "modulepreload") return { kind: "hint", path };
  throw new Error(`the page has what a file cannot: ${tag}`);
}

/** What the page's markup refers to. @param {string} html */
export function filesOf(html) {
  const files = [...html.matchAll(TAG)].map(([tag]) => fileOf(tag));
  const [entry, ...others] = files.filter(({ kind }) => kind === "module");
  if (!entry || others.length || !html.includes(CHARSET)) throw new Error("this is not the page of the viewer");
  return { entry: entry.path, hints: files.filter(({ kind }) => kind === "hint").map(({ path }) => path), texts: files.filter(({ kind }) => kind === "sheet" || kind === "script" || kind === "icon").map(({ path }) => path) };
}

/** What may happen in the file: its own scripts run, and nothing comes from anywhere or goes there. @param {string} nonce */
const policyOf = (nonce) =>
  `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; img-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types app`;

/** Text of ours inside an element that ends at its end tag. @param {string} text */
function inside(text) {
  if (/<\/(?:script|style)|<!--/i.test(text)) throw new Error("a script or sheet has what would end it");
  return text;
}

/** @param {string} text */
const attributeText = (text) => text.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");

/** @param {string} text */
const dataOf = (text) => toBase64(new TextEncoder().encode(text));

/**
 * The page up to where its parts go, and what follows them.
 * @param {{html: string, texts: ReadonlyMap<string, string>, modules: ReadonlyMap<string, string>,
 *   sheets: ReadonlyMap<string, string>, home: string, nonce: string}} made
 *   texts: of what filesOf() names; sheets: that modules ask for; home: origin of the server; nonce: of letters, digits and -_, known to nobody before
 * @returns {{head: string, tail: string}}
 */
export function savedPage({ html, texts, modules, sheets, home, nonce }) {
  /** @param {string} path */
  const text = (path) => {
    const found = texts.get(path);
    if (found === undefined) throw new Error(`${path} is missing`);
    return found;
  };
  const page = html
    .replaceAll(/(<a\b[^>]*\shref=")(\/[^"]*)"/g, (_, before, path) => `${before}${attributeText(new URL(path, home).href)}"`)
    .replace(TAG, (tag) => {
      const { kind, path } = fileOf(tag);
      if (kind === "hint") return "";
      if (kind === "icon") return `<link rel="icon" type="image/svg+xml" href="data:image/svg+xml;base64,${dataOf(text(path))}" />`;
      if (kind === "sheet") return `<style nonce="${nonce}">\n${inside(text(path))}</style>`;
      if (kind === "script") return `<script nonce="${nonce}">\n${inside(text(path))}</script>`;
      const imports = Object.fromEntries([...modules].map(([name, source]) => [nameOf(name), `data:text/javascript;base64,${dataOf(source)}`]));
      const start = `import("${nameOf(path)}").catch((error) => {\n  document.getElementById("main").textContent = "This browser cannot show a saved site: " + error.message;\n});`;
      const later = [...sheets].map(([name, source]) => `<style id="${attributeText(name)}" nonce="${nonce}">\n${inside(source)}</style>\n    `).join("");
      return `${later}<script type="importmap" nonce="${nonce}">${inside(JSON.stringify({ imports }))}</script>\n    <script type="module" nonce="${nonce}">${start}</script>`;
    })
    .replace(CHARSET, () => `${CHARSET}\n    <meta http-equiv="Content-Security-Policy" content="${policyOf(nonce)}" />`);
  const end = page.lastIndexOf("</body>");
  return { head: page.slice(0, end), tail: page.slice(end) };
}

/**
 * An element that holds bytes and does nothing.
 * @param {string} name
 * @param {Uint8Array} bytes
 */
export function savedPart(name, bytes) {
  return `<script type="application/octet-stream" data-part="${attributeText(name)}">${toBase64(bytes)}</script>\n`;
}
