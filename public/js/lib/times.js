// SPDX-License-Identifier: Apache-2.0
// Times as text.  A moment is integer milliseconds UTC; a length is seconds unless its name says ms.

/** @typedef {"utc"|"local"|"start"} Zone */

/** @param {number} value @param {number} [width] */
function pad(value, width = 2) {
  return String(value).padStart(width, "0");
}

/**
 * A length with the precision that it deserves: 3 ms, 0.42 s, 12.3 s, 4m 05s, 1h 03m 20s.
 * @param {number} seconds
 */
export function formatLength(seconds) {
  if (!Number.isFinite(seconds)) return "unknown";
  const s = Math.max(0, seconds);
  if (s === 0) return "0 s";
  if (s < 0.001) return "< 1 ms";
  if (s < 0.1) return `${Math.round(s * 1000)} ms`;
  if (s < 9.995) return `${s.toFixed(2)} s`;
  if (s < 59.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}h ${pad(minutes)}m ${pad(whole % 60)}s` : `${minutes}m ${pad(whole % 60)}s`;
}

/**
 * @param {number} ms a moment
 * @param {Zone} zone
 * @param {number} start_ms when the run began, for "start"
 * @param {number} [digits] of the fraction of a second, 0 to 3
 */
export function formatMoment(ms, zone, start_ms, digits = 0) {
  if (zone === "start") return formatOffset(ms - start_ms, digits);
  const unit = 10 ** (3 - digits);
  const cut = Math.floor(ms / unit) * unit;
  const t = parts(cut, zone);
  const fraction = digits ? `.${pad(Math.floor(t.ms / unit), digits)}` : "";
  return `${pad(t.hour)}:${pad(t.minute)}:${pad(t.second)}${fraction}`;
}

/**
 * @param {number} ms a moment
 * @param {"utc"|"local"} zone
 */
export function formatDay(ms, zone) {
  const t = parts(ms, zone);
  return `${t.year}-${pad(t.month)}-${pad(t.day)}`;
}

/** +12:03, -0:05, +1:02:03.5 @param {number} ms @param {number} digits */
function formatOffset(ms, digits) {
  const unit = 10 ** (3 - digits);
  const cut = Math.round(Math.abs(ms) / unit) * unit;
  const seconds = Math.floor(cut / 1000);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const head = hours ? `${hours}:${pad(minutes)}` : `${minutes}`;
  const fraction = digits ? `.${pad(Math.floor((cut % 1000) / unit), digits)}` : "";
  return `${ms < 0 && cut > 0 ? "-" : "+"}${head}:${pad(seconds % 60)}${fraction}`;
}

/**
 * @param {number} ms
 * @param {"utc"|"local"} zone
 */
function parts(ms, zone) {
  const d = new Date(ms);
  return zone === "local"
    ? { year: d.getFullYear(), month: d.getMonth() + 1, day: d.getDate(), hour: d.getHours(), minute: d.getMinutes(), second: d.getSeconds(), ms: d.getMilliseconds() }
    : { year: d.getUTCFullYear(), month: d.getUTCMonth() + 1, day: d.getUTCDate(), hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), ms: d.getUTCMilliseconds() };
}

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

/**
 * @param {Zone} zone
 * @param {number} ms the zone's offset is that of this moment
 */
export function zoneName(zone, ms) {
  if (zone === "utc") return "UTC";
  if (zone === "start") return "since start";
  const minutes = -new Date(ms).getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  return `UTC${sign}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
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
