// The marks on the photograph: strokes { tool, radius, points } and masks { image }, in pixels of the photograph, drawn in order.
export class Marks {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.colour = getComputedStyle(canvas).getPropertyValue("--tint").trim();
    this.done = [];
  }

  start(width, height) {
    Object.assign(this.canvas, { width, height });
    this.done = [];
  }

  add(mark) {
    this.done.push(mark);
    this.draw(mark);
  }

  undo() {
    this.done.pop();
    this.redraw();
  }

  redraw() {
    this.pen.globalCompositeOperation = "source-over";
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.done.forEach((mark) => this.draw(mark));
  }

  draw({ tool, radius, points, image }) {
    const { pen } = this;
    pen.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    if (tool === "clear") pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (image) pen.drawImage(image, 0, 0);
    if (!points) return;
    pen.fillStyle = pen.strokeStyle = this.colour;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = 2 * radius;
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
    pen.stroke();
    pen.beginPath();
    pen.arc(...points[0], radius, 0, 2 * Math.PI); // not every browser draws a stroke of no length
    pen.fill();
  }

  // Turn a mask, 1 where missing, into an image of marks.
  image(missing) {
    const image = new OffscreenCanvas(this.canvas.width, this.canvas.height), pen = image.getContext("2d"), data = pen.createImageData(image.width, image.height);
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(this.colour.slice(at, at + 2), 16)), whole = new Uint32Array(data.data.buffer);
    const pixel = new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];
    missing.forEach((value, i) => { if (value) whole[i] = pixel; });
    pen.putImageData(data, 0, 0);
    return image;
  }

  // Return the mask of all pixels that a mark touches, 1 where missing.
  missing() {
    const { data } = this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height), found = new Uint8Array(data.length / 4);
    for (let i = 0; i < found.length; i += 1) found[i] = data[4 * i + 3] ? 1 : 0;
    return found;
  }
}

// Listen to mouse, pen, finger and keys on the stage. `does` handles them: { begin, extend, finish, cancel } draw a stroke and ring shows
// the brush; places are [x, y] in [0, 1].
export function wire(stage, does) {
  const at = ({ clientX, clientY }) => {
    const box = stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  let finger = null, place = [0.5, 0.5];
  stage.addEventListener("pointerdown", (event) => {
    if (event.button || finger !== null || !event.isPrimary) return;
    finger = event.pointerId;
    stage.setPointerCapture(finger);
    does.begin(at(event));
  });
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") does.ring(at(event));
    if (event.pointerId === finger) (event.getCoalescedEvents?.() ?? [event]).concat(event).forEach((each) => does.extend(at(each)));
  });
  for (const [name, end] of [["pointerup", "finish"], ["pointercancel", "cancel"]]) {
    stage.addEventListener(name, (event) => { if (event.pointerId === finger) { finger = null; does[end](); } });
  }
  stage.addEventListener("pointerleave", () => does.ring(null));
  stage.addEventListener("blur", () => does.ring(null));
  stage.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], step = event.shiftKey ? 0.1 : 0.02;
    if (move) place = place.map((value, axis) => Math.min(1, Math.max(0, value + step * move[axis])));
    else if (event.key === " ") { does.begin(place); does.finish(); } else return;
    event.preventDefault();
    does.ring(place);
  });
}
