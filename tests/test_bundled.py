"""The bundled weights: what a new user gets from the first command, and the least that can be asked of them."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from pixelrnn import Completer, checkpoint
from pixelrnn.data.occluders import described_square
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.decode import read_image
from pixelrnn.evaluation.baselines import classical
from pixelrnn.evaluation.detection import mask_iou
from pixelrnn.evaluation.scores import score_case
from pixelrnn.image import resize
from pixelrnn.inference.backends import open_backend
from pixelrnn.weights import DETECT, EXPECTED, FILL, SHARP, bundled_weights, read_tensors

ROOT = Path(__file__).parent.parent
SEEDS = (302, 305, 308, 311)


@pytest.fixture(scope="module", params=bundled_weights())
def completer(request):
    return Completer.from_pretrained(request.param)


@pytest.fixture(scope="module")
def cases():
    """(occluded, mask, room) of rendered bedrooms with a black square, which the weights have never seen the like of."""
    made = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        room = render_bedroom(rng, 256)
        mask = described_square(rng, 256, 256)
        made.append((np.where(mask[..., None], np.uint8(0), room), mask, room))
    return made


def test_they_weigh_at_most_24_megabytes_and_say_how_they_were_made():
    for path in bundled_weights().values():
        assert path.stat().st_size <= 24e6
        metadata = checkpoint.load(path).metadata
        assert metadata["recipe"]["loss"]
        assert metadata["history"]


def test_the_black_square_is_found_without_a_mask_and_only_that_changes(completer, cases):
    for occluded, mask, _ in cases:
        result = completer(occluded)
        assert result.mask_source == "detected"
        assert result.mask[mask].mean() > 0.98
        assert mask_iou(result.mask, mask) > 0.6
        np.testing.assert_array_equal(result.image[~result.mask], occluded[~result.mask])


def test_the_completion_beats_the_mean_fill_and_keeps_up_with_telea(completer, cases):
    def mean_psnr(method):
        results = [method(occluded, mask) for occluded, mask, _ in cases]
        images = [getattr(result, "image", result) for result in results]
        return np.mean(
            [score_case(image, case[0], case[2], case[1]).hole_psnr for image, case in zip(images, cases, strict=True)]
        )

    ours = mean_psnr(completer)
    assert ours > mean_psnr(classical("mean")) + 1
    assert ours > mean_psnr(classical("telea")) - 0.5


def test_the_sharp_weights_are_nearer_to_the_gradient_energy_of_the_truth(cases):
    def ratio(weights):
        completer = Completer.from_pretrained(weights)
        scores = [score_case(completer(occluded, mask).image, occluded, room, mask) for occluded, mask, room in cases]
        return sum(score.energy for score in scores) / sum(score.true_energy for score in scores)

    assert abs(np.log(ratio(SHARP))) < 0.7 * abs(np.log(ratio(EXPECTED)))


def test_uncertainty_is_of_the_size_of_the_error(completer, cases):
    errors, deviations = [], []
    for occluded, mask, room in cases:
        result = completer(occluded, mask)
        errors.append((result.image[mask].astype(float) - room[mask]) / 255)
        deviations.append(result.uncertainty[mask])
    rms = np.sqrt(np.mean(np.concatenate(errors) ** 2))
    assert 0.4 < np.sqrt(np.mean(np.concatenate(deviations) ** 2)) / rms < 2.5


def test_the_readmes_first_command_completes_the_example_and_says_where(tmp_path):
    example = ROOT / "examples" / "occluded_bedroom.jpg"
    command = [sys.executable, "-m", "pixelrnn", "complete", str(example)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    target = tmp_path / "outputs" / "occluded_bedroom_completed.png"
    assert "outputs/occluded_bedroom_completed.png" in done.stdout
    before, after = read_image(example), read_image(target)
    changed = (before != after).any(axis=2)
    assert 0.05 < changed.mean() < 0.3


def test_the_completion_agrees_with_its_guide(completer, cases):
    for occluded, mask, room in cases:
        ys, xs = np.nonzero(mask)
        inner = (slice(ys.min() // 8 + 2, ys.max() // 8 - 1), slice(xs.min() // 8 + 2, xs.max() // 8 - 1))
        truth = resize(room, 32, 32)
        other = truth.copy()
        other[inner] = (200, 60, 40)
        for guide in (truth, other):
            coarse = resize(completer(occluded, mask, guide=guide).image, 32, 32)
            off = np.abs(coarse[inner].astype(int) - guide[inner]).mean()
            assert off < 16  # grey levels, a sixteenth of the range


@pytest.mark.parametrize("size", [(64, 80), (37, 131), (176, 160)], ids=str)
@pytest.mark.parametrize("name", bundled_weights())
def test_onnx_runtime_answers_as_torch_does_to_a_ten_thousandth(name, size):
    one, other = (open_backend(name, backend=backend) for backend in ("onnx", "torch"))
    rng = np.random.default_rng(1)
    image, guide = rng.random((3, *size), np.float32), rng.random((3, 9, 11), np.float32)
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
    for coarse in (None, guide):
        here, there = one(image, mask, coarse), other(image, mask, coarse)
        np.testing.assert_allclose(here.image, there.image, rtol=0, atol=1e-4)
        np.testing.assert_allclose(here.log_std, there.log_std, rtol=0, atol=1e-4)
    seen = rng.random((4, *size), np.float32)
    np.testing.assert_allclose(one.detect(image, seen), other.detect(image, seen), rtol=0, atol=1e-4)


def test_both_engines_complete_to_one_grey_level_of_each_other(cases):
    for name in bundled_weights():
        one, other = (Completer.from_pretrained(name, backend=backend) for backend in ("onnx", "torch"))
        for occluded, mask, _ in cases[:2]:
            for given in (mask, None):
                here, there = (
                    complete(occluded, given, detail=False) for complete in (one, other)
                )  # two patches may be as near
                np.testing.assert_array_equal(here.mask, there.mask)
                assert np.abs(here.image.astype(int) - there.image).max() <= 1


def test_each_number_is_stored_once_in_float16_for_what_fills():
    graphs = [onnx.load(graph, load_external_data=False) for graph in (FILL, DETECT)]
    for path in bundled_weights().values():
        _, tensors = read_tensors(path)
        external = {one.name for graph in graphs for one in graph.graph.initializer if one.data_location == one.EXTERNAL}
        assert external == tensors.keys()
        assert {value.dtype.name for key, value in tensors.items() if key.startswith("filler.")} == {"float16"}
    assert all(graph.stat().st_size < 250_000 for graph in (FILL, DETECT))
    for path in bundled_weights().values():
        assert all(key.startswith("filler.") for key in load_file(path))


def test_completing_imports_no_torch():
    example = ROOT / "examples" / "occluded_bedroom.jpg"
    code = "import sys, pixelrnn; pixelrnn.Completer.from_pretrained()(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(example)], check=True)


def test_eight_threads_that_share_a_completer_give_the_bytes_of_one(cases):
    completer = Completer.from_pretrained()
    alone = [completer(occluded).image for occluded, _, _ in cases]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda case: completer(case[0]).image, cases * 4))
    for i, image in enumerate(together):
        np.testing.assert_array_equal(image, alone[i % len(cases)])
