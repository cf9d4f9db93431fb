// SPDX-License-Identifier: Apache-2.0
// Where an axis has its marks, and how quantities are written.
import { formatDay, formatMoment } from "./times.js";

const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 10800e3,
  21600e3, 43200e3, 86400e3,
];

/**
 * Marks of a time axis, on round numbers of the zone that is shown.
 * @param {number} from_ms
 * @param {number} to_ms
 * @param {number} most how many labels have room
 * @param {import("./times.js").Zone} zone
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
