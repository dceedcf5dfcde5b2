"""Masks as people have them, as bool (H, W), True where missing; what cannot be told is refused, with what the mask holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .decode import Source, read_numbers, read_picture
from .errors import PixelRNNError

Box = tuple[int, int, int, int]  # x, y, width, height
Given = Source | np.ndarray | Box | list[int]

FULL = (1, 255, 4095, 65535, 2**32 - 1)  # what programs write for missing where 0 is known
WHITE = "Make it white (255) where pixels are missing, and black (0) elsewhere."
GREY = 0.05  # of the pixels may be coloured: JPEG's ringing
BETWEEN = 0.5  # of them may be neither nearly black nor nearly white: soft edges
MOSTLY = 0.9  # white in more of a mask than this: meant the other way round, most likely


def read_mask(source: Source | np.ndarray, invert: bool = False, max_pixels: int | None = None) -> np.ndarray:
    """Bool (H, W), True where the mask is white, edges from half on: white on black in any mode and depth, 0 and 1, a colour of
    a palette on its black, or strokes of one colour on a transparent ground. invert: True where it is black. max_pixels: of
    read_picture.

    Raises PixelRNNError for what read_picture does, and for what is no mask: a photograph, with a transparent hole or without,
    or one colour that is neither black nor white.
    """
    name = str(source) if isinstance(source, (str, Path)) else "the mask"
    try:
        missing = _drawn(source, max_pixels)
    except PixelRNNError as error:
        raise PixelRNNError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
    return ~missing if invert else missing


def as_mask(given: Given, shape: tuple[int, ...], invert: bool = False, resize: bool = False) -> np.ndarray:
    """Bool of `shape`, (H, W), True where missing, from a mask in any form: bool (H, W), what read_mask takes, or a box.
    resize: bring one of another size to this by nearest pixels. Raises PixelRNNError for one of another size else.
    """
    height, width = shape
    if isinstance(given, (tuple, list)):
        return _box(given, height, width)
    if not isinstance(given, (str, Path, bytes, Image.Image, np.ndarray)) and not hasattr(given, "read"):
        raise PixelRNNError(
            f"expected a mask as a path, bytes, a file, a PIL picture, an array or a box, got {type(given).__name__}."
        )
    if isinstance(given, np.ndarray) and given.dtype == bool and given.ndim == 2:
        missing = ~given if invert else given
    else:
        missing = read_mask(given, invert)
    if missing.shape == (height, width):
        return missing
    sizes = f"the mask is {missing.shape[1]} x {missing.shape[0]}, the picture {width} x {height}"
    if not resize:
        raise PixelRNNError(f"{sizes}. Give a mask of that size, or --resize-mask (resize_mask=True).")
    return np.asarray(Image.fromarray(missing).resize((width, height), Image.Resampling.NEAREST))


def _box(given: Sequence[Any], height: int, width: int) -> np.ndarray:
    if len(given) != 4 or not all(isinstance(one, (int, np.integer)) for one in given):
        raise PixelRNNError(f"a box of {given!r}: expected four whole numbers x, y, width, height, in pixels.")
    x, y, w, h = (int(one) for one in given)
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise PixelRNNError(f"box {x},{y},{w},{h} (x, y, width, height) does not lie in a picture of {width} x {height}.")
    missing = np.zeros((height, width), bool)
    missing[y : y + h, x : x + w] = True
    return missing


def _drawn(source: Source | np.ndarray, max_pixels: int | None) -> np.ndarray:
    if isinstance(source, np.ndarray):
        if source.ndim not in (2, 3) or source.dtype not in (bool, np.uint8, np.uint16) or 0 in source.shape:
            raise PixelRNNError(f"expected a mask as bool (H, W), True where missing, got {source.dtype} {source.shape}.")
        return _in_levels(source) if source.ndim == 2 else _in_colours(np.asarray(Image.fromarray(source).convert("RGB")))
    picture = read_picture(source, max_pixels)
    if picture.alpha is not None:
        return _on_transparent(picture.pixels, picture.alpha)
    if picture.mode[:1] == "I":  # more than 8 bits: 1 of 65535 is as white as 1 of 1
        return _in_levels(read_numbers(source))
    if picture.mode == "P":
        dark, colours = (picture.pixels == 0).all(axis=2), np.unique(picture.pixels.reshape(-1, 3), axis=0)
        if dark.any() and len(colours) == 2:
            return ~dark
    return _in_levels(picture.pixels[..., 0]) if picture.grey else _in_colours(picture.pixels)


def _in_levels(levels: np.ndarray) -> np.ndarray:
    """Of numbers of one channel, (H, W): 0 and one that programs write for missing, or light from 0 to the highest."""
    found = np.unique(levels)
    if (len(found) == 1 and found[0] in (0, *FULL)) or (len(found) == 2 and found[0] == 0 and found[1] in FULL):
        return np.asarray(levels > 0)
    light = levels / (255 if levels.dtype == np.uint8 else 65535)
    if len(found) <= 2 or ((light > 0.1) & (light < 0.9)).mean() > BETWEEN:
        raise PixelRNNError(f"holds {_values(levels)}, so what is missing cannot be told. {WHITE}")
    return np.asarray(light >= 0.5)


def _in_colours(pixels: np.ndarray) -> np.ndarray:
    """Of RGB uint8 (H, W, 3), with no more colour than JPEG's ringing."""
    coloured = np.ptp(pixels.astype(np.int16), axis=2) > 48
    if coloured.mean() > GREY or (coloured.any() and len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 4):
        raise PixelRNNError(f"holds the colours {_values(pixels)}, so what is missing cannot be told. {WHITE}")
    return _in_levels(np.rint(pixels.mean(axis=2)).astype(np.uint8))


def _on_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Strokes of one colour on a transparent ground."""
    strokes = alpha >= 128
    if not alpha.any():  # an empty layer
        return strokes
    colours = pixels[alpha == 255] if (alpha == 255).any() else pixels[strokes]
    if strokes.all() or not strokes.any() or np.ptp(colours.astype(np.int16), axis=0).max() > 32:
        raise PixelRNNError(
            "has an alpha channel that shows more than strokes of one colour. Give strokes on a transparent ground, or a mask "
            "without alpha, white (255) where pixels are missing."
        )
    return strokes


def _values(array: np.ndarray) -> str:
    """The values of an array, as far as they are few."""
    colours, counts = np.unique(array.reshape(-1, *array.shape[2:]), axis=0, return_counts=True)
    most = [
        str(tuple(int(part) for part in colours[i])) if array.ndim == 3 else str(colours[i]) for i in np.argsort(-counts)[:3]
    ]
    return f"{', '.join(most)}" + (f" and {len(colours) - 3} others" if len(colours) > 3 else "")
