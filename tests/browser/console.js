// SPDX-License-Identifier: Apache-2.0
// How the tests of the console look at its lines.
/** @param {import("playwright-core").Page} page @param {number} number as it is written */
export const row = (page, number) => page.locator(`.line[data-line="${number - 1}"]:not(.coming)`);
