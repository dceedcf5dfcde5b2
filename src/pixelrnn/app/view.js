// A view is { zoom, x, y }: by how much larger than what fits the stage, and the place of the photograph, in its pixels, that is
// in the stage's middle. Photograph and stage are { width, height }; places are [x, y].
const LARGEST = 8; // times a pixel of the photograph, or as far as four times what fits

export const whole = (photo) => ({ zoom: 1, x: photo.width / 2, y: photo.height / 2 });

const fitting = (photo, stage) => Math.min(stage.width / photo.width, stage.height / photo.height) || 1;

// pixels of the stage for one of the photograph
export const scaleOf = (view, photo, stage) => view.zoom * fitting(photo, stage);

export function toPhoto(view, photo, stage, [x, y]) {
  const scale = scaleOf(view, photo, stage);
  return [view.x + (x - stage.width / 2) / scale, view.y + (y - stage.height / 2) / scale];
}

export function toStage(view, photo, stage, [x, y]) {
  const scale = scaleOf(view, photo, stage);
  return [stage.width / 2 + (x - view.x) * scale, stage.height / 2 + (y - view.y) * scale];
}

// zoomed by a factor; what lies at a place of the stage stays there
export function zoomed(view, photo, stage, factor, at) {
  const fit = fitting(photo, stage), most = Math.max(LARGEST, 4 * fit) / fit;
  const zoom = Math.min(most, Math.max(1, view.zoom * factor));
  const [x, y] = toPhoto(view, photo, stage, at), scale = zoom * fit;
  return inside({ zoom, x: x - (at[0] - stage.width / 2) / scale, y: y - (at[1] - stage.height / 2) / scale }, photo, stage);
}

// moved by pixels of the stage
export function moved(view, photo, stage, [dx, dy]) {
  const scale = scaleOf(view, photo, stage);
  return inside({ ...view, x: view.x - dx / scale, y: view.y - dy / scale }, photo, stage);
}

// no further than the photograph's borders; in the middle where all of it is in sight
export function inside(view, photo, stage) {
  const scale = scaleOf(view, photo, stage);
  const bounded = (value, side, seen) => (seen >= side ? side / 2 : Math.min(side - seen / 2, Math.max(seen / 2, value)));
  return {
    zoom: view.zoom,
    x: bounded(view.x, photo.width, stage.width / scale),
    y: bounded(view.y, photo.height, stage.height / scale),
  };
}

// what is in sight: [left, top, width, height] in whole pixels of the photograph
export function visible(view, photo, stage) {
  const [left, top] = toPhoto(view, photo, stage, [0, 0]), [right, bottom] = toPhoto(view, photo, stage, [stage.width, stage.height]);
  const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
  return [x, y, Math.min(photo.width, Math.ceil(right)) - x, Math.min(photo.height, Math.ceil(bottom)) - y];
}
