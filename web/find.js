// Finds what is painted over: regions of the network's detection that are confident enough, refined to the pixel. This is a port of
// pixelrnn.inference.detection with the same names; `web/build` reads the constants from there. Unlike there, a large photograph is only
// looked at in a reduced view.
import { any, both, clusters, count, cut, either, grow, map, places, shrink, without } from "./masks.js";
import { quantile, squared, trace } from "./trace.js";

// Turn an image, rgba (H, W, 4), and the network's logits (H, W) into the mask of pixels to fill.
export function find(rgba, width, height, logits, known) {
  const missing = new Uint8Array(width * height), seen = map(logits, (odds) => odds > 0), planes = evidence(rgba, width, height);
  const rest = places(map(seen, (value) => !value));
  const photograph = rest.length > (1 - known.MOST_COVERED) * seen.length && mean(planes.flat, rest) < known.MOST_FLAT;
  const regions = photograph ? clusters(seen, width, height, known.CELL).sort((one, other) => other.pixels.length - one.pixels.length) : [];
  for (const { box, pixels } of regions.slice(0, known.MAX_REGIONS)) {
    const margin = Math.max(known.MARGIN, Math.floor(Math.max(box[2] - box[0], box[3] - box[1]) / 3));
    const [top, left] = [Math.max(0, box[0] - margin), Math.max(0, box[1] - margin)];
    const around = [top, left, Math.min(height, box[2] + margin), Math.min(width, box[3] + margin)], wide = around[3] - left;
    const near = new Uint8Array((around[2] - top) * wide);
    for (const i of pixels) near[(Math.floor(i / width) - top) * wide + (i % width) - left] = 1;
    const part = (array, depth) => cut(array, width, around, depth);
    const view = { width: wide, height: around[2] - top, rgba: part(rgba, 4), logits: part(logits) };
    for (const name in planes) view[name] = part(planes[name]);
    if (confidence(traits(view, near, pixels.length / seen.length), known) < known.LEVEL) continue;
    for (const i of places(outlined(view, near, known))) missing[(Math.floor(i / wide) + top) * width + (i % wide) + left] = 1;
  }
  return missing;
}

// Refine the outlines of a mask that was found in a view reduced by `factor`, in the photograph itself. Where there is nothing to trace,
// the mask is dilated by what the view may have lost.
export function sharpened(rgba, width, height, mask, factor, known) {
  const off = Math.ceil(factor), paint = { ...known.paint, BAND: known.paint.BAND + off, REACH: known.paint.REACH + 2 * off }, sharp = new Uint8Array(mask.length);
  for (const { box } of clusters(mask, width, height, known.CELL * off)) {
    const reach = known.CONTEXT + 4 * off, [top, left] = [Math.max(0, box[0] - reach), Math.max(0, box[1] - reach)];
    const around = [top, left, Math.min(height, box[2] + reach), Math.min(width, box[3] + reach)], wide = around[3] - left, high = around[2] - top;
    const seen = cut(mask, width, around), traced = high * wide <= known.MAX_REFINED ? trace(cut(rgba, width, around, 4), wide, high, seen, paint) : null;
    for (const i of places(traced ? squared(traced, wide, high, paint) : grow(seen, wide, high, off))) sharp[(Math.floor(i / wide) + top) * width + (i % wide) + left] = 1;
  }
  return sharp;
}

const mean = (values, at) => at.reduce((sum, i) => sum + values[i], 0) / at.length;

// What marks paint in single pixels: how large the step to the neighbours is, whether there is none, and by how much it stands out.
function evidence(rgba, width, height) {
  const size = width * height, green = (i) => rgba[4 * i + 1], scale = (step) => Math.round((Math.log2(1 + step) * 255) / 8) / 255;
  const scales = Float64Array.from({ length: 256 }, (_, step) => scale(step));
  const right = new Uint8Array(size), below = new Uint8Array(size);
  for (let i = 0; i < size; i += 1) {
    if ((i + 1) % width) right[i] = Math.abs(green(i + 1) - green(i));
    if (i + width < size) below[i] = Math.abs(green(i + width) - green(i));
  }
  const rough = new Float64Array(size), flat = new Float64Array(size), alone = new Float64Array(size);
  for (let i = 0; i < size; i += 1) {
    const step = Math.max(right[i], below[i]), x = i % width;
    const across = right[i] - Math.max(x ? right[i - 1] : 0, x + 1 < width ? right[i + 1] : 0);
    const down = below[i] - Math.max(i >= width ? below[i - width] : 0, i + width < size ? below[i + width] : 0);
    rough[i] = scales[step];
    flat[i] = step ? 0 : 1;
    alone[i] = scales[Math.max(0, across, down)];
  }
  return { rough, flat, alone };
}

// The features from which a region's confidence is computed.
function traits({ width, height, logits, rough, flat, alone }, seen, share) {
  const odds = Float64Array.from(places(seen), (i) => logits[i]).sort(), or = (mask, other, more = 0) => (count(mask) > more ? mask : other);
  const inner = places(or(shrink(seen, width, height, 2), seen, 10)), wider = grow(seen, width, height, 1);
  const ends = places(without(wider, shrink(seen, width, height, 1))).map((i) => alone[i]);
  const around = places(or(without(grow(seen, width, height, 4), wider), seen));
  const upper = odds.subarray(odds.length - Math.max(1, Math.floor(odds.length / 2))), rougher = mean(rough, inner) - mean(rough, around);
  return [
    upper.reduce((sum, value) => sum + value, 0) / upper.length, odds[odds.length - 1], Math.log10(odds.length), Math.log10(share),
    Math.max(0, mean(flat, inner) - mean(flat, around)), Math.max(0, rougher), Math.max(0, -rougher),
    quantile(ends, 0.9), ends.filter((end) => end > 0.5).length / ends.length,
  ];
}

function confidence(speaks, known) {
  const kind = speaks[5] > known.ROUGH ? "rough" : speaks[4] > known.FLAT ? "flat" : "other", weights = known.WEIGHTS[kind];
  let odds = speaks.reduce((sum, value, i) => sum + value * weights[i], weights[weights.length - 1]);
  if (kind === "other" && speaks[3] > Math.log10(known.LARGE[0]) && speaks[0] < known.LARGE[1]) odds = Math.min(odds, 0);
  return 1 / (1 + Math.exp(-odds));
}

function outlined({ width, height, rgba, logits }, seen, known) {
  const possible = map(logits, (odds) => odds > known.POSSIBLE);
  const loose = () => either(grow(seen, width, height, known.GROWTH), both(possible, grow(seen, width, height, 2 * known.GROWTH)));
  const tinted = squared(trace(rgba, width, height, seen, known.paint) ?? loose(), width, height, known.paint);
  return any(tinted) ? tinted : seen;
}
