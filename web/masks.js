// Operations on masks: a mask is a Uint8Array of width x height that holds 0 and 1.
export const any = (mask) => mask.includes(1);
export const map = (mask, is) => Uint8Array.from(mask, (value, i) => (is(value, i) ? 1 : 0));
export const not = (mask) => mask.map((value) => value ^ 1);
export const both = (one, other) => one.map((value, i) => value & other[i]);
export const either = (one, other) => one.map((value, i) => value | other[i]);
export const without = (one, other) => one.map((value, i) => value & (other[i] ^ 1));
export const count = (mask) => mask.reduce((sum, value) => sum + value, 0);
export const places = (mask) => { const found = []; for (let i = mask.indexOf(1); i >= 0; i = mask.indexOf(1, i + 1)) found.push(i); return found; };

// Dilate a mask by a number of pixels in all eight directions.
export function grow(mask, width, height, pixels) {
  const along = (from, lines, line, side, step) => {
    const to = new Uint8Array(from.length);
    for (let i = 0; i < lines; i += 1) {
      for (let j = 0, last = -Infinity; j < side + pixels; j += 1) {
        if (j < side && from[i * line + j * step]) last = j;
        if (j >= pixels && last >= j - 2 * pixels) to[i * line + (j - pixels) * step] = 1;
      }
    }
    return to;
  };
  return along(along(mask, height, width, width, 1), width, 1, height, width);
}

export const shrink = (mask, width, height, pixels) => not(grow(not(mask), width, height, pixels));

// The connected regions of a mask: [{ box: [top, left, bottom, right], pixels }]. Pixels in the same or neighbouring cells are connected.
export function clusters(mask, width, height, cell) {
  const columns = Math.ceil(width / cell), rows = Math.ceil(height / cell), cells = Array.from({ length: rows * columns }, () => []), found = [];
  for (const i of places(mask)) cells[Math.floor(Math.floor(i / width) / cell) * columns + Math.floor((i % width) / cell)].push(i);
  for (let start = 0; start < cells.length; start += 1) {
    if (!cells[start].length) continue;
    const queue = [start], pixels = [];
    const take = (at) => { pixels.push(...cells[at]); cells[at] = []; };
    take(start);
    while (queue.length) {
      const at = queue.pop(), y = Math.floor(at / columns), x = at % columns;
      for (let near = Math.max(0, y - 1); near <= Math.min(rows - 1, y + 1); near += 1) {
        for (let next = near * columns + Math.max(0, x - 1); next <= near * columns + Math.min(columns - 1, x + 1); next += 1) {
          if (cells[next].length) { take(next); queue.push(next); }
        }
      }
    }
    const box = [height, width, 0, 0];
    for (const i of pixels) {
      const y = Math.floor(i / width), x = i % width;
      box[0] = Math.min(box[0], y);
      box[1] = Math.min(box[1], x);
      box[2] = Math.max(box[2], y + 1);
      box[3] = Math.max(box[3], x + 1);
    }
    found.push({ box, pixels });
  }
  return found;
}

// Crop an array with `depth` numbers for each pixel to a box [top, left, bottom, right].
export function cut(array, width, [top, left, bottom, right], depth = 1) {
  const line = (right - left) * depth, part = new array.constructor((bottom - top) * line);
  for (let y = top; y < bottom; y += 1) part.set(array.subarray((y * width + left) * depth, (y * width + right) * depth), (y - top) * line);
  return part;
}
