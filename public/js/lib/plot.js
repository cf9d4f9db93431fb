// SPDX-License-Identifier: Apache-2.0
// Curves as pixels.  A chart's width in pixels is all the detail that it has, so each column is painted by itself: many
// times cheaper than paths of a thousand points, which a canvas without a graphics processor smooths one by one.

/** @typedef {{width: number, height: number, words: Uint32Array}} Picture a word a pixel, opaque, in the machine's byte order */

/**
 * A curve at each column of pixels: straight between neighbours, with a hole where these are further apart than `reach`.
 * Each point keeps its value in the column that it falls on, so that no peak is lost.
 * @param {Float64Array} at where the points are, in pixels, ascending
 * @param {Float32Array} values NaN = none
 * @param {number} reach in pixels
 * @param {number} width
 * @returns {Float32Array} NaN where there is no curve
 */
export function toColumns(at, values, reach, width) {
  const into = new Float32Array(width).fill(NaN);
  let last = -1;
  for (let k = 0; k < at.length; k += 1) {
    if (Number.isNaN(values[k])) continue;
    const x1 = Math.floor(at[k]);
    if (last >= 0 && at[k] - at[last] <= reach) {
      const slope = (values[k] - values[last]) / (at[k] - at[last]);
      for (let x = Math.max(0, Math.floor(at[last]) + 1); x < x1 && x < width; x += 1) into[x] = values[last] + (x + 0.5 - at[last]) * slope;
    }
    if (x1 >= 0 && x1 < width) into[x1] = values[k];
    last = k;
  }
  return into;
}

/**
 * Lay a colour over a part of a column; where an end falls inside a pixel, that pixel gets its share.
 * @param {Picture} picture
 * @param {number} x
 * @param {number} top in pixels from the upper edge; what is outside of the picture is left out
 * @param {number} bottom
 * @param {number} colour
 * @param {number} alpha 0 to 1
 */
export function fillColumn(picture, x, top, bottom, colour, alpha) {
  const { width, height, words } = picture;
  const from = top > 0 ? top : 0;
  const to = bottom < height ? bottom : height;
  // Also when one of them is not a number.
  if (!(bottom > top && to > from)) return;
  const first = Math.ceil(from);
  const last = Math.floor(to);
  const share = Math.round(alpha * 256);
  if (first > last) {
    lay(words, last * width + x, colour, Math.round((to - from) * share));
    return;
  }
  if (first > from) lay(words, (first - 1) * width + x, colour, Math.round((first - from) * share));
  const end = last * width + x;
  if (share >= 256) for (let i = first * width + x; i < end; i += width) words[i] = colour;
  else for (let i = first * width + x; i < end; i += width) words[i] = mix(words[i], colour, share);
  if (to > last) lay(words, end, colour, Math.round((to - last) * share));
}

/** @param {Uint32Array} words @param {number} i @param {number} colour @param {number} share of 256 */
function lay(words, i, colour, share) {
  words[i] = share >= 256 ? colour : mix(words[i], colour, share);
}

/** Two channels in each product; @param {number} under @param {number} over @param {number} share of 256 */
function mix(under, over, share) {
  const rest = 256 - share;
  const even = (Math.imul(under & 0xff00ff, rest) + Math.imul(over & 0xff00ff, share)) >>> 8;
  const odd = Math.imul((under >>> 8) & 0xff00ff, rest) + Math.imul((over >>> 8) & 0xff00ff, share);
  return (even & 0xff00ff) | (odd & 0xff00ff00);
}

/**
 * A curve as a line.
 * @param {Picture} picture
 * @param {Float32Array} ys at each column, in pixels from the upper edge; NaN = none
 * @param {number} thick in pixels
 * @param {number} colour
 */
export function drawCurve(picture, ys, thick, colour) {
  const half = thick / 2;
  let before = NaN;
  for (let x = 0; x < ys.length; x += 1) {
    const y = ys[x];
    // Half of the way to each neighbour is this column's; where there is none, no comparison holds.
    const after = x + 1 < ys.length ? ys[x + 1] : NaN;
    let top = y;
    let bottom = y;
    if (before < y) top = (before + y) / 2;
    else if (before > y) bottom = (before + y) / 2;
    if (after < y) top = Math.min(top, (after + y) / 2);
    else if (after > y) bottom = Math.max(bottom, (after + y) / 2);
    // Nothing is filled when this is not a number.
    fillColumn(picture, x, top - half, bottom + half, colour, 1);
    before = y;
  }
}
