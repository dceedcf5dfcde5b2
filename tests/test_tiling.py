"""Holes in pictures of any size: what is far away plays no part, and no call of the network sees more than its share."""

import numpy as np
import pytest

from pixelrnn.inference.backends import Output
from pixelrnn.inference.tiling import WORK_SIDE, fill, groups


class Mean:
    """A network that fills with the mean of the known pixels it is shown."""

    name, reads_mask = "mean", True

    def __init__(self) -> None:
        self.sides: list[int] = []

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: np.ndarray | None = None) -> Output:
        self.sides.append(max(image.shape))
        colour = image[:, ~mask].mean(axis=1) if not mask.all() else np.zeros(3)
        filled = np.broadcast_to(colour[:, None, None], image.shape).astype(np.float32)
        return Output(filled, np.full(mask.shape, np.log(0.1), np.float32))

    def detect(self, image: np.ndarray, seen: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def holes(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """bool (height, width), True in boxes of (top, left, height, width)."""
    mask = np.zeros((height, width), bool)
    for top, left, tall, wide in boxes:
        mask[top : top + tall, left : left + wide] = True
    return mask


SHAPES = {
    "small": holes(300, 400, (100, 120, 40, 50)),
    "at a corner": holes(300, 400, (0, 0, 60, 30)),
    "wide": holes(700, 900, (100, 100, 400, 500)),
    "all but a strip": ~holes(500, 500, (0, 0, 500, 20)),
    "a line as long as the picture": holes(200, 3000, (90, 0, 8, 3000)),
    "one row": holes(1, 2000, (0, 700, 1, 600)),
    "many": holes(400, 400, *((y, x, 3, 3) for y in range(0, 400, 40) for x in range(0, 400, 40))),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_only_missing_pixels_are_filled_in_calls_of_bounded_size(shape: str) -> None:
    missing, network = SHAPES[shape], Mean()
    picture = noise(*missing.shape)
    picture[missing] = (255, 0, 255)
    completed = picture.copy()
    deviation = fill(network, completed, missing)
    assert np.array_equal(completed[~missing], picture[~missing])
    assert not (completed[missing] == (255, 0, 255)).all(axis=1).any()
    assert deviation is not None
    assert (deviation[~missing] == 0).all()
    assert np.allclose(deviation[missing], 0.1, rtol=0.02)
    assert max(network.sides) <= WORK_SIDE


@pytest.mark.parametrize("side", [60, 300])
def test_a_hole_is_filled_alike_alone_and_in_a_huge_picture(side: int) -> None:
    large, top, left = noise(3200, 3200), 1600, 1280
    mask = holes(3200, 3200, (top, left, side, side), (40, 40, 50, 50))
    part = slice(top - 640, top + 960), slice(left - 640, left + 960)
    alone, alone_mask = large[part].copy(), mask[part].copy()
    fill(Mean(), large, mask)
    fill(Mean(), alone, alone_mask)
    assert np.array_equal(large[part], alone)


def test_what_a_hole_covers_plays_no_part() -> None:
    mask, network = SHAPES["wide"], Mean()
    one, other = noise(*mask.shape), noise(*mask.shape)
    other[mask] = 255 - other[mask]
    fill(network, one, mask)
    fill(network, other, mask)
    assert np.array_equal(one, other)


def test_holes_whose_context_is_shared_are_one_group_and_far_ones_are_not() -> None:
    near = holes(2000, 2000, (100, 100, 30, 30), (100, 150, 30, 30))
    assert groups(near) == [(100, 100, 130, 180)]
    assert groups(near | holes(2000, 2000, (1500, 1500, 10, 20))) == [(100, 100, 130, 180), (1500, 1500, 1510, 1520)]


def test_a_wide_hole_is_filled_at_a_smaller_scale_whatever_its_outline() -> None:
    for outline in (holes(1200, 1200, (300, 300, 500, 500)), np.hypot(*(np.indices((1200, 1200)) - 550)) < 250):
        network = Mean()
        fill(network, noise(1200, 1200), outline)
        assert max(network.sides) < 450
