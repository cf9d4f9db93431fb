// SPDX-License-Identifier: Apache-2.0
// The sections of a console as a tree of two levels, and which of them the job failed in.

/** @typedef {import("./types.js").SectionJson} SectionJson */

/** @typedef {{section: SectionJson, label: string}} Leaf */
/** @typedef {{name: string, first: number, last: number, took_ms: number|null, leaves: Leaf[]}} Group last: of its lines */

const PART = " | ";

/** @param {SectionJson} section @returns {number|null} ms */
export function tookMs({ start_ms, end_ms }) {
  return start_ms !== null && end_ms !== null ? Math.max(0, end_ms - start_ms) : null;
}

/**
 * Playbooks with their tasks; of consoles without playbooks, each section alone.
 * @param {readonly SectionJson[]} sections
 * @returns {Group[]}
 */
export function groupSections(sections) {
  /** @type {Group[]} */
  const groups = [];
  for (const section of sections) {
    const [name, ...rest] = section.name.split(PART);
    let group = groups[groups.length - 1];
    if (!group || !rest.length || group.name !== name) {
      group = { name, first: section.first, last: section.first, took_ms: null, leaves: [] };
      groups.push(group);
    }
    group.last = section.first + section.count - 1;
    group.leaves.push({ section, label: rest.join(PART) || "(beginning)" });
  }
  for (const group of groups) {
    const starts = group.leaves.flatMap(({ section }) => section.start_ms ?? []);
    const ends = group.leaves.flatMap(({ section }) => section.end_ms ?? []);
    if (starts.length && ends.length) group.took_ms = Math.max(0, Math.max(...ends) - Math.min(...starts));
  }
  return groups;
}

/** @typedef {{msg?: string, stdout?: string, stderr?: string, exception?: string, sgr?: Record<string, string>, rc?: number}} SaidJson sgr: colours by key (sgr.js) */
/** @typedef {SaidJson & {result: string, failed_items?: (SaidJson & {item?: unknown})[]}} HostJson */
/** @typedef {{name: string, role?: string, start_ms: number|null, hosts: Record<string, HostJson>}} TaskJson */
/** @typedef {{playbook: number, play: number|null, task: number|null, host: string|null}} PlaceJson */
/** @typedef {{failed: PlaceJson|null, failures: PlaceJson[], playbooks: {playbook: string, phase: string, plays: {tasks: TaskJson[]}[]}[]}} JobOutput */

/** @typedef {{title: string, host: string|null, phase: string, start_ms: number|null, result: string, rc: number|null, texts: [key: string, text: string, sgr: string][]}} Failure */

/**
 * What failed at a place, as a person reads it; null where the place is none.
 * @param {JobOutput} output
 * @param {PlaceJson} place
 * @returns {Failure|null}
 */
export function failureAt(output, place) {
  const playbook = output.playbooks[place.playbook];
  if (!playbook) return null;
  const task = place.task === null || place.play === null ? undefined : playbook.plays[place.play]?.tasks[place.task];
  if (!task) return { title: playbook.playbook, host: null, phase: playbook.phase, start_ms: null, result: "failed", rc: null, texts: [] };
  const host = place.host === null ? undefined : task.hosts[place.host];
  /** @type {Failure["texts"]} */
  const texts = [];
  for (const one of host ? [...(host.failed_items ?? []), host] : []) {
    for (const key of /** @type {const} */ (["msg", "stderr", "stdout", "exception"])) {
      const text = one[key];
      if (text) texts.push([key, text, one.sgr?.[key] ?? ""]);
    }
  }
  const rc = host?.rc ?? host?.failed_items?.find((item) => item.rc)?.rc ?? null;
  return { title: taskLabel(task), host: place.host, phase: playbook.phase, start_ms: task.start_ms, result: host?.result ?? "failed", rc, texts };
}

/** @param {TaskJson} task */
function taskLabel({ name, role }) {
  return role && !name.startsWith(`${role} : `) ? `${role} : ${name}` : name;
}

/**
 * The section that a failure is in: its task's, the nearest in time of those with the same name.
 * @param {readonly SectionJson[]} sections
 * @param {Failure} failure
 * @returns {SectionJson|null}
 */
export function sectionOf(sections, { title, phase, start_ms }) {
  const ofPhase = sections.filter(({ name }) => name.startsWith(`${phase}: `));
  const named = ofPhase.filter(({ name }) => name.endsWith(PART + title));
  if (!named.length) return ofPhase.findLast(({ name }) => title.endsWith(name.split(PART)[0].slice(phase.length + 2))) ?? null;
  /** @param {SectionJson} section */
  const away = (section) => (start_ms === null || section.start_ms === null ? Infinity : Math.abs(section.start_ms - start_ms));
  return named.reduce((best, section) => (away(section) < away(best) ? section : best));
}
