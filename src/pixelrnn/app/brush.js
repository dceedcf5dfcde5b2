// Marks are kept as what was done (tool, radius, points in pixels of the photograph), not as pixels: a stroke is then as small
// for 40 megapixels as for one, and Python draws it at the photograph's own resolution. The canvas only shows it.
const TINT = "#d6286e";
const CANVAS_SIDE = 1024; // a phone cannot hold a canvas of every size
const states = new WeakMap(); // the function below runs at every rerun: what it keeps, it keeps by element

export default function ({ parentElement: root, data, setStateValue }) {
  let s = states.get(root);
  if (!s) {
    s = { rev: null, marks: [], finds: [], undone: [], ring: null, corner: null, stroke: null };
    states.set(root, s);
    wire(root, s);
  }
  s.send = () => setStateValue("marks", { rev: s.rev, marks: s.marks });
  if (s.rev !== data.rev) open(root, s, data);
}

function open(root, s, data) {
  const { width, height } = data;
  Object.assign(s, { rev: data.rev, width, height, marks: data.marks, undone: [], stroke: null, corner: null, found: null });
  const stage = root.querySelector(".stage"), canvas = root.querySelector("canvas");
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.width = `min(100%, max(20rem, 100vh - 19rem) * ${width / height})`;
  root.querySelector("img").src = data.image;
  s.scale = Math.min(1, CANVAS_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * s.scale));
  canvas.height = Math.max(1, Math.round(height * s.scale));
  showFinds(root, s, data.finds);
  const found = new Image();
  found.onload = () => { if (s.rev === data.rev) { s.found = found; redraw(root, s); } };
  found.src = data.found;
  refresh(root, s);
}

// each find has an outline, and a button that takes it or leaves it
function showFinds(root, s, finds) {
  root.querySelectorAll(".find").forEach((old) => old.remove());
  s.finds = finds.map(({ box: [x, y, w, h], taken, sure, tint }, number) => {
    const frame = document.createElement("div"), button = document.createElement("button"), mask = new Image();
    frame.className = "find";
    Object.assign(frame.style, { left: `${(100 * x) / s.width}%`, top: `${(100 * y) / s.height}%`, width: `${(100 * w) / s.width}%`, height: `${(100 * h) / s.height}%` });
    button.type = "button";
    button.onpointerdown = (event) => event.stopPropagation(); // or the brush would begin a stroke
    button.onclick = () => change(root, s, { tool: "find", number });
    frame.append(button);
    root.querySelector(".stage").append(frame);
    mask.onload = () => redraw(root, s);
    mask.src = tint;
    return { box: [x, y, w, h], taken, sure, mask, frame, button };
  });
}

function labelFinds(s, taken) {
  s.finds.forEach(({ frame, button, sure }, number) => {
    const on = taken.has(number);
    frame.classList.toggle("taken", on);
    button.textContent = on ? "×" : "+";
    button.title = `${on ? "Leave this as it is" : "Take this away"} (${sure}% sure that it is painted over)`;
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-pressed", on);
  });
}

function wire(root, s) {
  const stage = root.querySelector(".stage"), size = root.querySelector(".size input");
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * s.width, ((event.clientY - box.top) / box.height) * s.height];
  };
  stage.onpointerdown = (event) => {
    if (event.button || !event.isPrimary || s.stroke) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    s.stroke = begin(root, s, at(event));
    redraw(root, s);
  };
  stage.onpointermove = (event) => {
    s.ring = at(event);
    if (s.stroke && event.isPrimary) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) extend(s, at(each));
      redraw(root, s);
    }
    drawRing(root, s);
  };
  stage.onpointerup = (event) => {
    if (!s.stroke || !event.isPrimary) return;
    finish(root, s);
  };
  stage.onpointercancel = () => { s.stroke = null; redraw(root, s); }; // a second finger pinches: that was no stroke
  stage.onpointerleave = () => { if (!s.stroke) { s.ring = null; drawRing(root, s); } };
  stage.onblur = () => { s.corner = null; s.ring = null; drawRing(root, s); };
  size.oninput = () => { refresh(root, s); drawRing(root, s); };
  root.querySelectorAll("[data-step]").forEach((button) => { button.onclick = () => step(root, s, button.dataset.step); });
  stage.onkeydown = (event) => onKey(root, s, event);
}

const tool = (root) => root.querySelector("input[name=tool]:checked").value;
// from a hundredth to a third of the longer side, finely where it is small
const radius = (root, s) => Math.max(0.5, (Math.max(s.width, s.height) * 0.01 * 33 ** (root.querySelector(".size input").value / 100)) / 2);
const tenth = (value) => Math.round(value * 10) / 10;

function begin(root, s, [x, y]) {
  const points = [tenth(x), tenth(y)];
  return tool(root) === "box" ? { tool: "box", points: [...points, ...points] } : { tool: tool(root), radius: tenth(radius(root, s)), points };
}

function extend(s, [x, y]) {
  const { points } = s.stroke;
  if (s.stroke.tool === "box") { points[2] = tenth(x); points[3] = tenth(y); return; }
  const [lastX, lastY] = points.slice(-2);
  if (Math.hypot(x - lastX, y - lastY) >= Math.max(0.5, s.stroke.radius / 8)) points.push(tenth(x), tenth(y));
}

function finish(root, s) {
  const mark = s.stroke;
  s.stroke = null;
  if (mark.tool === "box" && (mark.points[0] === mark.points[2] || mark.points[1] === mark.points[3])) return redraw(root, s);
  change(root, s, mark);
}

function change(root, s, mark) {
  s.marks = [...s.marks, mark];
  s.undone = [];
  tell(root, s);
}

function step(root, s, name) {
  if (name === "undo" && s.marks.length) {
    s.undone = [...s.undone, s.marks.at(-1)];
    s.marks = s.marks.slice(0, -1);
  } else if (name === "redo" && s.undone.length) {
    s.marks = [...s.marks, s.undone.at(-1)];
    s.undone = s.undone.slice(0, -1);
  } else if (name === "clear" || name === "detect") {
    return change(root, s, { tool: name });
  } else return;
  tell(root, s);
}

function tell(root, s) {
  redraw(root, s);
  refresh(root, s);
  s.send();
}

function refresh(root, s) {
  root.querySelector("[data-step=undo]").disabled = !s.marks.length;
  root.querySelector("[data-step=redo]").disabled = !s.undone.length;
  root.querySelector("[data-step=detect]").disabled = !s.marks.length || s.marks.at(-1).tool === "detect";
  root.querySelector("[data-step=clear]").disabled = s.marks.at(-1)?.tool === "clear";
  root.querySelector("output").value = `${Math.max(1, Math.round(2 * radius(root, s)))} px`;
}

function redraw(root, s) {
  const canvas = root.querySelector("canvas"), pen = canvas.getContext("2d");
  const all = s.stroke ? [...s.marks, s.stroke] : s.marks;
  const start = all.findLastIndex((mark) => mark.tool === "clear" || mark.tool === "detect");
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (s.found && all[start]?.tool !== "clear") pen.drawImage(s.found, 0, 0, canvas.width, canvas.height);
  pen.fillStyle = pen.strokeStyle = TINT;
  pen.lineCap = pen.lineJoin = "round";
  const taken = new Set(s.finds.flatMap((find, number) => (find.taken && all[start]?.tool !== "clear" ? [number] : [])));
  for (const mark of all.slice(start + 1)) {
    if (mark.tool === "find") {
      const { box, mask } = s.finds[mark.number];
      if (!taken.delete(mark.number)) taken.add(mark.number);
      pen.globalCompositeOperation = taken.has(mark.number) ? "source-over" : "destination-out";
      if (mask.complete) pen.drawImage(mask, ...box.map((value) => value * s.scale));
      continue;
    }
    const points = mark.points.map((value) => value * s.scale);
    pen.globalCompositeOperation = mark.tool === "eraser" ? "destination-out" : "source-over";
    if (mark.tool === "box") {
      pen.fillRect(points[0], points[1], points[2] - points[0], points[3] - points[1]);
    } else {
      pen.lineWidth = Math.max(1, 2 * mark.radius * s.scale);
      pen.beginPath();
      pen.moveTo(points[0], points[1]);
      for (let i = 0; i < points.length; i += 2) pen.lineTo(points[i], points[i + 1]);
      pen.stroke();
      pen.beginPath();
      pen.arc(points[0], points[1], pen.lineWidth / 2, 0, 2 * Math.PI); // Chromium 156 draws no stroke of no length
      pen.fill();
    }
  }
  labelFinds(s, taken);
  pen.globalCompositeOperation = "source-in"; // what was found comes white
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

function drawRing(root, s) {
  const ring = root.querySelector(".ring"), boxes = tool(root) === "box";
  ring.style.visibility = s.ring && (!boxes || s.corner) ? "visible" : "hidden";
  if (!s.ring) return;
  ring.classList.toggle("square", boxes);
  const across = (value) => `${(100 * value) / s.width}%`, down = (value) => `${(100 * value) / s.height}%`;
  const [x, y] = s.ring, [cornerX, cornerY] = s.corner ?? s.ring, r = radius(root, s);
  Object.assign(ring.style, boxes
    ? { left: across(Math.min(x, cornerX)), top: down(Math.min(y, cornerY)), width: across(Math.abs(x - cornerX)), height: down(Math.abs(y - cornerY)) }
    : { left: across(x), top: down(y), width: across(2 * r), height: down(2 * r) });
}

function onKey(root, s, event) {
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey, size = root.querySelector(".size input");
  const tools = { b: "brush", e: "eraser", r: "box" }, moves = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
  if (control && (key === "z" || key === "y")) step(root, s, key === "y" || event.shiftKey ? "redo" : "undo");
  else if (control || event.altKey) return;
  else if (tools[key]) root.querySelector(`input[value=${tools[key]}]`).checked = true;
  else if (key === "[" || key === "]") { size.value = +size.value + (key === "]" ? 5 : -5); refresh(root, s); }
  else if (moves[key]) {
    const [x, y] = s.ring ?? [s.width / 2, s.height / 2], far = Math.max(1, radius(root, s) / (event.shiftKey ? 4 : 1));
    s.ring = [Math.min(s.width, Math.max(0, x + moves[key][0] * far)), Math.min(s.height, Math.max(0, y + moves[key][1] * far))];
  } else if (event.target !== event.currentTarget) return; // a find's button, which these two press
  else if (key === " " || key === "enter") {
    s.ring ??= [s.width / 2, s.height / 2];
    if (tool(root) !== "box") change(root, s, begin(root, s, s.ring));
    else if (!s.corner) s.corner = s.ring;
    else {
      s.stroke = begin(root, s, s.corner);
      extend(s, s.ring);
      s.corner = null;
      finish(root, s);
    }
  } else if (key === "escape") s.corner = null;
  else return;
  event.preventDefault();
  event.stopPropagation(); // Streamlit has keys of its own
  drawRing(root, s);
}
