"""Holes of any size in pictures of any size: around each group of holes as much context as decides its content, at the scale
the network was trained for, in bounded memory.

A hole that is larger than those in training is filled at a smaller scale; where one call cannot hold it at that scale, it is
filled coarsely first, and each finer level takes the one before as its guide, tile by tile, fading into what is there.
Pictures are RGB uint8 (H, W, 3), masks bool (H, W), True is missing.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

from ..image import dilate, mask_out, paste_known, resize, to_float, to_uint8

WORK_SIDE = 640  # no call of the network sees a longer side
GRAIN = 16  # sides of what the network sees are multiples, as its coarsest grid has it
MARGIN = 33, 0.5  # context on each side of a hole: pixels at the network's scale, or this share of its width where that is more
WIDTH = 176  # pixels; a wider hole is filled at this width, its length allowing,
FINE = 300  # or coarsely first and then finer up to this one: beyond, the network adds nothing to its guide
TILE, FADE = 448, 32  # pixels a side of a tile, and over which it fades into its neighbours
GUIDE = 8  # a guide has a pixel for so many of the tile's
FEW = 64  # groups of holes; more are completed as one


class Box(NamedTuple):
    """Rows top to bottom, columns left to right, the ends not included."""

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


class Network(Protocol):
    """See backends.Backend."""

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Any: ...


class Level(NamedTuple):
    """A part of a picture at one scale, its holes filled as far as they are."""

    picture: np.ndarray  # (H, W, 3) uint8
    missing: np.ndarray  # (H, W) bool
    deviation: np.ndarray | None  # (H, W) float32


class View(NamedTuple):
    """A group of holes in `box`, and what decides its content: `part` of the picture, at `scale`."""

    box: Box
    part: Box
    scale: float
    width: int  # of the holes, about, in pixels of the picture


def views(missing: np.ndarray) -> Iterator[View]:
    """One for each group of holes, at the scale at which it is filled first."""
    for box in groups(missing):
        width = _width(missing, box)
        scale = 1.0 if width <= WIDTH else WIDTH / width
        part = _around(box, int(max(MARGIN[0] / scale, MARGIN[1] * min(width, WIDTH / scale))), missing.shape)
        yield View(box, part, min(scale, WORK_SIDE / max(part.size)), width)


def fill(
    network: Network,
    picture: np.ndarray,
    missing: np.ndarray,
    guide: Callable[[Box], np.ndarray | None] = lambda part: None,
) -> np.ndarray | None:
    """Fill what is `missing` in `picture`, in place; its deviation float32 (H, W), 0 where known, or None.

    guide: for the part of a View, what it is to look like coarsely, float32 (3, h, w) in [0, 1] of any size.
    """
    deviation: np.ndarray | None = np.zeros(missing.shape, np.float32)
    for box, part, scale, width in views(missing):
        level = _first(network, picture[part.slices], missing[part.slices], scale, guide(part))
        while scale < 1 and (width <= WIDTH or 2 * scale * width <= FINE):
            scale = min(1.0, 2 * scale)
            level = _finer(network, picture[part.slices], missing[part.slices], scale, level)
        own = Box(*(edge - start for edge, start in zip(box, part[:2] * 2, strict=True)))
        _paste(
            level, picture[part.slices], missing[part.slices], deviation if deviation is None else deviation[part.slices], own
        )
        if level.deviation is None:
            deviation = None
    return deviation


def _first(network: Network, view: np.ndarray, missing: np.ndarray, scale: float, guide: np.ndarray | None) -> Level:
    """The part filled in one call, at `scale`."""
    small, hole = at_scale(view, missing, scale)
    return Level(*_call(network, small, hole, guide))


def _call(
    network: Network, picture: np.ndarray, hole: np.ndarray, guide: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The picture with its hole filled, the hole, the deviation there."""
    output = network(to_float(mask_out(picture, hole)), hole, guide)
    deviation = None if output.log_std is None else np.exp(output.log_std)
    return paste_known(picture, to_uint8(output.image), hole), hole, deviation


def _finer(network: Network, view: np.ndarray, missing: np.ndarray, scale: float, level: Level) -> Level:
    """`level` at a larger scale: brought up, and where a hole ends completed anew, tile by tile, with itself as the guide."""
    sharp, hole = at_scale(view, missing, scale)
    size = hole.shape[1], hole.shape[0]
    picture = paste_known(sharp, resize(level.picture, *size), hole)
    deviation = None if level.deviation is None else resize_map(level.deviation, *size)
    for tile in _tiles(hole):
        inside = hole[tile.slices]
        before = picture[tile.slices]
        guide = to_float(resize(before, *(-(-side // GUIDE) for side in tile.size)))
        filled, _, spread = _call(network, before, inside, guide)
        weight = _fade(tile, hole.shape) * inside  # (h, w) float32
        picture[tile.slices] = np.rint(before + weight[..., None] * (filled.astype(np.float32) - before))
        if deviation is not None and spread is not None:
            deviation[tile.slices] += weight * (spread - deviation[tile.slices])
    return Level(picture, hole, deviation)


def _paste(level: Level, view: np.ndarray, missing: np.ndarray, deviation: np.ndarray | None, own: Box) -> None:
    """Bring `level` to the size of `view`, whose missing pixels inside `own` it fills, in place and strip by strip."""
    scale = np.array(level.missing.shape) / missing.shape
    for top in range(own.top, own.bottom, TILE * 2):
        strip = Box(top, own.left, min(own.bottom, top + TILE * 2), own.right)
        hole = missing[strip.slices]
        if level.missing.shape == missing.shape:
            filled, spread = level.picture[strip.slices], None if level.deviation is None else level.deviation[strip.slices]
        else:
            place = (strip.left * scale[1], strip.top * scale[0], strip.right * scale[1], strip.bottom * scale[0])
            bring = partial(resize_map, width=strip.size[0], height=strip.size[1], place=place)
            filled, spread = bring(level.picture), None if level.deviation is None else bring(level.deviation)
        np.copyto(view[strip.slices], filled, where=hole[..., None])
        if deviation is not None and spread is not None:
            deviation[strip.slices][hole] = spread[hole]


def at_scale(view: np.ndarray, missing: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Both reduced; what is missing is neither shown nor lost."""
    if scale == 1:
        return view, missing
    height, width = (max(1, round(side * scale)) for side in missing.shape)
    factor = max(1, int(1 / scale))
    hole = any_of(missing, factor)
    # a filter no wider than the mask's own, and blank holes, so that nothing of what is covered leaks out
    return resize_map(mask_out(shrink(view, factor), hole), width, height), resize(hole, width, height)


def any_of(missing: np.ndarray, factor: int) -> np.ndarray:
    """Bool (ceil(H / factor), ceil(W / factor)): where any of `factor` x `factor` pixels is missing."""
    for axis in (1, 0) if factor > 1 else ():  # along rows first: that is faster
        missing = np.logical_or.reduceat(missing, np.arange(0, missing.shape[axis], factor), axis=axis)
    return missing


def resize_map(
    array: np.ndarray, width: int, height: int, place: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """uint8 (H, W, 3) or float32 (H, W), or its part at `place` (left, top, right, bottom), at another size, bilinearly."""
    return np.array(Image.fromarray(array).resize((width, height), Image.Resampling.BILINEAR, box=place))


def cut(guide: np.ndarray, shape: tuple[int, ...], part: Box) -> np.ndarray:
    """The guide of a part of a picture of `shape`, from that of the whole."""
    if part == (0, 0, *shape):
        return guide
    y, x = guide.shape[1] / shape[0], guide.shape[2] / shape[1]
    place = (part.left * x, part.top * y, part.right * x, part.bottom * y)
    size = [max(1, -(-side // GUIDE)) for side in part.size]
    return np.stack([resize_map(channel, size[0], size[1], place) for channel in guide])


def _tiles(hole: np.ndarray) -> Iterator[Box]:
    """Overlapping tiles around the holes that hold the end of one; further inside, a finer level has nothing to go by."""
    whole = _around(bounds(hole), MARGIN[0], hole.shape)
    rows, columns = (
        sorted({*range(start, max(start + 1, end - TILE), TILE - 2 * FADE), max(start, end - TILE)})
        for start, end in zip(whole[:2], whole[2:], strict=True)
    )
    for top in rows:
        for left in columns:
            tile = Box(
                top // GRAIN * GRAIN, left // GRAIN * GRAIN, min(whole.bottom, top + TILE), min(whole.right, left + TILE)
            )
            inside = hole[tile.slices]
            if inside.any() and not inside.all():
                yield tile


def _fade(tile: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Weights (h, w) that rise from 0 at the tile's own borders to 1, but not at those of the picture."""
    ramps = []
    for start, end, side in ((tile.top, tile.bottom, shape[0]), (tile.left, tile.right, shape[1])):
        place = np.arange(start, end, dtype=np.float32) + 0.5
        rise = np.ones_like(place) if start == 0 else (place - start) / FADE
        fall = np.ones_like(place) if end == side else (end - place) / FADE
        ramps.append(np.clip(np.minimum(rise, fall), 0, 1))
    return ramps[0][:, None] * ramps[1]


def groups(missing: np.ndarray) -> list[Box]:
    """Boxes around the missing pixels, one for those whose context would be shared."""
    boxes = _components(missing)
    if len(boxes) > FEW:
        return [_union(*boxes)]
    joined = True
    while joined:
        joined = False
        for i, one in enumerate(boxes):
            for j in range(i + 1, len(boxes)):
                both = _union(one, boxes[j])
                parts = [_around(box, MARGIN[0], missing.shape) for box in (both, one, boxes[j])]
                if _overlap(one, boxes[j]) or parts[0].area <= parts[1].area + parts[2].area:
                    boxes = [*boxes[:i], *boxes[i + 1 : j], *boxes[j + 1 :], both]
                    joined = True
                    break
            if joined:
                break
    return boxes


def shrink(picture: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (H, W, 3) with every `factor` x `factor` pixels averaged, (ceil(H / factor), ceil(W / factor), 3)."""
    if factor == 1:
        return picture
    rows = max(1, 2**20 // (picture.shape[1] * factor)) * factor  # in strips: the copies that this takes stay small
    strips = (picture[top : top + rows] for top in range(0, len(picture), rows))
    return np.concatenate([np.asarray(Image.fromarray(np.ascontiguousarray(strip)).reduce(factor)) for strip in strips])


def _components(missing: np.ndarray) -> list[Box]:
    """Boxes of the connected parts, holes in the same or neighbouring cells of a coarse grid being connected."""
    return sorted(box for box, _ in clusters(missing, max(GRAIN, -(-max(missing.shape) // 256))))


def clusters(missing: np.ndarray, cell: int) -> Iterator[tuple[Box, np.ndarray]]:
    """The connected parts of a mask, pixels in the same or neighbouring cells of `cell` x `cell` being connected: a box around
    each, and what is missing of it there, bool of the box's size.
    """
    left = {(int(y), int(x)) for y, x in np.argwhere(any_of(missing, cell))}
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
        part = missing[rough.slices]
        part = part & cells.repeat(cell, 0).repeat(cell, 1)[: part.shape[0], : part.shape[1]]
        inside = bounds(part)
        yield Box(*(edge + first for edge, first in zip(inside, rough[:2] * 2, strict=True))), part[inside.slices]


def bounds(missing: np.ndarray) -> Box:
    """The box around the missing pixels, of which there are some."""
    rows, columns = (np.flatnonzero(missing.any(axis=axis)).tolist() for axis in (1, 0))
    return Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


def _union(*boxes: Box) -> Box:
    top, left, bottom, right = zip(*boxes, strict=True)
    return Box(min(top), min(left), max(bottom), max(right))


def _overlap(one: Box, other: Box) -> bool:
    return one.top < other.bottom and other.top < one.bottom and one.left < other.right and other.left < one.right


def _around(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """`box` with `margin` on each side and sides that are multiples of GRAIN, as far as the picture goes."""
    low, high = [max(0, start - margin) for start in box[:2]], []
    for axis, (side, end) in enumerate(zip(shape, box[2:], strict=False)):
        length = -(-(min(side, end + margin) - low[axis]) // GRAIN) * GRAIN
        high.append(min(side, low[axis] + length))
        low[axis] = max(0, high[axis] - length)
    return Box(*low, *high)


def _width(missing: np.ndarray, box: Box) -> int:
    """Twice the greatest distance, about, of a pixel missing in `box` from a known one; the picture's border is none."""
    inside = missing[box.slices]
    step = -(-max(inside.shape) // 128)
    beyond = [(int(start > 0), int(end < side)) for start, end, side in zip(box[:2], box[2:], missing.shape, strict=True)]
    left, depth = np.pad(inside[::step, ::step], beyond), 0  # what borders on the box is known, but for the picture's end
    if left.all():  # what is known falls between the steps
        return int(max(inside.shape))
    while left.any():
        left, depth = ~dilate(~left, 1), depth + 1
    return (2 * depth - 1) * step
