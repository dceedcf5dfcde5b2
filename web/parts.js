// Chooses the parts of a photograph that go through the network. This is a port of pixelrnn.inference.tiling with the same names;
// `web/build` reads the constants from there. A box is [top, left, bottom, right].
import { any, clusters, cut, shrink } from "./masks.js";

const union = (one, other) => [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[2], other[2]), Math.max(one[3], other[3])];
const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);

// The parts that go through the network at once: [{ box: around missing pixels, part: the box with all surroundings that matter for it }].
export function parts(missing, width, height, known) {
  return groups(missing, width, height, known).map((box) => {
    const wide = widest(missing, width, height, box), [pixels, share] = known.MARGIN;
    const margin = Math.floor(Math.max(pixels * Math.max(1, wide / known.WIDTH), wide * share));
    return { box, part: around(box, margin, width, height, known.GRAIN) };
  });
}

// Boxes around missing pixels; boxes that would share their surroundings are joined.
function groups(missing, width, height, { GRAIN, MARGIN, MAX_GROUPS }) {
  const boxes = clusters(missing, width, height, Math.max(GRAIN, Math.ceil(Math.max(width, height) / 256))).map(({ box }) => box);
  boxes.sort((one, other) => one.map((edge, i) => edge - other[i]).find(Boolean) ?? 0);
  if (boxes.length > MAX_GROUPS) return [boxes.reduce(union)];
  const costs = (box) => area(around(box, MARGIN[0], width, height, GRAIN));
  for (let i = 0; i < boxes.length; i += 1) {
    const joins = (other, j) => j > i && (meet(boxes[i], other) || costs(union(boxes[i], other)) <= costs(boxes[i]) + costs(other));
    const j = boxes.findIndex(joins);
    if (j < 0) continue;
    boxes.push(union(boxes[i], boxes[j]));
    boxes.splice(j, 1);
    boxes.splice(i, 1);
    i = -1; // a joined box may now join others
  }
  return boxes;
}

// Extend a box by a margin and to sides that are multiples of `grain`, within the photograph.
function around(box, margin, width, height, grain) {
  const sides = [[box[0], box[2], height], [box[1], box[3], width]].map(([start, end, side]) => {
    const low = Math.max(0, start - margin), length = Math.ceil((Math.min(side, end + margin) - low) / grain) * grain, high = Math.min(side, low + length);
    return [Math.max(0, high - length), high];
  });
  return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]];
}

// About twice the largest distance of a missing pixel in the box from a known one; the photograph's border does not count as known.
function widest(missing, width, height, box) {
  const [top, left, bottom, right] = box, inside = cut(missing, width, box), side = right - left, longest = Math.max(bottom - top, side);
  const step = Math.ceil(longest / 128), [above, before, below, after] = [top > 0, left > 0, bottom < height, right < width].map(Number);
  const wide = Math.ceil(side / step), high = Math.ceil((bottom - top) / step), all = before + wide + after;
  let rest = new Uint8Array(all * (above + high + below)), depth = 0;
  for (let y = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1) rest[(y + above) * all + x + before] = inside[y * step * side + x * step];
  }
  if (!rest.includes(0)) return longest;
  for (; any(rest); depth += 1) rest = shrink(rest, all, rest.length / all, 1);
  return (2 * depth - 1) * step;
}

// Enlarge a mask bilinearly, so that no missing pixel is lost.
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
