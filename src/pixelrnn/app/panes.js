// Draws the panes: the image with sharp crops, the tint, the outlines and the ring of the brush.
import { chainOf, current } from "./history.js";
import { colour, drawMark, drawMarks, drawOutline, drawPicture, pen } from "./paint.js";
import { scaleOf, toStage, visible } from "./view.js";

const PREVIEW = 1280; // pixels, the longer side of the preview that Python sends, see views.py
const WIDEST = 2048; // pixels, the widest crop
const KEPT = 8; // crops

const nameOf = (chain) => (chain.length ? chain.at(-1).join(".") : "photo");
const chainName = (chain) => JSON.stringify(chain);

export const stageOf = (root) => [...root.querySelectorAll(".stage")].find((stage) => stage.offsetWidth) ?? root.querySelector(".stage");

// The stage's size; both stages have the same size if both are visible.
export const sizeOf = (root) => { const stage = stageOf(root); return { width: stage.clientWidth || 1, height: stage.clientHeight || 1 }; };

export const radiusOf = (root, photo) => // the diameter goes from a hundredth to a third of the longer side, in finer steps where it is small
  Math.max(0.5, (Math.max(photo.width, photo.height) * 0.008 * 40 ** (root.querySelector(".size input").value / 100)) / 2);

// The chains that the panes show: the one worked on, and its result, or null.
export function chainsOf(s) {
  const work = chainOf(s.history.doc), done = s.fresh ? [...work, [s.fresh.name, current(s.history.doc).sample]] : null;
  return { work, done };
}

export const foundOf = (s) => s.history.doc.at ? null : {
  image: s.images.get("found"), ...s.photo,
  finds: s.told.finds.map((find, number) => ({ ...find, mask: s.images.get(`find${number}`) })),
};

export function render(s) {
  const { root } = s, frame = { photo: s.photo, view: s.view, stage: sizeOf(root), ratio: window.devicePixelRatio || 1 };
  const { work, done } = chainsOf(s), look = s.shown;
  const draw = (pane, parts) => {
    const canvas = root.querySelector(`.${pane} .picture`);
    if (!canvas.offsetParent) return;
    const drawn = pen(canvas, frame);
    for (const [chain, left, right] of parts) {
      const image = s.images.get(typeof chain === "string" ? chain : nameOf(chain));
      const cuttings = s.cuttings.filter(({ of, image: sharp }) => sharp && of === chainName(chain));
      drawPicture(drawn, frame, image, cuttings, left, right);
    }
  };
  draw("work", [[s.held ? [] : work, 0, 1]]);
  const share = s.divider;
  if (s.held || !done) draw("done", s.held ? [[[], 0, 1]] : []);
  else if (look === "slider") draw("done", [[[], 0, share], [done, share, 1]]);
  else if (look === "doubt") draw("done", [[`${s.fresh.name}.doubt`, 0, 1]]);
  else draw("done", [[done, 0, 1]]);
  drawTint(s, frame);
  const line = root.querySelector(".line");
  line.hidden = look !== "slider" || s.held;
  line.style.left = `${100 * share}%`;
  for (const stage of root.querySelectorAll(".stage")) {
    const [x, y] = toStage(s.view, s.photo, frame.stage, [0, 0]);
    Object.assign(stage.dataset, { scale: scaleOf(s.view, s.photo, frame.stage), x, y, ...s.photo }); // for tests
  }
  showFinds(s, frame);
  showRing(s, frame);
  const ready = [...s.images.values()].every(Boolean), sharp = !wanted(s).length;
  Object.assign(root.querySelector(".editor").dataset, { rev: s.rev, ready, sharp, asked: s.polls, answered: s.told.polls ?? 0 });
}

function drawTint(s, frame) {
  const canvas = s.root.querySelector(".tint"), { marks, key } = current(s.history.doc);
  if (!canvas.offsetParent) return;
  const drawn = pen(canvas, frame);
  // earlier marks are drawn once, and again only when they or the view change
  const now = JSON.stringify([key, s.history.doc.at, s.view, frame.stage, frame.ratio, s.held]);
  if (s.layer.now !== now) {
    s.taken = drawMarks(pen(s.layer.canvas, frame), marks, foundOf(s));
    drawOutlines(s, frame);
    s.layer.now = now;
  }
  if (s.held) return;
  drawn.save();
  drawn.setTransform(1, 0, 0, 1, 0, 0);
  drawn.drawImage(s.layer.canvas, 0, 0);
  drawn.restore();
  if (s.stroke) drawMark(drawn, s.stroke);
  colour(drawn, s.colours.tint);
}

// Draw the outlines of detected regions that are not selected.
function drawOutlines(s, frame) {
  const drawn = pen(s.root.querySelector(".outlines"), frame), cleared = current(s.history.doc).marks.some(({ tool }) => tool === "clear");
  if (s.held || cleared) return;
  foundOf(s)?.finds.forEach(({ box, mask }, number) => { if (mask && !s.taken.has(number)) drawOutline(drawn, mask, box, 1.5 * frame.ratio); });
  colour(drawn, s.colours.light);
}

// Show a frame around each detected region, with a button that selects or deselects it.
function showFinds(s, frame) {
  const holder = s.root.querySelector(".finds"), finds = s.history.doc.at || s.held ? [] : s.told.finds;
  if (holder.children.length !== finds.length) {
    holder.replaceChildren(...finds.map((_, number) => {
      const find = document.createElement("div"), button = document.createElement("button");
      find.className = "find";
      button.type = "button";
      button.onclick = () => s.take(number);
      find.append(button);
      return find;
    }));
  }
  const cleared = current(s.history.doc).marks.some(({ tool }) => tool === "clear");
  finds.forEach(({ box: [x, y, width, height], sure }, number) => {
    const find = holder.children[number], button = find.firstChild, on = s.taken.has(number);
    const [left, top] = toStage(s.view, s.photo, frame.stage, [x, y]), scale = scaleOf(s.view, s.photo, frame.stage);
    Object.assign(find.style, { left: `${left}px`, top: `${top}px`, width: `${width * scale}px`, height: `${height * scale}px` });
    find.hidden = cleared && !on;
    find.classList.toggle("taken", on);
    find.classList.toggle("small", Math.min(width, height) * scale < 64 && top > 44); // a button inside would cover it
    button.textContent = on ? "×" : "+";
    button.title = (on ? SAYS.says.leave : SAYS.says.take).replace("{sure}", sure);
    button.ariaLabel = button.title;
    button.ariaPressed = String(on);
  });
}

export function showRing(s, frame = { photo: s.photo, view: s.view, stage: sizeOf(s.root) }) {
  const boxes = s.root.querySelector("input[name=tool]:checked").value === "box", scale = scaleOf(s.view, s.photo, frame.stage);
  for (const ring of s.root.querySelectorAll(".ring")) {
    ring.hidden = !s.ring || s.held || (boxes && !s.corner);
    if (!s.ring) continue;
    ring.classList.toggle("square", boxes);
    const [x, y] = toStage(s.view, s.photo, frame.stage, s.ring), [cornerX, cornerY] = toStage(s.view, s.photo, frame.stage, s.corner ?? s.ring);
    const across = 2 * radiusOf(s.root, s.photo) * scale;
    const [left, top, width, height] = boxes
      ? [Math.min(x, cornerX), Math.min(y, cornerY), Math.abs(x - cornerX), Math.abs(y - cornerY)]
      : [x - across / 2, y - across / 2, across, across];
    Object.assign(ring.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  }
}

// The crops that the panes need to be as sharp as the screen and that have not arrived.
export function wanted(s) {
  const stage = sizeOf(s.root), scale = scaleOf(s.view, s.photo, stage) * (window.devicePixelRatio || 1);
  const sent = Math.min(1, PREVIEW / Math.max(s.photo.width, s.photo.height));
  if (sent === 1 || scale < 1.1 * sent) return [];
  const box = visible(s.view, s.photo, stage), width = Math.min(box[2], Math.ceil(box[2] * scale), WIDEST);
  const { work, done } = chainsOf(s), chains = s.shown === "slider" ? [[], done] : s.shown === "both" ? [work, done] : [s.shown === "mark" ? work : done];
  return chains.filter(Boolean).map((chain) => ({ name: `${chainName(chain)} ${box} ${width}`, of: chainName(chain), chain, box, width }))
    .filter(({ name }) => !s.cuttings.some((cutting) => cutting.name === name));
}

export function take(s, wants, name, image) {
  const want = wants.find((one) => one.name === name);
  if (want) s.cuttings = [...s.cuttings.filter((one) => one.name !== name).slice(1 - KEPT), { ...want, image }];
}
