// SPDX-License-Identifier: Apache-2.0
// The pieces of "save as one file": the program, the plan and the page, made of the files that are really served.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { INSTEAD } from "../../public/js/saving.js";
import { base64Length, fromBase64, toBase64 } from "../../public/js/lib/base64.js";
import { loadProgram, loadScript, namedModule } from "../../public/js/lib/program.js";
import { filesOf, savedPage, savedPart } from "../../public/js/lib/savedpage.js";
import { byWorth, fileName, megabytes, roomOf, whyLeftOut } from "../../public/js/lib/saveplan.js";

const PUBLIC = resolve(dirname(fileURLToPath(import.meta.url)), "../../public");
/** @param {string} path */
const text = (path) => readFileSync(join(PUBLIC, path), "utf8");
/** @param {string} path */
const read = (path) => Promise.resolve(text(path));
// The parser of eslint: what it says of a module is the truth here.
const espree = createRequire(createRequire(import.meta.url).resolve("eslint"))("espree");
/** @param {string} source */
const parse = (source) => espree.parse(source, { ecmaVersion: "latest", sourceType: "module" });

/**
 * All nodes of a tree.
 * @param {any} node
 * @returns {Generator<any>}
 */
function* nodes(node) {
  if (Array.isArray(node)) for (const one of node) yield* nodes(one);
  else if (node && typeof node === "object") {
    if (typeof node.type === "string") yield node;
    for (const value of Object.values(node)) yield* nodes(value);
  }
}

/** What a module really imports. @param {string} source @returns {string[]} */
function importsOf(source) {
  return [...nodes(parse(source))].filter(({ type, source: from }) => /^(?:Import|Export(?:Named|All)Declaration)/.test(type) && from).map(({ source: from }) => from.value);
}

/** A tree without places in the text, and with the names that imports get. @param {string} source @param {string} path */
function shape(source, path) {
  return JSON.stringify(parse(source), (key, value) => {
    if (["start", "end", "loc", "range", "raw"].includes(key)) return undefined;
    return key === "source" && typeof value?.value === "string" && value.value.startsWith(".") ? { ...value, value: `site${resolve(dirname(path), value.value)}` } : value;
  });
}

const program = await loadProgram("/js/viewer.js", INSTEAD, read);

test("the program has every module that can be reached, each once, under the names that it is asked for", () => {
  for (const [path, source] of program.modules) {
    const original = INSTEAD[/** @type {keyof typeof INSTEAD} */ (path)] ?? path;
    assert.equal(shape(source, original), shape(text(original), original), `${path}: nothing but its imports has changed`);
    for (const name of importsOf(source)) assert.ok(program.modules.has(name.replace(/^site/, "")), `${path} imports ${name}`);
  }
  assert.ok(program.modules.has("/js/views/runview.js") && program.modules.has("/js/views/consolepane.js"));
  assert.ok(!program.modules.has("/js/saving.js"), "a saved file saves nothing");
});

test("workers that the program starts are found, and each runs as one script", async () => {
  assert.deepEqual([...program.workers].sort(), ["/js/workers/scan.js"]);
  for (const path of program.workers) {
    const script = await loadScript(path, read);
    assert.deepEqual(importsOf(script), []);
    /** @type {((event: {data: unknown}) => unknown)[]} */
    const listeners = [];
    /** @type {any[]} */
    const answers = [];
    const world = { addEventListener: (/** @type {string} */ _, /** @type {() => void} */ listener) => listeners.push(listener), postMessage: (/** @type {unknown} */ answer) => answers.push(answer), Blob, DecompressionStream, performance, TextDecoder };
    runInNewContext(script, world);
    assert.equal(listeners.length, 1);
    const rows = '{"date":"","line":"one"},\n{"date":"","line":"two","level":"ERROR"}\n';
    const whole = await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
    for (const pattern of [false, true]) {
      const question = { text: pattern ? "^tw" : "two", exact: true, pattern };
      answers.length = 0;
      await listeners[0]({ data: { id: 2, whole, question, lines: 2 } });
      assert.deepEqual([[...answers[0].result.hits], [...answers[0].result.levels]], [[1], [0, 2]]);
    }
  }
});

test("what stands instead of a module offers what that offers", () => {
  for (const [online, offline] of Object.entries(INSTEAD)) {
    const names = [online, offline].map((path) => new Set([...text(path).matchAll(/^export (?:async )?(?:function|const) (\w+)/gm)].map((match) => match[1])));
    assert.ok(names[0].size > 0 && [...names[0]].every((name) => names[1].has(name)), `${offline}: ${[...names[1]]}`);
  }
});

test("forms of import that are not understood are refused, not passed over", async () => {
  /** @param {Record<string, string>} files */
  const from = (files) => loadScript("/a.js", (path) => Promise.resolve(files[path]));
  await assert.rejects(from({ "/a.js": 'import "./b.js";\n' }), /not understood/);
  await assert.rejects(from({ "/a.js": "export default 1;\n" }), /not understood/);
  await assert.rejects(from({ "/a.js": "export let a = 1;\n" }), /not understood/);
  await assert.rejects(from({ "/a.js": 'import { b } from "./b.js";\n', "/b.js": 'import { a } from "./a.js";\n' }), /imports itself/);
  const script = await from({ "/a.js": 'import { b as c } from "./b.js";\nimport { d } from "./d/d.js";\nout(c, d);\n', "/b.js": "export const b = 1;\n", "/d/d.js": 'import { b } from "../b.js";\nexport function d() {\n  return b + 1;\n}\n' });
  /** @type {unknown[]} */
  const said = [];
  runInNewContext(script, { out: (/** @type {number} */ b, /** @type {() => number} */ d) => said.push(b, d()) });
  assert.deepEqual(said, [1, 2]);
  assert.deepEqual(namedModule("/js/views/a.js", '/** @type {import("./no.js").T} */\nimport {\n  b,\n} from "../b.js";\nawait import("./c.js");\n').imports, ["/js/b.js", "/js/views/c.js"]);
});

test("base64 there and back, of any length", () => {
  for (const length of [0, 1, 2, 3, 24575, 24576, 24577, 100001]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7919) & 255);
    const coded = toBase64(bytes);
    assert.equal(coded.length, base64Length(length));
    assert.equal(coded, Buffer.from(bytes).toString("base64"));
    assert.deepEqual(fromBase64(coded), bytes);
  }
});

const files = filesOf(text("s.html"));
const sheets = new Map([...program.sheets].map((path) => [path, text(path)]));
const made = savedPage({ html: text("s.html"), texts: new Map(files.texts.map((path) => [path, text(path)])), modules: program.modules, sheets, home: "https://stackviz.example", nonce: "0123abcd" });

test("the page asks nothing of anybody", () => {
  const page = made.head + made.tail;
  assert.equal(files.entry, "/js/viewer.js");
  for (const hint of files.hints) assert.ok(program.modules.has(hint), `${hint} is loaded although the hint is gone`);
  assert.ok(program.sheets.has("/css/console.css"));
  for (const path of program.sheets) assert.ok(page.includes(`<style id="${path}" nonce="0123abcd">`), path);
  assert.doesNotMatch(page, /<link(?![^>]*rel="icon")|<script[^>]*\ssrc=|url\(|@import/);
  const addresses = [...page.matchAll(/\s(?:href|src)="([^"]*)"/g)].map((match) => match[1]);
  assert.ok(addresses.includes("https://stackviz.example/"), "links to the server are whole");
  for (const address of addresses) assert.match(address, /^(?:#|data:image\/svg\+xml;base64,|https:\/\/stackviz\.example\/)/);
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? "";
  assert.equal(policy, "default-src 'none'; script-src 'nonce-0123abcd'; style-src 'nonce-0123abcd'; img-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types app");
  assert.ok(page.indexOf("Content-Security-Policy") < page.search(/<(?:script|style|link)/), "the policy stands before what it is for");
  for (const [tag] of page.matchAll(/<(?:script|style)\b[^>]*>/g)) assert.match(tag, /nonce="0123abcd"/);
  const { imports } = JSON.parse(/<script type="importmap"[^>]*>(.*?)<\/script>/.exec(page)?.[1] ?? "");
  assert.equal(Object.keys(imports).length, program.modules.size);
  const data = imports["site/js/viewer.js"].replace("data:text/javascript;base64,", "");
  assert.equal(Buffer.from(data, "base64").toString(), program.modules.get("/js/viewer.js"));
});

test("a page that is not the viewer's, and scripts that would end their element, are refused", () => {
  assert.throws(() => filesOf(text("status.html").replace(/<script type="module".*/, "")), /not the page/);
  assert.throws(() => filesOf('<meta charset="utf-8" /><link rel="manifest" href="/x" />'), /cannot/);
  for (const bad of ["/* </style> */", "</SCRIPT >", "<!--"]) {
    assert.throws(() => savedPage({ html: text("s.html"), texts: new Map(files.texts.map((path) => [path, bad])), modules: program.modules, sheets, home: "https://a.example", nonce: "0" }), /would end it/);
  }
});

test("a part is letters, digits, +, / and = whatever is in it, and its name is an attribute", () => {
  const evil = '</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"';
  const part = savedPart(`a"><b>&${evil}`, new TextEncoder().encode(evil));
  assert.match(part, /^<script type="application\/octet-stream" data-part="[^"<]*">[A-Za-z0-9+/=]*<\/script>\n$/);
});

/** @param {string} type @param {string} name @param {number} [size] */
const artifact = (type, name, size = 0) => ({ id: name, artifact_type: type, artifact_name: name, primary: true, blocks: false, size });

test("what is worth most comes first, and what has no room is told", () => {
  const order = byWorth([artifact("job-output", "a"), artifact("console", "b"), artifact("subunit-details", "c"), artifact("new", "d"), artifact("dstat", "e"), artifact("subunit-stats", "f"), artifact("subunit", "g"), artifact("subunit", "h")]);
  assert.equal(order.map(({ artifact_name: name }) => name).join(""), "ghfecbad");
  assert.ok(roomOf([3000, 100]) >= [3000, 100].map((size) => savedPart(`/api/blob/${"f".repeat(64)}/blocks`, new Uint8Array(size)).length).reduce((a, b) => a + b));
  assert.equal(whyLeftOut({ id: "x", artifact_type: "console", artifact_name: "console.html", size: 31e6 }, 25e6), "The console “console.html” (31.0 MB compressed): with it the file would be larger than 25 MB.");
  assert.equal(megabytes(1200), "2 kB");
});

test("the file is called by the job, in letters that every system takes", () => {
  /** @param {string} name @param {number} [change_id] @param {number} [revision] */
  const called = (name, change_id, revision) => fileName({ url: null, name, change_id, revision });
  assert.equal(called("gate-tempest-dsvm-full", 269624, 3), "gate-tempest-dsvm-full-269624-3.html");
  assert.equal(called("../../etc/passwd"), "etc-passwd.html");
  assert.equal(called('<img src=x onerror="x">\u202egpj'), "img-src-x-onerror-x-gpj.html");
  assert.equal(called("\u202e"), "stackviz.html");
  assert.equal(called("n".repeat(20000)), `${"n".repeat(120)}.html`);
});
