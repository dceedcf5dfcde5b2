// Translates mouse, pen, finger and key events into actions of the editor. `does` has a function for each action: at, focus, start, begin,
// extend, finish and cancel a stroke, move, zoom, again (a double click), ring, resize, slide, hold, choose, step, steer, space.
const NEAR = 24, QUICK = 350; // pixels and ms between two clicks that are one double click

export function wirePointers(panes, does) {
  const fingers = new Map();
  let doing = null, last = { time: 0 }, first = null;
  const place = (event) => does.at(event);
  panes.addEventListener("pointerdown", (event) => {
    if (!event.composedPath().some((part) => part.classList?.contains("stage")) || event.composedPath()[0].closest("button")) return;
    event.preventDefault();
    does.focus(event);
    panes.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    if (fingers.size > 1) {
      if (doing === "stroke") does.cancel();
      doing = "pinch";
      return;
    }
    first = place(event);
    const quick = event.timeStamp - last.time < QUICK && Math.hypot(first[0] - last.at[0], first[1] - last.at[1]) < NEAR;
    last.time = 0;
    if (quick && event.button === 0 && does.again()) { doing = null; return; }
    doing = does.start(event, first);
    if (doing === "stroke") does.begin(first);
    if (doing === "slide") does.slide(first);
  });
  panes.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId), now = place(event);
    if (event.pointerType !== "touch") does.ring(now, event);
    if (!before) return;
    fingers.set(event.pointerId, now);
    if (doing === "stroke") {
      const each = event.getCoalescedEvents?.() ?? [];
      does.extend((each.length ? each : [event]).map(place));
    } else if (doing === "slide") does.slide(now);
    else if (doing === "move") does.move([now[0] - before[0], now[1] - before[1]]);
    else if (doing === "pinch" && fingers.size > 1) {
      const [x, y] = [...fingers].find(([id]) => id !== event.pointerId)[1], far = (point) => Math.hypot(point[0] - x, point[1] - y) || 1;
      does.move([(now[0] - before[0]) / 2, (now[1] - before[1]) / 2]);
      does.zoom(far(now) / far(before), [(now[0] + x) / 2, (now[1] + y) / 2]);
    }
  });
  const up = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const now = place(event), still = first && Math.hypot(now[0] - first[0], now[1] - first[1]) < 4;
    if (doing === "stroke") event.type === "pointerup" ? does.finish() : does.cancel();
    if (still && doing !== "pinch") last = { time: event.timeStamp, at: now };
    if (!fingers.size || doing !== "pinch") doing = null; // after a pinch, the last finger does not begin a stroke
  };
  panes.addEventListener("pointerup", up);
  panes.addEventListener("pointercancel", up);
  panes.addEventListener("pointerleave", () => { if (!fingers.size) does.ring(null); });
  panes.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.altKey) does.resize(event.deltaY < 0 ? 4 : -4);
    else does.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 20 : 1) / (event.ctrlKey ? 150 : 500)), place(event));
  }, { passive: false });
  panes.addEventListener("auxclick", (event) => event.preventDefault());
}

const TOOLS = { b: "brush", e: "eraser", r: "box" };
const MOVES = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
const STEPS = { enter: "complete", k: "keep", 0: "fit", "+": "larger", "=": "larger", "-": "smaller", "?": "help" };
const VIEWS = ["both", "mark", "result", "slider", "doubt"];

export function wireKeys(editor, does) {
  const down = (event) => {
    const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey, from = event.composedPath()[0];
    if (from.closest?.("dialog") || from.matches?.("select, textarea, input:not([type=radio], [type=range], [type=checkbox])")) return;
    const button = from.matches?.("button, input"); // Space, Enter and arrow keys belong to a focused button
    if (control && (key === "z" || key === "y")) does.step(key === "y" || event.shiftKey ? "redo" : "undo");
    else if (control || event.altKey || (button && (key === " " || key === "enter" || MOVES[key]))) return;
    else if (TOOLS[key]) does.choose("tool", TOOLS[key]);
    else if (VIEWS[key - 1]) does.choose("view", VIEWS[key - 1]);
    else if (key === "[" || key === "]") does.resize(key === "]" ? 4 : -4);
    else if (key === "c") does.hold(true);
    else if (STEPS[key]) does.step(STEPS[key]);
    else if (key === "escape") does.cancel();
    else if (MOVES[key]) does.steer(MOVES[key], event.shiftKey);
    else if (key === " ") { if (!event.repeat) does.space(true); }
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has its own keyboard shortcuts
  };
  const up = (event) => {
    const button = event.composedPath()[0].matches?.("button, input, select");
    if (event.key.toLowerCase() === "c") does.hold(false);
    if (event.key === " " && !button) does.space(false);
  };
  editor.addEventListener("keydown", down);
  editor.addEventListener("keyup", up);
  // keys pressed while nothing has the focus are meant for the picture
  const loose = (handle) => (event) => { if (event.target === document.body && editor.isConnected && !editor.hidden) handle(event); };
  const both = [["keydown", loose(down)], ["keyup", loose(up)]];
  both.forEach(([name, handle]) => document.addEventListener(name, handle));
  return () => both.forEach(([name, handle]) => document.removeEventListener(name, handle));
}
