// The editor. It holds the document with its history, and gets results and crops from Python. Each message to Python holds the whole
// state, so that nothing is lost if two messages cross. The function below runs for every answer; its state is kept for each element.
import { measure, refresh } from "./bars.js";
import { wire } from "./controls.js";
import { History, blank, chainOf, current, kept } from "./history.js";
import { stageOf, take } from "./panes.js";
import { whole } from "./view.js";
import { unpack } from "./wire.js";

const AGAIN = 40; // ms between two polls for finished work
const editors = new WeakMap();

export default function ({ parentElement: root, data, setStateValue }) {
  let s = editors.get(root);
  if (!s) {
    s = { root, rev: null, acts: [], act: 0, polls: 0, mode: null, held: false, divider: 0.5, colours: {}, layer: {} };
    editors.set(root, s);
    close(s);
    s.unwire = wire(s);
  }
  s.send = (message) => setStateValue("sent", message);
  hear(s, unpack(data));
}

// Drop a photograph and everything that belongs to it.
function close(s) {
  for (const url of s.urls?.values() ?? []) URL.revokeObjectURL(url);
  Object.assign(s, {
    told: { finds: [], results: [], busy: null, error: "" }, photo: { width: 1, height: 1 }, history: new History(blank()), view: whole({ width: 1, height: 1 }),
    images: new Map(), urls: new Map(), cuttings: [], wants: [], fresh: null, taken: new Set(), share: 0, ring: null, corner: null, stroke: null, file: null,
    layer: { canvas: document.createElement("canvas"), now: "" }, note: "",
  });
}

function hear(s, { header, pictures }) {
  if (header.rev !== s.rev) {
    close(s);
    Object.assign(s, { rev: header.rev, acts: [], act: header.confirmed });
    if (header.rev) {
      s.photo = { width: header.size[0], height: header.size[1] };
      Object.assign(s, { view: whole(s.photo), history: new History(header.doc) });
    }
  }
  s.told = { ...s.told, ...header };
  s.acts = s.acts.filter(({ id }) => id > header.confirmed);
  s.waiting = false;
  const { wants } = s;
  for (const [name, bytes] of pictures) {
    if (name === "file") continue;
    const { rev } = s, cutting = wants.some((want) => want.name === name);
    if (!cutting) s.images.set(name, null); // it has arrived, but is not decoded yet
    const blob = new Blob([bytes], { type: bytes[0] === 0x89 ? "image/png" : "image/jpeg" });
    if (!cutting) s.urls.set(name, URL.createObjectURL(blob));
    createImageBitmap(blob).then((image) => {
      if (s.rev !== rev) return;
      if (cutting) take(s, wants, name, image);
      else { s.images.set(name, image); s.layer.now = ""; }
      if (name === "found" || name.startsWith("find")) measure(s);
      refresh(s);
    });
  }
  s.wants = wants.filter(({ name }) => !pictures.has(name));
  if (header.file && pictures.has("file")) collect(s, header.file, pictures.get("file"));
  else if (header.busy) later(s, AGAIN);
  if (!pictures.has("found")) measure(s);
  refresh(s);
}

// Send the whole state to Python, with an act of the user if there is one.
export function tell(s, act) {
  if (act) s.acts.push({ id: ++s.act, ...act });
  s.polls += 1;
  s.send({
    rev: s.rev, doc: s.history.doc, acts: s.acts, wants: s.wants, has: [...s.images.keys()], part: s.file && { id: s.file.id, part: s.file.parts.length },
    weights: s.weights ?? null, polls: s.polls,
  });
}

function later(s, time) {
  clearTimeout(s.timer);
  s.timer = setTimeout(() => { if (s.root.isConnected) tell(s); }, time);
}

// Collect the parts of a file, and download it when it is complete.
function collect(s, { id, name, type, part, parts }, bytes) {
  if (s.file?.id !== id) s.file = { ...s.file, id, parts: [] };
  if (part !== s.file.parts.length) return;
  s.file.parts.push(bytes);
  tell(s);
  if (s.file.parts.length < parts) return;
  const blob = new Blob(s.file.parts, { type }), purpose = s.purpose;
  s.file = { id, parts: { length: parts } };
  s.purpose = null;
  if (purpose) { purpose(blob); return; }
  const link = document.createElement("a");
  Object.assign(link, { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Change the document by an action of the user.
export function change(s, doc, act) {
  s.history.make(doc);
  settle(s, act);
}

export function settle(s, act) {
  s.note = "";
  measure(s);
  refresh(s);
  tell(s, act);
}

export function complete(s) {
  if (!s.rev || !s.share || s.fresh) return;
  if (s.mode === "mark") s.mode = "result"; // so that the requested result is visible
  if (!s.root.querySelector(".wide").offsetParent) stageOf(s.root).scrollIntoView({ block: "nearest", behavior: "smooth" });
  s.note = "";
  tell(s, { kind: "complete" });
  s.told.busy ??= { stage: "", share: 0, ahead: 0 };
  s.told.error = "";
  refresh(s);
}

export function keep(s, again = true) {
  if (!s.fresh) return;
  const doc = kept(s.history.doc, s.fresh.name);
  if (again) { change(s, doc); return; }
  s.history.make(doc);
  s.share = 0;
  refresh(s);
}

export function file(s, format, purpose = null) {
  const { doc } = s.history, chain = [...chainOf(doc), ...(s.fresh ? [[s.fresh.name, current(doc).sample]] : [])];
  s.purpose = purpose;
  tell(s, { kind: "file", format, chain });
}

// The clipboard gets a promise of the picture at once, since browsers allow copying only right after a click.
export function copy(s) {
  const picture = new Promise((done) => file(s, "png", done));
  const told = (text) => { s.note = text; refresh(s); };
  navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]).then(() => told(SAYS.says.copied), () => told(SAYS.says.no_copy));
}

