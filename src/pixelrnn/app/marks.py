"""Marks: what a user does in the editor to mark missing pixels, as data and as a mask.

A mark is a dict with a `tool`; lengths are in pixels of the photograph:

- "brush" or "eraser" has a `radius` and `points` [x, y, x, y, ...],
- "box" has the `points` of two corners,
- "find" has the `number` of a detected region, which it selects, or deselects if it was selected,
- "clear" deselects everything,
- "detect" restores the detected mask.
"""

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..errors import PixelRNNError
from .views import Find

Mark = dict[str, Any]
MAX_MARKS, MAX_NUMBERS = 2000, 400_000  # far more than anyone draws by hand


def draw_marks(detected: np.ndarray, marks: list[Mark], finds: tuple[Find, ...] = ()) -> np.ndarray:
    """Draw marks on a mask.

    Args:
        detected: The detected mask, bool (H, W), True where missing.
        marks: The marks, in order.
        finds: The detected regions to which "find" marks refer.

    Returns:
        The mask after all marks, bool (H, W).
    """
    restarts = [number for number, mark in enumerate(marks) if mark["tool"] in ("clear", "detect")]
    start = restarts[-1] if restarts else -1
    if not marks[start + 1 :] and (start < 0 or marks[start]["tool"] == "detect"):
        return detected
    cleared = start >= 0 and marks[start]["tool"] == "clear"
    canvas = Image.fromarray(np.zeros_like(detected) if cleared else detected).convert("L")
    pen = ImageDraw.Draw(canvas)
    taken = {number for number, find in enumerate(finds) if find.taken and not cleared}
    for mark in marks[start + 1 :]:
        if mark["tool"] == "find":
            find = finds[mark["number"]]
            taken ^= {mark["number"]}
            place = find.box.left, find.box.top
            canvas.paste(255 * (mark["number"] in taken), place, Image.fromarray(find.mask.unpack()).convert("L"))
            continue
        if mark["tool"] == "box":
            (left, right), (top, bottom) = (sorted(map(round, mark["points"][axis::2])) for axis in (0, 1))
            pen.rectangle([left, top, max(left, right - 1), max(top, bottom - 1)], 255)  # Pillow includes the last pixel
            continue
        points = [value - 0.5 for value in mark["points"]]  # a canvas counts from a pixel's corner, Pillow from its centre
        ink, radius = 255 * (mark["tool"] == "brush"), mark["radius"]
        if len(points) > 2:
            pen.line(points, ink, max(1, round(2 * radius)))
        for x, y in zip(points[0::2], points[1::2], strict=True):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], ink)
    return np.asarray(canvas) > 0


def check_marks(marks: object, side: int, finds: int) -> list[Mark]:
    """Check marks that a browser sent, which may be anything.

    Args:
        marks: What was sent.
        side: The photograph's longer side, in pixels.
        finds: The number of detected regions.

    Raises:
        PixelRNNError: If they are not marks, or too many.
    """

    def is_number(value: object) -> bool:
        return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= 10 * side

    def is_mark(mark: object) -> bool:
        if not isinstance(mark, dict):
            return False
        tool, points = mark.get("tool"), mark.get("points")
        if tool in ("clear", "detect"):
            return True
        if tool == "find":
            return type(mark.get("number")) is int and 0 <= mark["number"] < finds
        if not isinstance(points, list) or not points or len(points) % 2 or not all(map(is_number, points)):
            return False
        return (tool == "box" and len(points) == 4) or (tool in ("brush", "eraser") and is_number(mark.get("radius")))

    if not isinstance(marks, list) or len(marks) > MAX_MARKS or not all(map(is_mark, marks)):
        raise PixelRNNError("what was marked cannot be read. Load the page again.")
    if sum(len(mark.get("points", ())) for mark in marks) > MAX_NUMBERS:
        raise PixelRNNError("too much was marked by hand. Clear it, or upload a mask.")
    return marks
