"""Fill holes of any size in images of any size, in bounded memory.

Each group of holes is cut out with as much context as decides its content, at the scale the network was trained for. A hole
that is larger than those in training is filled at a smaller scale. Where one call cannot hold it at that scale, it is filled
coarsely first; each finer level takes the one before as its guide, tile by tile, and fades into what is there. Images are RGB
uint8 (H, W, 3). Masks are bool (H, W), True where missing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from ..image import dilate, mask_out, paste_known, resize, to_float, to_uint8

WORK_SIDE = 640  # pixels; no call of the network gets a longer side
GRAIN = 16  # the sides of what the network gets are multiples of this, as its coarsest grid needs
MARGIN = 33, 0.5  # context on each side of a hole: pixels at the network's scale, or this share of the hole's width if larger
WIDTH = 176  # pixels; a wider hole is filled at this width, if its length allows that,
FINE = 300  # or coarsely first and then finer up to this width: beyond it the network adds nothing to its guide
TILE, FADE = 448, 32  # pixels: the side of a tile, and the border over which it fades into its neighbours
GUIDE_CELL = 8  # pixels of a tile, each way, for one pixel of its guide
MAX_GROUPS = 64  # more groups of holes are filled as one
PART = 256  # side in pixels of the parts in which filled holes are worked on


class Box(NamedTuple):
    """A rectangle of pixels: rows from top to bottom and columns from left to right, without the ends."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]

    def within(self, outer: "Box") -> "Box":
        """The same pixels, counted from the upper left corner of a box around them."""
        return Box(*(edge - first for edge, first in zip(self, outer[:2] * 2, strict=True)))


class Network(Protocol):
    """A network that fills holes; see backends.Backend."""

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Any: ...


class Level(NamedTuple):
    """A part of an image at one scale, its holes filled as well as that scale allows."""

    image: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) bool
    std: np.ndarray | None  # (H, W) float32, standard deviation of the error; None where the network cannot say


class View(NamedTuple):
    """A group of holes and the context that decides its content."""

    box: Box  # around the holes
    part: Box  # the holes with their context
    scale: float  # at which the part is filled first, at most 1
    width: int  # about the width of the holes, in pixels of the image


def views(mask: np.ndarray) -> Iterator[View]:
    """Yield a view for each group of holes in `mask`, bool (H, W)."""
    for box in groups(mask):
        width = thickness(mask, box)
        scale = 1.0 if width <= WIDTH else WIDTH / width
        part = _around(box, int(max(MARGIN[0] / scale, MARGIN[1] * min(width, WIDTH / scale))), mask.shape)
        yield View(box, part, min(scale, WORK_SIDE / max(part.size)), width)


def fill(
    network: Network,
    image: np.ndarray,
    mask: np.ndarray,
    guide: Callable[[Box], np.ndarray | None] = lambda part: None,
) -> np.ndarray | None:
    """Fill the holes of an image in place.

    Args:
        network: fills a part of the image in one call.
        image: uint8 (H, W, 3).
        mask: bool (H, W), True where missing.
        guide: gives what the part of a View should look like coarsely: float32 (3, h, w) in [0, 1] of any size, or None.

    Returns:
        The standard deviation of the error, float32 (H, W) in units of [0, 1], 0 where known; None where the network cannot
        say.
    """
    std: np.ndarray | None = np.zeros(mask.shape, np.float32)
    for box, part, scale, width in views(mask):
        level = _first(network, image[part.slices], mask[part.slices], scale, guide(part))
        while scale < 1 and (width <= WIDTH or 2 * scale * width <= FINE):
            scale = min(1.0, 2 * scale)
            level = _finer(network, image[part.slices], mask[part.slices], scale, level)
        own = box.within(part)
        _paste(level, image[part.slices], mask[part.slices], std if std is None else std[part.slices], own)
        if level.std is None:
            std = None
    return std


def _first(network: Network, view: np.ndarray, mask: np.ndarray, scale: float, guide: np.ndarray | None) -> Level:
    """Fill a part of the image in one call at `scale`."""
    small, small_mask = at_scale(view, mask, scale)
    return Level(*_call(network, small, small_mask, guide))


def _call(
    network: Network, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The image with its holes filled, the mask, and the standard deviation or None."""
    output = network(to_float(mask_out(image, mask)), mask, guide)
    std = None if output.log_std is None else np.exp(output.log_std)
    return paste_known(image, to_uint8(output.image), mask), mask, std


def _finer(network: Network, view: np.ndarray, mask: np.ndarray, scale: float, level: Level) -> Level:
    """Bring `level` to a larger scale, and fill it anew near the edges of holes, tile by tile, with itself as the guide."""
    sharp, sharp_mask = at_scale(view, mask, scale)
    size = sharp_mask.shape[1], sharp_mask.shape[0]
    image = paste_known(sharp, resize(level.image, *size), sharp_mask)
    std = None if level.std is None else resize_map(level.std, *size)
    for tile in _tiles(sharp_mask):
        tile_mask = sharp_mask[tile.slices]
        before = image[tile.slices]
        guide = to_float(resize(before, *(-(-side // GUIDE_CELL) for side in tile.size)))
        filled, _, tile_std = _call(network, before, tile_mask, guide)
        weight = _fade(tile, sharp_mask.shape) * tile_mask  # (h, w) float32
        image[tile.slices] = np.rint(before + weight[..., None] * (filled.astype(np.float32) - before))
        if std is not None and tile_std is not None:
            std[tile.slices] += weight * (tile_std - std[tile.slices])
    return Level(image, sharp_mask, std)


def _paste(level: Level, view: np.ndarray, mask: np.ndarray, std: np.ndarray | None, own: Box) -> None:
    """Bring `level` to the size of `view`, and fill the holes of `view` in the box `own` with it, in place, strip by strip."""
    scale = np.array(level.mask.shape) / mask.shape
    for top in range(own.top, own.bottom, TILE * 2):
        strip = Box(top, own.left, min(own.bottom, top + TILE * 2), own.right)
        strip_mask = mask[strip.slices]
        if level.mask.shape == mask.shape:
            filled, filled_std = level.image[strip.slices], None if level.std is None else level.std[strip.slices]
        else:
            place = (strip.left * scale[1], strip.top * scale[0], strip.right * scale[1], strip.bottom * scale[0])
            bring = partial(resize_map, width=strip.size[0], height=strip.size[1], place=place)
            filled, filled_std = bring(level.image), None if level.std is None else bring(level.std)
        np.copyto(view[strip.slices], filled, where=strip_mask[..., None])
        if std is not None and filled_std is not None:
            std[strip.slices][strip_mask] = filled_std[strip_mask]


def at_scale(view: np.ndarray, mask: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Reduce an image and its mask so that no missing pixel is lost and none shows in the reduced image.

    Args:
        view: uint8 (H, W, 3).
        mask: bool (H, W), True where missing.
        scale: at most 1, where both are returned as they are.

    Returns:
        uint8 (h, w, 3) and bool (h, w), with sides of `scale` times the given ones.
    """
    if scale == 1:
        return view, mask
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    factor = max(1, int(1 / scale))
    small_mask = any_of(mask, factor)
    # holes are blackened and the image's filter is no wider than the mask's, so that nothing that is covered leaks out
    return resize_map(mask_out(shrink(view, factor), small_mask), width, height), resize(small_mask, width, height)


def any_of(mask: np.ndarray, factor: int) -> np.ndarray:
    """Reduce a mask (H, W) to (ceil(H / factor), ceil(W / factor)): True where any of `factor` x `factor` pixels is."""
    for axis in (1, 0) if factor > 1 else ():  # along rows first: that is faster
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], factor), axis=axis)
    return mask


def resize_map(
    array: np.ndarray, width: int, height: int, place: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Resize an array bilinearly.

    Args:
        array: uint8 (H, W, 3) or float32 (H, W).
        width: new width.
        height: new height.
        place: resize only this box of the array: left, top, right and bottom, in fractions of pixels, too.
    """
    return np.array(Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR, box=place))


def cut(guide: np.ndarray, shape: tuple[int, ...], part: Box) -> np.ndarray:
    """Cut the guide for a part of an image out of the guide for the whole.

    Args:
        guide: float32 (3, h, w), for the whole image.
        shape: height and width of the image.
        part: the part, in pixels of the image.
    """
    if part == (0, 0, *shape):
        return guide
    y, x = guide.shape[1] / shape[0], guide.shape[2] / shape[1]
    place = (part.left * x, part.top * y, part.right * x, part.bottom * y)
    size = [max(1, -(-side // GUIDE_CELL)) for side in part.size]
    return np.stack([resize_map(channel, size[0], size[1], place) for channel in guide])


def _tiles(mask: np.ndarray) -> Iterator[Box]:
    """Overlapping tiles that contain an edge of a hole; further inside, a finer level has nothing to go by."""
    whole = _around(bounds(mask), MARGIN[0], mask.shape)
    rows, columns = (
        sorted({*range(start, max(start + 1, end - TILE), TILE - 2 * FADE), max(start, end - TILE)})
        for start, end in zip(whole[:2], whole[2:], strict=True)
    )
    for top in rows:
        for left in columns:
            tile = Box(
                top // GRAIN * GRAIN, left // GRAIN * GRAIN, min(whole.bottom, top + TILE), min(whole.right, left + TILE)
            )
            tile_mask = mask[tile.slices]
            if tile_mask.any() and not tile_mask.all():
                yield tile


def _fade(tile: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Weights (h, w) that rise from 0 at the tile's own borders to 1; at a border of the image they are 1."""
    ramps = []
    for start, end, side in ((tile.top, tile.bottom, shape[0]), (tile.left, tile.right, shape[1])):
        place = np.arange(start, end, dtype=np.float32) + 0.5
        rise = np.ones_like(place) if start == 0 else (place - start) / FADE
        fall = np.ones_like(place) if end == side else (end - place) / FADE
        ramps.append(np.clip(np.minimum(rise, fall), 0, 1))
    weights: np.ndarray = ramps[0][:, None] * ramps[1]
    return weights


def groups(mask: np.ndarray) -> list[Box]:
    """Boxes around the missing pixels of a mask (H, W); holes whose context overlaps share one."""
    boxes = _components(mask)
    if len(boxes) > MAX_GROUPS:
        return [_union(*boxes)]
    joined = True
    while joined:
        joined = False
        for i, box in enumerate(boxes):
            for j in range(i + 1, len(boxes)):
                both = _union(box, boxes[j])
                parts = [_around(hole, MARGIN[0], mask.shape) for hole in (both, box, boxes[j])]
                if _overlap(box, boxes[j]) or parts[0].area <= parts[1].area + parts[2].area:
                    boxes = [*boxes[:i], *boxes[i + 1 : j], *boxes[j + 1 :], both]
                    joined = True
                    break
            if joined:
                break
    return boxes


def parts(mask: np.ndarray, box: Box) -> Iterator[Box]:
    """The parts of `box`, at most PART pixels a side, in which pixels are missing."""
    for top in range(box.top, box.bottom, PART):
        for left in range(box.left, box.right, PART):
            part = Box(top, left, min(box.bottom, top + PART), min(box.right, left + PART))
            if mask[part.slices].any():
                yield part


def widened(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """`box` with `margin` on each side, as far as the image goes."""
    ends = (min(side, end + margin) for side, end in zip(shape, box[2:], strict=True))
    return Box(*(max(0, start - margin) for start in box[:2]), *ends)


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Average every `factor` x `factor` pixels of uint8 (H, W, 3), to (ceil(H / factor), ceil(W / factor), 3)."""
    if factor == 1:
        return image
    rows = max(1, 2**20 // (image.shape[1] * factor)) * factor  # in strips: the copies that this takes stay small
    strips = (image[top : top + rows] for top in range(0, len(image), rows))
    return np.concatenate([np.asarray(Image.fromarray(np.ascontiguousarray(strip)).reduce(factor)) for strip in strips])


def _components(mask: np.ndarray) -> list[Box]:
    """Boxes around the connected holes, where holes in the same or neighbouring cells of a coarse grid are connected."""
    return sorted(box for box, _ in clusters(mask, max(GRAIN, -(-max(mask.shape) // 256))))


def clusters(mask: np.ndarray, cell: int) -> Iterator[tuple[Box, np.ndarray]]:
    """Yield the connected parts of a mask.

    Args:
        mask: bool (H, W).
        cell: pixels. True pixels in the same or neighbouring cells of `cell` x `cell` are connected.

    Yields:
        A box around each part, and the part's mask, bool of the box's size.
    """
    left = {(int(y), int(x)) for y, x in np.argwhere(any_of(mask, cell))}
    while left:
        queue, own = deque([left.pop()]), []
        while queue:
            y, x = queue.popleft()
            own.append((y, x))
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                if near in left:
                    left.remove(near)
                    queue.append(near)
        ys, xs = np.array(own).T
        top, start = int(ys.min()), int(xs.min())
        cells = np.zeros((ys.max() - top + 1, xs.max() - start + 1), bool)
        cells[ys - top, xs - start] = True
        rough = Box(top * cell, start * cell, (top + cells.shape[0]) * cell, (start + cells.shape[1]) * cell)
        part = mask[rough.slices]
        part = part & cells.repeat(cell, 0).repeat(cell, 1)[: part.shape[0], : part.shape[1]]
        tight = bounds(part)
        yield Box(*(edge + first for edge, first in zip(tight, rough[:2] * 2, strict=True))), part[tight.slices]


def bounds(mask: np.ndarray) -> Box:
    """The box around the True pixels of a mask, which must have some."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
    return Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def _union(*boxes: Box) -> Box:
    """The box around several boxes."""
    top, left, bottom, right = zip(*boxes, strict=True)
    return Box(min(top), min(left), max(bottom), max(right))


def _overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share pixels."""
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right


def _around(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """`box` with `margin` on each side and sides that are multiples of GRAIN, as far as the image goes."""
    low, high = [max(0, start - margin) for start in box[:2]], []
    for axis, (side, end) in enumerate(zip(shape, box[2:], strict=False)):
        length = -(-(min(side, end + margin) - low[axis]) // GRAIN) * GRAIN
        high.append(min(side, low[axis] + length))
        low[axis] = max(0, high[axis] - length)
    return Box(*low, *high)


def thickness(mask: np.ndarray, box: Box) -> int:
    """About twice the greatest distance of a missing pixel in `box` from a known one; the image's border is not known."""
    hole = mask[box.slices]
    step: int = -(-max(hole.shape) // 128)
    # one pixel outside the box is known on each side, except at the image's border
    padding = [(int(start > 0), int(end < side)) for start, end, side in zip(box[:2], box[2:], mask.shape, strict=True)]
    left, depth = np.pad(hole[::step, ::step], padding), 0
    if left.all():  # the known pixels lie between the steps
        return int(max(hole.shape))
    while left.any():
        left, depth = ~dilate(~left, 1), depth + 1
    return (2 * depth - 1) * step
