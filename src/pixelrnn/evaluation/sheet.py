"""Contact sheets: every occluded image beside its completion. Images are RGB uint8 (H, W, 3)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..encode import write_image
from ..errors import PixelRNNError
from ..image import resize

MAX_SIDE = 65_500  # pixels, of a JPEG
GAP, CAPTION = 4, 14  # pixels: between the two images of a pair, and the height of a line of text


def sheet(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    path: Path,
    columns: int = 4,
    cell: int = 160,
    captions: Iterable[str] | None = None,
) -> None:
    """Write one image with every (occluded, completed) pair side by side.

    Args:
        pairs: Images uint8 (H, W, 3) of any size. A pair is let go once its thumbnails are made, so this may be a generator
            over thousands of photographs.
        path: The PNG or JPEG to write.
        columns: Pairs in a row.
        cell: Pixels a side of the square that each image is fitted into, its aspect kept.
        captions: One for each pair, or none at all.

    Raises:
        PixelRNNError: There is no pair at all, there are fewer captions than pairs, or the sheet is longer than a JPEG can be.
    """
    if columns < 1 or cell < 1:
        raise PixelRNNError(f"a sheet needs at least 1 column and cells of 1 pixel, got {columns} and {cell}.")
    texts = None if captions is None else iter(captions)
    blocks = (_block(occluded, completed, cell, texts) for occluded, completed in pairs)
    rows: list[np.ndarray] = []
    while row := list(islice(blocks, columns)):
        # as wide as the first row, which is not full where there are few pairs
        rows.append(_row(row, rows[0].shape[1] if rows else sum(block.shape[1] for block in row)))
    if not rows:
        raise PixelRNNError(f"{path}: no pictures for the sheet. Give at least one pair.")
    height, width = sum(row.shape[0] for row in rows), rows[0].shape[1]
    if max(height, width) > MAX_SIDE:
        raise PixelRNNError(
            f"{path}: a sheet of {width} x {height} pixels, at most {MAX_SIDE} a side. Change columns ({columns}) "
            f"or cell ({cell}), or write several sheets."
        )
    write_image(Path(path), np.concatenate(rows))


def _row(blocks: list[np.ndarray], width: int) -> np.ndarray:
    """Put blocks beside each other, each in the middle of the row's height."""
    row = np.full((max(block.shape[0] for block in blocks), width, 3), 255, np.uint8)
    for i, block in enumerate(blocks):
        top, left = (row.shape[0] - block.shape[0]) // 2, i * block.shape[1]
        row[top : top + block.shape[0], left : left + block.shape[1]] = block
    return row


def _block(occluded: np.ndarray, completed: np.ndarray, cell: int, captions: Iterator[str] | None) -> np.ndarray:
    """Draw two thumbnails that meet at a narrow gap, (h, 2 cell + 4 gaps, 3), with a white border and the caption below."""
    left, right = (fit(image, cell) for image in (occluded, completed))
    height = max(left.shape[0], right.shape[0])
    block = np.full((height + 2 * GAP + (CAPTION if captions else 0), 2 * cell + 4 * GAP, 3), 255, np.uint8)
    middle = block.shape[1] // 2
    for image, x in ((left, middle - GAP // 2 - left.shape[1]), (right, middle + GAP // 2)):
        y = GAP + (height - image.shape[0]) // 2
        block[y : y + image.shape[0], x : x + image.shape[1]] = image
    if captions is None:
        return block
    text = next(captions, None)
    if text is None:
        raise PixelRNNError("fewer captions than pairs. Give one for each pair, or none at all.")
    canvas = Image.fromarray(block)
    ImageDraw.Draw(canvas).text((middle - GAP // 2 - left.shape[1], height + GAP + 1), text, fill=(70, 70, 70))
    return np.asarray(canvas)


def fit(image: np.ndarray, side: int, enlarge: bool = True) -> np.ndarray:
    """Resize an image so that its long side is `side`; without `enlarge` a smaller one stays as it is."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return image
    return resize(image, max(1, round(width * scale)), max(1, round(height * scale)))
