// SPDX-License-Identifier: Apache-2.0
// What a file of tests works on: a browser, mostly a daemon, and pages that must cause no trouble.
import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { openPage, skip, startBrowser, startDaemon } from "./daemon.js";

/** @typedef {ReturnType<typeof rigBrowser>} Open */

/**
 * A browser for all tests of the file.  When a test ends, each page that it opened must have been free of console errors,
 * uncaught exceptions and reports of the policy, but for those that are `known`: what the test causes on purpose.
 * @param {string[]} [flags] more of the browser's command line
 */
export function rigBrowser(flags) {
  /** @type {ReturnType<typeof startBrowser>} */
  let browser;
  /** @type {Set<() => Promise<void>>} */
  const pages = new Set();

  before(async () => {
    if (!skip) await (browser = startBrowser(flags));
  });
  afterEach(async () => {
    for (const close of pages) await close();
  });
  after(async () => (await browser)?.close());

  /**
   * @param {import("playwright-core").BrowserContextOptions} [options]
   * @param {RegExp} [known]
   */
  return async (options, known) => {
    const { page, troubles, close: leave } = await openPage(await browser, options);
    const close = async () => {
      pages.delete(close);
      await leave();
      assert.deepEqual(troubles.filter((text) => !known?.test(text)), []);
    };
    pages.add(close);
    return { page, troubles, close };
  };
}

/**
 * A daemon for all tests of the file.  Hooks of a file may run side by side: what comes before the daemon is done by `yaml`,
 * what needs it by `ready`.
 * @param {{yaml?: string|(() => Promise<string>), options?: string[], ready?: (url: string) => Promise<void>}} [how] its
 *   configuration, more of its command line, and what is to be done with it before the first test
 */
export function rigDaemon({ yaml, options, ready } = {}) {
  /** @type {Awaited<ReturnType<typeof startDaemon>>} */
  let daemon;
  before(async () => {
    if (skip) return;
    daemon = await startDaemon(typeof yaml === "function" ? await yaml() : yaml, options);
    await ready?.(daemon.url);
  });
  after(() => daemon?.stop());
  return {
    get url() {
      return daemon.url;
    },
    get state() {
      return daemon.state;
    },
  };
}
