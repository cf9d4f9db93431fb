// SPDX-License-Identifier: Apache-2.0
// The site's own modules as a program that needs no server: relative imports become names of an import map, and a
// worker, to which no import map applies, becomes one script.  What is read is our own source, in the one form that it
// is written in; anything else is refused.

const DOC = /\/\*\*[\s\S]*?\*\//g;
const STATIC = /^((?:import|export)\b[^;"]*?\bfrom )"(\.[^"]+)";$/gm;
const DYNAMIC = /\bimport\("(\.[^"]+)"\)/g;
const WORKER = /\bstartWorker\("([^"]+)"\)/g;
const SHEET = /\bsheet\("([^"]+)"\)/g;
const IMPORT = /^import \{ ([^}]*) \} from "(\.[^"]+)";$/gm;
const EXPORT = /^export ((?:async )?function|const|class) (\w+)/gm;

/** @typedef {(path: string) => Promise<string>} Read a file of the site as text */

/** What a module is called in the import map. @param {string} path */
export const nameOf = (path) => `site${path}`;

/** @param {string} from @param {string} to relative */
const pathOf = (from, to) => new URL(to, `http://site${from}`).pathname;

/**
 * A module with names instead of relative addresses.
 * @param {string} path
 * @param {string} source
 */
export function namedModule(path, source) {
  /** @type {string[]} */
  const imports = [];
  /** @param {string} to */
  const named = (to) => {
    imports.push(pathOf(path, to));
    return nameOf(pathOf(path, to));
  };
  const text = source
    .replace(DOC, "")
    .replace(STATIC, (_, head, to) => `${head}"${named(to)}";`)
    .replace(DYNAMIC, (_, to) => `import("${named(to)}")`);
  return { text, imports, workers: [...text.matchAll(WORKER)].map((match) => match[1]), sheets: [...text.matchAll(SHEET)].map((match) => match[1]) };
}

/**
 * All modules that can be reached, by path.
 * @param {string} entry
 * @param {Readonly<Record<string, string>>} instead which module stands for which
 * @param {Read} read
 * @returns {Promise<{modules: Map<string, string>, workers: Set<string>, sheets: Set<string>}>} sheets: those that modules ask for
 */
export async function loadProgram(entry, instead, read) {
  /** @type {Map<string, string>} */
  const modules = new Map();
  /** @type {Set<string>} */
  const workers = new Set();
  /** @type {Set<string>} */
  const sheets = new Set();
  for (let wanted = new Set([entry]); wanted.size; ) {
    const found = await Promise.all([...wanted].map(async (path) => ({ path, ...namedModule(instead[path] ?? path, await read(instead[path] ?? path)) })));
    for (const { path, text, workers: started, sheets: asked } of found) {
      modules.set(path, text);
      for (const worker of started) workers.add(worker);
      for (const one of asked) sheets.add(one);
    }
    wanted = new Set(found.flatMap(({ imports }) => imports).filter((path) => !modules.has(path)));
  }
  return { modules, workers, sheets };
}

/**
 * A module and all that it imports as one script; each part keeps its names to itself.
 * @param {string} entry
 * @param {Read} read
 * @returns {Promise<string>}
 */
export async function loadScript(entry, read) {
  /** In the order in which they have to run; a path that is only begun has null. @type {Map<string, string|null>} */
  const parts = new Map();
  /** @type {Map<string, number>} */
  const numbers = new Map();

  /** @param {string} path */
  async function add(path) {
    if (parts.has(path)) {
      if (parts.get(path) === null) throw new Error(`${path} imports itself in the end`);
      return;
    }
    parts.set(path, null);
    const source = (await read(path)).replace(DOC, "");
    for (const [, , to] of source.matchAll(IMPORT)) await add(pathOf(path, to));
    /** @type {string[]} */
    const names = [];
    const body = source
      .replace(IMPORT, (_, taken, to) => `const { ${taken.replaceAll(" as ", ": ")} } = part${numbers.get(pathOf(path, to))};`)
      .replace(EXPORT, (_, kind, name) => {
        names.push(name);
        return `${kind} ${name}`;
      });
    if (/^(?:import|export)\b|\bimport\(/m.test(body)) throw new Error(`${path} imports or exports in a way that is not understood`);
    numbers.set(path, numbers.size);
    parts.set(path, `const part${numbers.get(path)} = (() => {\n${body}\nreturn { ${names.join(", ")} };\n})();`);
  }

  await add(entry);
  return ['"use strict";', ...[...numbers.keys()].map((path) => parts.get(path))].join("\n");
}
