"""Random occlusions: a shape from a named family, and what is painted in it, drawn from an explicit generator.

Images are RGB uint8 (H, W, 3); masks are bool (H, W), True where the pixel is missing. A new shape is a function (rng, height,
width) -> mask and a line in SHAPES; a new paint is a function and a line in PAINTS.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from ..image import dilate

MIN_SHARE, MAX_SHARE = 0.01, 0.6  # of the pixels, missing

Shape = Callable[[np.random.Generator, int, int], np.ndarray]


def _box(rng: np.random.Generator, height: int, width: int, low: float = 0.12, high: float = 0.6) -> np.ndarray:
    """Draw one upright box anywhere inside the frame; its sides are between `low` and `high` times the frame's."""
    h, w = (max(1, round(side * rng.uniform(low, high))) for side in (height, width))
    y, x = rng.integers(0, height - h, endpoint=True), rng.integers(0, width - w, endpoint=True)
    mask = np.zeros((height, width), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def _square(rng: np.random.Generator, height: int, width: int, share: float) -> np.ndarray:
    """Draw one square anywhere inside the frame; its side is `share` times the frame's shorter one."""
    side = max(1, round(min(height, width) * share))
    y, x = rng.integers(0, height - side, endpoint=True), rng.integers(0, width - side, endpoint=True)
    mask = np.zeros((height, width), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def described_square(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one square of 30% of the frame's shorter side, as in the described dataset."""
    return _square(rng, height, width, 0.3)


def squares(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one to four squares of one size that keep apart.

    Half the time they are as in `described_square`, else of 20% to 50% of the frame's shorter side. A network learns several
    times as much from several as from one.
    """
    share, count = 0.3 if rng.random() < 0.5 else rng.uniform(0.2, 0.5), rng.choice([1, 2, 4, 4])
    gap = max(1, round(min(height, width) * 0.05))
    mask, taken = np.zeros((2, height, width), bool)
    for _ in range(8 * count):
        square = _square(rng, height, width, share)
        if not (square & taken).any():
            mask |= square
            taken |= dilate(square, gap)
            count -= 1
        if count == 0:
            break
    return mask


def boxes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one to four boxes."""
    count = rng.integers(1, 4, endpoint=True)
    drawn: np.ndarray = np.logical_or.reduce([_box(rng, height, width, high=0.6 if count == 1 else 0.4) for _ in range(count)])
    return drawn


def ellipses(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw one to three ellipses, each of which may reach over the frame's border."""
    yy, xx = np.ogrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 3, endpoint=True)):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = (max(1.0, side * rng.uniform(0.08, 0.3)) for side in (height, width))
        mask |= ((yy - cy) / ry) ** 2 + ((xx - cx) / rx) ** 2 <= 1
    return mask


def strokes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw thick brush strokes that wander over the image."""
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
        draw.line(points, fill=1, width=thickness)
        for x, y in points:  # round joints and ends
            draw.ellipse([x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2], fill=1)
    return np.array(canvas)


SHAPES: dict[str, tuple[float, Shape]] = {  # family: (weight, function); a family is drawn with its share of all weights
    "squares": (0.35, squares),
    "boxes": (0.25, boxes),
    "ellipses": (0.15, ellipses),
    "strokes": (0.25, strokes),
}


def random_mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw a mask of any family.

    Returns:
        bool (height, width) with 1% to 60% of its pixels missing. An image too small for that has one pixel missing.
    """
    weights = np.array([weight for weight, _ in SHAPES.values()])
    for _ in range(20):
        name = rng.choice(list(SHAPES), p=weights / weights.sum())
        mask = SHAPES[name][1](rng, height, width)
        if MIN_SHARE <= mask.mean() <= MAX_SHARE:
            return mask
    mask = np.zeros((height, width), bool)
    mask[rng.integers(height), rng.integers(width)] = True
    return mask


Paint = Callable[[np.random.Generator, np.ndarray, int, int], np.ndarray]


def _colour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Draw a colour, uint8 (3,); a quarter of the time one that hides: near black, near white, or a pixel's of `image`."""
    if rng.random() < 0.75:
        return rng.integers(0, 256, 3, dtype=np.uint8)
    near = rng.integers(0, 24, 3, dtype=np.uint8)
    return (near, 255 - near, image[rng.integers(image.shape[0]), rng.integers(image.shape[1])])[rng.integers(3)]


def _black(rng: np.random.Generator, image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def _flat(rng: np.random.Generator, image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(_colour(rng, image), (height, width, 3))


def _noise(rng: np.random.Generator, image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Draw grains of 1 to 4 pixels, grey or coloured; half the time over all levels, else weaker, around a colour."""
    block, channels = int(rng.integers(1, 4, endpoint=True)), rng.choice([1, 3])
    grains = rng.integers(-128, 128, (-(-height // block), -(-width // block), channels), dtype=np.int16)
    middle, strength = (np.full(3, 128, np.uint8), 1.0) if rng.random() < 0.5 else (_colour(rng, image), rng.uniform(0.1, 0.5))
    noise = np.clip(middle + np.float32(strength) * grains, 0, 255).astype(np.uint8)
    return noise.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]


def _stripes(rng: np.random.Generator, image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Draw stripes of two colours, a third of them grey, 2 to 20 pixels wide; upright or level two times in three."""
    colours = np.stack([_colour(rng, image), _colour(rng, image)])
    if rng.random() < 1 / 3:
        colours[:] = colours[:, :1]
    angle, pixels = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)]), rng.uniform(2, 20)
    yy, xx = np.ogrid[:height, :width]
    phase = (xx * np.cos(angle) + yy * np.sin(angle)) / pixels + rng.uniform(0, 2)
    stripes: np.ndarray = colours[np.floor(phase).astype(int) % 2]
    return stripes


def _gradient(rng: np.random.Generator, image: np.ndarray, height: int, width: int) -> np.ndarray:
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR))


PAINTS: dict[str, tuple[float, Paint]] = {  # kind: (probability, function that gives uint8 (height, width, 3))
    "black": (0.3, _black),
    "flat": (0.2, _flat),
    "noise": (0.15, _noise),
    "stripes": (0.2, _stripes),
    "gradient": (0.15, _gradient),
}


def paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, foreign: np.ndarray | None = None) -> np.ndarray:
    """Paint over the missing pixels of an image.

    Args:
        rng: The source of all randomness.
        image: uint8 (H, W, 3), which stays as it is.
        mask: bool (H, W), True where to paint.
        foreign: An image of the same shape to paint with; None draws one of PAINTS.

    Returns:
        The painted image, uint8 (H, W, 3).
    """
    painted = image.copy()
    if not mask.any():
        return painted
    # within the mask's bounding box alone, which is much faster
    box = tuple(slice(lines[0], lines[-1] + 1) for lines in (np.flatnonzero(mask.any(axis)) for axis in (1, 0)))
    height, width = mask[box].shape
    if foreign is not None:
        fill = foreign[box]
    else:
        kind = rng.choice(list(PAINTS), p=[probability for probability, _ in PAINTS.values()])
        fill = PAINTS[kind][1](rng, image, height, width)
    channels = mask[box].repeat(3, axis=1).reshape(height, width, 3)  # numpy broadcasts three channels slowly
    painted[box] = np.where(channels, fill, image[box])
    return painted


def occlude_as_described(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Occlude a clean image as described: with one black square.

    As in the described dataset the image is compressed afterwards, so that the square is not exactly black.

    Returns:
        The occluded image, uint8 (H, W, 3), and the mask, bool (H, W).
    """
    mask = described_square(rng, *image.shape[:2])
    return jpeg(np.where(mask[..., None], np.uint8(0), image), int(rng.integers(75, 95, endpoint=True))), mask


def jpeg(image: np.ndarray, quality: int, subsampling: int = 2) -> np.ndarray:
    """Return an image after JPEG compression, with the ringing that it leaves at an occlusion's edge.

    Args:
        image: uint8 (H, W, 3).
        quality: As Pillow has it, 1 to 95.
        subsampling: 2 for colour at half the resolution, 0 for all of it.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(buffer))


def occlude(
    rng: np.random.Generator, image: np.ndarray, foreign: np.ndarray | None = None, shape: Shape = random_mask
) -> tuple[np.ndarray, np.ndarray]:
    """Occlude a clean image.

    A third of the results went through JPEG compression, so their known pixels differ a little from `image`.

    Args:
        rng: The source of all randomness.
        image: uint8 (H, W, 3).
        foreign: An image of the same shape to paint with; None draws one of PAINTS.
        shape: Draws the mask: any shape, or one family's.

    Returns:
        The occluded image, uint8 (H, W, 3), and the mask, bool (H, W).
    """
    mask = shape(rng, *image.shape[:2])
    occluded = paint(rng, image, mask, foreign)
    if rng.random() < 1 / 3:
        occluded = jpeg(occluded, int(rng.integers(60, 95, endpoint=True)))
    return occluded, mask
