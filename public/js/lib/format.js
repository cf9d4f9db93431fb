// SPDX-License-Identifier: Apache-2.0
// How times, quantities and the text of strangers are written, and where an axis has its marks.  A moment is integer
// milliseconds UTC; a length is seconds unless its name says ms.

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
export function formatOffset(ms, digits) {
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

const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3,
  21600e3, 43200e3, 86400e3,
];

/**
 * Marks of a time axis, on round numbers of the zone that is shown.
 * @param {number} from_ms
 * @param {number} to_ms
 * @param {number} most how many labels have room
 * @param {Zone} zone
 * @param {number} start_ms
 * @returns {{ms: number, label: string}[]}
 */
export function timeTicks(from_ms, to_ms, most, zone, start_ms) {
  const span = to_ms - from_ms;
  if (!(span > 0) || most < 1) return [];
  const wanted = span / most;
  const step = STEPS_MS.find((s) => s >= wanted) ?? Math.ceil(wanted / 86400e3) * 86400e3;
  const shift = zone === "start" ? start_ms : zone === "local" ? new Date(from_ms).getTimezoneOffset() * 60000 : 0;
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const ticks = [];
  for (let ms = Math.ceil((from_ms - shift) / step) * step + shift; ms <= to_ms; ms += step) {
    const label = step >= 86400e3 && zone !== "start" ? formatDay(ms, zone) : formatMoment(ms, zone, start_ms, digits);
    ticks.push({ ms, label: digits === 0 && step >= 60e3 && zone !== "start" ? label.replace(/:00$/, "") : label });
  }
  return ticks;
}

/**
 * The next round number that is not below: 1, 2 or 5 times a power of the base's own steps.
 * @param {number} value
 * @param {1000|1024} base
 */
export function niceMax(value, base) {
  if (!(value > 0)) return 1;
  let unit = 1;
  if (base === 1024) while (unit * 1024 <= value) unit *= 1024;
  const power = 10 ** Math.floor(Math.log10(value / unit));
  for (const m of [1, 2, 3, 4, 5, 6, 8, 10]) if (m * power * unit >= value) return m * power * unit;
  return 10 * power * unit;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (!Number.isFinite(bytes)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let i = 0;
  while (Math.abs(value) >= 1024 && i < units.length - 1) {
    value /= 1024;
    i += 1;
  }
  const digits = i === 0 || Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[i]}`;
}

/** @param {number} rate bytes a second */
export function formatRate(rate) {
  return Number.isFinite(rate) ? `${formatBytes(rate)}/s` : "–";
}

/** A number without a unit, as short as it can be told apart. @param {number} value */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size >= 100 || Number.isInteger(value) ? formatCount(Math.round(value)) : value.toFixed(size >= 10 ? 1 : 2);
}

/** @param {number} percent */
export function formatPercent(percent) {
  return Number.isFinite(percent) ? `${percent.toFixed(percent > 0 && percent < 9.95 ? 1 : 0)} %` : "–";
}

/** 1,500 whatever the browser's language. @param {number} n */
export function formatCount(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @param {number} n @param {string} one @param {string} [many] */
export function counted(n, one, many = `${one}s`) {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

// Text of strangers, made safe to look at: nothing in it may hide itself or reorder what stands around it.

/**
 * Characters without a shape of their own as their numbers: controls, and those that turn the direction of writing.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(/[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, (char) => {
    if (char === "\n" || char === "\t") return char;
    return char === "\r" ? "" : `⟨${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}
