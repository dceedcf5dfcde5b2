"""The autoregressive models are exact: probabilities add to 1, the future is not seen, cached sampling is sampling."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pixelrnn import checkpoint
from pixelrnn.errors import PixelRNNError
from pixelrnn.models import create_model, list_models
from pixelrnn.models.diagonal_bilstm import DiagonalBlock, skew, unskew
from pixelrnn.models.lstm import lstm_scan
from pixelrnn.models.masked import MaskedConv2d, group_of
from pixelrnn.models.row_lstm import RowLSTMBlock

MODELS = ["diagonal_bilstm", "pixelcnn", "row_lstm"]
LIKELIHOODS = ["softmax", "logistics", "anchored"]
every_model = pytest.mark.parametrize("name", MODELS)
every_likelihood = pytest.mark.parametrize("likelihood", LIKELIHOODS)
every_picture = pytest.mark.parametrize("channels", [1, 3])


def build(name: str, channels: int = 3, levels: int = 2, seed: int = 0, **options: Any) -> nn.Module:
    """A small model in float64, every weight well away from zero; 7 features, which three channels do not divide."""
    if options.get("likelihood") == "anchored":
        options |= {"likelihood": "logistics", "anchored": True, "encoder_features": 8}
    small = {"features": 7, "depth": 3, "head_features": 10, "components": 3, "encoder_features": 8, "encoder_depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(name, channels=channels, levels=levels, **(small | options)).double()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.3)
    return model.eval()


def pictures(count: int, channels: int, height: int, width: int, levels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(levels, (count, channels, height, width), generator=generator).double() / (levels - 1)


def holes(count: int, height: int, width: int, share: float = 0.4, seed: int = 1) -> torch.Tensor:
    return (torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(seed)) < share).double()


def every_filling(image: torch.Tensor, mask: torch.Tensor, levels: int) -> torch.Tensor:
    """All pictures (N, C, H, W) that equal `image` (C, H, W) where `mask` (1, H, W) is 0."""
    where = mask.bool().expand_as(image)
    fillings = torch.tensor(list(itertools.product(range(levels), repeat=int(where.sum())))).double() / (levels - 1)
    several = image.double().repeat(len(fillings), 1, 1, 1)
    several[:, where] = fillings
    return several


def test_the_three_models_are_registered_as_autoregressive_ones() -> None:
    assert list_models("autoregressive") == MODELS
    assert not set(MODELS) & set(list_models("completion"))


@every_picture
@every_likelihood
@every_model
@torch.no_grad()
def test_the_probabilities_of_all_pictures_add_to_one(name, likelihood, channels) -> None:
    everything = every_filling(torch.zeros(channels, 2, 2), torch.ones(1, 2, 2), 2)
    for encoder_features in (0, 8):
        model = build(name, channels, likelihood=likelihood, encoder_features=encoder_features)
        assert float(model.log_prob(everything).exp().sum()) == pytest.approx(1, abs=1e-9)


@every_likelihood
@every_model
@torch.no_grad()
def test_the_probabilities_of_all_fillings_of_a_hole_add_to_one(name, likelihood) -> None:
    model = build(name, 3, likelihood=likelihood)
    for seed in range(4):
        image, mask = pictures(1, 3, 3, 4, 2, seed)[0], torch.zeros(1, 3, 4)
        mask.flatten()[torch.randperm(12, generator=torch.Generator().manual_seed(seed))[:3]] = 1
        fillings = every_filling(image, mask, 2)
        nats = model.log_prob(fillings, mask.expand(len(fillings), -1, -1, -1))
        assert float(nats.exp().sum()) == pytest.approx(1, abs=1e-9)


@every_model
@torch.no_grad()
def test_what_lies_under_the_hole_changes_no_sample(name) -> None:
    model, image, mask = build(name, levels=5), pictures(2, 3, 5, 6, 5), holes(2, 5, 6)
    other = torch.where(mask > 0, torch.full_like(image, torch.nan), image)
    one, two = (model.sample(each, mask, torch.Generator().manual_seed(0)) for each in (image, other))
    assert torch.equal(one, two)


@every_picture
@every_model
def test_no_output_depends_on_a_later_pixel_or_channel(name, channels) -> None:
    # wide enough that no group is switched off by all of its ReLUs at once
    model = build(name, channels, levels=3, depth=2, features=25, head_features=40, encoder_features=0)
    height, width = 4, 5
    image = pictures(1, channels, height, width, 3).requires_grad_()
    features = model.features(image, None).permute(0, 2, 3, 1).reshape(height * width, -1)
    parameters = model.parameters_at(features)  # (H W, C, P)
    met = torch.zeros(height * width * channels, height * width * channels)
    for position in range(height * width):
        for channel in range(channels):
            (gradient,) = torch.autograd.grad(parameters[position, channel].square().sum(), image, retain_graph=True)
            met[position * channels + channel] = gradient[0].permute(1, 2, 0).flatten().abs()
    assert (met.triu() == 0).all()
    # what was before and is within reach is known: the channels before, the pixel to the left, the one above
    step = width * channels
    assert all(met[i, i - channels] > 0 for i in range(channels, len(met)) if (i // channels) % width)
    assert all(met[i, i - step] > 0 for i in range(step, len(met)))
    assert all(met[i, i - 1] > 0 for i in range(len(met)) if i % channels)


@torch.no_grad()
def test_diagonals_know_all_pixels_before_and_rows_a_triangle() -> None:
    def knows(name: str, far: tuple[int, int]) -> bool:
        model = build(name, 1, levels=3, depth=1, encoder_features=0)
        image = pictures(1, 1, 16, 16, 3)
        changed = image.clone()
        changed[0, 0, far[0], far[1]] = 1 - changed[0, 0, far[0], far[1]]  # 0.5 stays, so take another
        changed[0, 0, far[0], far[1]] += 0.25
        one, two = (model.features(each, None)[0, :, 15, 4] for each in (image, changed))
        return not torch.equal(one, two)

    assert knows("diagonal_bilstm", (13, 15))
    assert knows("diagonal_bilstm", (0, 15))
    assert knows("row_lstm", (5, 4))
    assert not knows("row_lstm", (13, 15))
    assert not knows("pixelcnn", (5, 4))  # 3 + 1 rows with one block


@every_likelihood
@every_model
@torch.no_grad()
def test_log_prob_of_a_batch_is_the_sum_over_its_pixels_one_at_a_time(name, likelihood) -> None:
    model = build(name, levels=4, likelihood=likelihood)
    image, mask = pictures(2, 3, 4, 5, 4), holes(2, 4, 5)
    whole = model.log_prob(image, mask)
    for number in range(2):
        given = image[number : number + 1], mask[number : number + 1]
        condition, anchor = model.condition(*given), model.anchor(*given)
        total = 0.0
        for row, column in mask[number, 0].nonzero().tolist():
            for channel in range(3):
                # what comes later is not there yet
                so_far = image[number : number + 1].clone()
                so_far.flatten(2)[..., row * 5 + column + 1 :] = 0.5
                so_far[0, channel:, row, column] = 0.5
                features = model.features(so_far, condition, anchor)[:, :, row, column]
                parameters = model.parameters_at(features, anchor and anchor.at(row, column))[0, channel]
                level = (image[number, channel, row, column] * 3).round().long()
                total += float(model.likelihood.log_prob(parameters, level))
        assert total == pytest.approx(float(whole[number]), abs=1e-9)


@every_picture
@every_likelihood
@every_model
def test_cached_sampling_draws_what_the_plain_loop_draws(name, likelihood, channels) -> None:
    for seed, (height, width), share in ((0, (5, 6), 0.4), (1, (1, 7), 0.6), (2, (6, 1), 0.6), (3, (4, 4), 1.0)):
        model = build(name, channels, levels=6, seed=seed, likelihood=likelihood)
        image, mask = pictures(3, channels, height, width, 6, seed), holes(3, height, width, share, seed)
        one, two = (
            model.sample(image, mask, torch.Generator().manual_seed(seed), 0.8, cached=cached) for cached in (True, False)
        )
        assert torch.equal(one, two)
        assert torch.equal(torch.where(mask > 0, 0, one), torch.where(mask > 0, 0, image))
        assert set((one * 5).round().flatten().tolist()) <= set(range(6))
        torch.testing.assert_close(one * 5, (one * 5).round())


@every_model
def test_cached_sampling_in_float32_agrees_with_the_likelihood(name) -> None:
    """Samples of a sure model are its likeliest pictures: their log-likelihood is near the largest there can be."""
    model = build(name, 1, levels=2, encoder_features=0).float()
    draws = model.sample(torch.zeros(2000, 1, 2, 2), None, torch.Generator().manual_seed(0))
    everything = every_filling(torch.zeros(1, 2, 2), torch.ones(1, 2, 2), 2).float()
    with torch.no_grad():
        expected = model.log_prob(everything).exp()
    code = (draws.flatten(1) * torch.tensor([8.0, 4.0, 2.0, 1.0])).sum(dim=1).long()
    found = torch.bincount(code, minlength=16) / len(draws)
    assert (found - expected).abs().max() < 0.05


@every_model
def test_seed_and_temperature_decide_the_sample(name) -> None:
    model, image, mask = build(name, levels=8, likelihood="logistics"), pictures(2, 3, 4, 5, 8), torch.ones(2, 1, 4, 5)

    def draw(seed: int, temperature: float) -> torch.Tensor:
        return model.sample(image, mask, torch.Generator().manual_seed(seed), temperature)

    assert torch.equal(draw(0, 1.0), draw(0, 1.0))
    assert not torch.equal(draw(0, 1.0), draw(1, 1.0))
    with torch.no_grad():  # colder samples are likelier on the whole
        cold, warm = (torch.stack([model.log_prob(draw(seed, t), mask) for seed in range(8)]).mean() for t in (0.3, 1.5))
    assert cold > warm
    with pytest.raises(ValueError, match="above 0"):
        draw(0, 0.0)


@every_model
def test_progress_is_told_up_to_the_end(name) -> None:
    told: list[float] = []
    mask = holes(1, 4, 5)
    build(name).sample(pictures(1, 3, 4, 5, 2), mask, progress=told.append)
    assert len(told) == int(mask.sum())
    assert told == sorted(told)
    assert told[-1] == 1


@every_model
@torch.no_grad()
def test_without_order_pixels_are_independent_given_what_is_known(name) -> None:
    model, image, mask = build(name, levels=4, ordered=False), pictures(2, 3, 4, 5, 4), holes(2, 4, 5)
    condition = model.condition(image, mask)
    other = torch.where(mask > 0, 1 - image, image)
    assert torch.equal(model.features(image, condition), model.features(other, condition))
    one, two = (model.sample(image, mask, torch.Generator().manual_seed(0), cached=cached) for cached in (True, False))
    assert torch.equal(one, two)


@every_model
@torch.no_grad()
def test_nothing_missing_has_no_nats_and_comes_back(name) -> None:
    model, image, none = build(name), pictures(2, 3, 3, 4, 2), torch.zeros(2, 1, 3, 4)
    assert model.log_prob(image, none).tolist() == [0, 0]
    assert torch.equal(model.sample(image, none), image)


@every_model
def test_every_parameter_learns(name) -> None:
    model = build(name, levels=4)
    model.log_prob(pictures(2, 3, 6, 7, 4), holes(2, 6, 7)).sum().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


@every_model
def test_weights_come_back_from_their_file(name, tmp_path) -> None:
    model = build(name).float()
    checkpoint.save(tmp_path / "a.safetensors", model, {"note": "x"})
    loaded = checkpoint.load(tmp_path / "a.safetensors")
    image, mask = pictures(1, 3, 4, 5, 2).float(), holes(1, 4, 5).float()
    assert loaded.name == name
    assert torch.equal(loaded.model.log_prob(image, mask), model.log_prob(image, mask))


def test_options_that_make_no_model_are_refused() -> None:
    with pytest.raises(ValueError, match="likelihood must be"):
        create_model("pixelcnn", likelihood="gauss")
    with pytest.raises(ValueError, match="levels"):
        create_model("pixelcnn", levels=1)
    with pytest.raises(ValueError, match="features"):
        create_model("pixelcnn", features=2)
    with pytest.raises(PixelRNNError, match="row_lstm"):
        create_model("rowlstm")


def test_groups_are_even_and_masks_let_earlier_groups_through() -> None:
    assert group_of(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    a, b = (MaskedConv2d(kind, 3, 3, (3, 3), channels=3).mask for kind in "AB")
    assert a[:, :, 1, 1].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert b[:, :, 1, 1].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert a[0, 0].tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_skewing_shifts_each_row_by_one_more_and_back() -> None:
    x = torch.arange(1.0, 13).view(1, 3, 4, 1)
    assert skew(x)[:, 0, :, 0].T.tolist() == [[1, 2, 3, 4, 0, 0], [0, 5, 6, 7, 8, 0], [0, 0, 9, 10, 11, 12]]
    assert torch.equal(unskew(skew(x), 4), x)


def numpy_lstm(gates: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equation 3 of van den Oord et al. 2016, on the features of one position."""
    o, f, i, g = np.split(gates, 4)
    sigmoid = [1 / (1 + np.exp(-part)) for part in (o, f, i)]
    cell = sigmoid[1] * cell + sigmoid[2] * np.tanh(g)
    return sigmoid[0] * np.tanh(cell), cell


def block_of(kind: type[nn.Module]) -> nn.Module:
    config = build("row_lstm", 1, encoder_features=0).config
    torch.manual_seed(0)
    return kind(config).double()


def test_the_gradient_of_a_scan_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    gates, weight = torch.randn(4, 8, 2, 3, dtype=torch.float64), torch.randn(8, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lstm_scan, (gates.requires_grad_(), weight.requires_grad_()))


@pytest.mark.parametrize("name", MODELS)
def test_training_in_half_precision_finds_nearly_the_same_likelihood_and_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, channels=1, levels=2, features=8, depth=2, head_features=8, encoder_features=0)
    digits, found = (torch.rand(4, 1, 12, 10) > 0.5).float(), []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            nats = -model.log_prob(digits).sum()
        nats.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((nats.item(), gradient))
    (exact, true), (rounded, gradient) = found
    assert rounded == pytest.approx(exact, rel=0.01)
    assert torch.cosine_similarity(true, gradient, dim=0) > 0.99


@torch.no_grad()
def test_the_row_lstm_is_the_papers_recurrence() -> None:
    block, x = block_of(RowLSTMBlock), torch.randn(1, 14, 4, 5, dtype=torch.float64)
    gates = block.input_to_state(x)[0].numpy()
    carry = block.state_to_state.weight.numpy().reshape(28, 3, 7)  # of the states left, straight and right above
    state, cell = np.zeros((4, 5, 7)), np.zeros((4, 5, 7))
    for i, j in np.ndindex(4, 5):
        told = gates[:, i, j].copy()
        for tap in range(3):
            if i and 0 <= j + tap - 1 < 5:
                told += carry[:, tap] @ state[i - 1, j + tap - 1]
        state[i, j], cell[i, j] = numpy_lstm(told, cell[i - 1, j] if i else np.zeros(7))
    expected = x + block.expand(torch.from_numpy(state).permute(2, 0, 1)[None])
    torch.testing.assert_close(block(x, None), expected)


@torch.no_grad()
def test_the_diagonal_bilstm_matches_the_recurrence_of_the_paper() -> None:
    block, x = block_of(DiagonalBlock), torch.randn(1, 14, 4, 5, dtype=torch.float64)
    both = np.zeros((4, 5, 7))
    for side, order in enumerate((range(5), range(4, -1, -1))):
        gates, carry = block.input_to_state[side](x)[0].numpy(), block.state_to_state[side].numpy()
        state, cell = np.zeros((4, 5, 7)), np.zeros((4, 5, 7))
        for i in range(4):
            for j in order:
                told, before, inside = gates[:, i, j].copy(), j + (1 if side else -1), np.zeros(7)
                if 0 <= before < 5:
                    told += state[i, before] @ carry[:7]
                    inside = cell[i, before]
                if i:
                    told += state[i - 1, j] @ carry[7:]
                state[i, j], cell[i, j] = numpy_lstm(told, inside)
        both += np.concatenate([np.zeros((1, 5, 7)), state[:-1]]) if side else state
    expected = x + block.expand(torch.from_numpy(both).permute(2, 0, 1)[None])
    torch.testing.assert_close(block(x, None), expected)


def test_a_pixelcnn_learns_that_pixels_repeat() -> None:
    """Pictures of equal rows: the first is free, the others follow from it; an untrained model says 0.69 nats a pixel."""
    torch.manual_seed(0)
    model = create_model("pixelcnn", channels=1, levels=2, features=8, depth=2, head_features=8, encoder_features=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        image = torch.randint(2, (32, 1, 1, 6)).float().expand(-1, -1, 6, -1)
        loss = -model.log_prob(image).mean() / 36
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1.5 * np.log(2) / 6
    image, mask = torch.zeros(8, 1, 6, 6), torch.ones(8, 1, 6, 6)
    drawn = model.sample(image, mask, torch.Generator().manual_seed(0))
    assert float(F.mse_loss(drawn[:, :, 1:], drawn[:, :, :1].expand(-1, -1, 5, -1))) < 0.1
