"""Grain and seams, on photographs whose noise is known because it was added here."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.errors import PixelRNNError
from pixelrnn.inference.backends import Output
from pixelrnn.inference.completer import Completer
from pixelrnn.inference.grain import add_grain, is_grain, measure

SHAPE = 360, 480
HOLE = np.zeros(SHAPE, bool)
HOLE[120:240, 160:320] = True
CLEAN = gaussian_filter(np.random.default_rng(1).uniform(40, 210, (*SHAPE, 3)), (40, 40, 0))
CLEAN = 60 + 130 * (CLEAN - CLEAN.min()) / np.ptp(CLEAN)  # light that changes slowly


def noise(strength: float, blur: float, channels: int) -> np.ndarray:
    drawn = np.random.default_rng(2).normal(size=(*SHAPE, channels))
    drawn = gaussian_filter(drawn, (blur, blur, 0)) if blur else drawn
    return np.broadcast_to(strength * drawn / drawn.std(), (*SHAPE, 3))


def filled(grain: np.ndarray, step: float = 0.0) -> np.ndarray:
    """A grainy photograph whose hole was filled smoothly, lighter by `step`."""
    return np.clip(np.rint(np.where(HOLE[..., None], CLEAN + step, CLEAN + grain)), 0, 255).astype(np.uint8)


def neighbours(array: np.ndarray) -> float:
    """The correlation of pixels beside each other."""
    return float(np.corrcoef(array[:, 1:].ravel(), array[:, :-1].ravel())[0, 1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("blur", [0, 0.8])
@pytest.mark.parametrize("strength", [4, 8])
def test_a_fill_gets_the_strength_size_and_colour_of_the_grain_around_it(strength: float, blur: float, channels: int) -> None:
    grain = noise(strength, blur, channels)
    picture = filled(grain)
    done = add_grain(picture, HOLE, seed=0)
    np.testing.assert_array_equal(done[~HOLE], picture[~HOLE])
    added = (done.astype(float) - CLEAN)[130:230, 170:310]
    assert added.std() == pytest.approx(strength, rel=0.15)
    assert neighbours(added[..., 0]) == pytest.approx(neighbours(grain[..., 0]), abs=0.12)
    alike = np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]
    assert alike == pytest.approx(1 if channels == 1 else 0, abs=0.15)


def test_grain_is_drawn_from_its_seed() -> None:
    picture = filled(noise(6, 0, 3))
    one, same, other = (add_grain(picture, HOLE, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other)[HOLE].mean() > 0.5


def test_a_photograph_without_grain_stays_as_it_is() -> None:
    for picture in (filled(noise(0.8, 0, 3)), render_bedroom(np.random.default_rng(310), 256), np.zeros((5, 3, 3), np.uint8)):
        hole = np.zeros(picture.shape[:2], bool)
        hole[1:3, 1:2] = True
        np.testing.assert_array_equal(add_grain(picture, hole, seed=0), picture)


def test_a_texture_in_a_part_of_a_photograph_is_no_grain() -> None:
    carpet = noise(9, 0, 3).copy()
    carpet[:200] = 0
    assert not is_grain(measure(filled(carpet), ~HOLE))
    assert is_grain(measure(filled(noise(9, 0, 3)), ~HOLE))


def test_a_fill_that_is_as_grainy_gets_no_more() -> None:
    picture = np.clip(np.rint(CLEAN + noise(6, 0, 3)), 0, 255).astype(np.uint8)
    added = (add_grain(picture, HOLE, seed=0).astype(float) - CLEAN)[130:230, 170:310]
    assert added.std() == pytest.approx(6, rel=0.15)


def test_a_small_step_at_the_border_is_evened_out_and_an_edge_is_not() -> None:
    def step(picture: np.ndarray) -> float:
        inside, outside = picture[120:122, 170:310].astype(float), picture[118:120, 170:310].astype(float)
        return float((inside - outside).mean() - (CLEAN[120:122, 170:310] - CLEAN[118:120, 170:310]).mean())

    light, edge = (filled(noise(4, 0, 3), height) for height in (6, 60))
    assert step(light) == pytest.approx(6, abs=0.8)
    assert abs(step(add_grain(light, HOLE, seed=0))) < 1.5
    assert step(add_grain(edge, HOLE, seed=0)) == pytest.approx(60, abs=1.5)


def test_a_strength_that_is_asked_for_is_given_where_there_is_no_grain() -> None:
    done = add_grain(filled(np.zeros((*SHAPE, 3))), HOLE, seed=0, strength=5.0)
    assert (done.astype(float) - CLEAN)[130:230, 170:310].std() == pytest.approx(5, rel=0.15)


class Smooth:
    """A network that fills with what is behind."""

    name, reads_mask, detects = "smooth", True, False

    def __call__(self, image: np.ndarray, mask: np.ndarray, guide: Any = None) -> Output:
        return Output(np.where(mask, np.float32(0.5), image), None)


def test_a_completer_adds_grain_unless_it_is_told_not_to() -> None:
    picture, completer = filled(noise(6, 0, 3)), Completer(Smooth())
    by_itself, without, strong = (completer(picture, HOLE, grain=grain).image for grain in ("auto", "none", 12))
    for done in (by_itself, without, strong):
        np.testing.assert_array_equal(done[~HOLE], picture[~HOLE])
    inner = slice(140, 220), slice(180, 300)
    assert without[inner].std() < 0.5
    assert by_itself[inner].std() == pytest.approx(6, rel=0.15)
    assert strong[inner].std() == pytest.approx(12, rel=0.15)
    for wrong in ("some", -1, 65, "nan"):
        with pytest.raises(PixelRNNError, match="expected auto, none, or its strength"):
            completer(picture, HOLE, grain=wrong)
