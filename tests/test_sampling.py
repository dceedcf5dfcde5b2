"""Several completions of one hole: drawn coarsely by a PixelRNN, brought to size by the network that completes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from pixelrnn import Completer, PixelRNNError, checkpoint
from pixelrnn.data.datasets import CoarseCases
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.inference.backends import open_backend
from pixelrnn.inference.sampling import Sampler, reduced
from pixelrnn.inference.tiling import views
from pixelrnn.models import create_model

SIDE, CELL = 128, 4


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    """One with fresh weights, which draws anything."""
    torch.manual_seed(3)
    options = {"components": 2, "features": 6, "depth": 1, "encoder_features": 6, "encoder_depth": 2, "cell": CELL}
    model = create_model("pixelcnn", likelihood="logistics", anchored=True, **options)
    path = tmp_path_factory.mktemp("weights") / "sampler.safetensors"
    checkpoint.save(path, model, {})
    return Sampler(path)


@pytest.fixture(scope="module")
def completer(sampler):
    return Completer(open_backend("bedrooms-expected"), sampler=sampler)


@pytest.fixture(scope="module")
def room():
    return render_bedroom(np.random.default_rng(302), SIDE)


@pytest.fixture(scope="module")
def hole():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[30:68, 50:88] = True
    return mask


def test_samples_differ_in_the_hole_alone_and_the_most_likely_comes_first(completer, room, hole):
    result = completer(room, hole, samples=4, seed=1)
    assert len(result.samples) == len(result.log_likelihood) == 4
    assert result.log_likelihood == sorted(result.log_likelihood, reverse=True)
    np.testing.assert_array_equal(result.image, result.samples[0])
    for one, next_one in pairwise(result.samples):
        np.testing.assert_array_equal(one[~hole], room[~hole])
        assert (one[hole] != next_one[hole]).any()


def test_one_seed_draws_the_same_samples_and_another_others(completer, room, hole):
    first, again, other = (completer(room, hole, samples=2, seed=seed) for seed in (1, 1, 2))
    for one, two in zip(first.samples, again.samples, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first.log_likelihood == again.log_likelihood
    assert (first.image != other.image).any()


def test_what_lies_under_the_hole_changes_nothing(completer, room, hole):
    painted = np.where(hole[..., None], np.random.default_rng(0).integers(0, 256, room.shape, np.uint8), room)
    one, two = (completer(picture, hole, samples=2, seed=1) for picture in (room, painted))
    np.testing.assert_array_equal(one.image, two.image)
    assert one.log_likelihood == two.log_likelihood


def test_the_log_likelihood_is_that_of_the_coarse_pixels_that_were_drawn(sampler, room, hole):
    (view,) = views(hole)
    assert view.scale == 1
    drawn = sampler(room, hole, samples=3, seed=5)
    known, cells = reduced(room[view.part.slices], hole[view.part.slices], CELL)
    coarse = torch.stack([torch.from_numpy(guides[view.part]) for guides in drawn.guides])
    expected = Completer(sampler.expected)(room, hole, grain="none")
    height, width = (side // CELL for side in hole[view.part.slices].shape)
    std = expected.uncertainty[view.part.slices].reshape(height, CELL, width, CELL).mean(axis=(1, 3))
    colour, _ = reduced(expected.image[view.part.slices], hole[view.part.slices], CELL)
    guess = torch.cat([torch.from_numpy(colour.transpose(2, 0, 1) / 255), torch.from_numpy(std)[None].sqrt()])
    guess = guess.float().expand(3, -1, -1, -1)
    mask = torch.from_numpy(cells)[None, None].float().expand(3, -1, -1, -1)
    with torch.no_grad():
        nats = sampler.model.log_prob(coarse, mask, guess) / cells.sum()
    assert drawn.log_likelihood == pytest.approx(nats.tolist(), abs=1e-4)
    for one in coarse:  # what is known is told to the network that completes as it is
        np.testing.assert_allclose(one.numpy()[:, ~cells], known.transpose(2, 0, 1)[:, ~cells] / 255, atol=1e-6)


def test_holes_far_apart_in_a_large_picture_are_all_drawn(completer):
    room = np.asarray(Image.fromarray(render_bedroom(np.random.default_rng(302), 256)).resize((1200, 900)))
    mask = np.zeros(room.shape[:2], bool)
    mask[100:160, 100:160] = mask[500:800, 700:1000] = True
    assert len(list(views(mask))) == 2
    one, two = completer(room, mask, samples=2).samples
    for place in (np.s_[100:160, 100:160], np.s_[500:800, 700:1000]):
        assert (one[place] != two[place]).mean() > 0.5
    np.testing.assert_array_equal(one[~mask], room[~mask])


def test_a_grey_picture_has_grey_samples(completer, room, hole, tmp_path):
    Image.fromarray(room).convert("L").save(tmp_path / "grey.png")
    for one in completer(tmp_path / "grey.png", hole, samples=2).samples:
        assert (one == one[..., :1]).all()


def test_progress_rises_to_the_end(completer, room, hole):
    told: list[float] = []
    completer(room, hole, samples=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_weights_that_cannot_sample_and_a_temperature_of_zero_are_refused(sampler, room, hole):
    with pytest.raises(PixelRNNError, match="draws no samples"):
        Sampler("bedrooms-expected")
    with pytest.raises(PixelRNNError, match="temperature"):
        sampler(room, hole, samples=2, temperature=0)


def test_a_cell_is_missing_where_any_of_its_pixels_is():
    mask = np.zeros((20, 30), bool)
    mask[8, 15] = True
    picture, cells = reduced(np.full((20, 30, 3), 7, np.uint8), mask, 8)
    assert picture.shape == (3, 4, 3)
    assert [*map(tuple, np.argwhere(cells))] == [(1, 1)]


def test_coarse_cases_are_mirrored_only_in_training(tmp_path):
    cases = np.random.default_rng(0).integers(0, 256, (64, 7, 4, 4), np.uint8)
    for part in ("train", "valid"):
        np.save(tmp_path / f"{part}.npy", cases)
    train, valid = (CoarseCases(tmp_path, part) for part in ("train", "valid"))
    mirrored = 0
    for case, item, fixed in zip(cases, train, valid, strict=False):
        whole = torch.cat([fixed["target"], fixed["guess"], fixed["mask"]])
        np.testing.assert_allclose(whole.numpy() * 255, case, atol=1e-4)
        found = torch.cat([item["target"], item["guess"], item["mask"]])
        assert found.equal(whole) or found.equal(whole.flip(2))
        mirrored += not found.equal(whole)
    assert 16 < mirrored < 48
    np.save(tmp_path / "valid.npy", cases[:, :3])
    with pytest.raises(PixelRNNError, match="expected uint8"):
        CoarseCases(tmp_path, "valid")
    with pytest.raises(PixelRNNError, match="recipes/coarse"):
        CoarseCases(tmp_path / "nowhere")
