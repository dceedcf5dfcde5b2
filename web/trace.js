// Refines where paint ends, to the pixel. This is a port of pixelrnn.inference.paint with the same names; `web/build` reads the constants
// from there.
import { any, both, count, either, grow, map, not, places, shrink, without } from "./masks.js";

// Return the mask of what is covered, with the ring around it that holds some of the paint's colour; null if there is nothing to go by.
// `rgba` is (H, W, 4), and `seen` a detector's mask, which is right except near its edge.
export function trace(rgba, width, height, seen, known) {
  const larger = (mask, pixels) => grow(mask, width, height, pixels);
  const inside = shrink(seen, width, height, known.BAND), near = larger(seen, known.BAND);
  if (!any(inside)) return null;
  const thin = without(seen, larger(inside, 2 * known.BAND)); // for example words beside a box, whose edge is not the box's
  const broad = broadly(rgba, width, height, without(seen, thin), inside, without(near, thin), known);
  return broad && either(broad, larger(thin, 1));
}

function broadly(rgba, width, height, seen, inside, near, known) {
  const larger = (mask, pixels) => grow(mask, width, height, pixels);
  const within = shrink(seen, width, height, 2); // leave out the edge, where compression mixes colours
  const is = exactColours(rgba, within, both(within, larger(not(seen), 5)), known);
  if (is) return either(inside, map(near, (value, i) => value && is(i)));
  const local = localMean(rgba, width, height, inside, known.REACH), distance = distances(rgba, local);
  const middle = places(inside);
  if (middle.reduce((sum, i) => sum + distance[i], 0) / middle.length > known.SMOOTH) return rough(rgba, width, height, inside, near, known);
  const outside = localMean(rgba, width, height, without(larger(near, known.BAND), near), known.REACH), further = distances(rgba, outside);
  const alike = (i) => near[i] && distance[i] < known.ALIKE && (seen[i] || distance[i] < (outside.there[i] ? further[i] : 255));
  const mask = map(inside, (value, i) => value || (local.there[i] ? alike(i) : seen[i]));
  const ring = without(larger(mask, 2), mask);
  const tinted = map(ring, (value, i) => value && local.there[i] && outside.there[i] && isTinted(rgba, local.mean, outside.mean, i, known));
  return either(either(mask, tinted), larger(without(mask, local.there), 1));
}

// Return a test for the few exact colours of the paint; null if the paint has more than a few, inside or at its edge.
function exactColours(rgba, within, edge, known) {
  const counts = new Map(), code = (i) => (rgba[4 * i] << 16) | (rgba[4 * i + 1] << 8) | rgba[4 * i + 2];
  for (const i of places(within)) counts.set(code(i), (counts.get(code(i)) ?? 0) + 1);
  const least = known.FLAT[0] * count(within), colours = [...counts].filter(([, times]) => times >= least).map(([colour]) => colour);
  const apart = (one, other) => Math.max(...[16, 8, 0].map((bits) => Math.abs(((one >> bits) & 255) - ((other >> bits) & 255))));
  if (!colours.length || !any(edge)) return null;
  if (colours.some((one, i) => colours.slice(i + 1).some((other) => apart(one, other) < known.DISTINCT))) return null;
  const set = new Set(colours), at = places(edge);
  return at.filter((i) => set.has(code(i))).length >= known.FLAT[1] * at.length ? (i) => set.has(code(i)) : null;
}

// The mean colour of a mask's pixels within reach of each pixel, and where there are any.
function localMean(rgba, width, height, mask, reach) {
  const size = width * height, mean = new Float64Array(3 * size), there = new Uint8Array(size), wide = width + 1;
  const sums = Array.from({ length: 4 }, (_, channel) => {
    const total = new Float64Array(wide * (height + 1));
    for (let y = 0; y < height; y += 1) {
      for (let x = 0, row = 0; x < width; x += 1) {
        const i = y * width + x;
        if (mask[i]) row += channel < 3 ? rgba[4 * i + channel] : 1;
        total[(y + 1) * wide + x + 1] = total[y * wide + x + 1] + row;
      }
    }
    return total;
  });
  for (let y = 0; y < height; y += 1) {
    const top = Math.max(0, y - reach) * wide, bottom = Math.min(height, y + reach + 1) * wide;
    for (let x = 0; x < width; x += 1) {
      const left = Math.max(0, x - reach), right = Math.min(width, x + reach + 1), i = y * width + x;
      const [r, g, b, n] = sums.map((sum) => sum[bottom + right] - sum[bottom + left] - sum[top + right] + sum[top + left]);
      there[i] = n > 0 ? 1 : 0;
      mean.set([r / Math.max(n, 1), g / Math.max(n, 1), b / Math.max(n, 1)], 3 * i);
    }
  }
  return { mean, there };
}

const distances = (rgba, { mean, there }) => Float64Array.from(there, (_, i) => Math.max(
  Math.abs(rgba[4 * i] - mean[3 * i]), Math.abs(rgba[4 * i + 1] - mean[3 * i + 1]), Math.abs(rgba[4 * i + 2] - mean[3 * i + 2])));

// Whether a pixel beside coloured paint holds some of the paint's colour.
function isTinted(rgba, paint, outside, i, known) {
  const colour = paint.subarray(3 * i, 3 * i + 3), plain = (v) => v.map((value) => value - (v[0] + v[1] + v[2]) / 3);
  if (Math.max(...colour) - Math.min(...colour) <= known.COLOURED) return false;
  const step = plain([0, 1, 2].map((channel) => rgba[4 * i + channel] - outside[3 * i + channel]));
  const way = plain([0, 1, 2].map((channel) => colour[channel] - outside[3 * i + channel]));
  const dot = (one, other) => one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
  return dot(step, way) > known.TINT * dot(way, way);
}

// Refine the outline of noise, which ends where the image is about half as rough; null if it is no rougher than its surroundings.
function rough(rgba, width, height, inside, near, known) {
  const grey = Float64Array.from(inside, (_, i) => (rgba[4 * i] + rgba[4 * i + 1] + rgba[4 * i + 2]) / 3);
  const step = (i, there, next) => (there ? Math.abs(grey[next] - grey[i]) : 0);
  const steps = Float64Array.from(inside, (_, i) => Math.floor((step(i, i + width < grey.length, i + width) + step(i, (i + 1) % width, i + 1)) / 2));
  const blurred = blur(steps, width, height, 2), beyond = without(grow(near, width, height, 2 * known.BAND), near);
  if (!any(beyond)) return null;
  const [within, around] = [inside, beyond].map((mask) => quantile(places(mask).map((i) => blurred[i]), 0.5));
  if (within < known.ROUGHER * around) return null;
  const mask = map(inside, (value, i) => value || (near[i] && blurred[i] > 0.65 * within + 0.35 * around));
  const box = squared(mask, width, height, known);
  return box === mask ? grow(mask, width, height, 2) : box;
}

// Pillow's box blur, which repeats the border pixels.
function blur(values, width, height, reach) {
  const along = (from, lines, line, side, step) => {
    const to = new Float64Array(from.length);
    for (let i = 0; i < lines; i += 1) {
      for (let j = 0; j < side; j += 1) {
        let sum = 0;
        for (let k = j - reach; k <= j + reach; k += 1) sum += from[i * line + Math.min(side - 1, Math.max(0, k)) * step];
        to[i * line + j * step] = Math.round(sum / (2 * reach + 1));
      }
    }
    return to;
  };
  return along(along(values, height, width, width, 1), width, 1, height, width);
}

export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort(), at = share * (sorted.length - 1), below = Math.floor(at);
  return sorted[below] + (at - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}

// Straighten an upright box that is ragged at its edges; return any other mask unchanged.
export function squared(mask, width, height, known) {
  const rows = new Float64Array(height), columns = new Float64Array(width), box = new Uint8Array(mask.length);
  for (const i of places(mask)) { rows[Math.floor(i / width)] += 1; columns[i % width] += 1; }
  const [high, wide] = [rows, columns].map((sums) => sums.reduce((sum, value) => sum + (value > 0), 0));
  const [first, last] = [rows.map((sum) => sum > 0.5 * wide), columns.map((sum) => sum > 0.5 * high)].reduce(
    ([from, to], lines) => [[...from, lines.indexOf(1)], [...to, lines.lastIndexOf(1)]], [[], []]);
  if (first.includes(-1)) return mask;
  for (let y = first[0]; y <= last[0]; y += 1) box.fill(1, y * width + first[1], y * width + last[1] + 1);
  return count(both(box, mask)) >= known.SQUARE * count(either(box, mask)) ? box : mask;
}
