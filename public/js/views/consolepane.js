// SPDX-License-Identifier: Apache-2.0
// One console: tree, bar and lines; what of it is shown is in the address.
import { h } from "../dom.js";
import { C } from "../lib/classes.js";
import { allRows, formatLines, leveledLines, parseLines, someRows } from "../lib/consolelines.js";
import { sectionOf } from "../lib/outline.js";
import { counted, formatCount } from "../lib/format.js";
import { GivenUpError, makeLogSearch, SearchError } from "../logsearch.js";
import { sharedAddressOf } from "../sharing.js";
import { getOrigin, getState, rangeMs, setState, showTime } from "../store.js";
import { makeConsoleBar } from "./consolebar.js";
import { makeConsoleList } from "./consolelist.js";
import { makeConsoleTree } from "./consoletree.js";
import { messageOf } from "../api.js";
import { pickLines } from "./consolepick.js";

/** @typedef {import("../lib/consolelines.js").Span} Span */
/** @typedef {import("../lib/urlstate.js").ViewState} ViewState */
/** @typedef {import("./consolebar.js").Wanted} Wanted */
/** @typedef {import("../lib/types.js").SectionJson} SectionJson */

const AROUND_MS = 15000;
const LEAST = /** @type {Record<string, number>} */ ({ warning: 1, error: 2 });
const STILL_MS = 150;
/** Of the address, beside the lines' own word. */
const KEYS = /** @type {const} */ ({ text: "log-find", exact: "log-case", pattern: "log-regex", only: "log-only", level: "log-level", limited: "log-range" });

/** @param {ViewState} state @returns {Wanted} */
function wantedOf({ more }) {
  const level = more[KEYS.level] ?? "";
  return { text: more[KEYS.text] ?? "", exact: KEYS.exact in more, pattern: KEYS.pattern in more, only: KEYS.only in more, level: level in LEAST ? level : "", limited: KEYS.limited in more };
}

/** @param {ViewState} state @returns {Span|null} */
function spanOf({ more }) {
  const word = Object.keys(more).find((key) => more[key] === "" && /^L\d/.test(key));
  return word === undefined ? null : parseLines(word);
}

/**
 * @param {{index: import("../lib/types.js").BlockIndex, data: import("../consoledata.js").ConsoleData, name: string,
 *   failures: readonly import("../lib/outline.js").Failure[]}} options name: as the address has it, "" = the first
 */
export function makeConsole({ index, data, name, failures }) {
  const sections = index.sections ?? [];
  const failedSections = new Set(failures.flatMap((failure) => sectionOf(sections, failure) ?? []));
  const search = makeLogSearch(data.whole);
  const timed = !Number.isNaN(getOrigin());
  /** Of the whole console, and of which question. @type {Uint32Array} */
  let all = new Uint32Array(0);
  let allFor = "";
  /** Those among what is shown. @type {Uint32Array} */
  let hits = all;
  let at = -1;
  /** @type {Uint8Array|null} */
  let levels = null;
  let wanted = wantedOf(getState());
  /** What is marked in the lines. @type {import("./consolerow.js").Places} */
  let places = null;
  /** @type {Span|null} */
  let span = null;
  let turn = 0;
  /** The person looks at a line here: the timeline follows, and this stays where it is. */
  let leading = false;
  /** The timeline's range is followed when it stands still: a drag has a hundred of them. */
  let following = 0;
  /** The section that was gone to, while its beginning is in sight; -1 = none. */
  let aim = -1;

  /** @param {Span|null} lines @param {Partial<Wanted>} [change] */
  function addressed(lines, change) {
    const next = { ...wanted, ...change };
    const kept = Object.entries(getState().more).filter(([key]) => !/^(?:L\d|log(?:-|$))/.test(key));
    /** @type {Record<string, string>} */
    const more = lines ? { [formatLines(lines)]: "" } : {};
    if (name) more.log = name;
    for (const [key, word] of Object.entries(KEYS)) {
      const value = next[/** @type {keyof Wanted} */ (key)];
      if (value) more[word] = value === true ? "" : String(value);
    }
    return { ...Object.fromEntries(kept), ...more };
  }

  const bar = makeConsoleBar({
    timed,
    onWant: (change) => setState({ more: addressed(span, change) }),
    onStep: step,
    onLines: (lines) => setState({ more: addressed(within(lines)) }),
    copyText: () => (span ? data.text(...span) : Promise.resolve("")),
    copyLink: () => sharedAddressOf({ more: addressed(span) }),
  });
  const list = makeConsoleList({
    data,
    label: "Lines of the console",
    look: () => ({ places, zone: getState().zone, origin_ms: getOrigin() }),
    onTrouble: (error) => bar.say(`Some lines could not be loaded: ${messageOf(error)}`, true),
    onSight(first, last) {
      if (aim < first || aim > last) aim = -1;
      tree.follow(aim < 0 ? first : aim);
    },
  });
  const tree = makeConsoleTree(sections, failedSections, goToSection);
  pickLines(list.element, {
    span: () => span,
    onPick: (lines) => setState({ more: addressed(lines) }),
    onTime(ms) {
      leading = true;
      showTime(ms - AROUND_MS, ms + AROUND_MS);
      leading = false;
    },
    text: () => (span ? data.text(...span) : null),
  });
  const fold = h("details", { class: C.treeFold, open: matchMedia("(min-width: 56.25em)").matches }, h("summary", null, counted(sections.length, "section")), tree.element);
  const element = h("div", { class: C.consoleGrid }, fold, h("div", { class: C.consoleMain }, bar.element, list.element));

  const question = () => (wanted.text ? { text: wanted.text, exact: wanted.exact, pattern: wanted.pattern } : null);

  /** @param {Span} lines @returns {Span} */
  function within([first, last]) {
    const end = data.lines - 1;
    return [Math.min(first, end), Math.min(last, end)];
  }

  /** Near the end its first line cannot be the first in sight: it is marked. @param {SectionJson} section */
  function showSection(section) {
    aim = section.first;
    list.select(span, aim);
    list.show(aim, 0);
  }

  /** @param {SectionJson} section */
  function goToSection(section) {
    showSection(section);
    list.element.focus({ preventScroll: true });
  }

  /** @param {1|-1} by */
  function step(by) {
    if (!hits.length) return;
    const from = at >= 0 ? hits[at] : list.top() - (by > 0 ? 1 : 0);
    let next = at + by;
    if (at < 0) next = by > 0 ? hits.findIndex((line) => line > from) : hits.findLastIndex((line) => line < from);
    at = (next + hits.length) % hits.length;
    list.select(span, hits[at]);
    list.show(hits[at], 0.3);
    tell();
  }

  function tell() {
    if (!wanted.text) bar.say(list.count() ? "" : "no line is of this kind");
    else if (!hits.length) bar.say("no line has it");
    else bar.say(`${at >= 0 ? `${formatCount(at + 1)} of ` : ""}${counted(hits.length, "line")}`);
  }

  function follow() {
    if (wanted.limited) void arrange(false);
    else void data.lineAt(rangeMs()?.from_ms ?? 0).then((line) => list.show(Math.min(line, data.lines - 1), 0), () => {});
  }

  /** Search, filter and limits anew. @param {boolean} seek go to the nearest hit */
  async function arrange(seek) {
    turn += 1;
    const mine = turn;
    const asked = question();
    const least = LEAST[wanted.level] ?? 0;
    const top = list.top();
    try {
      places = null;
      if (asked) {
        const [{ readQuestion }, { ExpressionError }] = await Promise.all([import("../lib/question.js"), import("../lib/exprparse.js")]);
        if (mine !== turn) return;
        try {
          places = readQuestion(asked).places;
        } catch (error) {
          throw error instanceof ExpressionError ? new SearchError(error.message) : error;
        }
      }
      if ((asked && JSON.stringify(asked) !== allFor) || (least && !levels)) {
        const found = await search.ask(asked, data.lines, (read) => bar.say(`searching … ${Math.min(99, Math.round((read / index.plain_size) * 100))} %`));
        if (mine !== turn) return;
        levels = found.levels;
        all = found.hits;
        allFor = JSON.stringify(asked);
      }
      hits = asked ? all : new Uint32Array(0);
      const range = wanted.limited ? rangeMs() : null;
      const [from, to] = range ? await Promise.all([data.lineAt(range.from_ms), data.lineAt(range.to_ms)]) : [0, data.lines];
      if (mine !== turn) return;
      if (range || least) hits = hits.filter((line) => line >= from && line < to && (!least || (levels?.[line] ?? 0) >= least));
      at = -1;
      const only = asked !== null && wanted.only;
      list.setRows(only ? someRows(hits) : least && levels ? someRows(leveledLines(levels, least, from, to)) : allRows(from, to), span && !seek ? span[0] : top);
      list.refresh();
      tell();
      if (seek && hits.length) step(1);
      else list.select(span, -1);
    } catch (error) {
      if (mine === turn && !(error instanceof GivenUpError)) bar.say(error instanceof SearchError ? error.message : messageOf(error), true);
    }
  }

  return {
    element,
    stop: search.stop,
    /** @param {import("../lib/outline.js").Failure} failure */
    goTo(failure) {
      const section = sectionOf(sections, failure);
      return section && (() => {
        goToSection(section);
        list.element.scrollIntoView({ block: "nearest" });
      });
    },
    /**
     * @param {ViewState} now
     * @param {ViewState|null} before
     */
    apply(now, before) {
      const was = wanted;
      wanted = wantedOf(now);
      const next = spanOf(now);
      const moved = String(next) !== String(span);
      span = next && within(next);
      bar.show(wanted);
      bar.picked(span ? formatLines(span) : "");
      list.select(span, at >= 0 ? hits[at] : -1);
      const asks = was.text !== wanted.text || was.exact !== wanted.exact || was.pattern !== wanted.pattern;
      const ranged = before !== null && String(now.range) !== String(before.range);
      if (!before) {
        const [failed] = failedSections;
        if (wanted.text || wanted.level || wanted.limited) void arrange(span === null).then(() => span && list.show(span[0], 0.3));
        requestAnimationFrame(() => {
          if (span) list.show(span[0], 0.3);
          else if (failed) showSection(failed);
        });
        return;
      }
      if (ranged) clearTimeout(following);
      if (asks || was.level !== wanted.level || was.only !== wanted.only || was.limited !== wanted.limited) void arrange(asks);
      else if (ranged && (wanted.limited || (now.range && !leading))) following = window.setTimeout(follow, STILL_MS);
      if (now.zone !== before.zone) list.refresh();
      if (moved && span) list.show(span[0], 0.3);
    },
  };
}
