"""The methods to compare with do what their libraries do, see a grown hole, keep what is known, and draw the same twice."""

import sys

import numpy as np
import pytest

from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.baselines import CLASSICAL, classical
from pixelrnn.evaluation.scores import score_case
from pixelrnn.image import dilate
from test_scores import box, gradient


def holed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A smooth picture with a black hole, the hole, the truth."""
    target, mask = gradient(48, 56), np.zeros((48, 56), bool)
    mask[12:27, 14:30] = True
    return np.where(mask[..., None], np.uint8(0), target), mask, target


@pytest.mark.parametrize("name", ["telea", "ns", "biharmonic", "patchmatch"])
def test_a_library_beats_the_mean_colour_on_a_smooth_gradient(name: str) -> None:
    given, mask, target = holed()
    better, mean = (score_case(classical(one)(given, mask), given, target, mask) for one in (name, "mean"))
    assert better.hole_psnr > mean.hole_psnr + 6
    assert better.ssim > mean.ssim
    assert better.changed == mean.changed == 0


@pytest.mark.parametrize("name", CLASSICAL)
def test_they_draw_the_same_twice_and_take_any_size_and_any_hole(name: str) -> None:
    method, (given, mask, _) = classical(name), holed()
    kept = given.copy(), mask.copy()
    assert np.array_equal(method(given, mask), method(given, mask))
    assert np.array_equal(given, kept[0])
    assert np.array_equal(mask, kept[1])
    assert np.array_equal(method(given, np.zeros_like(mask)), given)
    for height, width in ((1, 8), (5, 5), (9, 40)):
        picture, hole = gradient(height, width, 20), box(height, width, 0.4)
        out = method(picture, hole)
        assert out.dtype == np.uint8
        assert np.array_equal(out[~dilate(hole, 2)], picture[~dilate(hole, 2)])
        assert (method(picture, np.ones((height, width), bool)) == 128).all()


def test_the_others_see_the_hole_grown_by_two_pixels_as_well() -> None:
    import patchmatch
    from skimage.restoration import inpaint_biharmonic

    picture, mask, _ = holed()
    wide = dilate(mask, 2)
    exact = inpaint_biharmonic(picture / 255, wide, channel_axis=2)
    assert np.abs(classical("biharmonic")(picture, mask) - 255 * exact).max() <= 0.5 + 1e-6
    patchmatch.set_random_seed(0)
    expected = patchmatch.inpaint(picture, wide, patch_size=3)
    patchmatch.set_random_seed(7)
    assert np.array_equal(classical("patchmatch")(picture, mask), expected)


def test_opencv_is_called_with_the_mask_grown_by_two_pixels() -> None:
    import cv2

    picture, mask = gradient(40, 40, 10), np.zeros((40, 40), bool)
    mask[10:20, 0:15] = True
    dilated = cv2.dilate(mask.astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    assert np.array_equal(classical("telea")(picture, mask), cv2.inpaint(picture, dilated, 5, cv2.INPAINT_TELEA))
    assert np.array_equal(dilate(mask, 4), cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)


def test_mean_is_the_mean_of_the_known_pixels_alone() -> None:
    picture, mask = np.full((4, 4, 3), 10, np.uint8), box(4, 4, 0.5)
    picture[:, 0], picture[:, 3] = 255, (30, 10, 10)
    out = classical("mean")(picture, mask)
    assert np.array_equal(out[mask], np.broadcast_to([20, 10, 10], (8, 3)))
    assert np.array_equal(out[~mask], picture[~mask])
    assert (classical("mean")(picture, np.ones((4, 4), bool)) == 128).all()


def test_an_unknown_classical_method_is_answered_with_the_list() -> None:
    with pytest.raises(PixelRNNError, match=r"telia.*telea, ns, biharmonic, patchmatch, mean"):
        classical("telia")


@pytest.mark.parametrize(
    ("name", "module"), [("telea", "cv2"), ("biharmonic", "skimage.restoration"), ("patchmatch", "patchmatch")]
)
def test_without_its_library_a_method_says_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PixelRNNError, match=rf"{name} needs .*pip install 'pixelrnn\[evaluate\]'"):
        classical(name)
    classical("mean")


def test_patchmatch_without_its_compiled_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchmatch.patchmatch_available", False)
    with pytest.raises(PixelRNNError, match="compiled library of pypatchmatch does not load"):
        classical("patchmatch")
