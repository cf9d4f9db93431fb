// SPDX-License-Identifier: Apache-2.0
// The site of a task: load it, and keep what is shown and the address in step.
import { ApiError, blobText, messageOf } from "./api.js";
import { askedJson, askedTask, askedText, uuid } from "./asked.js";
import { byId, fill, h, sheet } from "./dom.js";
import { C } from "./lib/classes.js";
import { arrangeArtifacts } from "./lib/runs.js";
import { makeTestSet } from "./lib/testset.js";
import { getState, onState, setOrigin, setState } from "./store.js";
import { notice, skeleton, warningList } from "./views/pieces.js";
import { makeRunView } from "./views/runview.js";
import { headerView } from "./views/summary.js";

/** @typedef {import("./lib/runs.js").Run} Run */

const main = byId("main");
const runBox = h("div", null);
const consoleBox = h("div", null);
const warningBox = h("div", null);
const jumpBox = h("nav", { class: C.jumps, "aria-label": "Parts of this page", hidden: true });
const choiceBox = h("div", { class: C.runChoice });

/** @type {ReturnType<typeof makeRunView>|null} */
let view = null;
/** @type {ReturnType<typeof arrangeArtifacts>} */
let parts = { runs: [], dstats: [], consoles: [], output: null };
/** What the scrape left out or repaired, in all its runs. @type {string[]} */
let warnings = [];
let loading = 0;
/** @type {import("./lib/types.js").Job} */
let job;

async function start() {
  if (!uuid) {
    void listen();
    const { missingView } = await import("./views/ending.js");
    missingView(main, "No such site", "The address of a site looks like /s/<id>/.");
    return;
  }
  try {
    const task = await askedTask();
    job = task;
    headerView(byId("job"), task);
    parts = arrangeArtifacts(task.artifacts);
    warnings = task.warnings ?? [];
    fill(main, warningBox, choiceBox, jumpBox, runBox, consoleBox);
    jumpBox.hidden = !parts.runs.length;
    showWarnings([]);
    if (!parts.runs.length) fill(runBox, notice("info", "This job has no test results", parts.consoles.length ? "Its console is below." : null));
    else await showRun();
    // The timeline first: what is not needed for it comes after it.
    await view?.drawn;
    void listen();
    const [{ showSaving }, { fillJumps }] = await Promise.all([import("./views/save.js"), import("./views/jumps.js")]);
    fillJumps(jumpBox, parts.consoles.length > 0 || parts.output !== null);
    showSaving(byId("job"), task);
    if (!parts.consoles.length && !parts.output) return;
    const [{ consolesView }] = await Promise.all([import("./views/console.js"), sheet("/css/console.css"), sheet("/css/consoletree.css"), sheet("/css/sgr.css")]);
    fill(consoleBox, consolesView(task.artifacts));
  } catch (error) {
    void listen();
    // Not ready, failed, expired since this page was sent: say so, and go on when there is something to see.
    if (error instanceof ApiError && [409, 410, 422].includes(error.status)) {
      const [{ watch }] = await Promise.all([import("./watch.js"), sheet("/css/progress.css")]);
      await watch(main, uuid, () => void start());
    } else {
      const { missingView } = await import("./views/ending.js");
      missingView(main, error instanceof ApiError && error.status === 404 ? "No such site" : "The site cannot be shown", messageOf(error));
    }
  }
}

let listening = false;
/** Keys that are pressed at what is in sight, while what they do is still loaded. @type {KeyboardEvent[]} */
const early = [];
/** @param {KeyboardEvent} event */
const keep = (event) => {
  if (!view || event.defaultPrevented) return;
  // Some browsers have a search of their own behind this key.
  if (event.key === "/" && event.target instanceof Element && !event.target.matches("input, select")) event.preventDefault();
  early.push(event);
};
document.addEventListener("keydown", keep);

/** To keys, once there is something that they could be for. */
async function listen() {
  if (listening) return;
  listening = true;
  const { bindKeys } = await import("./views/keys.js");
  document.removeEventListener("keydown", keep);
  bindKeys({ view: () => view, early });
}

async function showRun() {
  loading += 1;
  const mine = loading;
  const run = parts.runs.find((one) => one.name === getState().group) ?? parts.runs[0];
  if (!run) return;
  view?.stop();
  view = null;
  showChoice(run);
  fill(runBox, skeleton(10, "Loading the test results"));
  try {
    void firstDstat();
    const [tests, stats] = await Promise.all([
      run.subunit ? askedJson(run.subunit.id).then(makeTestSet) : null,
      run.stats ? /** @type {Promise<import("./lib/types.js").StatsJson>} */ (askedJson(run.stats.id)) : null,
    ]);
    if (mine !== loading) return;
    showWarnings(tests?.count ? (stats?.warnings ?? []) : []);
    if (!tests || tests.count === 0) {
      jumpBox.hidden = true;
      fill(runBox, notice("warn", "No test ran", ["The results hold not a single test.", ...unsaid(stats?.warnings)].join("\n")));
      return;
    }
    setOrigin(tests.from_ms);
    view = makeRunView({ tests, stats, hosts: hostsOf(tests.from_ms), details: run.details, job, state: getState, set: setState });
    fill(runBox, view.element);
    view.apply(getState(), null);
    jumpBox.hidden = false;
  } catch (error) {
    if (mine !== loading) return;
    const { lackNotice } = await import("./views/lack.js");
    fill(runBox, lackNotice("bad", "The test results could not be loaded", error, () => void showRun()));
  }
}

/** The measurements, each read when it is to be seen: the tests do not wait for them. @param {number} near_ms a moment of the run */
function hostsOf(near_ms) {
  return parts.dstats.map(({ id, artifact_name: name }, i) => {
    const text = i === 0 ? firstDstat() : null;
    return { name, load: async () => ({ text: await (text ?? blobText(id)), near_ms }) };
  });
}

/** @type {Promise<string>|null} */
let dstatText = null;

/** Asked for before it is known how to read it. */
function firstDstat() {
  const [dstat] = parts.dstats;
  if (!dstat) return null;
  dstatText ??= askedText(dstat.id);
  dstatText.catch(() => {
    dstatText = null;
  });
  return dstatText;
}

/** @param {string[]} ofRun */
function showWarnings(ofRun) {
  fill(warningBox, warningList([...warnings, ...unsaid(ofRun)], "Left out or repaired"));
}

/** The task's warnings repeat those of its runs with a file's name before them. @param {string[]} [ofRun] */
const unsaid = (ofRun = []) => ofRun.filter((text) => !warnings.some((known) => known.endsWith(text)));

/** @param {Run} current */
function showChoice(current) {
  if (parts.runs.length < 2) return;
  const select = h("select", { id: "run", onchange: () => setState({ group: select.value, range: null, test: "", turned: [], row: 0 }) });
  for (const { name } of parts.runs) select.append(h("option", { value: name, selected: name === current.name }, name));
  fill(choiceBox, h("label", { for: "run" }, `${parts.runs.length} test runs: `), select);
}

onState((now, before) => {
  if (now.group !== before.group) void showRun();
  else view?.apply(now, before);
});
void start();
