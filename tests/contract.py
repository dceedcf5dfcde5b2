"""The contract of the completion models, in functions that hold for every registered one, and the tests' tolerances."""

from typing import Any

import numpy as np
import torch
from torch import nn

from pixelrnn.models import Prediction, create_model, list_models

TOLERANCE = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.float64: {"rtol": 1e-9, "atol": 1e-10},
}
SIZES = [(1, 1, 1), (1, 1, 37), (1, 37, 1), (1, 17, 23), (2, 64, 48)]  # batch, height, width

SMALL: dict[str, Any] = {
    "widths": (8, 12, 16),
    "depths": (1, 1, 2),
    "detector_widths": (8, 10, 12),
    "detector_depths": (1, 1, 1),
    "scan_hidden": 6,
}
SCANS = ("convlstm", "lstm", "gru", "none")
_OPTIONS = {"optimized_pixelrnn": [{}, *({"scan": scan, **SMALL} for scan in SCANS)]}
VARIANTS = [(name, options) for name in list_models("completion") for options in _OPTIONS.get(name, [{}])]
IGNORES_MASKS = {"baseline"}
TAKES_NO_GUIDE = {"baseline"}


def variant_id(variant: Any) -> str:
    """What pytest calls a variant."""
    name, options = variant
    return f"{name}-{options['scan']}-small" if options else name


def build(variant: tuple[str, dict[str, Any]]) -> nn.Module:
    """The model of a variant with the same fresh weights each time, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model(variant[0], **variant[1]).eval()


def batch(seed: int, size: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (B, 3, H, W) of random brightness, shading and noise, and masks (B, 1, H, W) with a hole and loose pixels."""
    rng = np.random.default_rng(seed)
    base, slope, contrast = rng.uniform(0, 1, (size, 3, 1, 1)), rng.normal(0, 1, (2, size, 3, 1, 1)), rng.uniform(0, 1)
    yy, xx = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)
    image = base + slope[0] * yy + slope[1] * xx + contrast * rng.normal(0, 1, (size, 3, height, width))
    mask = rng.random((size, 1, height, width)) < 0.2
    mask[..., height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = True
    return torch.from_numpy(np.clip(image, 0, 1)).float(), torch.from_numpy(mask).float()


def predict(model: nn.Module, *inputs: torch.Tensor | None) -> Prediction:
    """The model's prediction without a graph."""
    with torch.no_grad():
        prediction = model(*inputs)
    assert isinstance(prediction, Prediction)
    return prediction


def assert_same(one: Prediction, other: Prediction, **tolerance: float) -> None:
    """All parts of two predictions agree: exactly, or within the tolerance."""
    for name, a, b in zip(Prediction._fields, one, other, strict=True):
        assert (a is None) == (b is None), f"{name} is None in one of the two"
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, **(tolerance or {"rtol": 0, "atol": 0}), msg=lambda text, n=name: f"{n}: {text}")


def assert_well_formed(prediction: Prediction, image: torch.Tensor) -> None:
    """The answer has the size of the question, lies in [0, 1] and is finite."""
    size, _, height, width = image.shape
    assert prediction.image.shape == image.shape
    assert 0 <= prediction.image.min() <= prediction.image.max() <= 1  # False for nan
    for extra in (prediction.mask_logits, prediction.log_std):
        assert extra is None or (extra.shape == (size, 1, height, width) and extra.isfinite().all())


def untrained_parts(model: nn.Module, guided: bool, batches: int = 8, side: int = 64) -> dict[str, torch.Tensor]:
    """Where no gradient arrives over several random batches, per parameter, for those that have such a place.

    bool (outputs, inputs) of a weight, its kernel elements summed, or (outputs,) of a bias; with and without a mask in turns,
    and where `guided` half of both with a guide.
    """
    model.train()
    for parameter in model.parameters():
        if parameter.dim() > 1:  # large, and blind to mean brightness, so that no ReLU is off for good by chance
            nn.init.kaiming_normal_(parameter)
            parameter.data -= parameter.data.mean(dim=tuple(range(1, parameter.dim())), keepdim=True)
    seen = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for seed in range(batches):
        image, mask = batch(seed, 2, side, side)
        model.zero_grad()
        generator = torch.Generator().manual_seed(seed)
        guide = nn.functional.avg_pool2d(image, 8) if guided and seed % 4 > 1 else None
        prediction = model(image, mask if seed % 2 else None, guide)
        outputs = [output for output in prediction if output is not None]
        sum((output * torch.randn(output.shape, generator=generator)).sum() for output in outputs).backward()
        for name, parameter in model.named_parameters():
            seen[name] += 0 if parameter.grad is None else parameter.grad.abs()
    slices = {name: total.flatten(2).sum(2) if total.dim() > 2 else total for name, total in seen.items()}
    return {name: total == 0 for name, total in slices.items() if (total == 0).any()}
