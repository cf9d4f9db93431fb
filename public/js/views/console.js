// SPDX-License-Identifier: Apache-2.0
// The job's consoles, one at a time, and how a change of state reaches its parts.
import { blobJson } from "../api.js";
import { openConsole } from "../consoledata.js";
import { fill, h } from "../dom.js";
import { C } from "../lib/classes.js";
import { failureAt } from "../lib/outline.js";
import { jobStatus } from "../lib/status.js";
import { counted } from "../lib/format.js";
import { getState, onState, setState } from "../store.js";
import { makeConsole } from "./consolepane.js";
import { failuresView } from "./consolefailure.js";
import { skeleton, statusBadge } from "./pieces.js";
import { lackNotice } from "./lack.js";

/** @typedef {import("../lib/types.js").Artifact} Artifact */

/** It is read when it comes near the screen: nobody pays for what is not looked at. */
const NEAR = "600px 0px";
const GROWTH_MS = 4000;

/**
 * @param {readonly Artifact[]} artifacts of the job
 */
export function consolesView(artifacts) {
  const consoles = artifacts.filter((artifact) => artifact.artifact_type === "console");
  const output = artifacts.find((artifact) => artifact.artifact_type === "job-output");
  if (!consoles.length && !output) return null;
  const note = h("span", { class: C.muted });
  const failed = h("div", null);
  const body = h("div", { class: C.consoleBody }, skeleton(6, "Loading the console"));
  const choice = h("select", { "aria-label": "Console", hidden: consoles.length < 2, onchange: () => setState({ more: { ...getState().more, log: choice.value } }) }, ...consoles.map(({ artifact_name: name }) => h("option", { value: name }, name)));
  const element = h("section", { class: `${C.section} ${C.console}`, id: "console" }, h("div", { class: C.groupHead }, h("h2", null, "Console"), choice, note), failed, body);
  /** @type {ReturnType<typeof makeConsole>|null} */
  let view = null;
  let near = false;
  let loading = 0;

  const chosen = () => consoles.find(({ artifact_name: name }) => name === getState().more.log) ?? consoles[0];

  async function load() {
    loading += 1;
    const mine = loading;
    view?.stop();
    view = null;
    const artifact = chosen();
    try {
      const [opened, job] = await Promise.all([
        artifact ? openConsole(artifact.id) : null,
        output ? /** @type {Promise<import("../lib/outline.js").JobOutput>} */ (blobJson(output.id)) : null,
      ]);
      if (mine !== loading) return;
      const failures = (job ? [...(job.failed ? [job.failed] : []), ...job.failures] : []).filter((place, i, all) => all.findIndex((one) => JSON.stringify(one) === JSON.stringify(place)) === i).flatMap((place) => (job && failureAt(job, place)) ?? []);
      if (artifact && opened) {
        choice.value = artifact.artifact_name;
        const { status, lines } = opened.index;
        fill(note, consoles.length < 2 && `${artifact.artifact_name} · `, `${counted(lines ?? 0, "line")}${status ? " · " : ""}`, status && statusBadge(jobStatus(status)));
        view = makeConsole({ ...opened, name: artifact === consoles[0] ? "" : artifact.artifact_name, failures });
        fill(body, lines ? view.element : h("p", { class: C.muted }, "The console has no lines."));
        if (lines) view.apply(getState(), null);
      } else {
        fill(body);
      }
      fill(failed, failures.length > 0 && failuresView(failures, (failure) => view?.goTo(failure) ?? null));
    } catch (error) {
      if (mine !== loading) return;
      fill(body, lackNotice("bad", "The console could not be loaded", error, () => void load()));
    }
  }

  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || near) return;
    near = true;
    watcher.disconnect();
    void load();
  }, { rootMargin: NEAR });
  watcher.observe(element);

  onState((now, before) => {
    if (!near) return;
    if (now.more.log !== before.more.log) void load();
    else view?.apply(now, before);
  });
  if (Object.keys(getState().more).some((word) => /^(?:L\d|log)/.test(word))) keepInView(element);
  return element;
}

/** A link to a line leads here, and what is above may still grow; until the person moves. @param {HTMLElement} element */
function keepInView(element) {
  const bring = () => element.scrollIntoView();
  const growth = new ResizeObserver(bring);
  growth.observe(document.body);
  const leave = () => growth.disconnect();
  for (const kind of ["wheel", "pointerdown", "keydown", "touchstart"]) addEventListener(kind, leave, { once: true, passive: true });
  setTimeout(leave, GROWTH_MS);
}
