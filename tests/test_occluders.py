"""Random occlusions: their size, their families, and that the rng alone decides."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage

from conftest import draw_room
from pixelrnn.data import occluders
from pixelrnn.data.occluders import MAX_SHARE, MIN_SHARE, PAINTS, SHAPES, described_square, occlude, paint, random_mask

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


def paints(kind: str, count: int, image: np.ndarray = PICTURE) -> list[np.ndarray]:
    return [PAINTS[kind][1](np.random.default_rng(seed), image, 60, 90) for seed in range(count)]


def grey(picture: np.ndarray) -> bool:
    return bool((picture == picture[..., :1]).all())


def test_every_kind_of_paint_occurs_about_as_often_as_said() -> None:
    rng, whole, kinds = np.random.default_rng(0), np.ones((64, 64), bool), Counter()
    for _ in range(600):
        painted = paint(rng, np.full((64, 64, 3), 128, np.uint8), whole)
        colours, steps = np.unique(painted.reshape(-1, 3), axis=0), np.abs(np.diff(painted.astype(int), axis=1))
        if len(colours) <= 2:
            kinds[("black" if not painted.any() else "flat") if len(colours) == 1 else "stripes"] += 1
        else:
            kinds["noise" if np.unique(steps).size > 10 else "gradient"] += 1
    said = {name: probability for name, (probability, _) in PAINTS.items()}
    assert said == {"black": 0.3, "flat": 0.2, "noise": 0.15, "stripes": 0.2, "gradient": 0.15}
    assert {name: count / 600 for name, count in kinds.items()} == pytest.approx(said, abs=0.06)


@pytest.mark.parametrize("kind", PAINTS)
def test_every_kind_of_paint_has_the_asked_shape(kind) -> None:
    assert all((fill.shape, fill.dtype) == ((60, 90, 3), np.uint8) for fill in paints(kind, 20))


def test_a_quarter_of_flat_fills_are_near_black_or_white_or_from_the_image() -> None:
    image = np.array([[[200, 100, 50], [10, 120, 240]]], np.uint8)
    colours = [tuple(fill[0, 0].tolist()) for fill in paints("flat", 600, image)]
    hiding = {
        "black": [max(colour) < 24 for colour in colours],
        "white": [min(colour) > 231 for colour in colours],
        "picture": [colour in {(200, 100, 50), (10, 120, 240)} for colour in colours],
    }
    assert {name: np.mean(found) for name, found in hiding.items()} == pytest.approx(dict.fromkeys(hiding, 1 / 12), abs=0.04)


def test_noise_is_fine_or_coarse_grey_or_coloured_and_strong_or_weak() -> None:
    fills = paints("noise", 200)
    assert 0.3 < np.mean([np.ptp(fill, axis=(0, 1)).max() > 240 for fill in fills]) < 0.7
    # of two neighbours in a row, those differ that lie in two blocks
    edges = [np.any(np.diff(fill.astype(int), axis=1), axis=(0, 2)).mean() for fill in fills]
    assert set(np.rint(1 / np.array(edges)).astype(int)) == {1, 2, 3, 4}
    strong = [fill for fill in fills if np.ptp(fill, axis=(0, 1)).max() > 240]
    assert 0.3 < np.mean([grey(fill) for fill in strong]) < 0.7


def test_stripes_are_two_to_twenty_pixels_wide_and_a_third_are_grey() -> None:
    fills, widths = paints("stripes", 300), []
    for fill in fills:
        assert len(np.unique(fill.reshape(-1, 3), axis=0)) <= 2
        for lines in (fill, fill.transpose(1, 0, 2)):
            if (lines == lines[:1]).all() and (edges := np.flatnonzero(np.diff(lines[0].astype(int), axis=0).any(1))).size > 1:
                widths.append(np.diff(edges).mean())
    assert 1.9 < min(widths) < 5
    assert 15 < max(widths) < 21
    assert 0.5 < len(widths) / 300 < 0.75
    assert np.mean([grey(fill) for fill in fills]) == pytest.approx(1 / 3, abs=0.08)


def test_paint_without_a_missing_pixel_changes_nothing() -> None:
    assert np.array_equal(paint(np.random.default_rng(0), PICTURE, np.zeros((48, 64), bool)), PICTURE)


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


def test_a_third_of_the_occluded_images_are_compressed_as_jpeg() -> None:
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


def test_the_described_square_is_square_whole_and_anywhere() -> None:
    corners = []
    for seed in range(60):
        mask = described_square(np.random.default_rng(seed), 60, 90)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert len(rows) == len(columns) == 18
        assert mask.sum() == 18**2
        corners.append((rows[0] / (60 - 18), columns[0] / (90 - 18)))
    assert np.ptp(corners, axis=0).min() > 0.8


def test_several_squares_are_of_one_size_and_keep_apart() -> None:
    counts = []
    for seed in range(60):
        labels, count = ndimage.label(occluders.squares(np.random.default_rng(seed), 80, 110), np.ones((3, 3)))
        boxes = ndimage.find_objects(labels)
        sides = {side.stop - side.start for box in boxes for side in box}
        assert len(sides) == 1
        assert 16 <= sides.pop() <= 40
        assert (labels > 0).sum() == sum((labels[box] > 0).size for box in boxes)
        counts.append(count)
    assert set(counts) <= {1, 2, 3, 4}
    assert {1, 4} <= set(counts)
