"""Read masks in the forms that people and programs write them.

A mask is bool (H, W), True where the pixel is missing. An image from which that cannot be told is refused, with an error that
names the values it holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .decode import Source, read_numbers, read_picture
from .errors import PixelRNNError

Box = tuple[int, int, int, int]  # x, y, width, height
MaskLike = Source | np.ndarray | Box | list[int]

FULL = (1, 255, 4095, 65535, 2**32 - 1)  # the numbers that programs write for missing pixels beside 0 for known ones
WHITE = "Make it white (255) where pixels are missing, and black (0) elsewhere."
MAX_COLOURED = 0.05  # the share of pixels that may be coloured: JPEG's ringing
MAX_BETWEEN = 0.5  # the share of pixels that may be neither nearly black nor nearly white: soft edges
MOSTLY_WHITE = 0.9  # a mask with a larger white share is most likely inverted


def read_mask(source: Source | np.ndarray, invert: bool = False, max_pixels: int | None = None) -> np.ndarray:
    """Read a mask from an image: white (255) is missing, and grey edges count from half white on.

    A mask may be white on black in any mode and depth, hold 0 and 1, show one palette colour on black, or show strokes of one
    colour on a transparent ground.

    Args:
        source: what `decode.read_picture` takes, or an array: bool (H, W), or uint8 or uint16 (H, W) or (H, W, 3).
        invert: black is missing instead.
        max_pixels: the largest accepted width times height; see `decode.read_picture`.

    Returns:
        Bool (H, W), True where missing.

    Raises:
        PixelRNNError: `decode.read_picture` refuses the file, or the image is no mask: a photograph, with or without a
            transparent hole, or one colour that is neither black nor white.
    """
    name = str(source) if isinstance(source, (str, Path)) else "the mask"
    try:
        mask = _read(source, max_pixels)
    except PixelRNNError as error:
        raise PixelRNNError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
    return ~mask if invert else mask


def as_mask(given: MaskLike, shape: tuple[int, ...], invert: bool = False, resize: bool = False) -> np.ndarray:
    """Convert a mask in any form to a bool array.

    Args:
        given: bool (H, W), True where missing; a box (x, y, width, height) in pixels; or what `read_mask` takes.
        shape: height and width of the image.
        invert: take what is black, or False, as missing. A box is not inverted.
        resize: bring a mask of another size to `shape` by nearest pixels.

    Returns:
        Bool of `shape`, True where missing.

    Raises:
        PixelRNNError: the mask cannot be read, has another size, or is a box that does not lie in the image.
    """
    height, width = shape
    if isinstance(given, (tuple, list)):
        return _box(given, height, width)
    if not isinstance(given, (str, Path, bytes, Image.Image, np.ndarray)) and not hasattr(given, "read"):
        raise PixelRNNError(
            f"expected a mask as a path, bytes, a file, a PIL picture, an array or a box, got {type(given).__name__}."
        )
    if isinstance(given, np.ndarray) and given.dtype == bool and given.ndim == 2:
        mask = ~given if invert else given
    else:
        mask = read_mask(given, invert)
    if mask.shape == (height, width):
        return mask
    sizes = f"the mask is {mask.shape[1]} x {mask.shape[0]}, the picture {width} x {height}"
    if not resize:
        raise PixelRNNError(f"{sizes}. Give a mask of that size, or --resize-mask (resize_mask=True).")
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _box(given: Sequence[Any], height: int, width: int) -> np.ndarray:
    """The mask of a box (x, y, width, height)."""
    if len(given) != 4 or not all(isinstance(number, (int, np.integer)) for number in given):
        raise PixelRNNError(f"a box of {given!r}: expected four whole numbers x, y, width, height, in pixels.")
    x, y, w, h = (int(number) for number in given)
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise PixelRNNError(f"box {x},{y},{w},{h} (x, y, width, height) does not lie in a picture of {width} x {height}.")
    mask = np.zeros((height, width), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def _read(source: Source | np.ndarray, max_pixels: int | None) -> np.ndarray:
    """Read a mask by the kind of image that it is."""
    if isinstance(source, np.ndarray):
        if source.ndim not in (2, 3) or source.dtype not in (bool, np.uint8, np.uint16) or 0 in source.shape:
            raise PixelRNNError(f"expected a mask as bool (H, W), True where missing, got {source.dtype} {source.shape}.")
        return _from_levels(source) if source.ndim == 2 else _from_colours(np.asarray(Image.fromarray(source).convert("RGB")))
    picture = read_picture(source, max_pixels)
    if picture.alpha is not None:
        return _from_strokes(picture.pixels, picture.alpha)
    if picture.mode[:1] == "I":  # more than 8 bits, where a mask of 0 and 1 would be lost in the conversion to 8
        return _from_levels(read_numbers(source))
    if picture.mode == "P":
        dark: np.ndarray = (picture.pixels == 0).all(axis=2)
        colours = np.unique(picture.pixels.reshape(-1, 3), axis=0)
        if dark.any() and len(colours) == 2:
            return ~dark
    return _from_levels(picture.pixels[..., 0]) if picture.grey else _from_colours(picture.pixels)


def _from_levels(levels: np.ndarray) -> np.ndarray:
    """Read the numbers (H, W) of one channel: 0 and one of FULL, or light from 0 to the highest number of their type."""
    values = np.unique(levels)
    if (len(values) == 1 and values[0] in (0, *FULL)) or (len(values) == 2 and values[0] == 0 and values[1] in FULL):
        return np.asarray(levels > 0)
    light = levels / (255 if levels.dtype == np.uint8 else 65535)
    if len(values) <= 2 or ((light > 0.1) & (light < 0.9)).mean() > MAX_BETWEEN:
        raise PixelRNNError(f"holds {_values(levels)}, which does not say what is missing. {WHITE}")
    return np.asarray(light >= 0.5)


def _from_colours(pixels: np.ndarray) -> np.ndarray:
    """Read RGB uint8 (H, W, 3) that holds no more colour than JPEG's ringing."""
    coloured = np.ptp(pixels.astype(np.int16), axis=2) > 48
    if coloured.mean() > MAX_COLOURED or (coloured.any() and len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 4):
        raise PixelRNNError(f"holds the colours {_values(pixels)}, which do not say what is missing. {WHITE}")
    return _from_levels(np.rint(pixels.mean(axis=2)).astype(np.uint8))


def _from_strokes(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Read strokes of one colour on a transparent ground."""
    strokes = alpha >= 128
    if not alpha.any():  # an empty layer: nothing is missing
        return strokes
    colours = pixels[alpha == 255] if (alpha == 255).any() else pixels[strokes]
    if strokes.all() or not strokes.any() or np.ptp(colours.astype(np.int16), axis=0).max() > 32:
        raise PixelRNNError(
            "has an alpha channel that shows more than strokes of one colour. Give strokes on a transparent ground, or a mask "
            "without alpha, white (255) where pixels are missing."
        )
    return strokes


def _values(array: np.ndarray) -> str:
    """Name the three most frequent values of an array, and the number of the others."""
    colours, counts = np.unique(array.reshape(-1, *array.shape[2:]), axis=0, return_counts=True)
    most = [
        str(tuple(int(part) for part in colours[i])) if array.ndim == 3 else str(colours[i]) for i in np.argsort(-counts)[:3]
    ]
    return f"{', '.join(most)}" + (f" and {len(colours) - 3} others" if len(colours) > 3 else "")
