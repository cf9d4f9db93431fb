// SPDX-License-Identifier: Apache-2.0
// No plug-ins and no style rules: only what finds faults, and what keeps the pages safe and small.
import globals from "globals";

const HTML_SINKS = "Text from logs is shown with textContent; build elements with dom.js.";
const sinks = ["innerHTML", "outerHTML", "srcdoc"].map((property) => ({ property, message: HTML_SINKS }));
const calls = ["insertAdjacentHTML", "createContextualFragment", "parseFromString", "setHTMLUnsafe"].map((property) => ({
  property,
  message: HTML_SINKS,
}));

const faults = {
  "array-callback-return": "error",
  "consistent-return": "error",
  "constructor-super": "error",
  "default-case-last": "error",
  eqeqeq: "error",
  "for-direction": "error",
  "getter-return": "error",
  "no-async-promise-executor": "error",
  "no-class-assign": "error",
  "no-compare-neg-zero": "error",
  "no-cond-assign": "error",
  "no-const-assign": "error",
  "no-constant-binary-expression": "error",
  "no-control-regex": "error",
  "no-debugger": "error",
  "no-dupe-class-members": "error",
  "no-dupe-else-if": "error",
  "no-dupe-keys": "error",
  "no-duplicate-case": "error",
  "no-duplicate-imports": "error",
  "no-empty": "error",
  "no-fallthrough": "error",
  "no-func-assign": "error",
  "no-import-assign": "error",
  "no-loss-of-precision": "error",
  "no-promise-executor-return": "error",
  "no-redeclare": "error",
  "no-self-assign": "error",
  "no-self-compare": "error",
  "no-shadow": "error",
  "no-sparse-arrays": "error",
  "no-template-curly-in-string": "error",
  "no-this-before-super": "error",
  "no-throw-literal": "error",
  "no-undef": "error",
  "no-unreachable": "error",
  "no-unsafe-finally": "error",
  "no-unsafe-optional-chaining": "error",
  "no-unused-expressions": "error",
  "no-unused-vars": "error",
  "no-useless-escape": "error",
  "no-var": "error",
  "prefer-const": "error",
  "use-isnan": "error",
  "valid-typeof": "error",
  "no-eval": "error",
  "no-implied-eval": "error",
  "no-new-func": "error",
  "no-script-url": "error",
  "no-restricted-properties": ["error", ...sinks, ...calls, { object: "document", property: "write", message: HTML_SINKS }, { object: "document", property: "writeln", message: HTML_SINKS }],
  "max-lines": ["error", { max: 300 }],
};

export default [
  { linterOptions: { reportUnusedDisableDirectives: "error" }, rules: faults },
  { files: ["public/js/**"], languageOptions: { globals: globals.browser } },
  // js/lib is pure: what it may touch exists in every JavaScript host.
  { files: ["public/js/lib/**"], languageOptions: { globals: { ...Object.fromEntries(Object.keys(globals.browser).map((g) => [g, "off"])), ...globals["shared-node-browser"] } } },
  { files: ["tests/**", "eslint.config.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
