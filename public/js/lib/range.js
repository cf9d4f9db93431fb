// SPDX-License-Identifier: Apache-2.0
// The stretch of time that is shown, and how gestures change it.

/** @typedef {{from_ms: number, to_ms: number}} Range */

const LEAST_MS = 10;

/**
 * The same length or shorter, inside the run.
 * @param {Range} range
 * @param {Range} run
 * @returns {Range}
 */
export function clamp(range, run) {
  const whole = run.to_ms - run.from_ms;
  const length = Math.min(whole, Math.max(LEAST_MS, range.to_ms - range.from_ms));
  const from_ms = Math.min(run.to_ms - length, Math.max(run.from_ms, range.from_ms));
  return { from_ms, to_ms: from_ms + length };
}

/**
 * @param {Range} range
 * @param {Range} run
 * @param {number} factor below 1 comes closer
 * @param {number} at_ms the moment that stays where it is
 */
export function zoom(range, run, factor, at_ms) {
  const length = Math.min(run.to_ms - run.from_ms, Math.max(LEAST_MS, (range.to_ms - range.from_ms) * factor));
  const share = (at_ms - range.from_ms) / (range.to_ms - range.from_ms);
  const from_ms = at_ms - share * length;
  return clamp({ from_ms, to_ms: from_ms + length }, run);
}

/**
 * @param {Range} range
 * @param {Range} run
 * @param {number} by_ms
 */
export function pan(range, run, by_ms) {
  return clamp({ from_ms: range.from_ms + by_ms, to_ms: range.to_ms + by_ms }, run);
}

/**
 * Bring a stretch into view: as it is when it is there already and not a speck, else centred with room around it.
 * @param {Range} range
 * @param {Range} run
 * @param {Range} wanted
 * @param {number} least_share of the view that the stretch should fill
 */
export function reveal(range, run, wanted, least_share) {
  const length = wanted.to_ms - wanted.from_ms;
  const view = range.to_ms - range.from_ms;
  const inside = wanted.from_ms >= range.from_ms && wanted.to_ms <= range.to_ms;
  if (inside && (length >= view * least_share || least_share === 0)) return range;
  const new_view = length > view * 0.9 || (least_share > 0 && length < view * least_share) ? Math.max(length * 3, 5000) : view;
  const middle = (wanted.from_ms + wanted.to_ms) / 2;
  return clamp({ from_ms: middle - new_view / 2, to_ms: middle + new_view / 2 }, run);
}
