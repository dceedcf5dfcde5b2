// Which parts of a photograph go through the network: pixelrnn.tiling, with constants from there. A box is [top, left, bottom, right].
import { clusters } from "./masks.js";

const FEW = 64;

// boxes around what is missing, one for what shares its surroundings
export function groups(missing, width, height, known) {
  const boxes = clusters(missing, width, height, known.GRAIN).map(({ box }) => box);
  const union = (one, other) => [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[2], other[2]), Math.max(one[3], other[3])];
  const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
  if (boxes.length > FEW) return [boxes.reduce(union)];
  for (let i = 0; i < boxes.length; i += 1) {
    const around = surroundings(boxes[i], width, height, known);
    const other = boxes.findIndex((box, j) => j !== i && meet(around, box));
    if (other < 0) continue;
    boxes.push(union(...[i, other].map((at) => boxes[at])));
    for (const at of [Math.max(i, other), Math.min(i, other)]) boxes.splice(at, 1);
    i = -1; // it may reach others now
  }
  return boxes;
}

// all of the photograph that decides what is filled in there, and a little more
export function surroundings([top, left, bottom, right], width, height, { MARGINS, WIDTH, GRAIN }) {
  const longest = Math.max(bottom - top, right - left) + 256; // a hole's width is counted in steps
  const margin = Math.ceil(Math.max(MARGINS[0] * Math.max(1, longest / WIDTH), longest * MARGINS[1])) + 2 * GRAIN;
  return [Math.max(0, top - margin), Math.max(0, left - margin), Math.min(height, bottom + margin), Math.min(width, right + margin)];
}

// bilinearly, so that nothing of what is missing is lost
export function enlarged(mask, wide, high, width, height) {
  const near = (place, side, size) => {
    const at = ((place + 0.5) * size) / side - 0.5, low = Math.max(0, Math.floor(at));
    return [low, Math.min(size - 1, at < 0 || at === low ? low : low + 1)];
  };
  const columns = Array.from({ length: width }, (_, x) => near(x, width, wide)), larger = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const [above, below] = near(y, height, high).map((row) => mask.subarray(row * wide, (row + 1) * wide));
    for (let x = 0; x < width; x += 1) {
      const [left, right] = columns[x];
      larger[y * width + x] = above[left] | above[right] | below[left] | below[right];
    }
  }
  return larger;
}
