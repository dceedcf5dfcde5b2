// The page: opens files, draws marks, shows what the worker reports, and saves the result.
import { Marks, wire } from "./marks.js";

const get = (id) => document.getElementById(id), status = get("status"), photo = get("photo"), result = get("result"), stage = get("stage");
const marks = new Marks(get("tint")), waiting = new Map();
let worker = null, asked = 0, name = "photograph", opened = 0, working = 0, answer = null, stroke = null;

function tell(text, kind = "") {
  status.textContent = text;
  status.className = kind;
}

function ask(task, given = {}) {
  asked += 1;
  worker.postMessage({ id: asked, task, ...given });
  return new Promise((done, failed) => waiting.set(asked, { done, failed }));
}

// Run a task with a status text, and show an error in one line. Returns whether it succeeded.
async function work(text, doing) {
  const mine = opened;
  working += 1;
  refresh();
  tell(text, "busy");
  try {
    await doing(() => mine === opened);
    return true;
  } catch (trouble) {
    tell(trouble.message, "wrong");
    return false;
  } finally {
    working -= 1;
    refresh();
  }
}

function refresh() {
  get("undo").disabled = !marks.done.length;
  get("clear").disabled = !marks.done.length;
  get("complete").disabled = working > 0 || !marks.done.length;
  get("download").disabled = !answer;
  get("nothing").hidden = Boolean(answer);
  document.body.dataset.state = working ? "busy" : "idle";
}

async function open(file) {
  if (!file || !worker) return;
  opened += 1;
  await work(`Opening ${file.name} …`, async (isCurrent) => {
    const { bitmap, missing } = await ask("open", { file });
    if (!isCurrent()) return;
    name = file.name.replace(/\.[^.]*$/, "") || "photograph";
    answer = null;
    show(bitmap);
    if (!missing) {
      tell("Nothing that is painted over was found. Mark what to remove with the brush, then press Complete.");
      return;
    }
    marks.add({ image: marks.image(missing) });
    await complete(isCurrent, "Found what is missing");
  });
}

function show(bitmap) {
  const { width, height } = bitmap;
  Object.assign(photo, { width, height });
  Object.assign(result, { width, height });
  photo.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  marks.start(width, height);
  document.documentElement.style.setProperty("--ratio", width / height);
  get("editor").hidden = false;
  get("intake").classList.remove("first");
  refresh();
}

async function complete(isCurrent, before = "Completed") {
  const missing = marks.missing(), share = missing.reduce((sum, value) => sum + value, 0) / missing.length;
  if (!share) throw new Error("Nothing is marked. Mark what to remove with the brush.");
  tell(`${before}: ${percent(share)} of the photograph. Filling it in …`, "busy");
  const { rgba, milliseconds } = await ask("complete", { missing });
  if (!isCurrent()) return;
  answer = rgba;
  result.getContext("2d").putImageData(new ImageData(rgba, result.width, result.height), 0, 0);
  tell(`Done: ${percent(share)} of the photograph was filled in, in ${(milliseconds / 1000).toFixed(1)} s. Mark more, or download it.`);
  document.body.dataset.milliseconds = milliseconds;
  if (matchMedia("(max-width: 640px)").matches) result.scrollIntoView({ block: "center" }); // on a narrow screen the result is below the marked photograph
}

const percent = (share) => (share < 0.001 ? "less than 0.1%" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`);

async function download() {
  const { png } = await ask("save", { rgba: answer }), link = document.createElement("a");
  link.href = URL.createObjectURL(png);
  link.download = `${name}_completed.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function mark(given) {
  marks.add(given);
  refresh();
}

// The brush's radius in pixels of the photograph; the largest brush is a fifth of its longer side across.
const radius = () => Math.max(0.5, (Math.max(photo.width, photo.height) / 10) * (get("size").value / 100) ** 1.5);
const place = ([x, y]) => [x * photo.width, y * photo.height];

function wireAll() {
  const paste = (items) => open([...items].find((item) => item.type.startsWith("image/")) ?? items[0]);
  const chosen = (input, take) => input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
  chosen(get("file"), open);
  chosen(get("mask"), (file) => file && work("Reading the mask …", async (isCurrent) => {
    const { missing } = await ask("mask", { file });
    if (!isCurrent()) return;
    mark({ tool: "clear" });
    mark({ image: marks.image(missing) });
    tell("The mask is read. Press Complete.");
  }));
  get("example").addEventListener("click", () => work("Opening the example …", async () => {
    await open(new File([await (await fetch("example.jpg")).blob()], "example.jpg"));
  }));
  get("complete").addEventListener("click", () => work("Filling it in …", complete));
  get("download").addEventListener("click", () => work("Writing the PNG …", async () => { await download(); tell("The PNG is downloaded."); }));
  get("undo").addEventListener("click", () => { marks.undo(); refresh(); });
  get("clear").addEventListener("click", () => mark({ tool: "clear" }));
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) paste(event.clipboardData.files); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("dropping"); paste(event.dataTransfer.files); });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && !get("undo").disabled) { event.preventDefault(); get("undo").click(); }
  });
  wire(stage, {
    begin: (at) => { stroke = { tool: document.querySelector("[name=tool]:checked").value, radius: radius(), points: [place(at)] }; mark(stroke); },
    extend: (at) => { if (stroke) { stroke.points.push(place(at)); marks.draw({ ...stroke, points: stroke.points.slice(-2) }); } },
    finish: () => { stroke = null; },
    cancel: () => { stroke = null; marks.undo(); refresh(); },
    ring: (at) => {
      const ring = get("ring"), size = `${(2 * radius() * stage.clientWidth) / photo.width}px`;
      ring.hidden = !at;
      if (at) Object.assign(ring.style, { left: `${100 * at[0]}%`, top: `${100 * at[1]}%`, width: size, height: size });
    },
  });
}

function start() {
  if (typeof WebAssembly !== "object" || typeof OffscreenCanvas !== "function") {
    tell("This browser cannot complete pictures: it has no WebAssembly, or no OffscreenCanvas. Use a current Chrome, Edge, Firefox or Safari.", "wrong");
    get("intake").hidden = true;
    return;
  }
  worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("message", ({ data }) => {
    if (data.say) { tell(data.say, "busy"); return; }
    const { done, failed } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.trouble) failed(new Error(data.trouble));
    else done(data.answer);
  });
  worker.addEventListener("error", () => {
    const trouble = new Error("The page's worker stopped. Reload the page. If that does not help, files are missing from the page's folder, or the browser is too old.");
    waiting.forEach(({ failed }) => failed(trouble));
    waiting.clear();
    get("intake").hidden = true;
  });
  wireAll();
  work("Loading the network, 37 MB the first time …", async () => {
    await ask("ready");
    if (!opened) tell("Open, drop or paste a photograph.");
  });
}

start();
