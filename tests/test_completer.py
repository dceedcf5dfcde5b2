"""Completer: known pixels stay, masks in every form, and what a network cannot give is None."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pixelrnn import Completer, PixelRNNError, checkpoint
from pixelrnn.data.occluders import jpeg
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.encode import write_image
from pixelrnn.image import dilate
from pixelrnn.inference.backends import Output
from pixelrnn.inference.completer import WORK_SIDE
from pixelrnn.models import create_model
from pixelrnn.weights import DEFAULT


class Grey:
    """A network that fills with mid-grey, sees black as missing, and is sure to 0.1."""

    reads_mask = detects = True

    def __init__(self, sees: bool = True, knows: bool = True, elsewhere: float = -1.0) -> None:
        self.detects, self.knows, self.elsewhere, self.shapes = sees, knows, elsewhere, []

    def __call__(self, image, mask, guide=None):
        self.shapes.append(image.shape)
        deviation = np.full(image.shape[1:], np.log(0.1), np.float32)
        return Output(np.full_like(image, 0.5), deviation if self.knows else None)

    def detect(self, image, seen):
        return np.where(image.max(axis=0) == 0, 40.0, self.elsewhere).astype(np.float32)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(1, 256, (60, 90, 3), dtype=np.uint8)


@pytest.fixture
def hole():
    mask = np.zeros((60, 90), bool)
    mask[20:40, 30:60] = True
    return mask


ELSEWHERE = """
import multiprocessing, pickle, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
from pixelrnn import Completer

completer = Completer.from_pretrained() if __name__ == "__main__" else None
picture = np.random.default_rng(0).integers(1, 256, (60, 90, 3), dtype=np.uint8)
box = (30, 20, 30, 20)

def complete(given):
    return (given or completer)(picture, box).image

if __name__ == "__main__":
    expected = complete(None)  # so that its threads run before the fork
    assert np.array_equal(complete(pickle.loads(pickle.dumps(completer))), expected)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        for found in pool.map(complete, [None if sys.argv[1] == "fork" else completer] * 3, timeout=120):
            assert np.array_equal(found, expected)
    print("equal")
"""


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_completer_can_be_pickled_and_works_in_other_processes(tmp_path, way):
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    done = subprocess.run([sys.executable, tmp_path / "elsewhere.py", way], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr


def test_known_pixels_are_kept_byte_for_byte_and_missing_ones_are_filled(picture, hole):
    result = Completer(Grey())(picture, hole)
    np.testing.assert_array_equal(result.image[~hole], picture[~hole])
    assert (result.image[hole] == 128).all()
    assert result.mask_source == "given"
    assert len(result.samples) == 1
    np.testing.assert_array_equal(result.samples[0], result.image)
    assert result.log_likelihood is None


def test_what_lies_under_the_mask_does_not_reach_the_network(picture, hole):
    seen = []

    class Spy(Grey):
        def __call__(self, image, mask, guide=None):
            seen.append(image)
            return super().__call__(image, mask, guide)

    other = picture.copy()
    other[hole] = 255 - other[hole]
    Completer(Spy())(picture, hole)
    Completer(Spy())(other, hole)
    np.testing.assert_array_equal(seen[0], seen[1])


class Sees(Grey):
    """Sees `mask`, and around it what is less sure."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.logits = np.where(mask, 40.0, -5.0).astype(np.float32)

    def detect(self, image, seen):
        return self.logits


def test_an_occlusion_of_one_exact_colour_is_detected_to_the_pixel(picture, hole):
    occluded = np.where(hole[..., None], np.uint8(0), picture)
    result = Completer(Grey())(occluded)
    assert result.mask_source == "detected"
    np.testing.assert_array_equal(result.mask, hole)
    np.testing.assert_array_equal(result.image[~result.mask], occluded[~result.mask])


def test_a_given_mask_is_blacked_out_for_a_network_that_reads_no_mask(picture, hole):
    shown = []

    class Blind(Sees):
        reads_mask = False

        def __call__(self, image, mask, guide=None):
            shown.append(image)
            return super().__call__(image, mask, guide)

    Completer(Blind(hole))(picture)
    np.testing.assert_array_equal(shown[0], picture.transpose(2, 0, 1) / np.float32(255))
    Completer(Blind(hole))(picture, hole)
    assert (shown[1][:, hole] == 0).all()


def test_an_occlusion_of_noise_is_grown_past_what_was_seen_of_it(picture, hole):
    np.testing.assert_array_equal(Completer(Sees(hole))(picture).mask, dilate(hole, 1))


def test_pixels_that_compression_tinted_are_filled_with_the_paint():
    room = render_bedroom(np.random.default_rng(3), 128)
    hole = np.zeros((128, 128), bool)
    hole[31:73, 41:95] = True  # odd edges: cells of 2 x 2 pixels, which share a colour, are painted in part
    occluded = jpeg(np.where(hole[..., None], np.array([220, 20, 30], np.uint8), room), 90)
    completer = Completer(Sees(dilate(hole, 2)))
    found = completer.detect(occluded)
    assert (found.mask & ~hole).sum() < 0.02 * hole.sum()
    np.testing.assert_array_equal(completer(occluded).mask, found.tinted)
    ring = dilate(hole, 1) & ~hole
    assert found.tinted[ring].mean() > 0.8
    error = np.abs(occluded.astype(int) - room).max(axis=2)
    assert error[found.tinted & ring].mean() > 2 * error[~found.tinted].mean()


def test_transparent_and_painted_parts_are_both_completed(tmp_path, picture, hole):
    hidden = np.zeros_like(hole)
    hidden[5:15, 60:80] = True
    occluded = np.where(hole[..., None], np.uint8(0), picture)
    Image.fromarray(np.dstack([occluded, np.where(hidden, 0, 255).astype(np.uint8)])).save(tmp_path / "a.png")
    result = Completer(Grey())(tmp_path / "a.png")
    np.testing.assert_array_equal(result.mask, hole | hidden)
    assert result.mask_source == "transparent and detected"


def test_what_is_seen_under_transparent_parts_adds_nothing_to_them(tmp_path, picture, hole):
    occluded = np.where(hole[..., None], np.uint8(0), picture)
    Image.fromarray(np.dstack([occluded, np.where(hole, 0, 255).astype(np.uint8)])).save(tmp_path / "a.png")
    result = Completer(Grey())(tmp_path / "a.png")
    np.testing.assert_array_equal(result.mask, hole)
    assert result.mask_source == "transparent"


def test_the_occlusion_itself_is_told_without_the_ring_that_filling_needs(picture, hole):
    occluded = np.where(hole[..., None], np.uint8(0), picture)
    np.testing.assert_array_equal(Completer(Grey()).detect(occluded).mask, hole)


def test_a_guide_reaches_the_network_unchanged(picture, hole, tmp_path):
    seen = []

    class Spy(Grey):
        def __call__(self, image, mask, guide=None):
            seen.append(guide)
            return super().__call__(image, mask, guide)

    guide = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    write_image(tmp_path / "guide.png", guide)
    Completer(Spy())(picture, hole, guide=guide)
    Completer(Spy())(picture, hole, guide=tmp_path / "guide.png")
    for given in seen:
        np.testing.assert_allclose(given, guide.transpose(2, 0, 1) / 255, atol=1e-6)
    checkpoint.save(tmp_path / "baseline.safetensors", create_model("baseline"), {})
    with pytest.raises(PixelRNNError, match="takes no guide"):
        Completer.from_pretrained(tmp_path / "baseline.safetensors")(picture, hole, guide=guide)


def test_a_picture_with_nothing_missing_comes_back_as_it_is(picture):
    result = Completer(Grey())(picture)
    assert not result.mask.any()
    np.testing.assert_array_equal(result.image, picture)


def test_a_network_that_sees_no_occlusion_borrows_a_detector_and_says_so(picture, hole):
    occluded = np.where(hole[..., None], np.uint8(0), picture)
    result = Completer(Grey(sees=False), detector=Grey())(occluded)
    assert result.mask_source == f"detected by {DEFAULT}"
    assert result.mask[hole].all()


def test_the_uncertainty_is_zero_at_known_pixels(picture, hole):
    result = Completer(Grey())(picture, hole)
    assert (result.uncertainty[~hole] == 0).all()
    np.testing.assert_allclose(result.uncertainty[hole], 0.1, rtol=1e-5)
    assert Completer(Grey(knows=False))(picture, hole).uncertainty is None


def test_a_mask_is_a_path_a_picture_an_array_or_a_box(tmp_path, picture, hole):
    write_image(tmp_path / "mask.png", hole)
    forms = [
        tmp_path / "mask.png",
        str(tmp_path / "mask.png"),
        Image.fromarray(hole.astype(np.uint8) * 255),
        hole,
        (30, 20, 30, 20),
    ]
    for form in forms:
        np.testing.assert_array_equal(Completer(Grey())(picture, form).mask, hole)


def test_an_image_is_a_path_a_picture_or_an_array(tmp_path, picture, hole):
    write_image(tmp_path / "picture.png", picture)
    expected = Completer(Grey())(picture, hole).image
    for form in (tmp_path / "picture.png", str(tmp_path / "picture.png"), Image.fromarray(picture)):
        np.testing.assert_array_equal(Completer(Grey())(form, hole).image, expected)


@pytest.mark.parametrize("height", [1, 7, 700])
@pytest.mark.parametrize("width", [1, 1300])
def test_the_completion_has_the_size_of_the_image(height, width):
    picture = np.random.default_rng(1).integers(1, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), bool)
    mask[0, width // 2] = True
    backend = Grey()
    if mask.all():
        with pytest.raises(PixelRNNError, match="whole picture is missing"):
            Completer(backend)(picture, mask)
        return
    result = Completer(backend)(picture, mask)
    assert result.image.shape == picture.shape
    np.testing.assert_array_equal(result.image[~mask], picture[~mask])
    assert max(backend.shapes[0]) <= WORK_SIDE


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((4, 5), np.uint8), None, r"uint8 \(H, W, 3\)"),
        (np.zeros((4, 5, 3), np.float32), None, "float32"),
        (np.ones((4, 5, 3), np.uint8), np.zeros((5, 5), bool), "mask is 5 x 5, the picture 5 x 4"),
        (np.ones((4, 5, 3), np.uint8), np.zeros((4, 5)), "bool"),
        (np.ones((4, 5, 3), np.uint8), (3, 0, 3, 2), "does not lie in a picture of 5 x 4"),
        (np.ones((4, 5, 3), np.uint8), np.ones((4, 5), bool), "whole picture is missing"),
        ("missing.png", None, "no such file"),
    ],
)
def test_bad_input_is_refused_with_what_was_expected(image, mask, message):
    with pytest.raises(PixelRNNError, match=message):
        Completer(Grey())(image, mask)


def test_several_samples_are_refused_if_a_guide_is_given_or_not_taken(picture):
    drawing = Grey()
    drawing.reads_mask = False
    for completer, guide in ((Completer(drawing), None), (Completer(Grey()), picture)):
        with pytest.raises(PixelRNNError, match=r"4 samples: .* Ask for 1"):
            completer(picture, samples=4, guide=guide)
    with pytest.raises(PixelRNNError, match="0 samples"):
        Completer(Grey())(picture, samples=0)


def test_a_long_thin_picture_keeps_its_size_and_what_is_known() -> None:
    long = np.full((2, 4000, 3), 200, np.uint8)
    long[:, 1000:1500] = 0
    result = Completer.from_pretrained()(long)
    assert result.image.shape == long.shape
    assert (result.image[~result.mask] == long[~result.mask]).all()
