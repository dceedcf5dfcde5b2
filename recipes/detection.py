"""Evaluate the detector: python recipes/detection.py SMALL LARGE [--only NAMES] [--weights W] [--level normal]

SMALL and LARGE are folders of photographs without occlusions, of about 256 and 600 px, on which nothing was trained or chosen.
--only is a file with the names of those in LARGE that are used. The edges of LARGE, where agencies write, are cut off.

Images of 1,000 and 1,600 px are LARGE enlarged, sharpened and grained, because there are no photographs of that size. A third
of all images stays uncompressed, the others are JPEG of quality 75 to 95.

The occlusions are boxes of 5 to 30% of the image in six paints, and dates and captions of 3 to 9% of the height, opaque or at
70%.
"""

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixelrnn import Completer
from pixelrnn.data.occluders import jpeg
from pixelrnn.decode import read_image
from pixelrnn.folders import list_images

SIZES = 256, 600, 1000, 1600
ALTERED = 5e-4  # share of tinted pixels above which a photograph counts as altered
EDGES = 0.06  # of the height, at the top and the bottom of listings, where agencies write their names
PAINTS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (220, 30, 30),
    "grey": (128,) * 3,
    "beige": (222, 207, 180),
    "noise": None,
}
TEXTS = "2019/07/14 18:22", "14.07.2019", "12:45", "IMG 2041", "Guest room", "view from the door", "No. 7", "before the works"


def trimmed(image: np.ndarray) -> np.ndarray:
    """A listing without its EDGES."""
    edge = round(EDGES * len(image))
    return image[edge : len(image) - edge]


def photograph(path: Path, size: int, number: int) -> np.ndarray:
    """The photograph at a size of SIZES; `number` seeds the grain."""
    image = read_image(path)
    if size == 256:
        return image
    image = trimmed(image)
    scale = size / max(image.shape)
    if size == 600:
        return image
    enlarged = Image.fromarray(image).resize(
        (round(image.shape[1] * scale), round(image.shape[0] * scale)), Image.Resampling.LANCZOS
    )
    sharp = enlarged.filter(ImageFilter.UnsharpMask(0.7 * scale, 120, 0))
    rng = np.random.default_rng([size, number])
    grain = rng.normal(0, rng.uniform(0.5, 3), (sharp.height, sharp.width, 1))
    return np.clip(np.rint(np.asarray(sharp) + grain), 0, 255).astype(np.uint8)


def stored(image: np.ndarray, number: int) -> np.ndarray:
    """The image as it is read from a file, by turns uncompressed and JPEG."""
    return image if number % 3 == 0 else jpeg(image, (75, 85, 90, 95)[number % 4])


def boxed(rng: np.random.Generator, image: np.ndarray, paint: str) -> tuple[np.ndarray, np.ndarray]:
    """The image with a box of one of PAINTS, and its mask."""
    height, width = image.shape[:2]
    share, aspect = rng.uniform(0.05, 0.3), np.exp(rng.uniform(-0.5, 0.5))
    h, w = (min(0.9 * side, (share * height * width * part) ** 0.5) for side, part in ((height, 1 / aspect), (width, aspect)))
    y, x = rng.integers(0, height - int(h)), rng.integers(0, width - int(w))
    mask = np.zeros((height, width), bool)
    mask[y : y + int(h), x : x + int(w)] = True
    painted = image.copy()
    painted[mask] = rng.integers(0, 256, (int(mask.sum()), 3)) if PAINTS[paint] is None else PAINTS[paint]
    return painted, mask


def written(rng: np.random.Generator, image: np.ndarray, opacity: float) -> tuple[np.ndarray, np.ndarray]:
    """The image with a text, and its mask."""
    height, width = image.shape[:2]
    font = ImageFont.load_default(max(9, round(height * rng.uniform(0.03, 0.09))))
    text, cover = str(rng.choice(TEXTS)), Image.new("L", (width, height))
    _, _, right, bottom = font.getbbox(text)
    x, y = rng.uniform(0, max(1, width - right)), rng.uniform(0, max(1, height - bottom))
    ImageDraw.Draw(cover).text((x, y), text, fill=255, font=font)
    alpha = np.asarray(cover) / 255
    colour = np.array([(255, 255, 255), (255, 140, 0), (255, 230, 0), (0, 0, 0), (230, 30, 30)][rng.integers(5)])
    painted = image + opacity * alpha[..., None] * (colour - image.astype(float))
    return np.rint(painted).astype(np.uint8), alpha > 0.5


def judge(completer: Completer, small: list[Path], large: list[Path], level: str, each: int) -> dict[str, dict[str, float]]:
    """Print and return the figures for each size."""
    rows: dict[str, dict[str, float]] = {}
    for size in SIZES:
        rng = np.random.default_rng(size)
        row: dict[str, float] = {}
        paths = small if size == 256 else large
        altered = []
        for number, path in enumerate(paths):
            altered.append(float(completer.detect(stored(photograph(path, size, number), number), level).tinted.mean()))
        row["untouched"], row["altered"] = len(paths), sum(share > ALTERED for share in altered)
        row["altered %"] = 100 * float(np.mean(altered))
        elsewhere, covered = [], defaultdict(list)
        for number in range(each * len(PAINTS)):
            paint, path = list(PAINTS)[number % len(PAINTS)], paths[number * 7 % len(paths)]
            painted, mask = boxed(rng, photograph(path, size, number), paint)
            detection = completer.detect(stored(painted, number // len(PAINTS)), level)
            covered[paint].append(detection.mask[mask].mean())
            elsewhere.append(detection.tinted[~mask].mean())
        for number in range(4 * each):
            opacity, path = (1.0, 0.7)[number % 2], paths[number * 7 % len(paths)]
            painted, mask = written(rng, photograph(path, size, number), opacity)
            detection = completer.detect(stored(painted, number // 2), level)
            covered[f"text {opacity:.0%}"].append(detection.tinted[mask].mean())
        row |= {name: float(np.mean(shares)) for name, shares in covered.items()}
        row["elsewhere %"] = 100 * float(np.mean(elsewhere))
        rows[str(size)] = row
        if size == SIZES[0]:
            print(" ".join(f"{name:>11}" for name in ("px", *row)))
        print(" ".join([f"{size:>11}", *(f"{value:>11.3g}" for value in row.values())]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--only", type=Path, help="a file of names, one a line")
    parser.add_argument("--weights", default="bedrooms-sharp")
    parser.add_argument("--level", default="normal")
    parser.add_argument("--most", type=int, help="photographs of each folder")
    parser.add_argument("--each", type=int, default=20, help="by size, boxes of each paint, and half of the texts of each kind")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    small, large = list_images(args.small)[: args.most], list_images(args.large)
    if args.only:
        names = set(args.only.read_text().split())
        large = [path for path in large if path.name in names]
    rows = judge(Completer.from_pretrained(args.weights), small, large[: args.most], args.level, args.each)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
