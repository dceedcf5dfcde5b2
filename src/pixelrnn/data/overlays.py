"""What people put over photographs, to train a detector: boxes, shapes, words, scribbles and logos, in any paint.

Overlays are opaque or half transparent. Images are RGB uint8 (H, W, 3); covers, float32 (H, W) in [0, 1], say how much of each
pixel is hidden.
"""

import string
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from . import occluders

COVERED = 0.3  # from this much of a pixel on, it counts as covered

Cover = Callable[[np.random.Generator, int, int], np.ndarray]


def box(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw an upright box of 1% to 50% of the image, now and then along a whole side of it."""
    share, aspect = np.exp(rng.uniform(np.log(0.01), np.log(0.5))), np.exp(rng.uniform(-1.2, 1.2))
    h = int(np.clip((share * height * width / aspect) ** 0.5, 4, 0.95 * height))
    w = int(np.clip((share * height * width * aspect) ** 0.5, 4, 0.95 * width))
    if rng.random() < 0.06:
        w, h = (width, min(h, height // 3)) if rng.random() < 0.5 else (min(w, width // 3), height)
    y, x = rng.integers(0, height - h, endpoint=True), rng.integers(0, width - w, endpoint=True)
    cover = np.zeros((height, width), np.float32)
    cover[y : y + h, x : x + w] = 1
    return cover


def boxes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one to three boxes."""
    drawn: np.ndarray = np.maximum.reduce([box(rng, height, width) for _ in range(rng.choice([1, 1, 2, 3]))])
    return drawn


def shapes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one of occluders.SHAPES."""
    return occluders.random_mask(rng, height, width).astype(np.float32)


@cache
def fonts() -> list[str | None]:
    """List the fonts that matplotlib brings, where it is installed, and None for Pillow's own."""
    try:
        import matplotlib
    except ImportError:
        return [None]
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [None, None, None, *(str(path) for path in sorted(folder.glob("DejaVuS*.ttf"))), str(folder / "STIXGeneral.ttf")]


def words(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one to three dates, captions or single words, 2% to 14% of the height, most of them level."""
    cover = Image.new("L", (width, height))
    for _ in range(rng.choice([1, 1, 2, 3])):
        size = max(8, int(height * np.exp(rng.uniform(np.log(0.02), np.log(0.14)))))
        name = fonts()[rng.integers(len(fonts()))]
        font = ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)
        place = rng.uniform(-0.02, 0.8) * width, rng.uniform(0, 0.96) * height
        stroke = int(rng.random() < 0.15) * max(1, size // 16)
        text = _text(rng)
        if rng.random() < 0.12:  # aslant
            _, _, right, bottom = (int(edge) for edge in font.getbbox(text, stroke_width=stroke))
            tag = Image.new("L", (max(1, right), max(1, bottom)))
            ImageDraw.Draw(tag).text((0, 0), text, fill=255, font=font, stroke_width=stroke)
            tag = tag.rotate(rng.uniform(-60, 60), expand=True, resample=Image.Resampling.BILINEAR)
            cover.paste(255, (int(place[0]), int(place[1])), tag)
        else:
            ImageDraw.Draw(cover).text(place, text, fill=255, font=font, stroke_width=stroke)
    return np.asarray(cover, np.float32) / 255


def _text(rng: np.random.Generator) -> str:
    kind = rng.integers(4)
    if kind == 0:
        mark = str(rng.choice(list("/.-' ")))
        date = mark.join(f"{rng.integers(1, 31):02d}" for _ in range(3))
        return date + (f" {rng.integers(24):02d}:{rng.integers(60):02d}" if rng.random() < 0.5 else "")
    letters = [string.ascii_lowercase, string.ascii_uppercase, string.ascii_letters + string.digits][kind - 1]
    lengths = rng.integers(2, 10, size=rng.integers(1, 5))
    text = " ".join("".join(rng.choice(list(letters), size=length)) for length in lengths)
    return text.capitalize() if rng.random() < 0.3 else text


def scribbles(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw brush strokes, thin to thick, some with soft edges, and straight lines."""
    cover, scale = Image.new("L", (width, height)), min(height, width)
    draw = ImageDraw.Draw(cover)
    for _ in range(rng.integers(1, 5)):
        thickness = max(2, int(scale * np.exp(rng.uniform(np.log(0.005), np.log(0.08)))))
        point, angle = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        straight, points = rng.random() < 0.25, [tuple(point)]
        for _ in range(rng.integers(3, 25)):
            angle += 0 if straight else rng.normal(0, 0.6)
            point = point + scale * rng.uniform(0.02, 0.1) * np.array([np.cos(angle), np.sin(angle)])
            points.append(tuple(point))
        draw.line(points, fill=255, width=thickness, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse([x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2], fill=255)
    if rng.random() < 0.4:
        cover = cover.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 0.006 * scale + 0.6)))
    return np.asarray(cover, np.float32) / 255


def logo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw a small emblem of rings, polygons and bars."""
    side = max(16, int(min(height, width) * rng.uniform(0.06, 0.25)))
    tag = Image.new("L", (side, side))
    draw = ImageDraw.Draw(tag)
    for _ in range(rng.integers(1, 4)):
        inset, thick = int(side * rng.uniform(0, 0.3)), max(2, int(side * rng.uniform(0.05, 0.2)))
        frame = [inset, inset, side - 1 - inset, side - 1 - inset]
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse(frame, outline=255, width=thick)
        elif kind == 1:
            draw.rounded_rectangle(frame, radius=side // 6, outline=255, width=thick)
        elif kind == 2:
            draw.regular_polygon(
                (side / 2, side / 2, side / 2 - inset), int(rng.integers(3, 8)), float(rng.uniform(0, 90)), fill=255
            )
        else:
            draw.line([tuple(rng.uniform(0, side, 2)) for _ in range(3)], fill=255, width=thick)
    cover = np.zeros((height, width), np.float32)
    y, x = rng.integers(0, max(1, height - side)), rng.integers(0, max(1, width - side))
    part = cover[y : y + side, x : x + side]
    part[:] = np.asarray(tag)[: part.shape[0], : part.shape[1]] / np.float32(255)
    return cover


COVERS: dict[str, tuple[float, Cover]] = {  # family: (probability, function)
    "boxes": (0.3, boxes),
    "shapes": (0.12, shapes),
    "words": (0.4, words),
    "scribbles": (0.13, scribbles),
    "logo": (0.05, logo),
}
SMALL = ("words", "scribbles", "logo")  # in one colour, often half transparent

STAMPS = np.array([[255, 255, 255], [255, 140, 0], [255, 230, 0], [0, 0, 0], [230, 30, 30], [60, 60, 60]])


def colour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Draw a colour, uint8 (3,).

    Most of the time it is one that hides: near white, near black, grey, or one of the image's own.
    """
    kind = rng.choice(5, p=[0.25, 0.15, 0.2, 0.1, 0.3])
    if kind == 0:
        return (255 - rng.integers(0, 12) * np.ones(3) - rng.integers(0, 4, 3)).astype(np.uint8)
    if kind == 1:
        return rng.integers(0, 14, 3).astype(np.uint8)
    if kind == 2:
        own = image[rng.integers(image.shape[0]), rng.integers(image.shape[1])].astype(int)
        near: np.ndarray = np.clip(own + rng.integers(-16, 17), 0, 255)
        return near.astype(np.uint8)
    if kind == 3:
        return np.full(3, rng.integers(30, 240), np.uint8)
    return rng.integers(0, 256, 3, dtype=np.uint8)


def _grains(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Draw noise over all levels, one pixel a grain."""
    grains = rng.integers(0, 256, (*image.shape[:2], rng.choice([1, 3])), dtype=np.uint8)
    return np.broadcast_to(grains, image.shape)


def _mosaic(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return the image itself in cells of one colour."""
    height, width = image.shape[:2]
    cell = int(rng.uniform(6, max(8, 0.04 * max(height, width))))
    small = Image.fromarray(np.ascontiguousarray(image)).resize((-(-width // cell), -(-height // cell)), Image.Resampling.BOX)
    return np.asarray(small.resize((small.width * cell, small.height * cell), Image.Resampling.NEAREST))[:height, :width]


def _blurred(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    radius = rng.uniform(0.012, 0.05) * max(image.shape)
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).filter(ImageFilter.BoxBlur(radius)))


def draw(rng: np.random.Generator, height: int, width: int) -> tuple[str, np.ndarray]:
    """Draw a family of COVERS, and how much of each pixel it covers, float32 (height, width) in [0, 1]."""
    family = str(rng.choice(list(COVERS), p=[probability for probability, _ in COVERS.values()]))
    return family, COVERS[family][1](rng, height, width)


def overlay(
    rng: np.random.Generator,
    image: np.ndarray,
    foreign: np.ndarray | None = None,
    drawn: tuple[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Put something over a photograph.

    Args:
        rng: The source of all randomness.
        image: uint8 (H, W, 3).
        foreign: Another photograph of the same shape, which may be what lies over it.
        drawn: What `draw` gave, or its part for this part of a photograph; None draws it here.

    Returns:
        The result, uint8 (H, W, 3), and how much of each pixel is covered, float32 (H, W) in [0, 1].
    """
    family, cover = drawn or draw(rng, *image.shape[:2])
    if family in SMALL:
        opacity = rng.choice([1.0, rng.uniform(0.5, 1)])
        fill: np.ndarray = STAMPS[rng.integers(len(STAMPS))] if rng.random() < 0.6 else colour(rng, image)
    else:
        opacity = 1.0 if rng.random() < 0.93 else rng.uniform(0.55, 0.95)
        kind = rng.choice(["flat", "grains", "paint", "foreign", "mosaic", "blurred"], p=[0.52, 0.13, 0.2, 0.07, 0.05, 0.03])
        if kind == "grains":
            fill = _grains(rng, image)
        elif kind == "paint":
            fill = occluders.paint(rng, image, np.ones(image.shape[:2], bool))
        elif kind == "foreign" and foreign is not None:
            fill = foreign
        elif kind in ("mosaic", "blurred"):
            fill = (_mosaic if kind == "mosaic" else _blurred)(rng, image)
        else:
            fill = colour(rng, image)
    alpha = (cover * np.float32(opacity))[..., None]
    painted = image + alpha * (fill.astype(np.float32) - image)
    return np.rint(painted).astype(np.uint8), alpha[..., 0]
