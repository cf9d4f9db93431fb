// SPDX-License-Identifier: Apache-2.0
// Moments in whole sentences, for what is read one at a time.
import { formatDay, formatMoment, formatOffset, zoneName } from "./format.js";

/** @typedef {import("./format.js").Zone} Zone */

/**
 * The whole sentence for a moment: day, time and zone, as it can be matched with a log.
 * @param {number} ms
 * @param {Zone} zone
 * @param {number} start_ms
 * @param {number} [digits]
 */
export function formatFull(ms, zone, start_ms, digits = 3) {
  if (zone === "start") return `${formatOffset(ms - start_ms, digits)} from the start`;
  return `${formatDay(ms, zone)} ${formatMoment(ms, zone, start_ms, digits)} ${zoneName(zone, ms)}`;
}

/**
 * From when to when, with the day and the zone said once.
 * @param {number} from_ms
 * @param {number} to_ms
 * @param {Zone} zone
 * @param {number} start_ms
 */
export function formatSpan(from_ms, to_ms, zone, start_ms) {
  const times = `${formatMoment(from_ms, zone, start_ms, 3)} to `;
  if (zone === "start") return times + formatFull(to_ms, zone, start_ms);
  const [from_day, to_day] = [formatDay(from_ms, zone), formatDay(to_ms, zone)];
  return `${from_day} ${times}${to_day === from_day ? "" : `${to_day} `}${formatMoment(to_ms, zone, start_ms, 3)} ${zoneName(zone, to_ms)}`;
}

/** "3 minutes ago", for the look-up. @param {number} ms @param {number} now_ms */
export function formatAgo(ms, now_ms) {
  const s = Math.max(0, (now_ms - ms) / 1000);
  /** @type {[number, string][]} */
  const units = [[31557600, "year"], [2629800, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]];
  for (const [size, name] of units) {
    const n = Math.floor(s / size);
    if (n >= 1) return `${n} ${name}${n === 1 ? "" : "s"} ago`;
  }
  return "just now";
}
