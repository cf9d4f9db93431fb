// SPDX-License-Identifier: Apache-2.0
// The pages as files: what the Content-Security-Policy and the server's addresses ask of them.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { C } from "../../public/js/lib/classes.js";

const PUBLIC = resolve(dirname(fileURLToPath(import.meta.url)), "../../public");
const PAGES = readdirSync(PUBLIC).filter((name) => name.endsWith(".html"));
const SCRIPTS = readdirSync(join(PUBLIC, "js"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"));

/** @param {string} file */
const read = (file) => readFileSync(join(PUBLIC, file), "utf8");

test("all pages are there", () => {
  assert.deepEqual(PAGES.sort(), ["go.html", "index.html", "s.html", "status.html"]);
});

for (const page of PAGES) {
  test(`${page} has nothing inline, and its files exist under absolute addresses`, () => {
    const html = read(page);
    assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:/i);
    const refs = [...html.matchAll(/<(?:script|link)[^>]*\b(?:src|href)="([^"]+)"/g)].map((match) => match[1]);
    assert.ok(refs.length >= 3);
    for (const ref of refs) {
      assert.match(ref, /^\//);
      assert.ok(read(ref).length > 0);
    }
  });

  test(`${page} preloads exactly the modules that it needs`, () => {
    const html = read(page);
    const main = /<script type="module" src="([^"]+)"/.exec(html)?.[1] ?? "";
    const listed = [...html.matchAll(/<link rel="modulepreload" href="([^"]+)"/g)].map((match) => match[1]);
    const needed = new Set([main]);
    for (const module of needed) {
      for (const [, from] of read(module).matchAll(/^(?:import|export)\b[^;]*?from "(\.[^"]+)";/gm)) needed.add(resolve(dirname(module), from));
    }
    needed.delete(main);
    assert.deepEqual(listed.sort(), [...needed].sort());
  });
}

test("each script and sheet names its licence", () => {
  for (const script of SCRIPTS) assert.match(read(join("js", script)), /^\/\/ SPDX-License-Identifier: Apache-2.0\n/);
  for (const sheet of readdirSync(join(PUBLIC, "css"))) assert.match(read(join("css", sheet)), /^\/\* SPDX-License-Identifier: Apache-2.0 \*\/\n/);
});

test("js/lib stands alone: it imports nothing from outside itself", () => {
  for (const script of SCRIPTS.filter((name) => name.startsWith("lib/"))) assert.doesNotMatch(read(join("js", script)), /from "\.\.\//);
});

test("scripts set only classes that have a name, and each of these is used and styled", () => {
  const sources = SCRIPTS.filter((name) => name !== "lib/classes.js").map((name) => read(join("js", name))).join("\n");
  const sheets = readdirSync(join(PUBLIC, "css")).map((name) => read(join("css", name))).join("\n");
  assert.deepEqual(sources.match(/class: "[^"]*"|classList\.\w+\("[^"]*"/g), null);
  assert.deepEqual(Object.keys(C).filter((key) => !new RegExp(`\\bC\\.${key}\\b`).test(sources)), []);
  const classes = Object.values(C).flatMap((value) => (typeof value === "string" ? value.split(" ") : Object.values(value)));
  assert.deepEqual(classes.filter((name) => !new RegExp(`\\.${name}(?![\\w-])`).test(sheets)), []);
});

test("every colour that a style sheet or a canvas asks for is there", () => {
  const sheets = readdirSync(join(PUBLIC, "css")).map((name) => read(`css/${name}`)).join("\n");
  const set = SCRIPTS.map((file) => read(`js/${file}`)).join("\n").matchAll(/setProperty\("(--[\w-]+)"/g);
  const known = new Set([...sheets.matchAll(/(--[\w-]+):/g), ...set].map((match) => match[1]));
  const canvas = /const NAMES = \[([^\]]+)\]/.exec(read("js/views/canvas.js"))?.[1] ?? "";
  const asked = [...[...canvas.matchAll(/"([\w-]+)"/g)].map((match) => `--${match[1]}`), ...[...sheets.matchAll(/var\((--[\w-]+)\)/g)].map((match) => match[1])];
  assert.ok(asked.length > 50 && asked.includes("--surface"));
  assert.deepEqual([...new Set(asked)].filter((name) => !known.has(name)), []);
});
