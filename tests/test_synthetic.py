"""What has to hold for the invented bedrooms: one seed, one room; many seeds, many natural-looking pictures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pixelrnn.data.synthetic import MIN_SIZE, render_bedroom
from pixelrnn.data.synthetic.furnish import Decorator
from pixelrnn.data.synthetic.room import MOODS
from pixelrnn.errors import PixelRNNError

SEEDS = range(10)


def _room(seed: int, size: int) -> NDArray[np.uint8]:
    return render_bedroom(np.random.default_rng(seed), size)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.float64]:
    """(10, 64, 64, 3) pictures in 0..1."""
    return np.stack([_room(seed, 64) for seed in SEEDS]) / 255


@pytest.mark.parametrize("size", [MIN_SIZE, 33, 64])
def test_a_picture_is_a_square_of_bytes_of_the_asked_size(size: int) -> None:
    picture = _room(3, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert _room(7, 48).tobytes() == _room(7, 48).tobytes()


def test_one_generator_gives_another_room_at_every_call() -> None:
    rng = np.random.default_rng(5)
    first, second = render_bedroom(rng, 48), render_bedroom(rng, 48)
    assert np.abs(first.astype(float) - second).mean() > 8


def test_different_seeds_give_substantially_different_rooms(pictures: NDArray[np.float64]) -> None:
    distances = [np.abs(a - b).mean() for a, b in itertools.combinations(pictures, 2)]
    assert min(distances) > 0.04
    assert np.mean(distances) > 0.12


def test_the_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()  # noqa: NPY002  the legacy state is what must not change
    _room(1, 32)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_small_and_large_pictures_of_a_seed_show_the_same_room(seed: int) -> None:
    small = _room(seed, 64).astype(float)
    large = np.asarray(Image.fromarray(_room(seed, 256)).resize((64, 64), Image.Resampling.BOX), float)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.95
    assert np.abs(small - large).mean() < 12


def test_pictures_use_the_range_without_drowning_or_burning_out(pictures: NDArray[np.float64]) -> None:
    for picture in pictures:
        assert 0.15 < picture.mean() < 0.85
        assert picture.std() > 0.1
        assert (picture.max(-1) < 0.02).mean() < 0.25
        assert (picture.min(-1) > 0.98).mean() < 0.25
        low, high = np.quantile(picture, [0.01, 0.99])
        assert high - low > 0.45


def test_neighbouring_pixels_agree_as_in_photographs(pictures: NDArray[np.float64]) -> None:
    grey = pictures.mean(-1)
    assert np.corrcoef(grey[:, :, 1:].ravel(), grey[:, :, :-1].ravel())[0, 1] > 0.85
    assert np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1] > 0.85
    far = np.corrcoef(grey[:, :, 24:].ravel(), grey[:, :, :-24].ravel())[0, 1]
    assert far < 0.7  # and distant ones do not: the pictures are no smooth gradients


def test_surfaces_have_fine_texture_and_edges_are_rare_and_strong(pictures: NDArray[np.float64]) -> None:
    slopes = np.diff(pictures.mean(-1), axis=2)
    assert (slopes == 0).mean() < 0.1  # flat vector art would have large patches of one value
    spread = ((slopes - slopes.mean()) ** 4).mean() / slopes.var() ** 2
    assert spread > 6  # a Gaussian has 3; the slopes of photographs are heavy-tailed


def test_rooms_come_in_every_light_and_colour(pictures: NDArray[np.float64]) -> None:
    moods = {Decorator(np.random.default_rng(seed)).mood for seed in range(40)}
    assert moods == set(MOODS)
    averages = pictures.mean((1, 2))
    balance = averages / averages.sum(1, keepdims=True)
    assert np.ptp(balance[:, 0]) > 0.05
    assert np.ptp(balance[:, 2]) > 0.05


@pytest.mark.parametrize("seed", range(12))
def test_furniture_stays_in_the_room_and_the_camera_out_of_the_furniture(seed: int) -> None:
    scene = Decorator(np.random.default_rng(seed)).furnish()
    for solid in scene.solids:
        low, high = solid.centre - solid.extent(), solid.centre + solid.extent()
        assert (low > -0.02).all(), solid
        assert (high < scene.room + 0.02).all(), solid
        assert (np.abs(scene.camera.position - solid.centre) > solid.extent()).any(), solid
    assert (scene.camera.position > 0).all()
    assert (scene.camera.position < scene.room).all()


@pytest.mark.parametrize("size", [MIN_SIZE - 1, 1, 0, -64])
def test_too_small_a_size_is_refused_with_the_least_size_in_the_message(size: int) -> None:
    with pytest.raises(PixelRNNError, match=str(MIN_SIZE)):
        _room(0, size)
