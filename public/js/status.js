// SPDX-License-Identifier: Apache-2.0
// Served at /s/<uuid>/ instead of the viewer as long as there is nothing to view.
import { byId } from "./dom.js";
import { missingView } from "./views/ending.js";
import { watch } from "./watch.js";

const main = byId("main");
const uuid = /^\/s\/([^/]+)/.exec(location.pathname)?.[1];

/** Load the viewer; should this page come back although the task is finished, do not go round in circles. */
function enter() {
  const mark = `entered ${uuid}`;
  let before = 0;
  try {
    before = Number(sessionStorage.getItem(mark));
    sessionStorage.setItem(mark, String(Date.now()));
  } catch {
    before = 0;
  }
  if (Date.now() - before > 10000) location.reload();
  else missingView(main, "The site is ready but was not sent", "Reload the page. If this stays, a cache between you and the server keeps an old answer.");
}

if (uuid) void watch(main, uuid, enter);
else missingView(main, "No such site", "The address of a site looks like /s/<id>/.");
