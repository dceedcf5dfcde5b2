// A view is { zoom, x, y }: zoom 1 fits the photograph into the stage, and x, y is the point of the photograph, in its pixels, at the
// stage's centre. Photograph and stage are { width, height }; places are [x, y].
const LARGEST = 8; // the largest enlargement of a pixel, or four times the fitting size if that is more

export const whole = (photo) => ({ zoom: 1, x: photo.width / 2, y: photo.height / 2 });

const fitting = (photo, stage) => Math.min(stage.width / photo.width, stage.height / photo.height) || 1;

// Pixels of the stage for each pixel of the photograph.
export const scaleOf = (view, photo, stage) => view.zoom * fitting(photo, stage);

export function toPhoto(view, photo, stage, [x, y]) {
  const scale = scaleOf(view, photo, stage);
  return [view.x + (x - stage.width / 2) / scale, view.y + (y - stage.height / 2) / scale];
}

export function toStage(view, photo, stage, [x, y]) {
  const scale = scaleOf(view, photo, stage);
  return [stage.width / 2 + (x - view.x) * scale, stage.height / 2 + (y - view.y) * scale];
}

// Zoom by a factor around a place of the stage, which stays where it is.
export function zoomed(view, photo, stage, factor, at) {
  const fit = fitting(photo, stage), most = Math.max(LARGEST, 4 * fit) / fit;
  const zoom = Math.min(most, Math.max(1, view.zoom * factor));
  const [x, y] = toPhoto(view, photo, stage, at), scale = zoom * fit;
  return inside({ zoom, x: x - (at[0] - stage.width / 2) / scale, y: y - (at[1] - stage.height / 2) / scale }, photo, stage);
}

// Move by pixels of the stage.
export function moved(view, photo, stage, [dx, dy]) {
  const scale = scaleOf(view, photo, stage);
  return inside({ ...view, x: view.x - dx / scale, y: view.y - dy / scale }, photo, stage);
}

// Keep the view within the photograph's borders; centred if all of it is visible.
export function inside(view, photo, stage) {
  const scale = scaleOf(view, photo, stage);
  const bounded = (value, side, seen) => (seen >= side ? side / 2 : Math.min(side - seen / 2, Math.max(seen / 2, value)));
  return {
    zoom: view.zoom,
    x: bounded(view.x, photo.width, stage.width / scale),
    y: bounded(view.y, photo.height, stage.height / scale),
  };
}

// The visible part: [left, top, width, height] in whole pixels of the photograph.
export function visible(view, photo, stage) {
  const [left, top] = toPhoto(view, photo, stage, [0, 0]), [right, bottom] = toPhoto(view, photo, stage, [stage.width, stage.height]);
  const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
  return [x, y, Math.min(photo.width, Math.ceil(right)) - x, Math.min(photo.height, Math.ceil(bottom)) - y];
}
