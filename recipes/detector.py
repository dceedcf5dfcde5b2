"""Train the detector on photographs of usual sizes: python recipes/detector.py OUT PHOTOGRAPHS... [--minutes M]

A third or more of the images stay untouched. Half of these are drawn by how much of them was taken for paint before: --mine
FILE writes that share by the photograph's name as JSON, from the bundled detector, and does nothing else; --hard FILE reads it.

The other images get an overlay at their own size, are compressed, and are reduced as `detection` reduces them. Small
photographs are sometimes enlarged, with grain and sharpening, to stand for large ones.

A stopped run resumes from OUT/last.pt. The result is OUT/bedrooms-detector.safetensors.
"""

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from detection import trimmed
from PIL import Image, ImageFilter
from safetensors.torch import load_file
from torch.utils.data import DataLoader, IterableDataset

from pixelrnn import checkpoint, create_model
from pixelrnn.data.occluders import jpeg
from pixelrnn.data.overlays import COVERED, SMALL, draw, overlay
from pixelrnn.decode import read_image
from pixelrnn.folders import list_images
from pixelrnn.image import dilate, to_float
from pixelrnn.inference.backends import open_backend
from pixelrnn.inference.detection import DETECT_SIDE
from pixelrnn.inference.evidence import evidence, reduced
from pixelrnn.training.losses import mask_loss
from pixelrnn.weights import DEFAULT

DATA = (
    "photographs, research use: 369 bedrooms of the Houses dataset (Ahmed and Moustafa 2016), 4,515 bedrooms and 2,600 other "
    "rooms of Places365; and 300 rooms rendered by pixelrnn.data.synthetic"
)
CROP, BATCH = 256, 12


class Photographs(IterableDataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Endless crops: image (3, CROP, CROP), evidence (4, CROP, CROP), mask (1, CROP, CROP)."""

    def __init__(self, images: list[np.ndarray], hard: np.ndarray, seed: int) -> None:
        self.images, self.seed = images, seed
        large = np.array([max(image.shape) > 300 for image in images])
        even = large / max(1, large.sum()) + 0.8 * ~large / max(1, (~large).sum())
        self.even = even / even.sum()  # half of the draws are of large ones, however few there are
        self.hard = self.even * np.clip(hard, 1e-6, 0.03)
        self.hard /= self.hard.sum()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        while True:
            yield self.example(rng)

    def example(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        clean = rng.random() < 0.38
        image = self.images[rng.choice(len(self.images), p=self.hard if clean and rng.random() < 0.5 else self.even)]
        if rng.random() < 0.5:
            image = image[:, ::-1]
        shape, window = _window(rng, image.shape)
        family, cover, foreign = "", np.zeros(shape, np.float32), None
        if not clean:
            family, cover = draw(rng, *shape)
            window = _towards(rng, window, cover)
        native, cover = _at_size(rng, image, shape, window), cover[window]
        if not clean:
            if rng.random() < 0.1:
                other = self.images[rng.choice(len(self.images), p=self.even)]
                size = native.shape[1], native.shape[0]
                foreign = np.asarray(Image.fromarray(np.ascontiguousarray(other)).resize(size, Image.Resampling.BICUBIC))
            native, cover = overlay(rng, native, foreign, (family, cover))
        if rng.random() < 0.12:  # resized after it was painted over
            scale = rng.uniform(0.6, 1.5)
            size = max(CROP, round(native.shape[1] * scale)), max(CROP, round(native.shape[0] * scale))
            native = np.asarray(Image.fromarray(native).resize(size, Image.Resampling(int(rng.choice([1, 2, 3])))))
            cover = np.asarray(Image.fromarray(cover).resize(size, Image.Resampling.BILINEAR))
        if rng.random() < 0.75:
            native = jpeg(np.ascontiguousarray(native), int(rng.integers(65, 97)), subsampling=int(rng.choice([0, 2, 2])))
        crop, planes = reduced(native, CROP, CROP), evidence(native, CROP, CROP)
        covered = np.asarray(Image.fromarray(cover).resize((CROP, CROP), Image.Resampling.BOX))
        mask = covered > (COVERED if len(native) < 1.2 * CROP else 0.25)
        if family in SMALL:
            mask = dilate(mask, 1)  # thin marks are found more surely, and filled with their half-covered edges
        return torch.from_numpy(to_float(crop)), torch.from_numpy(planes), torch.from_numpy(mask[None].astype(np.float32))


def _window(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """The size of the photograph that `shape` stands for, and the window of it that is reduced to CROP."""
    least = CROP / min(shape[:2])
    if max(shape) > 300:
        scale = rng.choice(
            [1.0, rng.uniform(min(1, max(least, 0.62)), 1), np.exp(rng.uniform(0, np.log(3)))], p=[0.4, 0.15, 0.45]
        )
    else:
        scale = rng.choice([1.0, np.exp(rng.uniform(0, np.log(5)))], p=[0.5, 0.5])
    height, width = (max(CROP, round(side * max(least, scale))) for side in shape[:2])
    most = min(height, width) / CROP
    factor = min(most, max(1.0, max(height, width) / DETECT_SIDE))
    if rng.random() < 0.25:  # as if seen from nearer or from further away
        factor = np.exp(rng.uniform(0, np.log(max(1, min(most, 2 * factor)))))
    side = int(CROP * factor)
    top, left = rng.integers(0, height - side, endpoint=True), rng.integers(0, width - side, endpoint=True)
    return (height, width), (slice(top, top + side), slice(left, left + side))


def _towards(rng: np.random.Generator, window: tuple[slice, slice], cover: np.ndarray) -> tuple[slice, slice]:
    """The window, most of the time moved to covered pixels."""
    rows, side = np.flatnonzero(cover.any(axis=1)), window[0].stop - window[0].start
    if not len(rows) or rng.random() < 0.25:
        return window
    y = rng.choice(rows)
    x = rng.choice(np.flatnonzero(cover[y]))
    top, left = (
        int(np.clip(middle - rng.integers(0, side), 0, length - side))
        for middle, length in zip((y, x), cover.shape, strict=True)
    )
    return slice(top, top + side), slice(left, left + side)


def _at_size(
    rng: np.random.Generator, photograph: np.ndarray, shape: tuple[int, int], window: tuple[slice, slice]
) -> np.ndarray:
    """The `window` of the photograph at the size `shape`.

    It is sharpened and grained if it is enlarged, and at random in other light, clipped, and compressed once before.
    """
    scale = shape[0] / photograph.shape[0], shape[1] / photograph.shape[1]
    box = (window[1].start / scale[1], window[0].start / scale[0], window[1].stop / scale[1], window[0].stop / scale[0])
    size = window[1].stop - window[1].start, window[0].stop - window[0].start
    image = Image.fromarray(np.ascontiguousarray(photograph))
    if scale == (1.0, 1.0):
        left, top, right, bottom = (int(edge) for edge in box)
        image = image.crop((left, top, right, bottom))
    else:
        image = image.resize(size, Image.Resampling.LANCZOS if rng.random() < 0.5 else Image.Resampling.BICUBIC, box=box)
        if max(scale) > 1.2 and rng.random() < 0.7:
            image = image.filter(ImageFilter.UnsharpMask(max(scale) * rng.uniform(0.4, 1), int(rng.uniform(50, 250)), 0))
    pixels = np.asarray(image)
    if rng.random() < 0.35:  # other light: bright and dark pixels are clipped, as in many photographs
        gain, lift = rng.uniform(0.8, 1.6), rng.uniform(-40, 25)
        pixels = np.clip(pixels * np.float32(gain) + np.float32(lift), 0, 255).astype(np.uint8)
    if rng.random() < (0.6 if max(scale) > 1.2 else 0.15):
        pixels = grained(rng, pixels)
    if rng.random() < 0.3:
        pixels = jpeg(pixels, int(rng.integers(70, 96)))
    if rng.random() < 0.02:
        few = Image.fromarray(pixels).quantize(int(rng.choice([16, 32, 64])), dither=Image.Dither(int(rng.choice([0, 3]))))
        pixels = np.asarray(few.convert("RGB"))
    return pixels


GRAIN = np.random.default_rng(0).normal(0, 1, (1024, 1024)).astype(np.float32)


def grained(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Add a sensor's noise, finer or coarser."""
    grain: np.ndarray = np.roll(GRAIN, tuple(rng.integers(0, 1024, 2)), (0, 1))
    if rng.random() < 0.5:
        grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))) / 2
    height, width = pixels.shape[:2]
    grain = np.tile(grain, (-(-height // 1024), -(-width // 1024)))[:height, :width, None] * np.float32(rng.uniform(0.4, 5))
    grainy: np.ndarray = np.clip(np.rint(pixels + grain), 0, 255)
    return grainy.astype(np.uint8)


def photographs(folders: list[Path]) -> tuple[list[Path], list[np.ndarray]]:
    """The paths and the photographs, without the edges of the larger ones."""
    paths = [path for folder in folders for path in list_images(folder)]
    images = [read_image(path) for path in paths]
    return paths, [trimmed(image) if max(image.shape) > 300 else image for image in images]


def mine(paths: list[Path], images: list[np.ndarray]) -> dict[str, float]:
    """By name, the share of each untouched photograph that the bundled detector takes for paint."""
    detect = open_backend(DEFAULT).detect
    shares = {}
    for path, image in zip(paths, images, strict=True):
        height, width = image.shape[:2]
        shares[path.name] = float((detect(to_float(image), evidence(image, width, height)) > 1).mean())
    return shares


def write(out: Path, detector: torch.nn.Module, count: int, step: int, spent: float) -> None:
    """Write the detector's checkpoint; `count` photographs, `spent` seconds."""
    model = create_model("optimized_pixelrnn")
    model.detector = detector
    metadata = {
        "recipe": "recipes/detector.py",
        "steps": step,
        "minutes": round(spent / 60, 1),
        "photographs": count,
        "data": DATA,
    }
    checkpoint.save(out / "bedrooms-detector.safetensors", model, metadata, part="detector")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("photographs", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--hard", type=Path)
    parser.add_argument("--mine", type=Path)
    parser.add_argument("--leave", type=Path, help="a file of names, one a line, of photographs for validation")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    paths, images = photographs(args.photographs)
    left = set(args.leave.read_text().split()) if args.leave else set()
    kept = [i for i, path in enumerate(paths) if path.name not in left]
    if args.mine:
        args.mine.write_text(json.dumps(mine([paths[i] for i in kept], [images[i] for i in kept])))
        return
    shares = json.loads(args.hard.read_text()) if args.hard else {}
    hard = np.array([shares.get(paths[i].name, 0.0) for i in kept])
    print(f"{len(kept)} photographs, {int((hard > 5e-4).sum())} of them hard", flush=True)

    model = create_model("optimized_pixelrnn")
    detector = model.get_submodule("detector")
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if args.start:
        detector.load_state_dict({key.removeprefix("detector."): value for key, value in load_file(args.start).items()})
    average = copy.deepcopy(detector).requires_grad_(False)
    optimizer = torch.optim.Adam(detector.parameters(), lr=args.rate, betas=(0.9, 0.98))
    step, spent, running = 0, 0.0, math.nan
    last = args.out / "last.pt"
    if last.exists():
        state: dict[str, Any] = torch.load(last, weights_only=True)
        detector.load_state_dict(state["detector"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    data = Photographs([images[i] for i in kept], hard, seed=step)
    load = iter(DataLoader(data, batch_size=BATCH, num_workers=args.workers, prefetch_factor=4 if args.workers else None))
    began = time.monotonic() - spent
    while (spent := time.monotonic() - began) < 60 * args.minutes:
        progress = spent / (60 * args.minutes)
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, step / 400 + 0.01) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
        image, planes, mask = next(load)
        logits = detector(*(x.contiguous(memory_format=torch.channels_last) for x in (image, planes)))
        loss = mask_loss(logits, mask)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), detector.parameters(), strict=True):
                slow.lerp_(fast, 1 - min(0.998, (1 + step) / (10 + step)))
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if step % 25 == 0:
            print(f"step {step} of minute {spent / 60:.1f}: loss {running:.4f}", flush=True)
        if step % 200 == 0:
            state = {"detector": detector.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step, "spent": spent}, last.with_suffix(".new"))
            last.with_suffix(".new").replace(last)
            write(args.out, average, len(kept), step, spent)
    write(args.out, average, len(kept), step, spent)


if __name__ == "__main__":
    main()
