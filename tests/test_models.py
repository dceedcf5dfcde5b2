"""The contract over every registered model, and the described network against a plain re-statement of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from contract import (
    IGNORES_MASKS,
    SCANS,
    SIZES,
    SMALL,
    TAKES_NO_GUIDE,
    TOLERANCE,
    VARIANTS,
    assert_same,
    assert_well_formed,
    batch,
    build,
    predict,
    untrained_parts,
    variant_id,
)
from pixelrnn import checkpoint
from pixelrnn.errors import PixelRNNError
from pixelrnn.models import create_model, list_models
from pixelrnn.models.base import evidence

FLOAT32 = TOLERANCE[torch.float32]
every_model = pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)


def test_the_described_and_the_default_model_are_registered() -> None:
    assert {"baseline", "optimized_pixelrnn"} <= set(list_models())


@pytest.mark.parametrize("shape", SIZES, ids=lambda shape: "x".join(map(str, shape)))
@every_model
def test_the_answer_has_the_size_of_the_question(variant, shape) -> None:
    model, (image, mask) = build(variant), batch(0, *shape)
    assert_well_formed(predict(model, image), image)
    assert_well_formed(predict(model, image, mask), image)
    assert_well_formed(predict(model, image, torch.ones_like(mask)), image)


@every_model
@settings(max_examples=8)
@given(height=st.integers(1, 50), width=st.integers(1, 50))
def test_any_height_and_width_work(variant, height: int, width: int) -> None:
    image, mask = batch(0, 1, height, width)
    assert_well_formed(predict(build(variant), image, mask), image)


@every_model
def test_eval_is_deterministic(variant) -> None:
    model, (image, mask) = build(variant), batch(1, 2, 17, 23)
    assert_same(predict(model, image), predict(model, image))
    assert_same(predict(model, image, mask), predict(model, image, mask))


@every_model
def test_a_model_leaves_its_input_as_it_was(variant) -> None:
    image, mask = batch(1, 2, 16, 32)  # sides that need no padding, which would copy
    before = image.clone(), mask.clone()
    predict(build(variant), image, mask)
    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])


@every_model
def test_a_batch_of_two_equals_two_single_runs(variant) -> None:
    model, (image, mask) = build(variant), batch(2, 2, 33, 47)
    for masks in (mask, None):
        both = predict(model, image, masks)
        for i in (0, 1):
            single = predict(model, image[i : i + 1], None if masks is None else masks[i : i + 1])
            assert_same(single, type(both)(*(part if part is None else part[i : i + 1] for part in both)), **FLOAT32)


@every_model
def test_what_lies_under_the_mask_changes_nothing_of_the_picture(variant) -> None:
    model, (image, mask) = build(variant), batch(3, 2, 29, 40)
    other = torch.where(mask.bool(), batch(4, 2, 29, 40)[0], image)
    one, two = predict(model, image, mask), predict(model, other, mask)
    assert not torch.equal(image, other)
    assert torch.equal(one.image, two.image) == (variant[0] not in IGNORES_MASKS)
    if variant[0] in IGNORES_MASKS:
        assert_same(one, predict(model, image))
    else:
        assert not torch.equal(one.image, predict(model, image, 1 - mask).image)


@every_model
def test_the_middle_of_a_hole_depends_on_most_known_pixels(variant) -> None:
    image, mask = batch(5, 1, 48, 48)
    image.requires_grad_()
    build(variant)(image, mask).image[..., 24, 24].sum().backward()
    reached = (image.grad.abs().sum(1, keepdim=True) > 0) & (mask == 0)
    assert reached.sum() > 0.5 * (mask == 0).sum()


@every_model
def test_saving_and_loading_gives_the_same_model(variant, tmp_path: Path) -> None:
    model, (image, mask) = build(variant), batch(6, 1, 40, 24)
    checkpoint.save(tmp_path / "weights.safetensors", model, {})
    loaded = checkpoint.load(tmp_path / "weights.safetensors")
    assert (loaded.name, loaded.model.config) == (variant[0], model.config)
    assert_same(predict(model, image), predict(loaded.model, image))
    assert_same(predict(model, image, mask), predict(loaded.model, image, mask))


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v[0] != "baseline"], ids=variant_id)
def test_every_channel_of_every_weight_gets_a_gradient(variant) -> None:
    untrained = untrained_parts(build(variant), variant[0] not in TAKES_NO_GUIDE)
    assert not untrained, {name: int(dead.sum()) for name, dead in untrained.items()}


def test_the_baseline_leaves_its_hidden_half_and_forget_gate_untrained() -> None:
    model = build(("baseline", {}))
    untrained = untrained_parts(model, guided=False)
    assert set(untrained) == {"convlstm.conv.weight", "convlstm.conv.bias"}
    weight, bias = torch.zeros(1024, 512, dtype=torch.bool), torch.zeros(1024, dtype=torch.bool)
    weight[:, 256:] = weight[256:512] = bias[256:512] = True
    assert torch.equal(untrained["convlstm.conv.weight"], weight)
    assert torch.equal(untrained["convlstm.conv.bias"], bias)
    assert 9 * int(weight.sum()) + int(bias.sum()) == 2_949_376


def test_the_described_network_has_the_described_parameters() -> None:
    state = build(("baseline", {})).state_dict()
    layers = [f"encoder.{i}" for i in (0, 2, 4)] + ["convlstm.conv"] + [f"decoder.{i}" for i in (0, 3, 6, 9)]
    assert set(state) == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert sum(value.numel() for value in state.values()) == 6_643_555


def _described(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The described network from its state dict, as one would write it down."""

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)

    for layer in (0, 2, 4):
        x = F.relu(conv(f"encoder.{layer}", x, stride=2))
    i, f, o, g = torch.split(conv("convlstm.conv", torch.cat([x, torch.zeros_like(x)], dim=1)), 256, dim=1)
    c = torch.sigmoid(f) * torch.zeros_like(x) + torch.sigmoid(i) * torch.tanh(g)
    x = torch.sigmoid(o) * torch.tanh(c)
    for layer in (0, 3, 6):
        x = F.pixel_shuffle(F.relu(conv(f"decoder.{layer}", x)), 2)
    return torch.sigmoid(conv("decoder.9", x))


@pytest.mark.parametrize(("height", "width"), [(40, 56), (21, 13)])
def test_the_baseline_equals_a_plain_restatement_of_the_described_network(height: int, width: int) -> None:
    model, (image, _) = build(("baseline", {})), batch(7, 2, height, width)
    for parameter in model.parameters():  # fresh weights give almost one grey; these a picture
        nn.init.normal_(parameter, std=2 * parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1)
    output = predict(model, image).image
    assert output.std() > 0.1
    # the description knows multiples of 8 alone; other pictures have their last row and column repeated, and are cut again
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    expected = _described(model.state_dict(), torch.from_numpy(padded))[..., :height, :width]
    torch.testing.assert_close(output, expected, **FLOAT32)


@pytest.mark.parametrize("name", sorted(TAKES_NO_GUIDE))
def test_a_model_that_takes_no_guide_refuses_one(name: str) -> None:
    image, mask = batch(0, 1, 16, 16)
    with pytest.raises(ValueError, match="takes no guide"):
        build((name, {}))(image, mask, guide=image)


guided_model = pytest.mark.parametrize("variant", [v for v in VARIANTS if v[0] not in TAKES_NO_GUIDE], ids=variant_id)


def coarse(picture: torch.Tensor, factor: int) -> torch.Tensor:
    """A picture reduced by an integer factor."""
    return F.avg_pool2d(picture, factor)


@guided_model
@pytest.mark.parametrize("factor", [1, 4, 8])
def test_an_untrained_completion_agrees_with_its_guide_inside_the_hole(variant, factor: int) -> None:
    yy, xx = torch.linspace(0.2, 0.8, 64)[:, None], torch.linspace(-0.2, 0.2, 96)
    truth, mask = (yy + xx).expand(1, 3, 64, 96).clamp(0, 1), torch.zeros(1, 1, 64, 96)
    mask[..., 16:48, 24:72] = 1
    answer = predict(build(variant), 1 - truth, mask, coarse(truth, factor)).image  # the surroundings say the opposite
    wrong = (coarse(answer, factor) - coarse(truth, factor)).abs() * (coarse(mask, factor) == 1)
    assert wrong.max() < 0.05
    assert (coarse(predict(build(variant), 1 - truth, mask).image - truth, factor)).abs()[
        ..., 32 // factor, 40 // factor
    ].min() > 0


@guided_model
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (40, 2), (64, 64)], ids=str)
def test_a_guide_of_any_size_serves(variant, size) -> None:
    image, mask = batch(8, 2, 37, 50)
    for masks in (mask, None):
        assert_well_formed(predict(build(variant), image, masks, torch.rand(2, 3, *size)), image)


@guided_model
def test_only_what_a_guide_shows_in_the_hole_matters(variant) -> None:
    model, (image, mask) = build(variant), batch(8, 1, 32, 48)
    guide, other = batch(9, 1, 32, 48)[0], batch(10, 1, 32, 48)[0]
    one = predict(model, image, mask, guide)
    assert_same(one, predict(model, image, mask, torch.where(mask.bool(), guide, other)))
    assert not torch.equal(one.image, predict(model, image, mask, other).image)


@guided_model
def test_a_guide_meant_for_one_of_two_changes_that_one_alone(variant) -> None:
    model, (image, mask) = build(variant), batch(11, 2, 37, 50)
    guide = batch(12, 2, 8, 8)[0]
    with torch.no_grad():
        mixed, with_guide, without = (
            model.fill(image, mask, *more) for more in ((guide, torch.tensor([True, False])), (guide,), ())
        )
    for name in ("image", "log_std", "mean"):
        mixed_part, with_part, without_part = (getattr(one, name) for one in (mixed, with_guide, without))
        torch.testing.assert_close(mixed_part, torch.stack([with_part[0], without_part[1]]), **FLOAT32)


def test_without_a_guide_the_weights_of_its_channel_change_nothing() -> None:
    model, (image, mask) = build(VARIANTS[-1]), batch(13, 1, 32, 48)
    assert VARIANTS[-1][0] not in TAKES_NO_GUIDE
    guide = coarse(image, 4)
    before = predict(model, image, mask), predict(model, image, mask, guide)
    model.filler.stem[0].weight.data[:, 4] += 1
    assert_same(before[0], predict(model, image, mask))
    assert not torch.equal(before[1].log_std, predict(model, image, mask, guide).log_std)


@pytest.mark.parametrize("corner", [0, -1])
@pytest.mark.parametrize("scan", SCANS)
def test_a_corner_hears_of_the_opposite_one_through_a_scan_and_not_without(scan: str, corner: int) -> None:
    # the filler alone: the smooth start and the detector are not the scan's. To one side its convolutions reach 8 positions on
    # the grid of 2 px, 6 on that of 4, 6 on that of 8, and less than a cell of each more: 88 + 14 px
    side = 256
    model = create_model("optimized_pixelrnn", scan=scan, **SMALL).double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():  # random and large: a gradient over many steps would be rounded to nothing
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * parameter[0].numel() ** -0.5
    x = torch.rand(1, 5, side, side, generator=generator, dtype=torch.float64).requires_grad_()
    model.filler(x)[0, :, corner, corner].square().sum().backward()
    assert (x.grad[..., -1 - corner, -1 - corner] != 0).any() == (scan != "none")
    assert (x.grad[..., corner, corner] != 0).any()


def test_evidence_tells_flat_from_nearly_flat_and_a_step_from_a_slope() -> None:
    image = torch.full((1, 3, 6, 7), 100 / 255)
    size, largest, flat, alone = evidence(image)[0]
    assert not any(plane.any() for plane in (size, largest, alone))
    assert flat.all()
    image[:, 1, 3, 3] += 1 / 255
    size, largest, flat, alone = evidence(image)[0]
    changed = torch.zeros(6, 7)
    changed[3, 2:4] = changed[2, 3] = 1
    torch.testing.assert_close(size, changed / 8)
    torch.testing.assert_close(largest, size)
    torch.testing.assert_close(flat, 1 - changed)
    step = torch.tensor([0.0, 0, 0, 1, 1, 1]).expand(1, 3, 6, 6)
    torch.testing.assert_close(evidence(step)[0, 3, :, 2], torch.ones(6))
    slope = torch.linspace(0, 1, 6).expand(1, 3, 6, 6)
    assert (evidence(slope)[0, 0, :, :5] > 0.5).all()
    assert not evidence(slope)[0, 3, :, 1:4].any()  # at the picture's border nothing lies beside it
    assert not evidence(torch.rand(1, 3, 1, 1))[0, [0, 1, 3]].any()


def test_an_unknown_model_or_option_names_the_nearest() -> None:
    with pytest.raises(PixelRNNError, match="no model 'optimised_pixelrnn', did you mean 'optimized_pixelrnn'"):
        create_model("optimised_pixelrnn")
    with pytest.raises(PixelRNNError, match="no option 'width', did you mean 'widths'"):
        create_model("optimized_pixelrnn", width=(1, 2, 3))
    with pytest.raises(PixelRNNError, match="It has: none"):
        create_model("baseline", zzz=1)
    with pytest.raises(ValueError, match="convlstm, lstm, gru, none, got 'rnn'"):
        create_model("optimized_pixelrnn", scan="rnn")


def test_the_kept_options_are_those_asked_for() -> None:
    model = create_model("optimized_pixelrnn", scan="none", widths=(4, 6, 8), depths=(1, 1, 2))
    assert (model.name, model.config.scan, model.config.widths) == ("optimized_pixelrnn", "none", (4, 6, 8))
