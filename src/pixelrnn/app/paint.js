// Draws photographs and marks on a canvas. A frame is { photo, view, stage, ratio }: the canvas has the stage's size, with `ratio` pixels
// of the canvas for each pixel of the page.
import { scaleOf, toStage } from "./view.js";

export function pen(canvas, frame) {
  const width = Math.max(1, Math.round(frame.stage.width * frame.ratio)), height = Math.max(1, Math.round(frame.stage.height * frame.ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const drawn = canvas.getContext("2d");
  drawn.setTransform(1, 0, 0, 1, 0, 0);
  drawn.globalCompositeOperation = "source-over";
  drawn.clearRect(0, 0, width, height);
  onPhoto(drawn, frame);
  return drawn;
}

// Make all further lengths pixels of the photograph.
function onPhoto(drawn, { photo, view, stage, ratio }) {
  const scale = scaleOf(view, photo, stage) * ratio, [x, y] = toStage(view, photo, stage, [0, 0]);
  drawn.setTransform(scale, 0, 0, scale, x * ratio, y * ratio);
  drawn.imageSmoothingQuality = "high";
  drawn.imageSmoothingEnabled = scale < 4; // when enlarged further, single pixels should be visible
}

// Draw an image of the whole photograph and sharper crops [{ image, box }] on it, from `left` to `right` in shares of the stage.
export function drawPicture(drawn, frame, image, cuttings, left = 0, right = 1) {
  const { width, height } = drawn.canvas;
  drawn.save();
  drawn.setTransform(1, 0, 0, 1, 0, 0);
  drawn.beginPath();
  drawn.rect(left * width, 0, (right - left) * width, height);
  drawn.clip();
  onPhoto(drawn, frame);
  if (image) drawn.drawImage(image, 0, 0, frame.photo.width, frame.photo.height);
  for (const { image: sharp, box } of cuttings) drawn.drawImage(sharp, ...box);
  drawn.restore();
}

// Draw marks in the order in which they were made, from the last clear or detect on. `found` is the detection,
// { image, finds: [{ box, mask, taken }] }, or null. Returns the numbers of the regions that are selected then.
export function drawMarks(drawn, marks, found) {
  const start = marks.findLastIndex(({ tool }) => tool === "clear" || tool === "detect"), cleared = marks[start]?.tool === "clear";
  const shown = cleared ? null : found, taken = new Set();
  drawn.fillStyle = drawn.strokeStyle = "#000";
  if (shown?.image) drawn.drawImage(shown.image, 0, 0, shown.width, shown.height);
  shown?.finds.forEach((find, number) => { if (find.taken) taken.add(number); });
  for (const mark of marks.slice(start + 1)) {
    if (mark.tool !== "find") { drawMark(drawn, mark); continue; }
    if (!taken.delete(mark.number)) taken.add(mark.number);
    const { box, mask } = found?.finds[mark.number] ?? {};
    drawn.globalCompositeOperation = taken.has(mark.number) ? "source-over" : "destination-out";
    if (mask) drawn.drawImage(mask, ...box);
  }
  return taken;
}

export function drawMark(drawn, { tool, points, radius }) {
  drawn.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
  drawn.fillStyle = drawn.strokeStyle = "#000";
  if (tool === "box") { drawn.fillRect(points[0], points[1], points[2] - points[0], points[3] - points[1]); return; }
  drawn.lineCap = drawn.lineJoin = "round";
  drawn.lineWidth = Math.max(1 / drawn.getTransform().a, 2 * radius); // even a line thinner than a pixel should be visible
  drawn.beginPath();
  drawn.moveTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) drawn.lineTo(points[i], points[i + 1]);
  if (points.length > 2) drawn.stroke();
  drawn.beginPath();
  drawn.arc(points[0], points[1], drawn.lineWidth / 2, 0, 2 * Math.PI); // Chromium does not draw a stroke of no length
  drawn.fill();
}

// Draw the outline of a mask, `thick` pixels of the canvas wide: the mask shifted in all directions, minus the mask.
export function drawOutline(drawn, mask, [x, y, width, height], thick) {
  const spare = new OffscreenCanvas(drawn.canvas.width, drawn.canvas.height).getContext("2d"), matrix = drawn.getTransform();
  for (let turn = 0; turn < 8; turn += 1) {
    const angle = (turn * Math.PI) / 4;
    spare.setTransform(matrix.a, 0, 0, matrix.d, matrix.e + thick * Math.cos(angle), matrix.f + thick * Math.sin(angle));
    spare.drawImage(mask, x, y, width, height);
  }
  spare.setTransform(matrix);
  spare.globalCompositeOperation = "destination-out";
  spare.drawImage(mask, x, y, width, height);
  drawn.save();
  drawn.setTransform(1, 0, 0, 1, 0, 0);
  drawn.globalCompositeOperation = "source-over";
  drawn.drawImage(spare.canvas, 0, 0);
  drawn.restore();
}

// Recolour everything that is drawn.
export function colour(drawn, tint) {
  drawn.setTransform(1, 0, 0, 1, 0, 0);
  drawn.globalCompositeOperation = "source-in";
  drawn.fillStyle = tint;
  drawn.fillRect(0, 0, drawn.canvas.width, drawn.canvas.height);
}

// Estimate how much of the photograph is marked, in [0, 1].
export function shareOf(photo, marks, found, side = 512) {
  const scale = Math.min(1, side / Math.max(photo.width, photo.height)), stage = { width: photo.width * scale, height: photo.height * scale };
  const canvas = new OffscreenCanvas(1, 1), view = { zoom: 1, x: photo.width / 2, y: photo.height / 2 };
  const drawn = pen(canvas, { photo, view, stage, ratio: 1 });
  drawMarks(drawn, marks, found);
  const { data } = drawn.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 3; i < data.length; i += 4) sum += data[i];
  return sum / (255 * canvas.width * canvas.height);
}
