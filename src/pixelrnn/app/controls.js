// Connects pointer and keyboard actions with the document and its view.
import { refresh, repaint } from "./bars.js";
import { change, complete, copy, file, keep, settle, tell } from "./editor.js";
import { wireKeys, wirePointers } from "./input.js";
import { current, marked, remarked } from "./history.js";
import { radiusOf, showRing, sizeOf, stageOf } from "./panes.js";
import { moved, toPhoto, whole, zoomed } from "./view.js";

const tenth = (value) => Math.round(value * 10) / 10;

export function wire(s) {
  const { root } = s, editor = root.querySelector(".editor"), size = root.querySelector(".size input"), divider = root.querySelector(".divider input");
  const tool = () => root.querySelector("input[name=tool]:checked").value, auto = root.querySelector(".auto input"), help = root.querySelector(".help");
  const begin = ([x, y]) => {
    const points = [tenth(x), tenth(y)];
    return tool() === "box" ? { tool: "box", points: [...points, ...points] } : { tool: tool(), radius: tenth(radiusOf(root, s.photo)), points };
  };
  const extend = (stroke, [x, y]) => {
    if (stroke.tool === "box") { stroke.points.splice(2, 2, tenth(x), tenth(y)); return; }
    const [lastX, lastY] = stroke.points.slice(-2);
    if (Math.hypot(x - lastX, y - lastY) >= Math.max(0.5, stroke.radius / 8)) stroke.points.push(tenth(x), tenth(y));
  };
  const finish = () => {
    const { stroke } = s;
    s.stroke = null;
    if (!stroke) return;
    const [x, y, right, bottom] = stroke.points;
    if (stroke.tool === "box" && (x === right || y === bottom)) { repaint(s); return; }
    change(s, marked(s.history.doc, stroke));
    if (auto.checked && stroke.tool !== "eraser") complete(s);
  };
  const photoAt = (at) => toPhoto(s.view, s.photo, sizeOf(root), at);
  const look = (view) => { s.view = view; refresh(s); };
  const steps = {
    undo: () => { s.history.undo(); settle(s); },
    redo: () => { s.history.redo(); settle(s); },
    clear: () => change(s, s.history.doc.at ? remarked(s.history.doc, []) : marked(s.history.doc, { tool: "clear" })),
    detect: () => change(s, marked(s.history.doc, { tool: "detect" })),
    complete: () => complete(s), keep: () => keep(s), copy: () => copy(s), cancel: () => tell(s, { kind: "cancel" }),
    fit: () => look(whole(s.photo)), larger: () => does.zoom(1.5), smaller: () => does.zoom(1 / 1.5),
    help: () => (help.open ? help.close() : help.showModal()),
  };
  const does = {
    at: (event) => { const box = stageOf(root).getBoundingClientRect(), own = event.composedPath().find((part) => part.classList?.contains("stage"));
      const { left, top } = own?.offsetWidth ? own.getBoundingClientRect() : box; return [event.clientX - left, event.clientY - top]; },
    focus: (event) => event.composedPath().find((part) => part.classList?.contains("stage")).focus({ preventScroll: true }),
    // Decide what a press begins: a stroke, unless it moves or slides. A stroke on the result keeps it and continues from there.
    start: (event, at) => {
      const done = event.composedPath().some((part) => part.classList?.contains("done"));
      if (!s.rev || event.button === 1 || s.spaced) { s.panned = true; return "move"; }
      if (event.button) return null;
      if (done && s.shown === "slider") return "slide";
      if (done && (s.shown !== "result" || tool() === "eraser")) return "move";
      if (done || (auto.checked && s.fresh && tool() !== "eraser")) keep(s, false);
      return "stroke";
    },
    begin: (at) => { s.stroke = begin(photoAt(at)); repaint(s); },
    extend: (all) => { for (const at of all) extend(s.stroke, photoAt(at)); repaint(s); },
    finish,
    cancel: () => { s.stroke = s.corner = null; repaint(s); },
    move: (by) => look(moved(s.view, s.photo, sizeOf(root), by)),
    zoom: (factor, at = [sizeOf(root).width / 2, sizeOf(root).height / 2]) => look(zoomed(s.view, s.photo, sizeOf(root), factor, at)),
    // A double click shows the whole photograph again, and takes back the mark of its first click.
    again: () => {
      if (s.view.zoom === 1) return false;
      if (current(s.history.doc).marks.at(-1)?.points?.length === 2) { s.history.forget(); settle(s); }
      look(whole(s.photo));
      return true;
    },
    ring: (at) => { Object.assign(s, { ring: at && photoAt(at), steered: false }); if (s.rev) showRing(s); },
    resize: (by) => { size.value = +size.value + by; refresh(s); },
    slide: ([x]) => { s.divider = Math.min(1, Math.max(0, x / sizeOf(root).width)); divider.value = 1000 * s.divider; repaint(s); },
    hold: (on) => { s.held = on && !root.querySelector(".hold").disabled; editor.classList.toggle("held", s.held); repaint(s); },
    choose: (name, value) => {
      const input = root.querySelector(`input[name=${name}][value=${value}]`);
      if (input.disabled) return;
      input.checked = true;
      input.dispatchEvent(new Event("input"));
    },
    step: (name) => { const button = root.querySelector(`[data-do=${name}]`); if (!button.disabled) steps[name](); },
    steer: ([x, y], finely) => {
      const far = Math.max(1, radiusOf(root, s.photo) / (finely ? 4 : 1)), [left, top] = s.ring ?? [s.view.x, s.view.y];
      s.ring = [Math.min(s.photo.width, Math.max(0, left + x * far)), Math.min(s.photo.height, Math.max(0, top + y * far))];
      s.steered = true;
      repaint(s);
    },
    space: (on) => {
      if (on) Object.assign(s, { spaced: true, panned: false });
      const mark = !on && s.spaced && !s.panned && (s.steered || !s.ring);
      if (!on) s.spaced = false;
      editor.classList.toggle("spaced", s.spaced);
      if (mark && s.rev) press();
    },
  };
  // Mark with keys alone: a dot, or one corner of a box and then the other.
  const press = () => {
    Object.assign(s, { ring: s.ring ?? [s.view.x, s.view.y], steered: true });
    if (s.shown === "result" && s.fresh) keep(s, false);
    if (tool() === "box" && !s.corner) { s.corner = s.ring; repaint(s); return; }
    s.stroke = begin(s.corner ?? s.ring);
    if (s.corner) extend(s.stroke, s.ring);
    s.corner = null;
    finish();
  };
  s.take = (number) => change(s, marked(s.history.doc, { tool: "find", number }));
  wirePointers(root.querySelector(".panes"), does);
  const unwire = wireKeys(editor, does), resized = new ResizeObserver(() => refresh(s)), hold = root.querySelector(".hold");
  root.querySelectorAll(".stage").forEach((stage) => resized.observe(stage));
  root.querySelectorAll("[data-do]").forEach((button) => { button.onclick = () => steps[button.dataset.do](); });
  root.querySelectorAll("[data-file]").forEach((button) => { button.onclick = () => file(s, button.dataset.file); });
  root.querySelectorAll("input[name=view]").forEach((input) => { input.oninput = () => { s.mode = input.value; refresh(s); }; });
  root.querySelectorAll("input[name=tool]").forEach((input) => { input.oninput = () => { s.corner = null; repaint(s); }; });
  root.querySelector(".weights select").onchange = ({ target }) => { s.weights = target.value; tell(s); };
  size.oninput = () => refresh(s);
  divider.oninput = () => { s.divider = divider.value / 1000; repaint(s); };
  hold.onpointerdown = () => does.hold(true);
  hold.onpointerup = hold.onpointerleave = hold.onpointercancel = () => does.hold(false);
  root.querySelector("dl").replaceChildren(...Object.entries(SAYS.keys).flatMap(([key, what]) => [
    Object.assign(document.createElement("dt"), { textContent: key }), Object.assign(document.createElement("dd"), { textContent: what }),
  ]));
  return unwire;
}
