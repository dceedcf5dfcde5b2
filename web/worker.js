// The worker: decodes files, detects what is painted over, and completes it. It receives { id, task, ... } and answers { id, answer } or
// { id, trouble }, with messages { say } in between.
import * as ort from "./ort/ort.wasm.min.mjs";
import { find, sharpened } from "./find.js";
import { any, cut, either, places } from "./masks.js";
import { enlarged, parts } from "./parts.js";

const MEGABYTES = 50, MEGAPIXELS = 24;

class Trouble extends Error {} // an error with a message for the user

const say = (text) => postMessage({ say: text });
let picture = null; // { width, height, rgba }

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
ort.env.logLevel = "error";

async function fetched(name) {
  const file = await fetch(new URL(name, import.meta.url)).catch(() => null);
  if (!file?.ok) throw new Trouble(`${name} could not be loaded. Reload the page. If that does not help, the file is missing from the page's folder.`);
  return file;
}

const known = fetched("constants.json").then((file) => file.json());
const session = fetched("pipeline.onnx").then((file) => file.arrayBuffer()).then((data) => ort.InferenceSession.create(data));
known.catch(() => {}); // the error is reported when the value is needed
session.catch(() => {});

async function run(rgba, width, height, mask) {
  const image = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; j < image.length; i += 4) { image[j++] = rgba[i]; image[j++] = rgba[i + 1]; image[j++] = rgba[i + 2]; }
  const tensors = { image: new ort.Tensor("uint8", image, [height, width, 3]), mask: new ort.Tensor("uint8", mask, [height, width]) };
  const answer = await (await session).run(tensors);
  return { picture: answer.picture.data, logits: answer.logits.data };
}

function drawn(image, width, height) {
  const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height).data;
}

// Decode a file: upright, in sRGB.
async function decoded(file) {
  if (file.size > MEGABYTES * 2 ** 20) throw new Trouble(`${file.name} has ${Math.ceil(file.size / 2 ** 20)} MB; at most ${MEGABYTES} are read. Give a smaller file.`);
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" }).catch(() => null);
  if (!bitmap) throw new Trouble(`${file.name} is not a picture that this browser can read. Give a JPEG, PNG or WebP.`);
  const { width, height } = bitmap;
  if (width * height > MEGAPIXELS * 1e6) throw new Trouble(`${file.name} has ${width} x ${height} pixels; at most ${MEGAPIXELS} megapixels are completed here. Give a smaller one.`);
  return { bitmap, width, height, rgba: drawn(bitmap, width, height) };
}

const tasks = {
  async ready() {
    await known;
    await session;
  },

  // Open a photograph: { bitmap, missing }, where missing is the detected mask, or null.
  async open({ file }) {
    const { bitmap, width, height, rgba } = await decoded(file), clear = new Uint8Array(width * height);
    for (let i = 0; i < clear.length; i += 1) {
      if (rgba[4 * i + 3] < 128) clear[i] = 1;
      rgba[4 * i + 3] = 255;
    }
    const opened = { width, height, rgba }, missing = either(clear, await painted(opened, bitmap));
    bitmap.close();
    picture = opened;
    return { bitmap: await createImageBitmap(new ImageData(rgba, width, height)), missing: any(missing) ? missing : null };
  },

  // Read a mask of the photograph.
  async mask({ file }) {
    const { bitmap, width, height, rgba } = await decoded(file);
    bitmap.close();
    if (width !== picture.width || height !== picture.height) {
      throw new Trouble(`the mask is ${width} x ${height}, the picture ${picture.width} x ${picture.height}. Give a mask of that size.`);
    }
    const clear = rgba.some((value, i) => i % 4 === 3 && value < 128), missing = new Uint8Array(width * height);
    for (let i = 0; i < missing.length; i += 1) missing[i] = (clear ? rgba[4 * i + 3] : (rgba[4 * i] + rgba[4 * i + 1] + rgba[4 * i + 2]) / 3) >= 128;
    if (!any(missing)) throw new Trouble(`${file.name} marks nothing. Make it white where pixels are missing, and black elsewhere.`);
    return { missing };
  },

  // Fill in the missing pixels of the photograph: { rgba, milliseconds }.
  async complete({ missing }) {
    const start = performance.now(), { width, height } = picture, rgba = picture.rgba.slice(), each = parts(missing, width, height, (await known).tiling);
    for (const [number, { box, part }] of each.entries()) {
      if (each.length > 1) say(`Filling in ${number + 1} of ${each.length} …`);
      const [top, left, bottom, right] = part, hole = cut(missing, width, part);
      const filled = await run(cut(rgba, width, part, 4), right - left, bottom - top, hole);
      for (const i of places(hole)) {
        const y = Math.floor(i / (right - left)) + top, x = (i % (right - left)) + left;
        if (y >= box[0] && x >= box[1] && y < box[2] && x < box[3]) rgba.set(filled.picture.subarray(3 * i, 3 * i + 3), 4 * (y * width + x));
      }
    }
    return { rgba, milliseconds: performance.now() - start };
  },

  // Encode the completed photograph as a PNG.
  async save({ rgba }) {
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(rgba, picture.width, picture.height), 0, 0);
    return { png: await canvas.convertToBlob({ type: "image/png" }) };
  },
};

// Detect what is painted over, in a reduced view of the photograph.
async function painted({ width, height, rgba }, bitmap) {
  say("Looking for what is painted over …");
  const constants = await known, factor = Math.max(1, Math.max(width, height) / constants.DETECT_SIDE);
  const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side / factor)));
  const view = factor > 1 ? drawn(bitmap, wide, high) : rgba;
  const { logits } = await run(view, wide, high, new Uint8Array(wide * high));
  const seen = find(view, wide, high, logits, constants);
  if (factor === 1 || !any(seen)) return seen;
  say("Refining the outlines …");
  return sharpened(rgba, width, height, enlarged(seen, wide, high, width, height), factor, constants);
}

let last = Promise.resolve(); // tasks run one after the other
onmessage = ({ data: { id, task, ...given } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, answer: await tasks[task](given) });
    } catch (error) {
      const memory = /memory|alloc|RangeError/i.test(`${error}`) ? "The browser does not have enough memory. Reload the page, and give a smaller picture." : null;
      postMessage({ id, trouble: error instanceof Trouble ? error.message : memory ?? `It did not work (${error?.message ?? error}). Reload the page, or use another browser.` });
    }
  });
};
