"""Fine detail of fills, on pictures whose textures are known because they were drawn here."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace

from pixelrnn.cli import main
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.inference import detail
from pixelrnn.inference.completer import Completer

SHAPE = 200, 240
HOLE = np.zeros(SHAPE, bool)
HOLE[60:130, 80:160] = True
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def rounded(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(np.broadcast_to(picture, (*SHAPE, 3))), 0, 255).astype(np.uint8)


def filled(truth: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return np.where(HOLE[..., None], rounded(fill), truth)


def error(picture: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(picture[HOLE].astype(float) - truth[HOLE]).mean())


def detailed(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    done = picture.copy()
    detail.add_detail(done, hole)
    return done


STRIPES = rounded((120 + 60 * np.sign(np.sin(0.9 * X + 0.4 * Y)))[..., None])  # period 6.4 pixels, aslant
CLOTH = rounded(130 + 40 * gaussian_filter(np.random.default_rng(0).normal(size=(*SHAPE, 1)), (0.8, 0.8, 0)))


def test_stripes_that_a_fill_shows_blurred_become_sharp() -> None:
    blurred = filled(STRIPES, gaussian_filter(STRIPES.astype(float), (1.5, 1.5, 0)))
    done = detailed(blurred, HOLE)
    np.testing.assert_array_equal(done[~HOLE], STRIPES[~HOLE])
    assert error(done, STRIPES) < 0.5 * error(blurred, STRIPES)


def test_a_smooth_fill_gets_the_texture_around_it() -> None:
    done = detailed(filled(CLOTH, np.full(3, 130.0)), HOLE)
    inner = (slice(70, 120), slice(90, 150), 0)
    strengths = [laplace(picture.astype(float)[inner]).std() for picture in (done, CLOTH)]
    assert strengths[0] == pytest.approx(strengths[1], rel=0.5)


def test_dots_that_a_network_draws_on_a_plain_wall_go() -> None:
    wall = 100 + 0.3 * X[..., None]
    dots = 12 * ((X % 4 == 0) & (Y % 4 == 0))[..., None]
    dotted = filled(rounded(wall), wall + dots - dots.mean())
    assert error(detailed(dotted, HOLE), rounded(wall)) < 0.4 * error(dotted, rounded(wall))


def test_no_grid_of_patches_shows_in_what_is_drawn() -> None:
    done = detailed(filled(CLOTH, np.full(3, 130.0)), HOLE)[60:129, 80:158, 0].astype(float)
    power = np.abs(np.fft.fft2(done - done.mean())) ** 2
    for frequency in (power[power.shape[0] // 3, 0], power[0, power.shape[1] // 3]):  # a period of three pixels
        assert frequency < 20 * np.median(power)


def test_equal_inputs_give_equal_results() -> None:
    picture = filled(CLOTH, np.full(3, 130.0))
    np.testing.assert_array_equal(detailed(picture, HOLE), detailed(picture.copy(), HOLE))


def test_a_hole_of_many_parts_is_textured_throughout_and_a_wider_one_not_at_all() -> None:
    rows, columns = np.mgrid[:500, :900]
    truth = np.where(((rows + columns) // 4 % 2 > 0)[..., None], [180, 170, 150], [60, 70, 80]).astype(np.uint8)
    blurred = gaussian_filter(truth.astype(float), (1.2, 1.2, 0)).astype(np.uint8)
    hole = np.zeros(truth.shape[:2], bool)
    hole[100:360, 100:800] = True
    given = np.where(hole[..., None], blurred, truth)
    done = detailed(given, hole)
    np.testing.assert_array_equal(done[~hole], truth[~hole])
    for top in range(100, 360, 52):
        for left in range(100, 800, 50):
            part = slice(top, top + 52), slice(left, left + 50)
            before, after = (np.abs(picture[part].astype(int) - truth[part]).mean() for picture in (given, done))
            assert after < 0.7 * before
    hole[60:440] = hole[250]
    given = np.where(hole[..., None], blurred, truth)
    np.testing.assert_array_equal(detailed(given, hole), given)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (6, 6), (7, 7), (20, 20)])
def test_where_too_little_is_known_a_fill_stays_as_it_is(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    hole = np.zeros(shape, bool)
    hole[: max(1, shape[0] // 2), : max(1, shape[1] // 2)] = True
    np.testing.assert_array_equal(detailed(picture, hole), picture)
    np.testing.assert_array_equal(detailed(picture, np.ones(shape, bool)), picture)
    np.testing.assert_array_equal(detailed(picture, np.zeros(shape, bool)), picture)


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    return render_bedroom(np.random.default_rng(320), 256)


BOX = (90, 100, 60, 70)


def test_the_mean_completion_gets_detail_only_where_that_is_asked_for(room: np.ndarray) -> None:
    completer = Completer.from_pretrained("bedrooms-expected")
    plain, asked, not_asked = (completer(room, BOX, detail=choice, grain="none").image for choice in (None, True, False))
    np.testing.assert_array_equal(plain, not_asked)
    np.testing.assert_array_equal(asked, detailed(plain, completer(room, BOX).mask))
    assert (asked != plain).any()


def test_the_sharp_completion_and_the_command_have_detail_unless_it_is_left_out(room: np.ndarray, tmp_path: Path) -> None:
    completer = Completer.from_pretrained()
    plain, sharp = (completer(room, BOX, detail=choice, grain="none") for choice in (False, None))
    np.testing.assert_array_equal(sharp.image, detailed(plain.image, plain.mask))
    Image.fromarray(room).save(tmp_path / "room.png")
    for options, expected in (([], sharp), (["--no-detail"], plain)):
        out = tmp_path / f"{len(options)}.png"
        words = ["complete", str(tmp_path / "room.png"), "--mask", ",".join(map(str, BOX)), "--grain", "none", "-o", str(out)]
        with pytest.raises(SystemExit, match="0"):
            main([*words, *options])
        np.testing.assert_array_equal(np.array(Image.open(out)), expected.image)
