"""Random occlusions: a shape from a named family, and what is painted in it, from an explicit rng.

Pictures are RGB uint8 (H, W, 3); masks are bool (H, W), True where the pixel is missing.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

MIN_SHARE, MAX_SHARE = 0.01, 0.6  # of the pixels, missing

Shape = Callable[[np.random.Generator, int, int], np.ndarray]


def _box(rng: np.random.Generator, height: int, width: int, low: float = 0.12, high: float = 0.6) -> np.ndarray:
    """One upright box anywhere inside the frame, its sides between `low` and `high` of the frame's."""
    h, w = (max(1, round(side * rng.uniform(low, high))) for side in (height, width))
    y, x = rng.integers(0, height - h, endpoint=True), rng.integers(0, width - w, endpoint=True)
    mask = np.zeros((height, width), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def _square(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """One square anywhere inside the frame, its side `share` of the frame's shorter one."""
    side = max(1, round(min(height, width) * share))
    y, x = rng.integers(0, height - side, endpoint=True), rng.integers(0, width - side, endpoint=True)
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def described_square(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One square of 30% of the frame's side, as in the described dataset."""
    return _square(rng, height, width, 0.3)


def square(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One square, half the time as described_square, else of 20% to 50% of the frame's side."""
    return _square(rng, height, width, 0.3 if rng.random() < 0.5 else rng.uniform(0.2, 0.5))


def boxes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One to four boxes."""
    count = rng.integers(1, 4, endpoint=True)
    return np.logical_or.reduce([_box(rng, height, width, high=0.6 if count == 1 else 0.4) for _ in range(count)])


def ellipses(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One to three ellipses, each of which may reach over the frame's border."""
    yy, xx = np.ogrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 3, endpoint=True)):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = (max(1.0, side * rng.uniform(0.08, 0.3)) for side in (height, width))
        mask |= ((yy - cy) / ry) ** 2 + ((xx - cx) / rx) ** 2 <= 1
    return mask


def strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Thick brush strokes that wander over the picture."""
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    scale = min(height, width)
    for _ in range(rng.integers(1, 7, endpoint=True)):
        thickness = max(1, round(scale * rng.uniform(0.03, 0.14)))
        angle, point = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2) * (width, height)
        points = [tuple(point)]
        for _ in range(rng.integers(3, 11, endpoint=True)):
            angle += rng.normal(0, 0.9)
            step = scale * rng.uniform(0.05, 0.25)
            point = np.clip(point + step * np.array([np.cos(angle), np.sin(angle)]), 0, (width - 1, height - 1))
            points.append(tuple(point))
        draw.line(points, fill=1, width=thickness, joint="curve")
        for x, y in points:  # round joints and ends
            draw.ellipse([x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2], fill=1)
    return np.array(canvas)


SHAPES: dict[str, tuple[float, Shape]] = {  # family: (probability, function)
    "square": (0.35, square),
    "boxes": (0.25, boxes),
    "ellipses": (0.15, ellipses),
    "strokes": (0.25, strokes),
}


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random mask, bool (height, width), with 1% to 60% of its pixels missing; a picture too small for that has one pixel
    missing."""
    probabilities = [probability for probability, _ in SHAPES.values()]
    for _ in range(20):
        name = rng.choice(list(SHAPES), p=probabilities)
        mask = SHAPES[name][1](rng, height, width)
        if MIN_SHARE <= mask.mean() <= MAX_SHARE:
            return mask
    mask = np.zeros((height, width), bool)
    mask[rng.integers(height), rng.integers(width)] = True
    return mask


def _black(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def _flat(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3))


def _noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    colours = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    if rng.random() < 0.5:
        colours[:] = colours[:, :1]  # grey stripes
    direction = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    yy, xx = np.ogrid[:height, :width]
    phase = (xx * np.cos(direction) + yy * np.sin(direction)) / max(2.0, min(height, width) * rng.uniform(0.015, 0.06))
    return colours[np.floor(phase).astype(int) % 2]


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR))


def paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, foreign: np.ndarray | None = None) -> np.ndarray:
    """`image` with something painted where `mask` is True: `foreign`, a picture of the same shape, where one is given; else
    black half the time, a flat colour, noise, stripes or a gradient."""
    height, width = mask.shape
    if foreign is not None:
        fill = foreign
    else:
        kind = rng.choice(["black", "flat", "noise", "stripes", "gradient"], p=[0.5, 0.22, 0.11, 0.11, 0.06])
        fill = {"black": _black, "flat": _flat, "noise": _noise, "stripes": _stripes, "gradient": _gradient}[kind](
            rng, height, width
        )
    return np.where(mask[..., None], fill, image)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """`image` after JPEG compression, ringing at the occlusion's edge and all."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def occlude(rng: np.random.Generator, image: np.ndarray, foreign: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Occlude a clean picture: (occluded uint8 (H, W, 3), mask bool (H, W)).

    A third of the results went through JPEG compression afterwards, so their known pixels differ a little from `image`.
    """
    mask = random_mask(rng, *image.shape[:2])
    occluded = paint(rng, image, mask, foreign)
    if rng.random() < 1 / 3:
        occluded = jpeg(occluded, int(rng.integers(60, 95, endpoint=True)))
    return occluded, mask
