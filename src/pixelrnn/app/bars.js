// Updates the toolbars, strips and status line from the document; buttons for what cannot be done are disabled.
import { change, tell } from "./editor.js";
import { chainOf, current, gone, resultsOf, sampled } from "./history.js";
import { shareOf } from "./paint.js";
import { foundOf, radiusOf, render, sizeOf, wanted } from "./panes.js";
import { inside } from "./view.js";
import { say } from "./wire.js";

const REST = 80; // ms without movement, after which crops are requested

export function measure(s) {
  s.share = s.rev ? shareOf(s.photo, current(s.history.doc).marks, foundOf(s)) : 0;
}

export function refresh(s) {
  const { root, told } = s, { doc, past, future } = s.history, { marks, result, sample } = current(doc), results = resultsOf(doc, told.results);
  s.fresh = results.find(({ own }) => own) ?? results.find(({ name }) => name === result) ?? null;
  if (s.fresh && sample >= s.fresh.samples) s.history.doc = sampled(doc, 0);
  const opened = Boolean(s.rev), { fresh } = s, busy = told.busy, wide = root.querySelector(".wide").offsetParent !== null;
  s.mode ??= wide ? "both" : "result";
  const doubtful = s.mode === "doubt" && !fresh?.doubt;
  s.shown = s.mode === "both" && wide ? "both" : !fresh ? "mark" : doubtful || (s.mode === "both" && !wide) ? "result" : s.mode;
  const editor = root.querySelector(".editor");
  Object.assign(editor.dataset, { shown: s.shown, state: !opened ? "opening" : busy ? "busy" : fresh ? "fresh" : s.share ? "marked" : "empty" });
  editor.style.setProperty("--ratio", s.photo.width / s.photo.height);
  root.querySelectorAll("input[name=view]").forEach((input) => {
    input.checked = input.value === s.shown;
    input.disabled = !opened || (!fresh && !["both", "mark"].includes(input.value)) || (input.value === "doubt" && !fresh?.doubt);
  });
  const stale = !fresh && told.results.some(({ chain }) => JSON.stringify(chain) === JSON.stringify(chainOf(doc)));
  const handed = fresh || (doc.at && !s.share); // a single finished image is shown, which can be downloaded
  const able = {
    undo: past.length, redo: future.length, clear: opened && s.share > 0, detect: !doc.at && marks.length && marks.at(-1).tool !== "detect",
    complete: opened && s.share > 0 && !fresh, keep: fresh, smaller: s.view.zoom > 1, fit: opened, larger: opened, help: true, cancel: true,
    copy: handed && navigator.clipboard?.write && window.ClipboardItem,
  };
  root.querySelectorAll("[data-do]").forEach((button) => { button.disabled = !able[button.dataset.do]; });
  root.querySelectorAll("[data-file]").forEach((button) => { button.disabled = !handed; });
  root.querySelector(".hold").disabled = !fresh && !doc.at;
  root.querySelector("[data-do=cancel]").hidden = !busy;
  root.querySelector(".views output").value = `${Math.round(100 * s.view.zoom)}%`;
  root.querySelector(".size output").value = `${Math.max(1, Math.round(2 * radiusOf(root, s.photo)))} px`;
  root.querySelector(".nothing").textContent = fresh ? "" : SAYS.says.waiting;
  root.querySelector(".divider").hidden = s.shown !== "slider";
  root.querySelector(".legend").hidden = s.shown !== "doubt";
  if (fresh) root.querySelector(".largest").textContent = say(SAYS.says.largest, fresh);
  if (told.colours) root.querySelector(".scale").style.background = `linear-gradient(90deg, ${told.colours.map((one) => `rgb(${one})`)})`;
  showState(s, stale);
  showWeights(s);
  strip(s, ".steps", doc.steps.length > 1 ? doc.steps.length : 0, doc.at, (step) => ({
    name: step ? doc.steps[step - 1].result + "." + doc.steps[step - 1].sample : "photo",
    label: step ? say(SAYS.says.step, { step }) : SAYS.says.first, press: () => change(s, gone(doc, step)),
  }));
  strip(s, ".samples", fresh?.samples > 1 ? fresh.samples : 0, sample, (number) => ({
    name: `${fresh.name}.${number}`, label: say(SAYS.says.sample, { sample: number + 1 }), press: () => change(s, sampled(doc, number)),
    title: fresh.likelihoods && say(SAYS.says.likelihood, { nats: fresh.likelihoods[number].toFixed(2) }),
  }));
  repaint(s);
}

// Show one sentence: what is going on, or what can be done next.
function showState(s, stale) {
  const { root, told, fresh } = s, { busy } = told, { doc } = s.history, { marks } = current(doc), { says } = SAYS;
  const share = (100 * s.share).toPrecision(2).replace(/\.?0+$/, "").replace(/e.*/, "");
  const ask = told.finds.some(({ taken }) => taken) ? says.ask : says.doubt;
  const waiting = busy && (busy.ahead ? say(says.ahead, busy) : busy.stage || says.opening);
  const text = told.error || (waiting ? `${waiting} …` : s.note || (!s.rev ? `${says.opening} …` : fresh ? fresh.told : s.share ? (stale ? say(says.stale, { share })
    : !doc.at && !marks.length && told.finds.length ? ask : say(says.marked, { share }))
    : doc.at ? says.kept : marks.length ? says.empty : told.source === "given" ? says.blank : told.finds.length ? says.doubt : says.nothing));
  const state = root.querySelector(".state"), bar = state.querySelector("progress");
  state.classList.toggle("wrong", Boolean(told.error));
  if (state.lastElementChild.textContent !== text) state.lastElementChild.textContent = text;
  bar.hidden = !busy;
  if (busy) bar.value = busy.share;
}

function showWeights(s) {
  const select = s.root.querySelector(".weights select"), { weights = [], chosen } = s.told;
  if (select.dataset.all !== JSON.stringify(weights)) {
    select.replaceChildren(...weights.map(([value, label]) => Object.assign(document.createElement("option"), { value, textContent: label })));
    select.dataset.all = JSON.stringify(weights);
  }
  if (chosen) select.value = chosen;
}

// Show a row of small images, one of which can be chosen.
function strip(s, place, count, chosen, describe) {
  const holder = s.root.querySelector(place);
  holder.hidden = !count;
  if (holder.children.length !== count) {
    holder.replaceChildren(...Array.from({ length: count }, () => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(Object.assign(document.createElement("img"), { alt: "" }), document.createElement("span"));
      return button;
    }));
  }
  [...holder.children].forEach((button, number) => {
    const { name, label, title, press } = describe(number), url = s.urls.get(name) ?? "";
    if (button.firstChild.src !== url) button.firstChild.src = url;
    button.lastChild.textContent = label;
    button.title = title || label;
    button.ariaPressed = String(number === chosen);
    button.onclick = press;
  });
}

export function repaint(s) {
  if (s.painting) return;
  s.painting = requestAnimationFrame(() => {
    s.painting = null;
    if (!s.root.isConnected || !s.rev) return;
    const style = getComputedStyle(s.root.querySelector(".editor"));
    s.colours = { tint: style.getPropertyValue("--tint"), light: style.getPropertyValue("--light") };
    s.view = inside(s.view, s.photo, sizeOf(s.root));
    render(s);
    clearTimeout(s.rest);
    s.rest = setTimeout(() => {
      const wants = wanted(s);
      if (!wants.length || wants.every(({ name }) => s.wants.some((one) => one.name === name))) return;
      s.wants = wants;
      tell(s);
    }, REST);
  });
}
