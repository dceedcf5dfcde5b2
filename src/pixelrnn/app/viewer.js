const states = new WeakMap(); // the function below runs at every rerun: what it keeps, it keeps by element

export default function ({ parentElement: root, data }) {
  let s = states.get(root);
  if (!s) {
    s = { zoom: 1, x: 0, y: 0, fingers: new Map() };
    states.set(root, s);
    wire(root, s);
  }
  const stage = root.querySelector(".stage");
  for (const name of ["before", "after", "doubt"]) {
    const image = root.querySelector(`img.${name}`);
    if (image.src !== (data[name] ?? "")) data[name] ? (image.src = data[name]) : image.removeAttribute("src");
  }
  stage.style.aspectRatio = `${data.width} / ${data.height}`;
  stage.style.width = `min(100%, max(20rem, 100vh - 19rem) * ${data.width / data.height})`;
  root.querySelector(".unsure").hidden = !data.doubt;
  if (!data.doubt && view(root) === "doubt") root.querySelector("input[value=after]").checked = true;
  root.querySelector(".scale").style.background = `linear-gradient(90deg, ${data.colours})`;
  root.querySelector(".largest").textContent = `unsure, ${data.steps}`;
  if (s.name !== data.name) Object.assign(s, { name: data.name, zoom: 1, x: 0, y: 0 }); // another photograph
  draw(root, s);
}

const view = (root) => root.querySelector("input[name=view]:checked").value;

function wire(root, s) {
  const stage = root.querySelector(".stage"), divider = root.querySelector(".divider input");
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  root.querySelectorAll("input").forEach((input) => { input.oninput = () => draw(root, s); });
  root.querySelectorAll("[data-zoom]").forEach((button) => { button.onclick = () => zoom(root, s, +button.dataset.zoom, [0.5, 0.5]); });
  stage.ondblclick = (event) => zoom(root, s, s.zoom > 1 ? 0 : 2.25, at(event));
  stage.onwheel = (event) => {
    if (!event.ctrlKey) return; // the wheel alone scrolls the page; a trackpad's pinch comes with ctrl
    event.preventDefault();
    zoom(root, s, Math.exp(-event.deltaY / 150), at(event));
  };
  stage.onpointerdown = (event) => {
    s.fingers.set(event.pointerId, at(event));
    stage.setPointerCapture(event.pointerId);
    if (view(root) === "slider" && s.fingers.size === 1) slide(at(event));
  };
  stage.onpointermove = (event) => {
    const before = s.fingers.get(event.pointerId);
    if (!before) return;
    const now = at(event), others = [...s.fingers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    s.fingers.set(event.pointerId, now);
    if (others.length) {
      const [x, y] = others[0], far = (point) => Math.hypot(point[0] - x, point[1] - y) || 1e-3;
      zoom(root, s, far(now) / far(before), [(now[0] + x) / 2, (now[1] + y) / 2]);
    } else if (view(root) === "slider") slide(now);
    else move(root, s, now[0] - before[0], now[1] - before[1]);
  };
  stage.onpointerup = stage.onpointercancel = (event) => s.fingers.delete(event.pointerId);
  stage.onkeydown = (event) => {
    const moves = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }, zooms = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in zooms) zoom(root, s, zooms[event.key], [0.5, 0.5]);
    else if (event.key in moves && s.zoom > 1) move(root, s, ...moves[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  function slide([x]) {
    divider.value = 1000 * x;
    draw(root, s);
  }
}

function zoom(root, s, factor, [x, y]) {
  const wanted = factor ? Math.min(12, Math.max(1, s.zoom * factor)) : 1;
  s.x = x - ((x - s.x) * wanted) / s.zoom; // what lies under x, y stays there
  s.y = y - ((y - s.y) * wanted) / s.zoom;
  s.zoom = wanted;
  move(root, s, 0, 0);
}

function move(root, s, x, y) {
  const inside = (value) => Math.min(0, Math.max(1 - s.zoom, value));
  s.x = inside(s.x + x);
  s.y = inside(s.y + y);
  draw(root, s);
}

function draw(root, s) {
  const now = view(root), share = root.querySelector(".divider input").value / 10, stage = root.querySelector(".stage");
  root.querySelectorAll(".layer img").forEach((image) => {
    image.style.transform = `translate(${100 * s.x}%, ${100 * s.y}%) scale(${s.zoom})`;
  });
  root.querySelector(".top").style.clipPath = now === "slider" ? `inset(0 0 0 ${share}%)` : "";
  root.querySelector(".heat").hidden = now !== "doubt";
  root.querySelector(".legend").hidden = now !== "doubt";
  root.querySelector(".divider").hidden = now !== "slider";
  const line = root.querySelector(".line");
  line.hidden = now !== "slider";
  line.style.left = `${share}%`;
  stage.classList.toggle("zoomed", s.zoom > 1);
  stage.classList.toggle("sliding", now === "slider");
  root.querySelector(".steps output").value = `${Math.round(100 * s.zoom)}%`;
}
