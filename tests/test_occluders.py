"""Random occlusions: their size, their families, and that the rng alone decides."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from conftest import draw_room
from pixelrnn import occluders
from pixelrnn.occluders import MAX_SHARE, MIN_SHARE, SHAPES, described_square, occlude, paint, random_mask

PICTURE = draw_room(np.random.default_rng(0), 48, 64)


@pytest.mark.parametrize("size", [(256, 256), (64, 64), (48, 96), (100, 33), (24, 24)], ids=str)
def test_between_one_and_sixty_percent_of_the_pixels_are_missing(size) -> None:
    shares = [random_mask(np.random.default_rng(seed), *size).mean() for seed in range(200)]
    assert (MIN_SHARE, MAX_SHARE) == (0.01, 0.6)
    assert min(shares) >= 0.01
    assert max(shares) <= 0.6
    assert np.std(shares) > 0.05


def test_every_family_occurs_about_as_often_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[str] = Counter()

    def counted(name, shape):
        def draw(rng, height, width):
            drawn[name] += 1
            return shape(rng, height, width)

        return draw

    said = {name: probability for name, (probability, _) in SHAPES.items()}
    for name, (probability, shape) in list(SHAPES.items()):
        monkeypatch.setitem(SHAPES, name, (probability, counted(name, shape)))
    rng = np.random.default_rng(0)
    for _ in range(500):
        random_mask(rng, 64, 64)
    assert sum(said.values()) == pytest.approx(1)
    assert {name: count / drawn.total() for name, count in drawn.items()} == pytest.approx(said, abs=0.06)


def test_every_kind_of_paint_occurs() -> None:
    rng, whole, kinds = np.random.default_rng(0), np.ones((32, 32), bool), Counter()
    for _ in range(400):
        painted = paint(rng, np.zeros((32, 32, 3), np.uint8), whole)
        colours, steps = np.unique(painted.reshape(-1, 3), axis=0), np.abs(np.diff(painted.astype(int), axis=1))
        if len(colours) <= 2:
            kinds[("black" if not painted.any() else "flat") if len(colours) == 1 else "stripes"] += 1
        else:
            kinds["noise" if steps.mean() > 40 else "gradient"] += 1
    shares = {name: count / 400 for name, count in kinds.items()}
    assert shares == pytest.approx({"black": 0.5, "flat": 0.22, "noise": 0.11, "stripes": 0.11, "gradient": 0.06}, abs=0.06)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 500), (500, 1), (4, 900), (900, 7)], ids=str)
def test_tiny_and_extreme_pictures_work(size) -> None:
    picture = np.full((*size, 3), 200, np.uint8)
    for seed in range(30):
        occluded, mask = occlude(np.random.default_rng(seed), picture)
        assert (occluded.shape, occluded.dtype, mask.shape, mask.dtype) == (picture.shape, np.uint8, size, bool)
        assert mask.any()
        assert mask.mean() <= 0.6 or mask.sum() == 1


@pytest.mark.parametrize("foreign", [None, draw_room(np.random.default_rng(9), 48, 64)], ids=["painted", "foreign"])
def test_paint_leaves_known_pixels_untouched(foreign) -> None:
    before = PICTURE.copy()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mask = random_mask(rng, 48, 64)
        painted = paint(rng, PICTURE, mask, foreign)
        assert np.array_equal(painted[~mask], PICTURE[~mask])
        assert not np.array_equal(painted[mask], PICTURE[mask])
        assert foreign is None or np.array_equal(painted[mask], foreign[mask])
    assert np.array_equal(PICTURE, before)


def test_a_third_of_the_pictures_went_through_jpeg_and_differ_a_little_elsewhere() -> None:
    changed = []
    for seed in range(120):
        occluded, mask = occlude(np.random.default_rng(seed), PICTURE)
        difference = np.abs(occluded.astype(int) - PICTURE)[~mask]
        changed.append(difference.any())
        assert difference.mean() < 12
    assert np.mean(changed) == pytest.approx(1 / 3, abs=0.12)


def test_the_same_rng_gives_the_same_bytes_and_another_one_others() -> None:
    results = [occlude(np.random.default_rng(seed), PICTURE) for seed in (5, 5, 6)]
    for one, same, other in zip(*results, strict=True):
        assert one.tobytes() == same.tobytes() != other.tobytes()


def test_global_random_state_is_neither_used_nor_changed() -> None:
    def states() -> tuple:
        return np.random.get_state()[1].tobytes(), random.getstate(), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002

    np.random.seed(1)  # noqa: NPY002
    before = states()
    first = [occlude(np.random.default_rng(seed), PICTURE) for seed in range(20)]
    assert states() == before
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    again = [occlude(np.random.default_rng(seed), PICTURE) for seed in range(20)]
    assert all(np.array_equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("draw", [described_square, occluders.square])
def test_a_square_is_square_whole_and_anywhere(draw) -> None:
    corners = []
    for seed in range(60):
        mask = draw(np.random.default_rng(seed), 60, 90)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert len(rows) == len(columns)
        assert mask.sum() == len(rows) ** 2
        assert 12 <= len(rows) <= 30
        assert draw is not described_square or len(rows) == 18
        corners.append((rows[0] / (60 - len(rows)), columns[0] / (90 - len(columns))))
    assert np.ptp(corners, axis=0).min() > 0.8
