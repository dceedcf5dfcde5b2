"""What is put over photographs to teach a detector: as much of a pixel is changed as is said to be covered."""

import numpy as np
import pytest

from pixelrnn.data.overlays import COVERS, SMALL, colour, draw, overlay
from pixelrnn.data.synthetic import render_bedroom


@pytest.fixture(scope="module")
def room():
    return render_bedroom(np.random.default_rng(5), 160)


@pytest.mark.parametrize("shape", [(160, 160), (90, 240), (400, 300), (24, 24)], ids=str)
@pytest.mark.parametrize("family", COVERS)
def test_a_cover_is_a_share_of_each_pixel_and_the_same_for_the_same_seed(family, shape):
    covers = [COVERS[family][1](np.random.default_rng(seed), *shape) for seed in (1, 1, 2, 3, 4)]
    assert {cover.shape for cover in covers} == {shape}
    assert all(cover.dtype == np.float32 and cover.min() >= 0 and cover.max() <= 1 for cover in covers)
    np.testing.assert_array_equal(covers[0], covers[1])
    assert any(cover.any() for cover in covers)
    assert all(cover.mean() < 0.95 for cover in covers)


@pytest.mark.parametrize("seed", range(40))
def test_a_pixel_changes_by_no_more_than_it_is_covered(room, seed):
    rng = np.random.default_rng(seed)
    painted, covered = overlay(rng, room, room[::-1])
    assert painted.dtype == np.uint8
    assert painted.shape == room.shape
    np.testing.assert_array_equal(painted[covered == 0], room[covered == 0])
    change = np.abs(painted.astype(float) - room).max(axis=2)
    assert (change <= 255 * covered + 1).all()


def test_all_families_are_drawn_and_the_thin_ones_have_one_colour(room):
    seen = {}
    for seed in range(120):
        drawn = draw(np.random.default_rng([1, seed]), *room.shape[:2])
        seen.setdefault(drawn[0], []).append(overlay(np.random.default_rng([2, seed]), room, None, drawn))
    assert seen.keys() == COVERS.keys()
    for family in SMALL:
        opacities = [covered.max() for _, covered in seen[family] if covered.any()]
        assert min(opacities) >= 0.45
        opaque = [painted[covered == 1] for painted, covered in seen[family] if (covered == 1).any()]
        assert opaque
        assert all(np.ptp(pixels, axis=0).max() == 0 for pixels in opaque)


def test_most_colours_hide_in_the_picture(room):
    rng = np.random.default_rng(0)
    colours = np.array([colour(rng, room) for _ in range(300)]).astype(int)
    extreme = (colours.min(axis=1) > 235) | (colours.max(axis=1) < 20)
    assert 0.3 < extreme.mean() < 0.6
